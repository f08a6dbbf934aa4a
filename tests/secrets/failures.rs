//! Every kind of failure, whatever the server sends then.

use github_server::{Fault, GithubServer};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::canary::{CANARY, assert_absent_below, assert_output_clean};
use crate::echo::{self, NOTATIONS, RESPONSES};
use crate::support::Program;

fn without_retries(url: &str) -> Program {
    Program::github(url)
        .variable("GITHUB_TOKEN", CANARY)
        .variable("GITHUB_RETRIES", "0")
        .variable("GITHUB_MAX_WAIT_MINUTES", "0")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_echoed_by_the_server_is_redacted() {
    for (name, answer) in RESPONSES {
        let server = echo::server(answer).await;
        let program = without_retries(&server.uri());
        for args in [
            &["-vvv", "check"][..],
            &["-vvv", "discover"],
            &["--json", "ingest", "acme/gears"],
            &["-vvv", "ingest", "acme/gears"],
            &["--json", "runs"],
            &["status"],
        ] {
            let ended = program.run(args).await;
            assert_output_clean(&[&[name], args].concat(), &ended);
        }
        assert!(!server.received_requests().await.unwrap().is_empty(), "{name}");
        assert_absent_below(program.folder(), &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_echoed_in_any_notation_is_redacted() {
    for (name, notation) in NOTATIONS {
        let server = echo::server_refusing_in(notation).await;
        let program = without_retries(&server.uri());
        for args in [
            &["-vvv", "check"][..],
            &["-v", "ingest", "acme/gears"],
            &["--json", "ingest", "acme/gears"],
            &["--json", "runs"],
            &["status"],
        ] {
            let ended = program.run(args).await;
            assert_output_clean(&[&[name], args].concat(), &ended);
            if args[0] == "-v" {
                assert!(ended.stderr.contains("bad credentials") && ended.stderr.contains("***"), "{name}: {ended:?}");
            }
        }
        assert!(!server.received_requests().await.unwrap().is_empty(), "{name}");
        assert_absent_below(program.folder(), &[]);
    }
}

/// It belongs to another user.
#[tokio::test(flavor = "multi_thread")]
async fn another_token_sent_by_the_server_is_redacted_too() {
    let token = format!("ghp_{}{}", "C4n4ryBird".repeat(3), "x7Qz19");
    for (name, notation) in NOTATIONS {
        let written = json!(notation(&token)).to_string();
        let server = MockServer::start().await;
        let body = format!("{{\"message\": {written}}}").replace("\\\\u", "\\u");
        Mock::given(any()).respond_with(ResponseTemplate::new(400).set_body_string(body)).mount(&server).await;
        let program = without_retries(&server.uri());
        for args in [&["-vvv", "check"][..], &["--json", "ingest", "acme/gears"], &["runs"]] {
            assert_output_clean(&[&[name], args].concat(), &program.run(args).await);
        }
        assert_absent_below(program.folder(), &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_arguments_are_quoted_without_tokens() {
    let token = format!("ghp_{}{}", "C4n4ryBird".repeat(3), "x7Qz19");
    let program = Program::new("github_issues");
    let option = format!("--token={token}");
    for args in [&[&*token][..], &["ingest", &option], &["--json", &token], &["status", &token], &["ingest", &token]] {
        let ended = program.run(args).await;
        assert_ne!(ended.code, Some(0));
        assert_output_clean(&["(arguments with a token)"], &ended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_do_not_reveal_the_secret() {
    for fault in [Fault::Reset, Fault::status(500), Fault::status(503), Fault::status(418)] {
        let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 3).start().await.unwrap();
        upstream.fault_rate(1.0, [fault]);
        let program = without_retries(upstream.url());
        for args in [&["-vvv", "ingest", "acme/gears"][..], &["--json", "ingest", "acme/gears"], &["-vvv", "check"]] {
            assert_output_clean(args, &program.run(args).await);
        }
        assert_absent_below(program.folder(), &[]);
    }
    let unreachable = without_retries("http://127.0.0.1:1");
    assert_output_clean(&["check"], &unreachable.run(&["-vvv", "check"]).await.expect(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_a_valid_header_is_not_quoted() {
    for secret in [format!("{CANARY}\r\nx: y"), format!("{CANARY}\u{7f}"), format!("{CANARY}é\n")] {
        let program = Program::github("http://127.0.0.1:1").variable("GITHUB_TOKEN", &secret);
        for args in [&["-vvv", "check"][..], &["--json", "ingest", "acme/gears"]] {
            let ended = program.run(args).await;
            assert_ne!(ended.code, Some(0));
            assert_output_clean(args, &ended);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_private_key_is_not_quoted() {
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----");
    let program = Program::github("http://127.0.0.1:1")
        .variable("GITHUB_APP_ID", "1")
        .variable("GITHUB_INSTALLATION_ID", "2")
        .variable("GITHUB_PRIVATE_KEY", &key);
    let ended = program.run(&["-vvv", "check"]).await.expect(4);
    assert_output_clean(&["check"], &ended);
}
