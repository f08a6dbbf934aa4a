//! The alert rules and the dashboard of `examples/monitoring`, in a real Prometheus over a real program.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::peers::skipped;
use crate::support::{LONG, Program, end, signal};

const FOLDER: &str = "examples/monitoring";
const ALERTS: &str = include_str!("../../examples/monitoring/alerts.yml");
const TESTS: &str = include_str!("../../examples/monitoring/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../examples/monitoring/dashboard.json");
const GUIDE: &str = include_str!("../../docs/guides/operate.md");

/// Whether promtool accepts this; what it said.
fn promtool(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = std::process::Command::new("promtool").args(args).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

fn is_missing() -> bool {
    let is_missing = std::process::Command::new("promtool").arg("--version").output().is_err();
    if is_missing {
        skipped("the programs of the package prometheus are missing");
    }
    is_missing
}

#[test]
fn the_rules_are_loaded_and_each_mistake_in_one_is_found() {
    if is_missing() {
        return;
    }
    for args in
        [["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]]
    {
        let (is_sound, said) = promtool(Path::new(FOLDER), &args);
        assert!(is_sound, "{args:?}: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alerts_test.yml"), TESTS).unwrap();
    let mistakes = [
        ("up{job=\"snowfeed\"} == 0", "up{job=\"snowfeed\"} == 1"),
        ("absent(snowfeed_info", "absent(up"),
        (
            "snowfeed_resource_health{job=\"snowfeed\", health=\"failing\"} == 1\n        for",
            "snowfeed_resource_health{health=\"late\"} == 1\n        for",
        ),
        ("unless on (job, instance)", "and on (job, instance)"),
        ("health=\"late\"", "health=\"interrupted\""),
        ("> 2 * 86400", "> 3 * 86400"),
        ("health=\"not_configured\"", "health=\"paused\""),
        ("outcome=\"rejected\"", "outcome=\"inserted\""),
        ("> 0.9", "> 0.99"),
        ("> 5\n", "> 50\n"),
    ];
    assert_eq!(mistakes.len(), ALERTS.matches("- alert: ").count(), "one for each rule");
    for (right, wrong) in mistakes {
        assert!(ALERTS.contains(right), "{right}");
        fs::write(folder.path().join("alerts.yml"), ALERTS.replacen(right, wrong, 1)).unwrap();
        let (is_sound, said) = promtool(folder.path(), &["test", "rules", "alerts_test.yml"]);
        assert!(!is_sound && said.contains("FAILED"), "{wrong} goes unnoticed: {said}");
    }
}

/// The titles and the expressions of the dashboard, for the job `snowfeed`.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression.replace("$job", "snowfeed").replace("$instance", ".*");
            let expression = expression.replace("$__rate_interval", "1m");
            assert!(!expression.contains('$'), "an unknown variable: {expression}");
            panels.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    panels
}

#[test]
fn rules_and_dashboard_name_only_families_that_are_documented() {
    let pattern = regex_lite::Regex::new("snowfeed_[a-z_]+").unwrap();
    let dashboard: String = panels().into_iter().map(|(_, expression)| expression + "\n").collect();
    let rules: String =
        ALERTS.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    for text in [&rules, TESTS, &dashboard] {
        let mut found = 0;
        for name in pattern.find_iter(text) {
            let family = name.as_str().trim_end_matches("_bucket");
            assert!(GUIDE.contains(&format!("| `{family}` |")), "{family}");
            found += 1;
        }
        assert!(found > 8);
    }
}

/// The first document that a server on this port returns and that is accepted.
async fn ask(port: u16, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let ask = async {
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                if let Some(document) = serde_json::from_str(body).ok().filter(|document| is_wanted(document)) {
                    return document;
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(LONG, ask).await.unwrap_or_else(|_| panic!("{path} never returned what was wanted"))
}

/// Starts `run`, and returns the port of its metrics.
async fn watched(program: &Program) -> (Child, u16) {
    let mut child = program.start(&["run", "--listen", "127.0.0.1:0"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("it does not listen");
        if let Some((_, address)) = line.split_once("http://127.0.0.1:") {
            let port = address.trim_end_matches("/metrics").parse().unwrap();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, port);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sees_what_fails_and_a_process_that_dies() {
    if is_missing() {
        return;
    }
    let program = Program::new("custom_source").variable("JSONL_PATH", ".");
    fs::write(program.folder().join("numbers.jsonl"), "{\"id\":1}\n").unwrap();
    program.run(&["enable", "numbers", "broken"]).await.expect(0);
    let (child, port) = watched(&program).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alerts.yml"), ALERTS).unwrap();
    let config = fs::read_to_string(format!("{FOLDER}/prometheus.yml")).unwrap();
    let config = config.replace("30s", "1s").replace("127.0.0.1:9464", &format!("127.0.0.1:{port}"));
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let prometheus = Command::new("prometheus")
        .current_dir(folder.path())
        .args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &format!("--web.listen-address=127.0.0.1:{own}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let is_raised = |name: &'static str, label: &'static str, value: &'static str| {
        move |document: &Value| {
            let alerts = document["data"]["alerts"].as_array();
            alerts.is_some_and(|alerts| {
                alerts.iter().any(|alert| alert["labels"]["alertname"] == name && alert["labels"][label] == value)
            })
        }
    };
    let alerts = ask(own, "/api/v1/alerts", is_raised("SnowfeedFailing", "resource", "broken")).await;
    assert!(!alerts.to_string().contains("numbers") && !alerts.to_string().contains("SnowfeedDown"), "{alerts}");
    for (title, expression) in panels() {
        // It needs a success of everything.
        let may_be_empty = title == "Oldest success";
        let path = format!("/api/v1/query?query={}", utf8_percent_encode(&expression, NON_ALPHANUMERIC));
        ask(own, &path, |document| {
            assert_eq!(document["status"], "success", "{expression}: {document}");
            may_be_empty || document["data"]["result"].as_array().is_some_and(|found| !found.is_empty())
        })
        .await;
    }
    signal(&child, "KILL");
    end(child).await;
    ask(own, "/api/v1/alerts", is_raised("SnowfeedDown", "job", "snowfeed")).await;
    drop(prometheus);
}
