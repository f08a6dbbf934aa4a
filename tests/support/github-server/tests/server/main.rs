//! The server as a connector sees it: over real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its shared functions too")]

mod access;
mod changes;
mod faults;
mod lists;
#[path = "../../../payloads.rs"]
mod payloads;
mod pulls;
mod recorded;
mod records;
mod relations;
mod shapes;

use std::collections::BTreeSet;
use std::time::Duration;

use github_server::{GithubServer, GithubServerBuilder, RecordKind};
use reqwest::header::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) const WIDGETS: &str = "acme/widgets";

/// One response, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The address of a relation in the `Link` header.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let wanted = format!("rel=\"{relation}\"");
        let link = self.header("link")?.split(", ").find(|link| link.ends_with(&wanted))?;
        Some(link.split(['<', '>']).nth(1).unwrap().to_owned())
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.json().as_array().unwrap().iter().map(|issue| issue["id"].as_u64().unwrap()).collect()
    }

    /// One key of every record, as text.
    pub(crate) fn column(&self, key: &str) -> Vec<String> {
        self.json().as_array().unwrap().iter().map(|issue| issue[key].as_str().unwrap().to_owned()).collect()
    }
}

/// A client that follows no redirect and times out.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .user_agent("upstream-tests")
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(600))
        .build()
        .unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

/// Requests an address, or a path of the upstream.
pub(crate) async fn get(upstream: &GithubServer, target: &str) -> Answer {
    try_get(upstream, target).await.unwrap()
}

pub(crate) async fn try_get(upstream: &GithubServer, target: &str) -> reqwest::Result<Answer> {
    let url = if target.starts_with("http") { target.to_owned() } else { format!("{}{target}", upstream.url()) };
    send(client().get(url)).await
}

/// Follows `next` to the end and returns every id in the order of arrival.
pub(crate) async fn walk(upstream: &GithubServer, target: &str) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(target) = next {
        let page = get(upstream, &target).await;
        assert_eq!(page.status, 200, "{}", page.text);
        ids.extend(page.ids());
        next = page.link("next");
    }
    ids
}

/// Follows `next` to the end and returns every record's text in the order of arrival.
pub(crate) async fn walk_texts(upstream: &GithubServer, target: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(target) = next {
        let page = get(upstream, &target).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let records: Vec<Box<RawValue>> = serde_json::from_str(&page.text).unwrap();
        texts.extend(records.iter().map(|record| record.get().to_owned()));
        next = page.link("next");
    }
    texts
}

/// A repository with records of every kind.
pub(crate) async fn filled() -> GithubServer {
    filled_builder().start().await.unwrap()
}

pub(crate) fn filled_builder() -> GithubServerBuilder {
    GithubServer::builder()
        .seed(15)
        .repository(WIDGETS, 60)
        .repository("acme/gadgets", 3)
        .records(RecordKind::IssueComment, 150)
        .records(RecordKind::ReviewComment, 70)
        .records(RecordKind::Label, 40)
        .records(RecordKind::Milestone, 35)
        .records(RecordKind::Release, 33)
        .records(RecordKind::IssueEvent, 90)
        .records(RecordKind::Review, 80)
        .records(RecordKind::Commit, 110)
}

pub(crate) fn truth(upstream: &GithubServer) -> BTreeSet<u64> {
    upstream.snapshot(WIDGETS).into_iter().map(|issue| issue.id).collect()
}
