//! The run's own behaviour.

use std::time::Duration;

use super::imitation::Fault;
use super::{PASSWORD, Rehearsal};
use crate::objects::{PREFIX, RunId};
use crate::options::{Options, select};
use crate::report::Report;
use crate::step::Outcome;
use crate::steps::STEPS;

fn outcome(report: &Report, step: &str) -> Outcome {
    report.steps.iter().find(|done| done.name == step).unwrap().outcome.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_passes_and_leaves_nothing() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    let before = rehearsal.objects();
    let options = Options { token: Some("hunter2-github-token".into()), ..rehearsal.options() };
    let path = options.report.clone();
    let report = rehearsal.perform(options).await;
    assert_eq!(report.steps.len(), STEPS.len());
    for step in &report.steps {
        assert_eq!(step.outcome, Outcome::Held, "{}", step.name);
        assert!(report.text.contains(&format!("| `{}` |", step.name)));
    }
    assert!(report.is_good(), "{}", report.summary());
    assert_eq!(report.left, []);
    assert_eq!(rehearsal.objects(), before, "objects are left");
    assert_eq!(std::fs::read_to_string(path).unwrap(), report.text);
    assert!(report.text.contains("DATABASE ") && report.text.contains("WAREHOUSE "), "{}", report.text);
    println!("{}", report.text);
    for secret in [PASSWORD, "hunter2"] {
        assert!(!report.text.contains(secret), "{}", report.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_or_panicking_step_is_reported_and_the_others_run() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    for fault in [Fault::Fails, Fault::Panics] {
        rehearsal.catalog.lock().unwrap().faults = vec![("COPY INTO", fault)];
        let report = rehearsal.perform(rehearsal.only("load,fence")).await;
        let Outcome::NotHeld(why) = outcome(&report, "load-stage") else { panic!("{}", report.text) };
        let words = if fault == Fault::Fails { "insufficient privileges" } else { "panicked: a fault of the test" };
        assert!(why.contains(words) && report.text.contains(words), "{}", report.text);
        assert_eq!(report.text.contains("003001, answering `COPY INTO"), fault == Fault::Fails, "{}", report.text);
        assert_eq!(outcome(&report, "load-bound"), Outcome::Held);
        assert_eq!(outcome(&report, "fence"), Outcome::Held);
        assert!(!report.is_good() && report.summary().contains("load-stage"), "{}", report.summary());
        assert!(rehearsal.objects().is_empty(), "{:?}", rehearsal.objects());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_app_step_skips_its_dependents() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    rehearsal.account.state().forbidden = vec!["ALTER APPLICATION PACKAGE"];
    let report = rehearsal.perform(rehearsal.only("app")).await;
    assert!(matches!(outcome(&report, "app-deploy"), Outcome::NotHeld(_)), "{}", report.text);
    for step in ["app-install", "app-configure", "app-job", "app-uninstall"] {
        assert!(matches!(outcome(&report, step), Outcome::Skipped(_)), "{}", report.text);
    }
    assert!(rehearsal.objects().is_empty(), "{:?}", rehearsal.objects());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_needs_no_resource_monitor() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    rehearsal.fault("CREATE RESOURCE MONITOR", Fault::Fails);
    rehearsal.fault("SHOW RESOURCE MONITORS", Fault::Fails);
    let report = rehearsal.perform(rehearsal.only("prepare")).await;
    assert!(report.is_good() && report.text.contains("time alone bounds the run"), "{}", report.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_killed_run_are_removed_at_the_start() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    let options = rehearsal.only("login");
    let id = |time: &str| RunId::new(time.parse().unwrap());
    let killed = id("2020-01-01T00:00:00Z");
    let alive = RunId::new(jiff::Timestamp::now());
    let _lock = alive.lock(&options.folder);
    {
        let mut catalog = rehearsal.catalog.lock().unwrap();
        for kind in ["DATABASE", "WAREHOUSE"] {
            catalog.leave(kind, &killed.name("LEFT"), &killed.comment());
            catalog.leave(kind, &killed.name("OTHER"), "my own");
            catalog.leave(kind, &alive.name("ALIVE"), &alive.comment());
            catalog.leave(kind, &format!("{PREFIX}NOTES"), &killed.comment());
        }
        catalog.leave("RESOURCE MONITOR", &killed.name("MONITOR"), "");
    }
    let report = rehearsal.perform(options).await;
    let left: Vec<String> = rehearsal.objects().into_keys().collect();
    assert_eq!(left.len(), 6, "{left:?}");
    assert!(!left.iter().any(|name| name.contains("LEFT") || name.contains("MONITOR")), "{left:?}");
    let reported = [format!("- DATABASE {}", killed.name("LEFT")), format!("{}: its comment is", killed.name("OTHER"))];
    assert!(reported.iter().all(|line| report.text.contains(line)), "{}", report.text);
    assert!(report.text.contains(&format!("{}: its run may still be active", alive.name("ALIVE"))), "{}", report.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cannot_be_removed_are_reported_with_a_statement() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    rehearsal.fault("DROP WAREHOUSE", Fault::Fails);
    let report = rehearsal.perform(rehearsal.only("prepare")).await;
    assert!(!report.is_good(), "{}", report.text);
    assert!(report.left[0].0.starts_with(&format!("DROP WAREHOUSE IF EXISTS \"{PREFIX}")), "{:?}", report.left);
    assert!(
        report.text.contains(&report.left[0].0) && report.text.contains("insufficient privileges"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credit_limit_stops_a_step_and_skips_the_rest() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    rehearsal.fault("COPY INTO", Fault::Hangs);
    // Some seconds of an X-Small warehouse.
    let options = Options { credits: 6.0 / 3600.0, ..rehearsal.only("load-stage,fence") };
    let report = rehearsal.perform(options).await;
    for step in ["load-stage", "fence"] {
        let Outcome::Stopped(why) = outcome(&report, step) else { panic!("{}", report.text) };
        assert!(why.contains("limit"), "{why}");
    }
    assert!(!report.is_good() && rehearsal.objects().is_empty(), "{:?}", rehearsal.objects());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_run_and_removes_everything() {
    let Some(rehearsal) = Rehearsal::start().await else { return };
    rehearsal.fault("COPY INTO", Fault::Hangs);
    let run = rehearsal.run(rehearsal.only("load-stage,fence"));
    let stop = run.stop.clone();
    let stopping = async {
        while !rehearsal.objects().keys().any(|name| name.contains("STAGED")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    let (report, ()) = tokio::join!(run.perform(), stopping);
    assert_eq!(outcome(&report, "load-stage"), Outcome::Stopped("by a signal".into()));
    assert_eq!(outcome(&report, "fence"), Outcome::Stopped("by a signal".into()));
    assert!(rehearsal.objects().is_empty(), "{:?}", rehearsal.objects());
}

#[test]
fn steps_are_selected_by_name_with_their_dependencies() {
    let names = |list: &str| select(list).unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(names("login"), ["login"]);
    assert_eq!(names("load, login"), ["load-bound", "load-stage", "login", "prepare"]);
    assert_eq!(names("app-configure"), ["app-configure", "app-deploy", "app-install", "prepare"]);
    assert!(select("lode").unwrap_err().contains("load-bound"));
}

#[test]
fn step_names_are_unique_and_dependencies_come_first() {
    for (place, step) in STEPS.iter().enumerate() {
        let before: Vec<&str> = STEPS[..place].iter().map(|step| step.name).collect();
        assert!(!before.contains(&step.name) && step.needs.iter().all(|need| before.contains(need)), "{}", step.name);
    }
}

#[test]
fn a_report_contains_no_secrets() {
    let secrets = ["s3cret-value".into(), "".into(), "short".into()];
    let text = crate::endpoints::redact("it says s3cret-value in short".into(), &secrets);
    assert_eq!(text, "it says *** in short");
}
