//! The steps of a run that have a name, and a kill at each of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use github_server::{Fault, GithubServer, Received};

use crate::process::{Process, Scene};

/// A step by its name, and which of that name it is, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) nth: usize,
}

/// Numbers the steps of each name.
pub(crate) fn numbered(names: impl IntoIterator<Item = String>) -> Vec<Step> {
    let mut seen = HashMap::new();
    let number = |name: String| {
        let nth = seen.entry(name.clone()).or_insert(0);
        *nth += 1;
        Step { name, nth: *nth }
    };
    names.into_iter().map(number).collect()
}

/// Steps of one kind.
pub(crate) trait Steps {
    /// What the process meets at a step of this name.
    fn title(&self, name: &str) -> String;

    /// Lets a run go to its end, and says which steps it took.
    fn watch(&self, scene: &Scene<'_>, reconcile: bool) -> Vec<Step>;

    /// Kills a run at a step; false: it did not come to it.
    fn kill(&self, scene: &Scene<'_>, reconcile: bool, step: &Step) -> bool;
}

/// Requests to the upstream: the process dies while it waits for the answer.
pub(crate) struct Requests;

impl Steps for Requests {
    fn title(&self, name: &str) -> String {
        format!("GET {name}, unanswered")
    }

    fn watch(&self, scene: &Scene<'_>, reconcile: bool) -> Vec<Step> {
        scene.upstream.forget_requests();
        scene.run(reconcile);
        numbered(scene.upstream.requests().iter().map(kind))
    }

    fn kill(&self, scene: &Scene<'_>, reconcile: bool, step: &Step) -> bool {
        scene.upstream.forget_requests();
        let mut process = Process::start(&mut scene.ingest(&[], reconcile));
        let has_come = hold(scene.upstream, step);
        let killed = process.runs_until(has_come) && process.kill();
        scene.upstream.clear_faults();
        killed
    }
}

fn kind(request: &Received) -> String {
    let path = request.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    match path.split('/').nth(1) {
        Some("repos" | "repositories") if last == "issues" => "list of issues".to_owned(),
        Some("repos" | "repositories") if path.contains("/issues/") => "one issue".to_owned(),
        Some("repos" | "repositories") => "repository".to_owned(),
        _ => path.to_owned(),
    }
}

/// Leaves a request without an answer; gives whether it has come.
fn hold<'a>(upstream: &'a GithubServer, step: &Step) -> impl Fn() -> bool + use<'a> {
    let (name, nth) = (step.name.clone(), step.nth);
    let seen = AtomicUsize::new(0);
    let came = Arc::new(AtomicBool::new(false));
    let has_come = came.clone();
    let is_it = move |request: &Received| {
        let is_it = kind(request) == name && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        came.fetch_or(is_it, Ordering::SeqCst);
        is_it
    };
    upstream.fault_while(is_it, Fault::Stall);
    move || has_come.load(Ordering::SeqCst)
}
