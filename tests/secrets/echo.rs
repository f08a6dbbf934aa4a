//! A server that repeats what it was sent, wherever a server can say something.

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// What it answers, made of the credential that came.
pub(crate) type Answer = fn(&str) -> ResponseTemplate;

struct Echo(Answer);

impl Respond for Echo {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let credential = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        (self.0)(credential.and_then(|value| value.split_once(' ')).map_or("", |(_, secret)| secret))
    }
}

pub(crate) async fn server(answer: Answer) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Echo(answer)).mount(&server).await;
    server
}

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

/// The credential as a part of a URL.
fn escaped(secret: &str) -> String {
    url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()
}

pub(crate) const ANSWERS: [(&str, Answer); 12] = [
    ("401", |secret| status(401).set_body_json(json!({"message": format!("bad credentials {secret}")}))),
    ("403", |secret| status(403).set_body_json(json!({"message": format!("{secret} may not read this")}))),
    ("403 of a limit", |secret| {
        let message = json!({"message": format!("API rate limit exceeded for {secret}")});
        status(403)
            .insert_header("x-ratelimit-remaining", "0")
            .insert_header("x-ratelimit-reset", "99999999999")
            .set_body_json(message)
    }),
    ("404", |secret| status(404).set_body_json(json!({"message": secret, "documentation_url": secret}))),
    ("422", |secret| status(422).set_body_json(json!({"message": format!("x {secret}"), "errors": [secret]}))),
    ("500", |secret| status(500).set_body_json(json!({"message": secret}))),
    ("502", |secret| status(502).set_body_string(format!("<html>{secret}</html>"))),
    ("a web page", |secret| status(200).insert_header("content-type", "text/html").set_body_string(secret)),
    ("no JSON", |secret| status(200).set_body_string(format!("[{{\"{secret}"))),
    ("a redirect", |secret| status(302).insert_header("location", format!("/x?token={}", escaped(secret)))),
    ("a redirect elsewhere", |secret| {
        let url = format!("http://user:{0}@elsewhere.invalid/{0}?token={0}#{0}", escaped(secret));
        status(301).insert_header("location", url)
    }),
    ("a link elsewhere", |secret| {
        let link = format!("<http://elsewhere.invalid/?token={}>; rel=\"next\"", escaped(secret));
        status(200).insert_header("link", link).set_body_string("[]")
    }),
];
