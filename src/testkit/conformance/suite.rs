//! The expansion of the suite macros. It may change at any time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

pub use super::config_store::clauses as config_store;
pub use super::delivery::clauses as delivery;
pub use super::sink::clauses as sink;
pub use super::source::clauses as source;
pub use super::state_store::clauses as state_store;

/// Creates as many fresh implementations as a check needs.
pub struct Fresh<T: ?Sized>(Arc<dyn Fn() -> BoxFuture<'static, Arc<T>> + Send + Sync>);

impl<T: ?Sized> Fresh<T> {
    /// Creates implementations by calling `make`.
    pub fn new<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<T>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(make())))
    }

    /// Creates a fresh implementation.
    pub async fn make(&self) -> Arc<T> {
        (self.0)().await
    }
}

impl<T: ?Sized> Clone for Fresh<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh")
    }
}

/// One guarantee of a contract.
#[derive(Debug)]
pub struct Clause<T: ?Sized> {
    /// The name, which begins with the number of the clause: `clause_3_…`.
    pub name: &'static str,
    /// Panics if the implementation breaks it.
    pub check: fn(Fresh<T>) -> BoxFuture<'static, ()>,
}

/// The timeout of a check. Hundreds of statements on a remote database, or on a busy machine, take less.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Runs one check to its end, on its own runtime.
///
/// # Panics
/// Panics if the check does, or if it has not ended after ten minutes.
#[allow(clippy::expect_used, reason = "only tests call it")]
pub fn run(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("building the runtime failed");
    runtime.block_on(async {
        tokio::time::timeout(CHECK_TIMEOUT, check).await.expect("the check timed out");
    });
}

/// Runs the check of this name.
///
/// # Panics
/// Panics if the check does, or if it has not ended after ten minutes.
#[allow(clippy::expect_used, reason = "only tests call it")]
pub fn check<T: ?Sized>(clauses: Vec<Clause<T>>, name: &str, fresh: Fresh<T>) {
    let clause = clauses.into_iter().find(|clause| clause.name == name).expect("the suite does not list the check");
    run((clause.check)(fresh));
}
