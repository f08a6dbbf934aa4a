//! The named steps of a run, and a kill at each of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use github_server::{Fault, GithubServer, ReceivedRequest};

use crate::process::{Process, Scenario};

/// A step by its name, and its number among steps of that name, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CrashPoint {
    pub(crate) name: String,
    pub(crate) nth: usize,
}

/// Numbers the steps of each name.
pub(crate) fn numbered(names: impl IntoIterator<Item = String>) -> Vec<CrashPoint> {
    let mut seen = HashMap::new();
    let number = |name: String| {
        let nth = seen.entry(name.clone()).or_insert(0);
        *nth += 1;
        CrashPoint { name, nth: *nth }
    };
    names.into_iter().map(number).collect()
}

/// Steps of one kind.
pub(crate) trait CrashPoints {
    /// What the process does at a step of this name.
    fn title(&self, name: &str) -> String;

    /// Runs to the end, and returns the steps of the run.
    fn record(&self, scenario: &Scenario<'_>, reconcile: bool) -> Vec<CrashPoint>;

    /// Kills a run at a step. Returns false if the run did not reach it.
    fn kill_at(&self, scenario: &Scenario<'_>, reconcile: bool, step: &CrashPoint) -> bool;
}

/// Requests to the upstream: the process is killed while it waits for the response.
pub(crate) struct Requests;

impl CrashPoints for Requests {
    fn title(&self, name: &str) -> String {
        format!("GET {name}, no response")
    }

    fn record(&self, scenario: &Scenario<'_>, reconcile: bool) -> Vec<CrashPoint> {
        scenario.upstream.forget_requests();
        scenario.run(reconcile);
        numbered(scenario.upstream.requests().iter().map(kind))
    }

    fn kill_at(&self, scenario: &Scenario<'_>, reconcile: bool, step: &CrashPoint) -> bool {
        scenario.upstream.forget_requests();
        let mut process = Process::start(&mut scenario.ingest(&[], reconcile));
        let has_arrived = stall(scenario.upstream, step);
        let killed = process.runs_until(has_arrived) && process.kill();
        scenario.upstream.clear_faults();
        killed
    }
}

fn kind(request: &ReceivedRequest) -> String {
    let path = request.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    match path.split('/').nth(1) {
        Some("repos" | "repositories") if last == "issues" => "list of issues".to_owned(),
        Some("repos" | "repositories") if path.contains("/issues/") => "one issue".to_owned(),
        Some("repos" | "repositories") => "repository".to_owned(),
        _ => path.to_owned(),
    }
}

/// Leaves a request without a response; returns whether the request has arrived.
fn stall<'a>(upstream: &'a GithubServer, step: &CrashPoint) -> impl Fn() -> bool + use<'a> {
    let (name, nth) = (step.name.clone(), step.nth);
    let seen = AtomicUsize::new(0);
    let arrived = Arc::new(AtomicBool::new(false));
    let has_arrived = arrived.clone();
    let is_target = move |request: &ReceivedRequest| {
        let is_target = kind(request) == name && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        arrived.fetch_or(is_target, Ordering::SeqCst);
        is_target
    };
    upstream.fault_while(is_target, Fault::Stall);
    move || has_arrived.load(Ordering::SeqCst)
}
