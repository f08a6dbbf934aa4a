//! Malformed lists of repositories.

use std::sync::atomic::{AtomicUsize, Ordering};

use github_server::{Fault, GithubServer};
use serde_json::{Value, json};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Result, Source};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{config, discover};
use crate::warnings::Warnings;

async fn acme() -> GithubServer {
    let builder = GithubServer::builder().organization("acme");
    (0..5).fold(builder, |builder, n| builder.repository(format!("acme/r{n}"), 0)).start().await.unwrap()
}

async fn discovered(upstream: &GithubServer) -> (usize, Vec<String>) {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let config = config(upstream, json!({ "repositories": ["acme/*"], "retries": 0 }));
    let found = discover(&config).await.unwrap().len();
    (found, warnings.messages())
}

#[tokio::test]
async fn an_invalid_list_element_is_skipped_with_a_warning() {
    for element in ["null", "7", "[]", "[1,\"acme/x\"]", "{}", r#"{"id":"x","full_name":7}"#] {
        let upstream = acme().await;
        upstream.fault_while(|request| request.path().ends_with("/repos"), Fault::BadElement(element.into()));
        let (found, warnings) = discovered(&upstream).await;
        assert_eq!(found, 5, "{element}");
        assert!(
            warnings.iter().any(|warning| warning.contains("skipped") && warning.contains(element)),
            "{warnings:?}"
        );
    }
}

#[tokio::test]
async fn organisations_excluded_by_single_sign_on_are_named() {
    let upstream = acme().await;
    let header = "partial-results; organizations=21955855,20582480";
    upstream.fault_while(|request| request.path().ends_with("/repos"), Fault::Header("x-github-sso", header.into()));
    upstream.fault_while(
        |request| request.path() == "/organizations/20582480",
        Fault::Response { code: 200, content_type: "application/json", body: r#"{"login":"initech"}"#.into() },
    );
    let (found, warnings) = discovered(&upstream).await;
    assert_eq!(found, 5);
    let named = warnings.iter().find(|warning| warning.contains("single sign-on")).unwrap();
    assert!(named.contains("21955855") && named.contains("initech"), "{named}");
}

/// Discovers with a token at a server that answers every request.
async fn discovered_at(server: &MockServer) -> (Result<Vec<String>>, Vec<String>) {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let Value::Object(settings) = json!({"api_url": server.uri(), "repositories": ["acme/*"], "retries": 0}) else {
        unreachable!()
    };
    let config = GithubIssues::default().spec().settings.configure(settings).unwrap();
    let found = discover(&config).await;
    (found.map(|found| found.into_iter().map(String::from).collect()), warnings.messages())
}

/// Returns new pages each time, with a link that `next` makes from the page number.
struct Endless {
    given: AtomicUsize,
    next: fn(usize) -> String,
    per_page: usize,
}

impl Respond for Endless {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if !request.url.path().ends_with("/repos") {
            return ResponseTemplate::new(200).set_body_json(json!({"login": "acme", "type": "Organization"}));
        }
        let page = self.given.fetch_add(1, Ordering::Relaxed);
        let one = |n: usize| format!("{{\"id\":{n},\"full_name\":\"acme/r{n}\"}}");
        let repositories: Vec<String> = (0..self.per_page).map(|n| one(page * self.per_page + n)).collect();
        let answer = ResponseTemplate::new(200).set_body_string(format!("[{}]", repositories.join(",")));
        let link = (self.next)(page + 2);
        if link.is_empty() { answer } else { answer.insert_header("link", format!("<{link}>; rel=\"next\"")) }
    }
}

async fn endless(next: fn(usize) -> String, per_page: usize) -> MockServer {
    let server = MockServer::start().await;
    let endless = Endless { given: AtomicUsize::new(0), next, per_page };
    Mock::given(any()).respond_with(endless).mount(&server).await;
    server
}

#[tokio::test]
async fn a_list_that_links_back_to_a_page_already_read_is_an_error() {
    for (next, pages) in [
        ((|_| "/orgs/acme/repos?per_page=100".to_owned()) as fn(usize) -> String, 1),
        (|_| "?per_page=100&page=2".to_owned(), 2),
        (|page| format!("?per_page=100&page={}", page % 3), 4),
    ] {
        let server = endless(next, 2).await;
        let error = discovered_at(&server).await.0.unwrap_err();
        assert!(error.to_string().contains("leads back") && error.help().is_some(), "{error}");
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked.iter().filter(|request| request.url.path().ends_with("/repos")).count(), pages);
    }
}

#[tokio::test]
async fn an_endless_list_is_truncated_with_a_warning() {
    for (next, per_page, most) in [
        ((|page| format!("?per_page=100&page={page}")) as fn(usize) -> String, 1, 1_000),
        (|_| String::new(), 1, 1_000),
        (|page| format!("?per_page=100&page={page}"), 40_000, 100_000),
    ] {
        let server = endless(next, per_page).await;
        let (found, warnings) = discovered_at(&server).await;
        assert_eq!(found.unwrap().len(), most);
        assert!(warnings.iter().any(|warning| warning.contains("does not end")), "{warnings:?}");
        assert!(server.received_requests().await.unwrap().len() <= 1_001);
    }
}

#[tokio::test]
async fn an_invalid_repository_name_is_skipped_with_a_warning() {
    let names = [
        "--set token=env:HOME",
        "--set/x",
        "../../etc/passwd",
        "acme/..",
        "acme/\u{1b}[31mred",
        "acme/a\nb",
        "acme/\u{202e}b",
        "acme/*",
        "acme",
        "",
        "acme/a b",
        "https://evil.example/a/b",
        "acme/right",
    ];
    let server = MockServer::start().await;
    let list: Vec<Value> = names.iter().map(|name| json!({"id": 1, "full_name": name})).collect();
    let account = ResponseTemplate::new(200).set_body_json(json!({"login": "acme", "type": "Organization"}));
    Mock::given(path("/users/acme")).respond_with(account).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(list)).mount(&server).await;
    let (found, warnings) = discovered_at(&server).await;
    assert_eq!(found.unwrap(), ["acme/right"]);
    let skipped = warnings.iter().filter(|warning| warning.contains("skipped")).count();
    assert_eq!(skipped, 11, "ten names, and how many more there are: {warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("../../etc/passwd")), "{warnings:?}");
}
