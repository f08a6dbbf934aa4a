//! Conformance suites: a suite for each trait, and a named test for each guarantee of its contract.
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
//! The suite of a [`Sink`](crate::Sink) takes a [`SinkProbe`], which reads its rows; that of a [`Source`](crate::Source) takes a
//! [`SourceCase`], which has settings and a resource to read.

mod config_store;
mod delivery;
mod sink;
mod source;
mod state_store;

mod fixture;
#[doc(hidden)]
pub mod suite;

use std::pin::pin;
use std::task::Poll;

pub use sink::SinkProbe;
pub use source::SourceCase;
use suite::{Clause, Fresh};

/// Polls a future this many times, and drops it unless it has ended by then.
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

/// Defines one test for each clause.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($clauses:ident, $subject:ty, $make:expr) $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                use $crate::testkit::conformance::suite;
                let fresh: suite::Fresh<$subject> = suite::Fresh::new(|| async {
                    let made: ::std::sync::Arc<$subject> = ::std::sync::Arc::new($make);
                    made
                });
                suite::check(suite::$clauses(), stringify!($clause), fresh);
            }
        )*
    };
}

/// Lists the clauses of a suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    (() $($clause:ident)*) => {
        vec![$($crate::testkit::conformance::suite::Clause {
            name: stringify!($clause),
            check: |fresh| Box::pin($clause(fresh)),
        }),*]
    };
}

/// Fails if a check in a suite's source is not in its list.
#[cfg(test)]
fn assert_complete<T: ?Sized>(text: &str, clauses: &[Clause<T>]) {
    let mut written: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub(super) ").strip_prefix("async fn ")?.split('(').next())
        .filter(|name| name.starts_with("clause_"))
        .collect();
    written.sort_unstable();
    let mut listed: Vec<&str> = clauses.iter().map(|clause| clause.name).collect();
    listed.sort_unstable();
    assert_eq!(written, listed);
}
