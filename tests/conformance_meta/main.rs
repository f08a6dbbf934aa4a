//! The suites themselves are tested: an implementation with one fault fails the checks of that fault, and no others.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod faulty_sink;
mod faulty_sink_probe;
mod faulty_stage;
mod kinds;
mod numbering_sink;
mod sequences;
mod sinks;
mod sources;
mod stores;
mod ticks;

use std::panic::{AssertUnwindSafe, catch_unwind};

use snowfeed::testkit::conformance::suite::{Clause, Fresh, run};

/// The names of the failing checks.
fn failing<T: ?Sized + 'static>(clauses: Vec<Clause<T>>, fresh: &Fresh<T>) -> Vec<&'static str> {
    // Do not print the panics of the failing checks.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let is_quiet = thread.name().is_some_and(|name| name == "quiet" || name.starts_with("tokio-"));
            if !is_quiet {
                default_hook(panic);
            }
        }));
    });
    let failed = |clause: &Clause<T>| {
        let (check, fresh) = (clause.check, fresh.clone());
        std::thread::scope(|scope| {
            let check = move || catch_unwind(AssertUnwindSafe(|| run(check(fresh)))).is_err();
            std::thread::Builder::new().name("quiet".into()).spawn_scoped(scope, check).unwrap().join().unwrap()
        })
    };
    clauses.iter().filter(|clause| failed(clause)).map(|clause| clause.name).collect()
}
