//! Where the secret goes: to the source's own host, and into no other process.

use std::fs;
use std::path::Path;

use serde_json::json;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::canary::{CANARY, assert_absent};
use crate::support::{Program, end, until};
use github_server::{Fault, GithubServer};

/// Everything that a server received, as bytes.
async fn received(server: &MockServer) -> Vec<u8> {
    let requests = server.received_requests().await.unwrap();
    format!("{requests:?}{}", requests.iter().map(|request| request.url.to_string()).collect::<String>()).into_bytes()
}

/// No server is even contacted, so nothing can leak.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_host_is_contacted_whatever_the_server_links_to() {
    let other = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&other).await;
    let elsewhere = other.uri();
    let repository = json!({"id": 7, "full_name": "acme/gears"});
    let issue = json!({
        "id": 1, "updated_at": "2024-01-02T03:04:05Z", "url": format!("{elsewhere}/issue"),
        "repository_url": format!("{elsewhere}/repository"), "comments_url": format!("{elsewhere}/comments"),
    });
    let page = json!([issue]);
    for answer in [
        ResponseTemplate::new(302).insert_header("location", format!("{elsewhere}/x")),
        ResponseTemplate::new(307).insert_header("location", format!("//{}/x", other.address())),
        ResponseTemplate::new(200)
            .set_body_json(&page)
            .insert_header("link", format!("<{elsewhere}/x?page=2>; rel=\"next\"")),
        ResponseTemplate::new(200).set_body_json(&page),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/repos/acme/gears"))
            .respond_with(ResponseTemplate::new(200).set_body_json(&repository))
            .mount(&server)
            .await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let program = Program::github(&server.uri()).variable("GITHUB_TOKEN", CANARY).variable("GITHUB_RETRIES", "0");
        program.run(&["ingest", "acme/gears"]).await;
        assert!(received(&server).await.windows(13).any(|window| window == b"authorization"), "the server was asked");
    }
    assert_eq!(other.received_requests().await.unwrap().len(), 0);
    assert_absent("what another host was sent", received(&other).await);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_shows_no_secret_in_its_arguments() {
    let upstream = GithubServer::builder().token(CANARY).repository("acme/gears", 3).start().await.unwrap();
    upstream.fault_rate(1.0, [Fault::Stall]);
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", CANARY);
    let mut child = program.start(&["-vvv", "ingest", "acme/gears"]);
    until("the server is asked", || !upstream.requests().is_empty()).await;
    let id = child.id().unwrap();
    for file in ["cmdline", "comm", "task"] {
        let path = format!("/proc/{id}/{file}");
        if let Ok(bytes) = fs::read(&path) {
            assert_absent(&path, bytes);
        }
    }
    child.start_kill().unwrap();
    let ended = end(child).await;
    assert_absent("what it wrote", ended.stderr);
}

const NOTIFY: &str = "src/cli/notify/target.rs";

/// The only process that is ever started is the command that is told about health: without arguments, and with an environment of its own.
#[test]
fn the_library_starts_no_process_that_gets_secrets() {
    let text = fs::read_to_string(NOTIFY).unwrap();
    assert!(
        text.contains(".env_clear()") && !text.contains(".arg"),
        "the command inherits the environment, or has arguments"
    );
    fn count_process_starts(folder: &Path, files: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                count_process_starts(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let is_allowed = path == Path::new(NOTIFY);
                assert!(is_allowed || !code.contains("process::Command"), "{} starts a process", path.display());
                *files += 1;
            }
        }
    }
    let mut files = 0;
    count_process_starts(Path::new("src"), &mut files);
    assert!(files > 100, "{files}");
}
