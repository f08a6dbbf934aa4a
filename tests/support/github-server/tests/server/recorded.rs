//! The upstream against recordings of the real GitHub, where they are available.

use std::collections::BTreeSet;

use github_server::GithubServer;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::payloads::payload;
use crate::{WIDGETS, get};

/// 606 closed issues and pull requests on 21 pages, or nothing where the recordings are unavailable.
fn recorded_pages() -> Option<Vec<(String, Value)>> {
    let folder = payload("hub4j-wiremock/AppTest/wiremock/testListIssues")?;
    let pages = (4..=24).map(|step| {
        let name = if step == 4 {
            "4-r_h_g_issues.json".to_owned()
        } else {
            format!("{step}-repositories_617210_issues.json")
        };
        let body = std::fs::read_to_string(folder.join("__files").join(&name)).unwrap();
        let mapping = std::fs::read_to_string(folder.join("mappings").join(&name)).unwrap();
        (body, serde_json::from_str(&mapping).unwrap())
    });
    Some(pages.collect())
}

fn relations(link: &str) -> BTreeSet<(String, String)> {
    link.split(", ")
        .map(|link| {
            let (address, relation) = link.split_once("; ").unwrap();
            let query = address.trim_matches(['<', '>']).split_once('?').unwrap().1;
            (relation.to_owned(), query.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn recorded_issues_come_back_on_the_same_pages_with_the_same_links() {
    let Some(pages) = recorded_pages() else { return };
    let issues = pages.iter().flat_map(|(body, _)| serde_json::from_str::<Vec<Box<RawValue>>>(body).unwrap());
    let issues: Vec<String> = issues.map(|issue| issue.get().to_owned()).collect();
    assert_eq!(issues.len(), 606);
    let upstream = GithubServer::builder().repository_from("hub4j/github-api", issues).start().await.unwrap();
    let mut next = Some("/repos/hub4j/github-api/issues?state=closed".to_owned());
    for (body, mapping) in pages {
        let answer = get(&upstream, &next.unwrap()).await;
        assert_eq!(answer.json(), serde_json::from_str::<Value>(&body).unwrap());
        let recorded = mapping["response"]["headers"]["Link"].as_str().unwrap();
        assert_eq!(relations(answer.header("link").unwrap()), relations(recorded));
        next = answer.link("next");
    }
    assert_eq!(next, None);
}

#[tokio::test]
async fn generated_issues_have_every_key_that_recorded_ones_have() {
    let Some(pages) = recorded_pages() else { return };
    let upstream = GithubServer::builder().repository(WIDGETS, 100).start().await.unwrap();
    let paths = |values: &[Value]| {
        let mut found = BTreeSet::new();
        for value in values {
            for (key, value) in value.as_object().unwrap() {
                found.insert(key.clone());
                let nested = value.as_array().and_then(|array| array.first()).unwrap_or(value);
                found.extend(nested.as_object().into_iter().flatten().map(|(inner, _)| format!("{key}.{inner}")));
            }
        }
        found
    };
    let recorded: Vec<Value> =
        pages.iter().flat_map(|(body, _)| serde_json::from_str::<Vec<Value>>(body).unwrap()).collect();
    let generated = get(&upstream, "/repos/acme/widgets/issues?state=all&per_page=100").await.json();
    let missing: Vec<String> = paths(&recorded).difference(&paths(generated.as_array().unwrap())).cloned().collect();
    assert_eq!(missing, Vec::<String>::new());
}
