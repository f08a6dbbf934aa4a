//! What a load costs: estimated, recorded, and bounded by a budget.

use github_server::GithubServer;
use serde_json::Value;

use super::{Scenario, assert_stderr, upstream};
use crate::estimate::{READ, assert_near};
use crate::support::Program;

#[tokio::test(flavor = "multi_thread")]
async fn ingest_json_reports_usage_and_cost_on_request() {
    let upstream = upstream().await;
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    let first = scenario.json(&["ingest", "acme/gears"]).await;
    let keys: Vec<&String> = first["destination"].as_object().unwrap().keys().collect();
    let expected = [
        ["awake_ms", "busy_ms", "credits", "kind", "logins"],
        ["staged_bytes", "statements", "warehouse_ms", "warehouse_ms_by_run", "warehouse_size"],
    ];
    assert_eq!(keys, expected.concat());
    assert!(first["destination"]["warehouse_ms"].is_null(), "{first}");
    let second = scenario.json(&["ingest", "--reconcile", "--cost"]).await;
    let spent = &second["destination"];
    let (busy, worked) = (spent["busy_ms"].as_u64().unwrap(), spent["warehouse_ms"].as_u64().unwrap());
    assert!(worked > 0 && worked <= busy, "{spent}");
    let run = second["runs"][0]["id"].as_str().unwrap();
    let of_run = spent["warehouse_ms_by_run"][run].as_u64().unwrap();
    assert!(of_run > 0 && of_run <= worked, "{spent}");
    let idle = scenario.json(&["ingest", "--cost"]).await;
    assert_eq!(idle["destination"]["statements"], 3, "two reads and the query for the cost: {idle}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_cost_is_a_warning() {
    let upstream = upstream().await;
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    scenario.program.run(&["enable", "acme/gears"]).await.expect(0);
    let ended = scenario.program.run(&["--role", "blind", "--json", "ingest", "--cost"]).await.expect(0);
    assert!(ended.json()["destination"]["warehouse_ms"].is_null(), "{}", ended.stdout);
    assert!(ended.stderr.contains("did not report the warehouse's run time"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_a_load_is_estimated_before_recorded_after_and_bounded_by_a_budget() {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 900).start().await.unwrap();
    let Some(scenario) = Scenario::new(Program::github(upstream.url())) else { return };
    let program = &scenario.program;
    let arguments = ["ingest", "acme/gears", "--streams", "issues"];
    let estimate = scenario.json(&[&arguments[..], &["--estimate"]].concat()).await;
    let report = scenario.json(&arguments).await;
    assert_near(&estimate, &report, &READ);
    let load = &estimate["load"];
    println!("estimated: {load}; happened: {}", report["destination"]);
    // The estimate leaves out the objects of a new database.
    let statements = report["destination"]["statements"].as_u64().unwrap();
    assert!(load["statements"].as_u64().unwrap().abs_diff(statements) <= 30, "{load}: {statements}");
    let credits = |credits: &Value| credits.as_f64().unwrap();
    assert!(
        credits(&load["credits"]) > 0.016 && credits(&report["runs"][0]["credits"]) > 0.016,
        "a minute: {report:#}"
    );

    let wrong = program.run(&["status", "--warehouse-size", "7X"]).await.expect(2);
    assert!(wrong.stderr.contains("\"7X\" is not the size of a warehouse"), "{}", wrong.stderr);
    for budget in ["", "0", "-1/day", "NaN/day", "1/week"] {
        let wrong = program.run(&["configure", &format!("--budget={budget}")]).await.expect(4);
        assert_stderr(&wrong, &["the budget", "help: write credits and a period, such as 1.5/day or 20/month"]);
    }
    assert_eq!(scenario.json(&["configure", "--budget", "0.001/month"]).await["budget"], "0.001/month");
    let status = scenario.json(&["status"]).await;
    assert!(status["budget"]["paused_until"].is_string() && credits(&status["budget"]["used"]) > 0.016, "{status:#}");
    assert!(program.run(&["status"]).await.expect(0).stderr.contains("budget: paused until "));
    let paused = program.run(&["ingest"]).await.expect(7);
    assert_stderr(&paused, &["paused until ", "configure --budget"]);
    program.run(&["configure", "--budget", "none"]).await.expect(0);
    assert_eq!(scenario.json(&["ingest"]).await["status"], "complete");

    let unreadable = program.run(&["status", "--cost"]).await.expect(6);
    assert_stderr(&unreadable, &["GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER"]);
}
