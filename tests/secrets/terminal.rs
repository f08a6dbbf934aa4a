//! A server's texts do not control the terminal that shows them.

use std::fs;
use std::time::Duration;

use futures::StreamExt;
use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::prelude::*;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Ended, LONG, Program, end, signal};

/// Changes the colour and the title, clears the screen; repeats this in one-byte escapes; rings; reverses the text; begins a
/// line; hides text.
const ESCAPES: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{9d}0;x\u{9c}\r\u{8}\u{202e}\u{2066}\u{200f}\u{2028}\u{2029}\u{e0041}";

#[track_caller]
fn assert_plain(what: &str, ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let odd =
            |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200f}\u{2028}\u{2029}\u{e0041}".contains(c);
        let odd: Vec<char> = text.chars().filter(|c| odd(*c)).collect();
        assert!(odd.is_empty(), "{what} writes {odd:?}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_record_reaches_the_terminal_unescaped() {
    let upstream = GithubServer::builder().repository("acme/gears", 1).start().await.unwrap();
    upstream.patch("acme/gears", 1, json!({"title": ESCAPES, "body": ESCAPES, "state": ESCAPES})).unwrap();
    let program = Program::github(upstream.url());
    for args in [
        &["-vvv", "ingest", "acme/gears"][..],
        &["preview", "acme/gears"],
        &["--json", "preview", "acme/gears"],
        &["status"],
        &["runs"],
    ] {
        assert_plain(&format!("{args:?}"), &program.run(args).await.expect(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_an_error_reaches_the_terminal_unescaped() {
    for status in [401, 403, 404, 422, 500] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_json(json!({"message": format!("x {ESCAPES} y")}));
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let program = Program::github(&server.uri()).variable("GITHUB_RETRIES", "0");
        for args in [
            &["-vvv", "check"][..],
            &["ingest", "acme/gears"],
            &["-v", "ingest", "acme/gears"],
            &["-q", "ingest", "acme/gears"],
            &["--json", "ingest", "acme/gears"],
            &["--json", "-v", "ingest", "acme/gears"],
            &["-vvv", "discover", "--set", "repositories=acme/*"],
            &["runs"],
            &["--json", "runs"],
            &["status"],
            &["--json", "status"],
        ] {
            let ended = program.run(args).await;
            assert_plain(&format!("{status} {args:?}"), &ended);
            if args.contains(&"--json") {
                ended.json();
            }
        }
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_an_error_of_a_scheduled_run_reaches_the_terminal_unescaped() {
    for args in [&["--json", "run"][..], &["-v", "run"], &["run"], &["--json", "-vv", "run"]] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(403).set_body_json(json!({"message": format!("x {ESCAPES} y")}));
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let program = Program::github(&server.uri()).variable("GITHUB_RETRIES", "0");
        program.run(&["enable", "acme/gears", "--schedule", "1m"]).await.expect(0);
        let child = program.start(args);
        let asked = async {
            while server.received_requests().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, asked).await.expect("the server is asked");
        tokio::time::sleep(Duration::from_secs(1)).await;
        signal(&child, "TERM");
        let ended = end(child).await;
        assert_plain(&format!("{args:?}"), &ended);
        if args[0] == "--json" {
            let runs: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(!runs.is_empty(), "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_an_argument_or_a_file_name_reaches_the_terminal_unescaped() {
    let program = Program::github("http://127.0.0.1:1").variable("GITHUB_RETRIES", "0");
    let file = format!("{}.toml", ESCAPES.replace('/', ""));
    fs::write(program.folder().join(&file), "token = [").unwrap();
    let setting = format!("{ESCAPES}=1");
    let value = format!("page_size={ESCAPES}");
    let option = format!("--{ESCAPES}");
    let database = format!("{ESCAPES}/none.db");
    for args in [
        &[ESCAPES][..],
        &[&option],
        &["--json", ESCAPES],
        &["--json", "ingest", &option],
        &["ingest", &option],
        &["--set", &setting, "check"],
        &["--set", &value, "check"],
        &["configure", &setting],
        &["configure", &value],
        &["--json", "configure", &setting],
        &["--config", &file, "check"],
        &["-vvv", "--config", &file, "check"],
        &["--config", ESCAPES, "check"],
        &["--db", &database, "status"],
        &["-vvv", "--db", &database, "ingest", "acme/gears"],
        &["enable", "acme/gears", "--schedule", ESCAPES],
        &["runs", "--limit", ESCAPES],
        &["rejects", ESCAPES],
        &["remove", ESCAPES, "--yes"],
        &["reset", ESCAPES, "--yes"],
        &["completions", ESCAPES],
    ] {
        let ended = program.run(args).await;
        assert_plain(&format!("{args:?}"), &ended);
    }
}

/// A source whose first call panics.
#[derive(Debug, Clone)]
struct PanickingSource;

#[async_trait::async_trait]
impl Source for PanickingSource {
    fn spec(&self) -> SourceSpec {
        panic!("broken: {ESCAPES} ghp_C4n4ryBirdC4n4ryBirdC4n4ryBirdx7Qz19")
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl Reader for PanickingSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        futures::stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        futures::stream::empty().boxed()
    }
}

/// This program again: a panic hook applies to the whole process.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_panic_reaches_the_terminal_unescaped() {
    const CHILD: &str = "SNOWFEED_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        snowfeed::cli::run(PanickingSource).await;
        return;
    }
    let name = "terminal::nothing_in_a_panic_reaches_the_terminal_unescaped";
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "1");
    let ended = Ended::from(command.output().await.unwrap());
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("panicked") && ended.stderr.contains("broken: "), "{}", ended.stderr);
    assert_plain("a panic", &ended);
    crate::canary::assert_output_clean(&["(a panic)"], &ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_name_reaches_the_terminal_unescaped() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!([{"id": 1, "full_name": format!("acme/{ESCAPES}x")}]));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let program = Program::github(&server.uri()).variable("GITHUB_TOKEN", "any-token-at-all");
    assert_plain("discover", &program.run(&["discover"]).await);
    let name = format!("a{ESCAPES}/x");
    for args in [&["ingest", &name][..], &["enable", &name], &["preview", &name], &["runs", &name]] {
        assert_plain("a name", &program.run(args).await);
    }
}
