//! The contracts as tests: a suite for each trait, one named test for each promise.
//!
//! An implementation's tests call a macro with an expression that makes a fresh implementation (it may `.await`), inside
//! a module of their own, because the tests are named after the clauses of the contract:
//!
//! ```
//! mod states {
//!     snowfeed::state_store_conformance!(snowfeed::backends::Memory::new());
//! }
//! mod configuration {
//!     snowfeed::config_store_conformance!(snowfeed::backends::Memory::new());
//! }
//! ```
//!
//! A [`Sink`](crate::Sink) is looked at through a [`SinkProbe`], a [`Source`](crate::Source) together with what it shall
//! read, a [`SourceCase`]. The checks themselves are public functions that panic when a promise is broken.

pub mod config_store;
pub mod delivery;
pub mod sink;
pub mod source;
pub mod state_store;

mod fixture;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;

pub use sink::SinkProbe;
pub use source::SourceCase;

/// Makes fresh implementations, as many as a check needs.
pub struct Fresh<T: ?Sized>(Arc<dyn Fn() -> BoxFuture<'static, Arc<T>> + Send + Sync>);

impl<T: ?Sized> Fresh<T> {
    /// Makes them by calling `make`.
    pub fn new<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<T>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(make())))
    }

    /// A fresh one.
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

/// One promise of a contract.
#[derive(Debug)]
pub struct Clause<T: ?Sized> {
    /// Its name, which begins with the number of the clause: `clause_3_…`.
    pub name: &'static str,
    /// Panics when the promise is broken.
    pub check: fn(Fresh<T>) -> BoxFuture<'static, ()>,
}

/// What takes longer hangs. A check of hundreds of statements on a distant database, or on a machine that is busy, does not.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Runs one check to its end, on a runtime of its own.
///
/// # Panics
/// When the check does, and when it has not ended after ten minutes.
#[allow(clippy::expect_used, reason = "it runs in tests only")]
pub fn run(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a test needs a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, check).await.expect("the check hangs");
    });
}

/// Polls a future so many times and drops it unless it has ended by then.
pub(super) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    if polls == 0 {
        return None;
    }
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Names one test for each clause.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($module:ident, $subject:ty, $make:expr) $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                use $crate::testkit::conformance as suite;
                let fresh: suite::Fresh<$subject> = suite::Fresh::new(|| async {
                    let made: ::std::sync::Arc<$subject> = ::std::sync::Arc::new($make);
                    made
                });
                suite::run(suite::$module::$clause(fresh));
            }
        )*
    };
}

/// Lists the clauses of a suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    (() $($clause:ident)*) => {
        vec![$($crate::testkit::conformance::Clause {
            name: stringify!($clause),
            check: |fresh| Box::pin($clause(fresh)),
        }),*]
    };
}

/// Fails when a check in a suite's text is not in its list.
#[cfg(test)]
fn assert_complete<T: ?Sized>(text: &str, clauses: &[Clause<T>]) {
    let mut written: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
        .filter(|name| name.starts_with("clause_"))
        .collect();
    written.sort_unstable();
    let mut listed: Vec<&str> = clauses.iter().map(|clause| clause.name).collect();
    listed.sort_unstable();
    assert_eq!(written, listed);
}
