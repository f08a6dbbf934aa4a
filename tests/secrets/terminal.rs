//! What a server says does not steer the terminal that it is shown on.

use serde_json::json;
use snowfeed::testkit::upstream::Upstream;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Ended, Program};

/// Changes the colour, the title, clears the screen; once with the escapes of one byte; rings; turns the writing around.
const EVIL: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{9d}0;x\u{9c}\r\u{8}\u{202e}\u{2066}\u{200f}";

#[track_caller]
fn assert_plain(what: &str, ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let odd = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200f}".contains(c);
        let odd: Vec<char> = text.chars().filter(|c| odd(*c)).collect();
        assert!(odd.is_empty(), "{what} writes {odd:?}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_record_reaches_the_terminal_as_it_is() {
    let upstream = Upstream::builder().repository("acme/gears", 1).start().await.unwrap();
    upstream.patch("acme/gears", 1, json!({"title": EVIL, "body": EVIL, "state": EVIL})).unwrap();
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
async fn nothing_in_an_error_reaches_the_terminal_as_it_is() {
    for status in [401, 403, 404, 422, 500] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_json(json!({"message": format!("x {EVIL} y")}));
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let program = Program::github(&server.uri()).variable("GITHUB_RETRIES", "0");
        for args in [&["-vvv", "check"][..], &["ingest", "acme/gears"], &["runs"], &["status"]] {
            assert_plain(&format!("{status} {args:?}"), &program.run(args).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_name_reaches_the_terminal_as_it_is() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!([{"id": 1, "full_name": format!("acme/{EVIL}x")}]));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let program = Program::github(&server.uri()).variable("GITHUB_TOKEN", "any-token-at-all");
    assert_plain("discover", &program.run(&["discover"]).await);
    let name = format!("a{EVIL}/x");
    for args in [&["ingest", &name][..], &["enable", &name], &["preview", &name], &["runs", &name]] {
        assert_plain("a name", &program.run(args).await);
    }
}
