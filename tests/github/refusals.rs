//! The server's own message reaches the user, with suitable advice.

use std::time::{Duration, Instant};

use github_server::Fault;
use serde_json::json;
use snowfeed::ErrorKind;

use crate::support::{REPOSITORY, Reading, check, config, upstream};

fn says(code: u16, message: &str) -> Fault {
    let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }).to_string();
    Fault::Response { code, content_type: "application/json", body }
}

#[tokio::test]
async fn a_message_instead_of_data_is_reported_without_a_retry() {
    let upstream = upstream(9).await;
    upstream.fault_while(|request| request.path().ends_with("/issues"), says(200, "The service is in read-only mode"));
    let begin = Instant::now();
    let error = Reading::new(&upstream, json!({ "retries": 5, "concurrency": 1 })).read().await.unwrap_err();
    assert!(error.message().contains("The service is in read-only mode"), "{error}");
    assert!(upstream.counts().requests <= 2 && begin.elapsed() < Duration::from_secs(5), "{:?}", upstream.counts());
}

#[tokio::test]
async fn a_rejection_repeats_the_server_message_and_has_help() {
    for (code, message, help) in [
        (
            403,
            "Although you appear to have the correct authorization credentials, the `acme` organization has an IP allow list \
             enabled, and your IP address is not permitted to access this resource.",
            "IP allow list",
        ),
        (
            403,
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this \
             organization.",
            "SSO",
        ),
        (403, "Resource not accessible by integration", "read access to issues"),
        (
            403,
            "The 'acme' organization forbids access via a fine-grained personal access tokens if the token's lifetime is \
             greater than 366 days.",
            "kind",
        ),
        (403, "Sorry. Your account was suspended.", "support"),
        (403, "Blocked by Zscaler policy", "follow the message"),
        (422, "The listed users and repositories cannot be searched", "follow the message"),
        (422, "Pagination with the page parameter is not supported for large datasets", "one second"),
        (401, "Bad credentials", "`token`"),
        (404, "Not Found", "check the name"),
        (451, "Repository access blocked", "`disable`"),
    ] {
        let upstream = upstream(9).await;
        upstream.fault_while(|_| true, says(code, message));
        let error = Reading::new(&upstream, json!({})).read().await.unwrap_err();
        let text = error.message();
        let start: String = message.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        // A 404 may be for either address, and the message names the repository in any case.
        assert!(text.contains(&start) && text.contains(REPOSITORY), "{code}: {error}");
        assert!(error.help().unwrap().contains(help), "{message}: {:?}", error.help());
        assert_eq!(error.status(), Some(code));
    }
}

#[tokio::test]
async fn a_recreated_repository_suggests_reset() {
    let upstream = upstream(9).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.delete_repository(REPOSITORY);
    upstream.add_repository(REPOSITORY);
    upstream.create(REPOSITORY, 2);
    let error = reading.read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("another one has its name"), "{error}");
    assert!(error.help().unwrap().contains("`reset`"), "{error}");
    // Only deleted: there is no repository to reset to.
    let upstream = crate::support::upstream(9).await;
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    upstream.delete_repository(REPOSITORY);
    let error = reading.read().await.unwrap_err();
    assert!(error.message().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_web_page_or_message_instead_of_the_rate_limits_fails_the_check() {
    let page = "<html><head><title>Sign in to Wi-Fi</title></head></html>";
    for (content_type, body, shown) in [
        ("text/html", page, "Sign in to Wi-Fi"),
        ("application/json", page, "Sign in to Wi-Fi"),
        ("Application/XHTML+xml", "<x/>", "web page"),
        ("text/plain", "OK", "not the JSON"),
        ("application/json", "[]", "not the JSON"),
        ("application/json", r#"{"message":"pay first"}"#, "pay first"),
    ] {
        let upstream = upstream(3).await;
        upstream.fault_while(|_| true, Fault::Response { code: 200, content_type, body: body.into() });
        let config = config(&upstream, json!({ "retries": 0 }));
        let error = check(&config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{body}");
        assert!(error.message().contains(shown), "{error}");
    }
}
