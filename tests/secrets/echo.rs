//! A server that echoes the credential wherever a server can put text.

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::canary::{base64, hex};

/// The response, made from the received credential.
pub(crate) type EchoResponse = fn(&str) -> ResponseTemplate;

struct Echo(EchoResponse);

impl Respond for Echo {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let credential = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        (self.0)(credential.and_then(|value| value.split_once(' ')).map_or("", |(_, secret)| secret))
    }
}

pub(crate) async fn server(answer: EchoResponse) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Echo(answer)).mount(&server).await;
    server
}

/// Ways in which a server may write a text so that it passes a plain-text filter.
pub(crate) type Notation = fn(&str) -> String;

fn escape_each(text: &str, write: impl Fn(u32) -> String) -> String {
    text.chars().map(|c| write(u32::from(c))).collect()
}

/// A text in pieces of five characters.
fn split(text: &str, gap: &str) -> String {
    text.as_bytes().chunks(5).map(|piece| std::str::from_utf8(piece).unwrap()).collect::<Vec<_>>().join(gap)
}

pub(crate) const NOTATIONS: [(&str, Notation); 17] = [
    ("escapes of JSON", |text| escape_each(text, |c| format!("\\u{c:04x}"))),
    ("one escape of JSON", |text| text.replacen('C', "\\u0043", 1)),
    ("escapes of JSON, twice", |text| escape_each(text, |c| format!("\\\\u{c:04X}"))),
    ("escapes of C", |text| escape_each(text, |c| format!("\\x{c:02x}"))),
    ("percent signs", |text| escape_each(text, |c| format!("%{c:02x}"))),
    ("percent signs, twice", |text| escape_each(text, |c| format!("%25{c:02X}"))),
    ("entities", |text| escape_each(text, |c| format!("&#{c};"))),
    ("hexadecimal entities", |text| escape_each(text, |c| format!("&#x{c:x};"))),
    ("upper case", str::to_uppercase),
    ("lower case", str::to_lowercase),
    ("pieces on lines", |text| split(text, "\n")),
    ("pieces with spaces", |text| split(text, " ")),
    ("pieces with NUL", |text| split(text, "\0")),
    ("pieces with nothing to see between them", |text| split(text, "\u{200b}")),
    ("pieces that turn around", |text| split(text, "\u{202e}")),
    ("base64", |text| base64(text.as_bytes())),
    ("hexadecimal digits", |text| hex(text.as_bytes())),
];

/// Responds with 400 and a message that has the credential in this notation.
pub(crate) async fn server_refusing_in(notation: Notation) -> MockServer {
    struct Refusal(Notation);

    impl Respond for Refusal {
        fn respond(&self, request: &Request) -> ResponseTemplate {
            let credential = request.headers.get("authorization").and_then(|value| value.to_str().ok());
            let secret = credential.and_then(|value| value.split_once(' ')).map_or("", |(_, secret)| secret);
            let quoted = |text: &str| {
                let json = json!(text).to_string();
                json[1..json.len() - 1].to_owned()
            };
            let written = self.0(secret);
            // JSON has its own escapes, which are sent unchanged.
            let text = match &*written {
                whole if whole.starts_with("\\u") => written,
                part if part.contains("\\u0043") => self.0(&quoted(secret)),
                other => quoted(other),
            };
            let body = format!("{{\"message\": \"bad credentials: {text} (ghp)\"}}");
            let link = format!("</x?page=2&next={}>; rel=\"next\"", escaped(&text));
            status(400).insert_header("link", link).set_body_string(body)
        }
    }

    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Refusal(notation)).mount(&server).await;
    server
}

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

/// The credential as a part of a URL.
fn escaped(secret: &str) -> String {
    url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()
}

pub(crate) const RESPONSES: [(&str, EchoResponse); 16] = [
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
    ("a redirect elsewhere, escaped twice", |secret| {
        let url = format!("http://elsewhere.invalid/{0}?q={0}", escaped(&escaped(secret)));
        status(301).insert_header("location", url)
    }),
    ("a redirect to a path in upper case", |secret| {
        status(302).insert_header("location", format!("/{}", escaped(&secret.to_uppercase())))
    }),
    ("an element that cannot be read", |secret| {
        let element = split(secret, "\\u200b").replace('"', "\\\"");
        status(200).set_body_string(format!("[{{\"id\": \"{element}\"}}, \"{element}\"]"))
    }),
    ("JSON of another shape", |secret| status(200).set_body_json(json!({"id": secret, "full_name": [secret]}))),
    ("a link elsewhere", |secret| {
        let link = format!("<http://elsewhere.invalid/?token={}>; rel=\"next\"", escaped(secret));
        status(200).insert_header("link", link).set_body_string("[]")
    }),
];
