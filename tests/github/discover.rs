//! Lists of repositories that are not as they should be.

use std::sync::{Arc, Mutex};

use serde_json::json;
use snowfeed::Source;
use snowfeed::sources::github::GithubIssues;
use snowfeed::testkit::upstream::{Fault, Upstream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::config;

/// Collects warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn acme() -> Upstream {
    let builder = Upstream::builder().organization("acme");
    (0..5).fold(builder, |builder, n| builder.repository(format!("acme/r{n}"), 0)).start().await.unwrap()
}

async fn discovered(upstream: &Upstream) -> (usize, Vec<String>) {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let config = config(upstream, json!({ "repositories": ["acme/*"], "retries": 0 }));
    let found = GithubIssues::default().discover(&config).await.unwrap().len();
    let warnings = warnings.0.lock().unwrap().clone();
    (found, warnings)
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
