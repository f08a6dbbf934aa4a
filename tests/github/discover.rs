//! Lists of repositories that are not as they should be.

use serde_json::json;
use snowfeed::Source;
use snowfeed::sources::github::GithubIssues;
use snowfeed::testkit::upstream::{Fault, Upstream};

use crate::support::config;
use crate::warnings::Warnings;

async fn acme() -> Upstream {
    let builder = Upstream::builder().organization("acme");
    (0..5).fold(builder, |builder, n| builder.repository(format!("acme/r{n}"), 0)).start().await.unwrap()
}

async fn discovered(upstream: &Upstream) -> (usize, Vec<String>) {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let config = config(upstream, json!({ "repositories": ["acme/*"], "retries": 0 }));
    let found = GithubIssues::default().discover(&config).await.unwrap().len();
    (found, warnings.messages())
}

#[tokio::test]
async fn one_bad_element_of_a_list_is_left_out_with_a_warning() {
    for element in ["null", "7", "[]", "[1,\"acme/x\"]", "{}", r#"{"id":"x","full_name":7}"#] {
        let upstream = acme().await;
        upstream.fault_while(|request| request.path().ends_with("/repos"), Fault::BadElement(element.into()));
        let (found, warnings) = discovered(&upstream).await;
        assert_eq!(found, 5, "{element}");
        assert!(
            warnings.iter().any(|warning| warning.contains("left out") && warning.contains(element)),
            "{warnings:?}"
        );
    }
}

#[tokio::test]
async fn organisations_that_are_left_out_for_single_sign_on_are_named() {
    let upstream = acme().await;
    let header = "partial-results; organizations=21955855,20582480";
    upstream.fault_while(|request| request.path().ends_with("/repos"), Fault::Header("x-github-sso", header.into()));
    upstream.fault_while(
        |request| request.path() == "/organizations/20582480",
        Fault::Says { code: 200, content_type: "application/json", body: r#"{"login":"initech"}"#.into() },
    );
    let (found, warnings) = discovered(&upstream).await;
    assert_eq!(found, 5);
    let named = warnings.iter().find(|warning| warning.contains("single sign-on")).unwrap();
    assert!(named.contains("21955855") && named.contains("initech"), "{named}");
}
