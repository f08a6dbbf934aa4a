use std::sync::Arc;

use serde_json::Value;
use snowfeed::RetryConfig;
use snowfeed::http::{Bearer, More, Response, json};
use snowfeed::{Error, ErrorKind, Monitor, Retry};
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer};

use crate::support::{answering, client, count, json as ok, skipping_waits, status};

fn values(response: &Response) -> snowfeed::Result<Vec<Value>> {
    json::elements(response.body()).map(|element| Ok(element?.0)).collect()
}

#[tokio::test]
async fn headers_query_and_base_path_are_sent() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/v3/repos/a/b/issues"))
        .and(query_param("state", "all"))
        .and(query_param("since", "2026-01-01T00:00:00+00:00"))
        .and(header("accept", "application/vnd.github+json"))
        .and(header("user-agent", "widgets/1"))
        .and(header("x-github-api-version", "2022-11-28"))
        .respond_with(ok("[]"))
        .mount(&server)
        .await;
    let client = client(&format!("{}/api/v3", server.uri()))
        .user_agent("widgets/1")
        .header("Accept", "application/vnd.github+json")
        .header("X-GitHub-Api-Version", "2022-11-28")
        .build()
        .unwrap();
    let monitor = Monitor::detached();
    let request = client.get("/repos/a/b/issues?state=all").query(&[("since", "2026-01-01T00:00:00+00:00")]).query(&[]);
    let response = request.send(&monitor).await.unwrap();
    assert_eq!(response.body(), "[]");
    assert!(!response.redirected());
    assert_eq!((monitor.traffic().requests, monitor.traffic().bytes), (1, 2));
}

#[tokio::test]
async fn an_entity_tag_makes_the_request_conditional() {
    let server = MockServer::start().await;
    let etag = "W/\"24095aad\"";
    Mock::given(header("if-none-match", etag)).respond_with(status(304)).with_priority(1).mount(&server).await;
    Mock::given(method("GET")).respond_with(ok("[1]").insert_header("etag", etag)).mount(&server).await;
    let client = client(&server.uri()).build().unwrap();
    let first = client.get("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(first.etag(), Some(etag));
    assert!(!first.is_not_modified());
    let second = client.get("x").if_none_match(etag).send(&Monitor::detached()).await.unwrap();
    assert!(second.is_not_modified());
    assert!(second.body().is_empty());
}

#[tokio::test]
async fn pages_are_followed_to_their_end_by_relative_and_absolute_links() {
    let server = MockServer::start().await;
    let page = |name: &'static str| Mock::given(path(format!("/v3/{name}")));
    let absolute =
        format!("<{}/v3/c?after=a,b%3D>; rel=\"next\", <{}/v3/c?page=21>; rel=\"last\"", server.uri(), server.uri());
    page("a").respond_with(ok("[1]").insert_header("link", "</v3/b?page=2>; rel=\"next\"")).mount(&server).await;
    page("b").respond_with(ok("[]").insert_header("link", absolute.as_str())).mount(&server).await;
    page("c").and(query_param("after", "a,b=")).respond_with(ok("[2, 3]")).mount(&server).await;
    let client = client(&format!("{}/v3/", server.uri())).build().unwrap();
    let monitor = Monitor::detached();
    let (mut found, mut last, mut next) = (Vec::new(), None, Some(client.get("a")));
    while let Some(request) = next.take() {
        let response = request.send(&monitor).await.unwrap();
        found.extend(values(&response).unwrap());
        last = last.or(response.last_page().unwrap());
        next = response.next().unwrap().map(|url| client.get(url.as_str()));
    }
    assert_eq!(found, [1, 2, 3]);
    assert_eq!(last, Some(21));
}

#[tokio::test]
async fn a_link_to_another_server_names_the_page_and_a_malformed_link_is_an_error() {
    let answer = async |link: &str| {
        let server = answering([ok("[]").insert_header("link", link)]).await;
        let client = client(&server.uri()).build().unwrap();
        (client.get("x?page=1").send(&Monitor::detached()).await.unwrap(), server)
    };
    let (response, server) = answer("<https://evil.example/y?page=2>; rel=\"next\"").await;
    assert_eq!(response.next().unwrap().unwrap().as_str(), format!("{}/x?page=2", server.uri()));
    let (response, _server) = answer("next: /x?page=2").await;
    assert_eq!(response.next().unwrap_err().kind(), ErrorKind::InvalidData);
    let (response, _server) = answer("<https://evil.example/y>; rel=\"next\"").await;
    assert_eq!(response.next().unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn the_response_reports_whether_there_are_more_pages() {
    for (links, more) in [
        (&["<?page=2>; rel=next"][..], Some("next")),
        (&["<?page=1>; rel=\"first\"", "<?page=2>; REL=\"NEXT\""], Some("next")),
        (&["<?page=9>; rel=\"last\""], Some("next")),
        (&["<?page=1>; rel=\"last\""], None),
        (&["<?page=1>; rel=\"prev\", <?page=1>; rel=\"first\""], None),
        (&[], Some("unknown")),
        (&["</docs>; rel=\"deprecation\""], Some("unknown")),
        (&["garbage"], Some("unknown")),
    ] {
        let template = links.iter().fold(ok("[]"), |template, link| template.append_header("link", *link));
        let server = answering([template]).await;
        let client = client(&server.uri()).build().unwrap();
        let found = match client.get("x").send(&Monitor::detached()).await.unwrap().more() {
            More::Next(url) => {
                assert_eq!(url.query(), Some("page=2"), "{links:?}");
                Some("next")
            }
            More::Last => None,
            More::Unknown => Some("unknown"),
        };
        assert_eq!(found, more, "{links:?}");
    }
}

#[tokio::test]
async fn final_statuses_are_errors_after_one_request() {
    for (code, kind) in [
        (400, ErrorKind::InvalidData),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Authentication),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::InvalidData),
        (410, ErrorKind::NotFound),
        (422, ErrorKind::InvalidData),
        (451, ErrorKind::NotFound),
    ] {
        let body = r#"{"message":"In order, use cursor based pagination"}"#;
        let server = answering([status(code).set_body_raw(body, "application/json")]).await;
        let client = client(&server.uri()).build().unwrap();
        let error = client.get("x").send(&Monitor::detached()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&format!("status: {code}")), "{error}");
        assert!(error.to_string().contains("use cursor based pagination"), "{error}");
        assert_eq!(count(&server).await, 1, "{code}");
    }
}

#[tokio::test]
async fn allowed_statuses_are_responses() {
    for code in [301, 404, 409, 410, 500] {
        let server = answering([status(code).set_body_string("{}")]).await;
        let client = client(&server.uri()).build().unwrap();
        let response =
            client.get("x").allow_status(&[301, 404, 409, 410, 500]).send(&Monitor::detached()).await.unwrap();
        assert_eq!((response.status(), response.body().as_ref()), (code, "{}"));
    }
}

#[tokio::test]
async fn transient_failures_are_retried() {
    for code in [408, 425, 500, 502, 503, 504] {
        let server = answering([status(code), status(code), ok("[1]")]).await;
        let client = client(&server.uri()).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
        assert_eq!(response.unwrap().body(), "[1]", "{code}");
        assert_eq!(seen.requests(), 3, "{code}");
        assert_eq!(seen.reasons().len(), 2, "{:?}", seen.events);
    }
}

#[tokio::test]
async fn retries_end_and_the_error_reports_it() {
    let server = answering([status(502)]).await;
    let client = client(&server.uri()).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    let error = response.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert!(error.to_string().contains("attempts: 3"), "{error}");
    assert_eq!(seen.requests(), 3);
}

#[tokio::test]
async fn one_attempt_means_one_request() {
    let server = answering([status(502)]).await;
    let client = client(&server.uri()).retry(RetryConfig::none()).build().unwrap();
    client.get("x").send(&Monitor::detached()).await.unwrap_err();
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn retry_after_of_an_unavailable_server_is_honoured() {
    let server = answering([status(503).insert_header("retry-after", "120"), ok("[]")]).await;
    let client = client(&server.uri()).build().unwrap();
    let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
    response.unwrap();
    assert_eq!(seen.waited(), 120);
}

#[tokio::test]
async fn responses_without_data_are_retried_then_errors() {
    let html = "<html><body>Sign in</body></html>";
    for (name, bad) in [
        ("web page", status(200).set_body_raw(html, "text/html; charset=utf-8")),
        ("empty", ok("")),
        ("cut short", ok("[1, 2")),
        ("no JSON", ok("Bad gateway")),
        ("two answers", ok("[1][2]")),
        ("not UTF-8", status(200).set_body_raw(&b"[\"\xff\"]"[..], "application/json")),
    ] {
        let server = answering([bad.clone(), ok("[1, 2]")]).await;
        let client = client(&server.uri()).build().unwrap();
        let work = |monitor| async move { client.get("x").send_with(&monitor, |response| values(&response)).await };
        let (page, seen) = skipping_waits(work).await;
        assert_eq!(page.unwrap(), [1, 2], "{name}");
        assert_eq!(seen.requests(), 2, "{name}");

        let server = answering([bad]).await;
        let client = crate::support::client(&server.uri()).build().unwrap();
        let work =
            |monitor| async move { client.get("x").send_with(&monitor, |response| response.json::<Vec<u8>>()).await };
        let (page, seen) = skipping_waits(work).await;
        let error = page.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::InvalidData, Retry::Never), "{name}");
        assert_eq!(seen.requests(), 3, "{name}");
    }
}

#[tokio::test]
async fn json_of_another_shape_is_not_retried_and_its_message_is_shown() {
    for (body, shown) in [
        (r#"{"message":"This endpoint was moved","documentation_url":"x"}"#, "This endpoint was moved"),
        (r#"{"errors":[{"message":"no such field"}]}"#, "no such field"),
        (r#"{"items":[]}"#, "not the JSON"),
        (r#"["a"]"#, "not the JSON"),
        ("null", "not the JSON"),
    ] {
        let server = answering([ok(body)]).await;
        let client = client(&server.uri()).build().unwrap();
        let work =
            |monitor| async move { client.get("x").send_with(&monitor, |response| response.json::<Vec<u8>>()).await };
        let (page, seen) = skipping_waits(work).await;
        let error = page.unwrap_err();
        assert_eq!((error.kind(), seen.requests()), (ErrorKind::InvalidData, 1), "{body}: {error}");
        assert!(error.message().contains(shown) && error.help().is_some(), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_message_does_not_repeat_the_credential() {
    let server = answering([ok(r#"{"message":"hush-hush-hush is not a token"}"#)]).await;
    let client = client(&server.uri()).authorization(Arc::new(Bearer::new(&"hush-hush-hush".into()))).build().unwrap();
    let read = |response: Response| response.json::<Vec<u8>>();
    let error = client.get("x").send_with(&Monitor::detached(), read).await.unwrap_err();
    assert!(error.message().contains("*** is not a token"), "{error}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_data() {
    let server = answering([ok("\u{feff}[1, 2]")]).await;
    let response = client(&server.uri()).build().unwrap().get("x").send(&Monitor::detached()).await.unwrap();
    assert_eq!(values(&response).unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_web_page_and_an_empty_response_are_rejected_without_a_reader_too() {
    for (bad, message) in [(status(200).set_body_raw("<html>", "text/html"), "web page"), (ok(""), "empty")] {
        let server = answering([bad]).await;
        let client = client(&server.uri()).build().unwrap();
        let (response, seen) = skipping_waits(|monitor| async move { client.get("x").send(&monitor).await }).await;
        let error = response.unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert_eq!((error.kind(), seen.requests()), (ErrorKind::InvalidData, 3));
    }
    let server = answering([status(204)]).await;
    let client = client(&server.uri()).build().unwrap();
    assert_eq!(client.get("x").send(&Monitor::detached()).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_permanent_reader_error_is_not_retried() {
    let server = answering([ok("[]")]).await;
    let client = client(&server.uri()).build().unwrap();
    let read = |_: Response| -> snowfeed::Result<()> { Err(Error::internal("no")) };
    client.get("x").send_with(&Monitor::detached(), read).await.unwrap_err();
    assert_eq!(count(&server).await, 1);

    let server = answering([status(404)]).await;
    let client = crate::support::client(&server.uri()).build().unwrap();
    let read = |_: Response| -> snowfeed::Result<()> { Err(Error::invalid_data("no")) };
    client.get("x").allow_status(&[404]).send_with(&Monitor::detached(), read).await.unwrap_err();
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn a_json_error_names_the_field() {
    let server = answering([ok(r#"{"items":[{"id":1},{"id":"x"}]}"#)]).await;
    let client = client(&server.uri()).retry(RetryConfig::none()).build().unwrap();
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its type matters")]
    struct Item {
        id: u64,
    }
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its type matters")]
    struct Page {
        items: Vec<Item>,
    }
    let error = client.get("x").send(&Monitor::detached()).await.unwrap().json::<Page>().unwrap_err();
    assert!(error.to_string().contains("items[1].id"), "{error}");
}

#[tokio::test]
async fn a_post_is_retried_only_if_it_had_no_effect() {
    for (code, requests) in [(502, 1), (500, 1), (503, 2), (429, 2)] {
        let server = MockServer::start().await;
        Mock::given(body_json(serde_json::json!({"a": 1})))
            .respond_with(status(code))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .and(header("content-type", "application/json"))
            .respond_with(ok("{}"))
            .mount(&server)
            .await;
        let client = client(&server.uri()).build().unwrap();
        let work = |monitor| async move { client.post("x").json(&serde_json::json!({"a": 1})).send(&monitor).await };
        let (response, seen) = skipping_waits(work).await;
        assert_eq!(response.is_ok(), requests == 2, "{code}");
        assert_eq!(seen.requests(), requests, "{code}");
    }
}
