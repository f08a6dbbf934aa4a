//! Responses of GitHub, where the recordings are available.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use snowfeed::SourceEvent;
use snowfeed::http::json;
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::payloads::payload;
use crate::support::{answering, client, skipping_waits};

/// Every mapping in the folder `scenario`, by file name.
fn mappings(scenario: &Path) -> Vec<(String, Value)> {
    let mut found: Vec<_> = std::fs::read_dir(scenario.join("mappings"))
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().path();
            (
                file.file_name().unwrap().to_string_lossy().into_owned(),
                serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(),
            )
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// Fills in what the recordings leave open: dates, as `{{now offset='8 seconds' … format='unix'}}`.
fn filled(value: &str) -> String {
    if !value.contains("{{") {
        return value.to_owned();
    }
    let offset = value.split_once("offset='").map_or(0, |(_, rest)| rest.split_once(' ').unwrap().0.parse().unwrap());
    let time = SystemTime::now() + Duration::from_secs(offset);
    if value.contains("format='unix'") {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
    } else {
        httpdate::fmt_http_date(time)
    }
}

fn answer(scenario: &Path, response: &Value, server: &str) -> ResponseTemplate {
    let status = response["status"].as_u64().unwrap();
    let body = match response["bodyFileName"].as_str() {
        Some(name) => std::fs::read(scenario.join("__files").join(name)).unwrap(),
        None => response["body"].as_str().unwrap_or("").as_bytes().to_vec(),
    };
    let mut template = ResponseTemplate::new(u16::try_from(status).unwrap()).set_body_bytes(body);
    for (name, value) in response["headers"].as_object().unwrap() {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            let value = filled(value.as_str().unwrap()).replace("https://api.github.com", server);
            template = template.append_header(name.as_str(), value);
        }
    }
    template
}

#[tokio::test]
async fn the_client_waits_out_recorded_rejections() {
    let Some(folder) = payload("hub4j-wiremock") else { return };
    let mut refusals = 0;
    for test in ["AbuseLimitHandlerTest", "RateLimitHandlerTest"] {
        for scenario in std::fs::read_dir(folder.join(test).join("wiremock")).unwrap() {
            let scenario = scenario.unwrap().path();
            for (name, mapping) in mappings(&scenario) {
                let response = &mapping["response"];
                if !matches!(response["status"].as_u64(), Some(403 | 429)) {
                    continue;
                }
                refusals += 1;
                let name = format!("{}/{name}", scenario.display());
                let server = answering([answer(&scenario, response, ""), crate::support::json("{}")]).await;
                let client = client(&server.uri()).build().unwrap();
                let (outcome, seen) =
                    skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
                outcome.expect(&name);
                assert_eq!(seen.requests(), 2, "{name}");
                let headers = &response["headers"];
                let (limit, seconds) =
                    match (headers["Retry-After"].as_str(), headers["X-RateLimit-Remaining"].as_str()) {
                        (Some(after), _) if after.contains("{{") => ("secondary", 7..=9),
                        (Some(after), _) => ("secondary", after.parse().unwrap()..=after.parse().unwrap()),
                        (None, Some("0")) => ("primary", 2..=5),
                        (None, _) => ("secondary", 59..=60),
                    };
                assert_eq!(seen.reasons(), [format!("{limit} rate limit")], "{name}");
                assert!(seconds.contains(&seen.waited()), "{name}: {} is not in {seconds:?}", seen.waited());
            }
        }
    }
    assert_eq!(refusals, 15);
}

#[tokio::test]
async fn a_recorded_listing_is_read_to_its_end() {
    let Some(folder) = payload("hub4j-wiremock") else { return };
    let scenario = folder.join("AppTest/wiremock/testListIssues");
    let server = MockServer::start().await;
    let mut first = None;
    for (_, mapping) in mappings(&scenario) {
        let url = mapping["request"]["url"].as_str().unwrap();
        let Some((before, query)) = url.split_once('?') else { continue };
        let mut mock = Mock::given(method("GET")).and(path(before));
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            mock = mock.and(query_param(name, value));
        }
        let answer = mock.respond_with(answer(&scenario, &mapping["response"], &server.uri()));
        // The first page's URL names no page and would match all of them.
        if query.contains("page=") {
            answer.with_priority(1).mount(&server).await;
        } else {
            first = Some(url.to_owned());
            answer.mount(&server).await;
        }
    }
    let client = client(&server.uri()).build().unwrap();
    let (numbers, seen) = skipping_waits(|monitor| async move {
        #[derive(serde::Deserialize)]
        struct Issue {
            number: u64,
        }
        let mut numbers = Vec::new();
        let mut next = Some(client.get(&first.unwrap()));
        while let Some(request) = next.take() {
            let (page, link) = request
                .send_with(&monitor, |response| {
                    let page = json::elements::<Issue>(response.body());
                    Ok((page.map(|issue| Ok(issue?.0.number)).collect::<snowfeed::Result<Vec<_>>>()?, response.next()?))
                })
                .await
                .unwrap();
            numbers.extend(page);
            next = link.map(|url| client.get(url.as_str()));
        }
        numbers
    })
    .await;
    assert_eq!(numbers.len(), 606);
    assert_eq!(seen.requests(), 21);
    assert!(seen.events.iter().all(|event| matches!(event, SourceEvent::Quota { limit: Some(5000), .. })));
}
