//! Statuses and codes, and what the description says about them.

use serde_json::json;
use snowfeed::rest::{Action, Api, Paginate, Since, Stream, TimeFormat};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};
use snowfeed::{ErrorKind, Mode};

use crate::support::{api, connect, drain, keys};

/// Serves these answers, one after the other.
fn answers(mock: &MockApi, path: &str, answers: Vec<MockResponse>) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    mock.route(path, move |_| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        answers.get(number).or(answers.last()).unwrap().clone()
    });
}

fn found() -> MockResponse {
    MockResponse::json(&json!({"ok": true, "data": [{"id": 1}]}))
}

fn code(status: u16, code: &str) -> MockResponse {
    let body = json!({"ok": false, "error": code}).to_string();
    let response = MockResponse::new(status).with_header("Content-Type", "application/json").with_body(body);
    // A 403 that says when to come back is a rate limit, whatever its code.
    if matches!(code, "ratelimited" | "fatal") { response.with_header("Retry-After", "0") } else { response }
}

fn chat(mock: &MockApi) -> Api {
    api(mock)
        .error_code("/error")
        .on_error("ratelimited", Action::Wait)
        .on_error("fatal", Action::Retry)
        .on_error("not_in_channel", Action::Skip)
        .on_error("channel_not_found", Action::Gone)
        .on_error("nothing", Action::Empty)
        .on_error("invalid_auth", Action::Fail)
        .on_error(403, Action::Fail)
}

fn messages() -> Stream {
    Stream::new("messages", "/messages").records("/data")
}

#[tokio::test]
async fn a_code_in_any_status_decides() {
    for status in [200, 400, 403, 500] {
        for (name, requests, keys_read, kind) in [
            ("ratelimited", 2, 1, None),
            ("fatal", 2, 1, None),
            ("not_in_channel", 1, 0, None),
            ("nothing", 1, 0, None),
            ("channel_not_found", 1, 0, Some(ErrorKind::NotFound)),
        ] {
            let mock = MockApi::start();
            answers(&mock, "/messages", vec![code(status, name), found()]);
            let read = connect(chat(&mock).stream(messages())).await.read("messages", None).await;
            assert_eq!(mock.requests().len(), requests, "{name} in {status}: {read:?}");
            match (read, kind) {
                (Ok(batches), None) => assert_eq!(keys(&batches).len(), keys_read, "{name} in {status}"),
                (Err(error), Some(kind)) => assert_eq!(error.kind(), kind, "{error}"),
                (read, _) => panic!("{name} in {status}: {read:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_code_without_an_action_is_an_error_that_says_what_to_write() {
    let mock = MockApi::start();
    answers(&mock, "/messages", vec![code(200, "fancy_new_error")]);
    let error = connect(chat(&mock).stream(messages())).await.error("messages").await;
    assert_eq!((error.code(), error.status()), (Some("fancy_new_error"), Some(200)));
    assert!(error.to_string().contains("/messages"), "{error}");
    assert!(error.help().unwrap().contains("errors = { fancy_new_error = \"skip\" }"), "{:?}", error.help());
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn a_code_about_the_credentials_says_to_check_them() {
    for (status, advice) in [(401, "check the token: "), (200, "check the credentials: ")] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![code(status, "token_revoked")]);
        let error = connect(chat(&mock).stream(messages())).await.error("messages").await;
        let help = error.help().unwrap();
        assert!(help.starts_with(advice) && !help.contains("skip"), "to skip it would hide a wrong token: {help}");
    }
}

#[tokio::test]
async fn a_status_without_an_action_keeps_its_meaning() {
    for (status, kind) in [
        (400, ErrorKind::InvalidData),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Authentication),
        (404, ErrorKind::NotFound),
    ] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![MockResponse::new(status)]);
        let error = connect(api(&mock).stream(messages())).await.error("messages").await;
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        assert!(error.help().is_some(), "{error}");
    }
}

#[tokio::test]
async fn what_a_stream_says_comes_before_what_the_api_says() {
    let mock = MockApi::start();
    answers(&mock, "/messages", vec![MockResponse::new(403)]);
    let source = connect(api(&mock).on_error(403, Action::Fail).stream(messages().on_error(403, Action::Empty))).await;
    assert!(source.read("messages", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_that_is_skipped_stays_as_it_is() {
    let mock = MockApi::start();
    answers(&mock, "/messages", vec![MockResponse::new(403)]);
    let described = api(&mock).on_error(403, Action::Skip);
    let source = connect(described.clone().stream(messages())).await;
    let batches = source.read("messages", None).await.unwrap();
    assert!(batches.len() == 1 && batches[0].is_unchanged, "an empty list would delete all rows: {batches:?}");
    // A list of changes that the credentials may not read proves nothing in a reconcile run.
    let source = connect(described.stream(messages().cursor("since"))).await;
    assert!(source.read("messages", None).await.unwrap().is_empty());
    let request = source.request("messages").mode(Mode::Reconcile);
    assert_eq!(drain(&*source.reader, request).await.unwrap_err().status(), Some(403));
}

#[tokio::test]
async fn a_later_page_is_not_skipped() {
    let mock = MockApi::start();
    let page = MockResponse::json(&json!({"data": [{"id": 1}], "next": "a"}));
    answers(&mock, "/messages", vec![page, MockResponse::new(403)]);
    let stream = messages().paginate(Paginate::token("/next", "cursor")).on_error(403, Action::Skip);
    let error = connect(api(&mock).stream(stream)).await.error("messages").await;
    assert_eq!(error.status(), Some(403));
    assert!(error.help().unwrap().contains("first page"), "{:?}", error.help());
}

#[tokio::test]
async fn a_token_that_expires_again_and_again_ends_with_its_error() {
    let mock = MockApi::start();
    mock.route("/messages", |request| match request.query("cursor") {
        None => MockResponse::json(&json!({"data": [{"id": 1}], "next": "a"})),
        Some(_) => code(422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"),
    });
    let stream = messages().paginate(Paginate::token("/next", "cursor")).on_error(422, Action::Restart);
    let error = connect(api(&mock).stream(stream)).await.error("messages").await;
    assert_eq!((error.status(), mock.requests().len()), (Some(422), 12));
}

#[tokio::test]
async fn a_rate_limit_can_mean_something_else() {
    let limited = || MockResponse::new(429).with_header("Retry-After", "3600");
    let with_code = |code: &str| {
        let body = json!({"error": code}).to_string();
        limited().with_header("Content-Type", "application/json").with_body(body)
    };
    for (answer, kind, is_skipped) in [
        (limited(), ErrorKind::RateLimited, false),
        (with_code("daily_quota"), ErrorKind::RateLimited, false),
        (with_code("not_in_plan"), ErrorKind::RateLimited, true),
    ] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![answer]);
        let described = api(&mock)
            .error_code("/error")
            .on_error(429, Action::Fail)
            .on_error("daily_quota", Action::Fail)
            .on_error("not_in_plan", Action::Skip);
        let read = connect(described.stream(messages())).await.read("messages", None).await;
        match read {
            Ok(batches) => assert!(is_skipped && batches[0].is_unchanged, "{batches:?}"),
            Err(error) => {
                assert_eq!((error.kind(), error.status(), is_skipped), (kind, Some(429), false), "{error}");
                assert!(error.to_string().contains("/messages") && error.help().is_some(), "{error:?}");
            }
        }
        assert_eq!(mock.requests().len(), 1, "nothing waits for an hour");
    }
}

#[tokio::test]
async fn what_is_said_about_a_rate_limit_is_not_said_about_others() {
    let soon = |status: u16| MockResponse::new(status).with_header("Retry-After", "0");
    for (answer, described) in [
        // The status of a credential that may not read this, and a limit by its header.
        (soon(403), api(&MockApi::start()).on_error(403, Action::Skip)),
        (soon(429), api(&MockApi::start()).on_error(429, Action::Wait)),
        (soon(429), api(&MockApi::start()).on_error(429, Action::Retry)),
        (code(429, "ratelimited"), chat(&MockApi::start()).on_error(429, Action::Fail)),
    ] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![answer, found()]);
        let mut described = described;
        described.base_url = mock.url().to_owned();
        let batches = connect(described.stream(messages())).await.read("messages", None).await.unwrap();
        assert_eq!((keys(&batches).len(), mock.requests().len()), (1, 2));
    }
}

#[tokio::test]
async fn a_code_in_a_successful_answer_says_that_the_server_refuses() {
    for (name, kind, help) in [
        ("invalid_auth", ErrorKind::Authentication, "check the credentials: they may be wrong, expired or revoked"),
        (
            "AUTHENTICATION_ERROR",
            ErrorKind::Authentication,
            "check the credentials: they may be wrong, expired or revoked",
        ),
        ("fatal_error", ErrorKind::InvalidData, "look the code up in the documentation of the API"),
    ] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![code(200, name)]);
        let described = chat(&mock).on_error(name, Action::Fail);
        let error = connect(described.stream(messages())).await.error("messages").await;
        assert_eq!((error.kind(), error.code()), (kind, Some(name)), "{error}");
        assert_eq!(error.message(), format!("the server refuses the request: it answers 200 with the code {name:?}"));
        assert_eq!(error.help(), Some(help));
        assert_eq!(mock.requests().len(), 1);
    }
    // Codes of other things, in which words about credentials stand.
    for name in ["expired_page_token", "author_not_found", "invalid_cursor"] {
        let mock = MockApi::start();
        answers(&mock, "/messages", vec![code(200, name)]);
        let error = connect(chat(&mock).stream(messages())).await.error("messages").await;
        assert_ne!(error.kind(), ErrorKind::Authentication, "{error}");
    }
}

#[tokio::test]
async fn a_code_in_a_successful_answer_comes_with_the_reason_of_the_server() {
    let mock = MockApi::start();
    mock.route("/issues", |_| {
        MockResponse::json(
            &json!({"errors": [{"message": "first must be at most 250", "extensions": {"code": "INVALID_INPUT"}}]}),
        )
    });
    let stream = Stream::new("issues", "/issues").records("/data");
    let error = connect(api(&mock).error_code("/errors/0/extensions/code").stream(stream)).await.error("issues").await;
    let expected =
        "the server refuses the request: it answers 200 with the code \"INVALID_INPUT\": first must be at most 250";
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn a_request_that_is_wrong_says_how_the_time_was_written() {
    for (stream, written) in [
        (Stream::new("messages", "/messages?q=changed>{since}"), "1970-01-01T00:00:00Z"),
        (Stream::new("messages", "/messages").body(json!({"query": {"value": "{since}"}})), "1970-01-01T00:00:00Z"),
        (
            Stream::new("messages", "/messages")
                .cursor("since")
                .since(Since::new().start("2026-01-01").format(TimeFormat::Epoch)),
            "1767225600",
        ),
    ] {
        let mock = MockApi::start();
        mock.route("/messages", |_| MockResponse::new(400));
        let error = connect(api(&mock).stream(stream.version("/updated_at"))).await.error("messages").await;
        let help = error.help().unwrap();
        assert!(help.contains(&format!("`{{since}}` was written as {written}: ")), "{help}");
    }
}

#[tokio::test]
async fn a_wrong_path_is_named() {
    let mock = MockApi::start();
    let error = connect(api(&mock).stream(Stream::new("messages", "/mesages"))).await.error("messages").await;
    assert_eq!(error.help(), Some("check `path` and `base_url` in the description, and what the credentials may read"));
}

#[tokio::test]
async fn a_request_that_is_wrong_names_what_the_description_sends() {
    for status in [400, 422] {
        let mock = MockApi::start();
        mock.route("/messages", move |_| {
            MockResponse::new(status)
                .with_header("Content-Type", "application/json")
                .with_body(json!({"errors": [{"code": "invalid", "detail": "page size must be 1 to 100"}]}).to_string())
        });
        let stream =
            Stream::new("messages", "/messages?page[size]=200&sort=id").cursor("since").header("X-Mode", "full");
        let source = connect(api(&mock).error_code("/errors/0/code").stream(stream.clone())).await;
        for source in [source, connect(api(&mock).stream(stream)).await] {
            let error = source.error("messages").await;
            assert!(error.message().ends_with("page size must be 1 to 100"), "{error}");
            let expected =
                "check what the description sends: the parameters `page[size]` and `sort`, and the header `X-Mode`";
            assert_eq!(error.help(), Some(expected));
        }
        // A body, whose members are parameters, too.
        let stream = Stream::new("messages", "/messages").body(json!({"limit": 500, "query": {"filter": {}}}));
        let error = connect(api(&mock).stream(stream)).await.error("messages").await;
        assert_eq!(error.help(), Some("check what the description sends: `limit` and `query` in the body"));
        let error = connect(api(&mock).stream(Stream::new("messages", "/messages"))).await.error("messages").await;
        assert_eq!(
            error.help(),
            Some("check what the description sends: the path has no parameter; one may be missing")
        );
    }
    // A later page adds its own, and may have expired.
    let mock = MockApi::start();
    mock.route("/messages", |request| match request.query("after") {
        None => MockResponse::json(&json!({"data": [{"id": 1}], "next": "a"})),
        Some(_) => MockResponse::new(400),
    });
    let stream = messages().paginate(Paginate::token("/next", "after"));
    let error = connect(api(&mock).stream(stream)).await.error("messages").await;
    let expected = "check what the description sends: the parameter `after`; if the token of the page has expired, write \
                    `errors = { 400 = \"restart\" }`";
    assert_eq!(error.help(), Some(expected));
}

#[tokio::test]
async fn only_a_list_of_which_there_are_several_may_be_missing() {
    for (status, action) in [(403, "skip"), (404, "empty"), (410, "empty")] {
        let mock = MockApi::start();
        mock.list("/tickets").insert(json!({"id": 1}));
        mock.route("/tickets/1/notes", move |_| MockResponse::new(status));
        mock.route("/messages", move |_| MockResponse::new(status));
        let described = api(&mock)
            .stream(messages())
            .stream(Stream::new("tickets", "/tickets"))
            .stream(Stream::new("notes", "/tickets/{parent.id}/notes").parent("tickets"));
        let source = connect(described).await;
        let error = source.error("messages").await;
        assert!(!error.help().unwrap_or_default().contains("errors = {"), "{error:?}");
        let mut parent = snowfeed::Parent::new(snowfeed::RowPath::ROOT.child("1"));
        parent.fields = vec![json!(1)];
        let request = source.request("notes").parent(parent);
        let error = drain(&*source.reader, request).await.unwrap_err();
        let expected = format!("if some have no such list, write `errors = {{ {status} = \"{action}\" }}`");
        assert!(error.help().unwrap().ends_with(&expected), "{error:?}");
    }
}
