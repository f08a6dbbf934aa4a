//! The commands of the program itself.

use serde_json::{Value, json};
use snowfeed::testkit::mock_api::{MockApi, MockResponse, Paging};

use super::{Program, fixture};

/// An API with a list of two pages that needs a token.
fn api() -> MockApi {
    let api = MockApi::start();
    api.require_bearer("secret-token-1");
    let tickets = api.list("/v1/tickets").records_at("/data").paging(Paging::cursor("cursor", "/next_cursor").size(2));
    tickets.extend([
        json!({"id": 1, "title": "a", "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-05T00:00:00Z"}),
        json!({"id": 2, "title": "b", "created_at": "2024-01-02T00:00:00Z", "updated_at": "2024-01-03T00:00:00Z"}),
        json!({"id": 3, "title": "c", "created_at": "2024-01-03T00:00:00Z", "updated_at": "2024-01-04T00:00:00Z"}),
    ]);
    api
}

#[test]
fn try_shows_what_an_answer_holds_and_proposes_the_stream() {
    let (api, program) = (api(), Program::new().variable("TOKEN", "secret-token-1"));
    let url = format!("{}/v1/tickets", api.url());
    let ended = program.run(&["try", &url, "--bearer", "env:TOKEN"]).expect(0);
    assert_eq!(ended.stdout, fixture("try.txt"));
    assert_eq!(ended.stderr, "");
    assert_eq!(api.count("/v1/tickets"), 1, "one request");
    let document = program.run(&["--json", "try", &url, "--bearer", "env:TOKEN"]).expect(0).json();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["findings"][0], json!({"key": "records", "found": "/data: 2 records"}));
    assert!(document["stream"].as_str().unwrap().starts_with("[[stream]]\nname = \"tickets\"\n"), "{document}");
}

#[test]
fn new_writes_a_description_that_reads_the_api() {
    let (api, program) = (api(), Program::new().variable("TOKEN", "secret-token-1"));
    let url = format!("{}/v1/tickets", api.url());
    program.run(&["new", "helpdesk", "--url", &url, "--bearer", "env:TOKEN"]).expect(0);
    let written = program.read("helpdesk.toml");
    assert_eq!(written.replace(api.url(), "https://api.example.com"), fixture("new.toml"));
    let program = program.variable("HELPDESK_TOKEN", "secret-token-1");
    program.run(&["--source", "helpdesk.toml", "ingest", "helpdesk"]).expect(0);
    let rows = program.run(&["preview", "helpdesk", "--json", "--source=helpdesk.toml"]).expect(0).json();
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(3), "{rows}");
}

#[test]
fn new_reads_a_sample_and_asks_nothing() {
    let sample = r#"{"items": [{"uuid": "a", "modifiedAt": "2024-01-01T00:00:00Z"}], "hasMore": false}"#;
    let program = Program::new().file("sample.json", sample);
    program.run(&["new", "shop", "--sample", "sample.json", "--header", "X-Key: env:KEY"]).expect(0);
    let written = program.read("shop.toml");
    for line in [
        "base_url = \"https://api.example.com/v1\"",
        "auth = { header = { X-Key = \"{token}\" } }  # the value of SHOP_TOKEN",
        "records = \"/items\"",
        "key = \"/uuid\"",
        "version = \"/modifiedAt\"",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
}

#[test]
fn new_without_a_terminal_writes_an_example_and_never_overwrites() {
    let program = Program::new();
    program.run(&["new", "helpdesk"]).expect(0);
    let written = program.read("helpdesk.toml");
    assert!(written.contains("base_url = \"https://api.example.com/v1\""), "{written}");
    let ended = program.run(&["new", "helpdesk"]).expect(4);
    assert_eq!(ended.stderr, "error: the file helpdesk.toml exists\nhelp: choose another name, or remove the file\n");
    assert_eq!(program.read("helpdesk.toml"), written);
    let ended = program.run(&["new", "Help desk"]).expect(4);
    assert!(ended.stderr.starts_with("error: the name \"Help desk\" is not allowed\nhelp: name it with "), "{ended:?}");
}

#[test]
fn what_try_cannot_read_is_an_error_with_help() {
    let (api, program) =
        (api(), Program::new().variable("TOKEN", "secret-token-2").variable("RIGHT", "secret-token-1"));
    api.route("/v1/page", |_| MockResponse::new(200).with_body("<html>"));
    let (tickets, page) = (format!("{}/v1/tickets", api.url()), format!("{}/v1/page", api.url()));
    for (args, code, message) in [
        (vec!["try", &tickets, "--bearer", "env:TOKEN"], 5, "error: "),
        (vec!["try", &tickets, "--bearer", "env:MISSING"], 4, "error: the secret env:MISSING cannot be read"),
        (vec!["try", &tickets, "--bearer", "secret-token-1"], 4, "error: a secret is given by reference"),
        (vec!["try", &tickets, "--header", "secret-token-1"], 4, "error: a header has no name or no value"),
        (vec!["try", &page, "--bearer", "env:RIGHT"], 1, "error: "),
        (vec!["new", "x", "--sample", "missing.json"], 4, "error: the sample missing.json cannot be read"),
    ] {
        let ended = program.run(&args).expect(code);
        assert!(ended.stderr.starts_with(message), "{args:?}: {ended:?}");
        assert!(!ended.stderr.contains("secret-token"), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains("help: "), "{args:?}: {ended:?}");
    }
}

#[test]
fn try_signs_in_with_a_user_name_and_a_secret() {
    let api = MockApi::start();
    api.route("/v1/tickets", |request| match request.header("authorization") {
        // me@x.test:secret-token-1
        Some("Basic bWVAeC50ZXN0OnNlY3JldC10b2tlbi0x") => MockResponse::json(&json!([{"id": 1}])),
        // secret-token-1:X
        Some("Basic c2VjcmV0LXRva2VuLTE6WA==") => MockResponse::json(&json!([{"id": 2}])),
        _ => MockResponse::new(401),
    });
    let program = Program::new().variable("TOKEN", "secret-token-1").variable("EMAIL", "me@x.test");
    let url = format!("{}/v1/tickets", api.url());
    for (name, basic, auth) in [
        (
            "a",
            ["env:EMAIL", "env:TOKEN"],
            "auth = { basic = [\"{user}\", \"{password}\"] }  # the values of A_USER and A_PASSWORD",
        ),
        (
            "b",
            ["me@x.test", "env:TOKEN"],
            "auth = { basic = [\"me@x.test\", \"{password}\"] }  # the value of B_PASSWORD",
        ),
        ("c", ["env:TOKEN", "X"], "auth = { basic = [\"{token}\", \"X\"] }  # the value of C_TOKEN"),
    ] {
        program.run(&["try", &url, "--basic", basic[0], basic[1]]).expect(0);
        program.run(&["new", name, "--url", &url, "--basic", basic[0], basic[1]]).expect(0);
        let written = program.read(&format!("{name}.toml"));
        assert!(written.contains(auth), "{written}");
        assert!(!written.contains("secret-token"), "{written}");
    }
    let program = program.variable("A_USER", "me@x.test").variable("A_PASSWORD", "secret-token-1");
    program.run(&["--source", "a.toml", "ingest", "a"]).expect(0);
    for (basic, message) in [
        (["me", "secret-token-1"], "error: a secret is given by reference, not by value"),
        (["env:EMAIL", "secret-token-1"], "error: a secret is given by reference, not by value"),
        (["me", "X"], "error: a secret is given by reference, not by value"),
        (["env:MISSING", "env:TOKEN"], "error: the secret env:MISSING cannot be read"),
        (["a:b", "env:TOKEN"], "error: a user name cannot have a colon"),
    ] {
        let ended = program.run(&["try", &url, "--basic", basic[0], basic[1]]).expect(4);
        assert!(ended.stderr.starts_with(message), "{basic:?}: {ended:?}");
        assert!(!ended.stderr.contains("secret-token") && ended.stderr.contains("help: "), "{basic:?}: {ended:?}");
    }
    let both = program.run(&["try", &url, "--basic", "me", "env:TOKEN", "--bearer", "env:TOKEN"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[test]
fn a_header_that_signs_in_is_given_by_reference() {
    let api = MockApi::start();
    api.route("/v1/tickets", |request| match request.header("authorization") {
        Some("Token token=secret-token-1") => MockResponse::json(&json!([{"id": 1}])),
        _ => MockResponse::new(401),
    });
    let url = format!("{}/v1/tickets", api.url());
    let program = Program::new()
        .variable("TOKEN", "Token token=secret-token-1")
        .variable("X_TOKEN", "Token token=secret-token-1");
    program.run(&["try", &url, "--header", "Authorization: env:TOKEN"]).expect(0);
    program.run(&["new", "x", "--url", &url, "--header", "authorization: env:TOKEN"]).expect(0);
    assert!(program.read("x.toml").contains("auth = { header = { authorization = \"{token}\" } }"));
    program.run(&["--source", "x.toml", "ingest", "x"]).expect(0);
    for args in [
        &["try", &url, "--header", "Authorization: Bearer secret-token-1"][..],
        &["new", "y", "--url", &url, "--header", "authorization: Basic secret-token-1"],
        &["try", &url, "--header", "Cookie: session=secret-token-1"],
        &["try", &url, "--header", "Authorization: Bearer env:TOKEN"],
    ] {
        let ended = program.run(args).expect(4);
        let (error, help) = ended.stderr.trim_end().split_once('\n').unwrap();
        assert!(
            error.starts_with("error: the header `") && error.ends_with("` signs in, so that its value is a secret"),
            "{ended:?}"
        );
        assert_eq!(
            help,
            "help: give a token with `--bearer env:NAME`, a user name and a password with `--basic USER env:NAME`, and any other value as a \
             whole: `--header 'NAME: env:VARIABLE'`"
        );
        assert!(!ended.stderr.contains("secret-token") && !ended.stderr.contains("loaded"), "{ended:?}");
    }
}

#[test]
fn try_posts_a_body_and_proposes_it() {
    let api = MockApi::start();
    api.route("/v1/search", |request| match (request.method(), serde_json::from_slice::<Value>(request.body())) {
        ("POST", Ok(body)) if body["limit"] == 2 => MockResponse::json(
            &json!({"results": [{"id": 1}, {"id": 2}], "paging": {"next": {"after": "abc"}}, "asked": body["query"]}),
        ),
        _ => MockResponse::new(400),
    });
    let body = r#"{"limit": 2, "query": "query {contacts {id}} from {a b}", "sort": [{"by": "id", "up": true}]}"#;
    let url = format!("{}/v1/search", api.url());
    let program = Program::new().file("body.json", body);
    let inline = program.run(&["try", &url, "--body", body]).expect(0);
    let from_file = program.run(&["try", &url, "--body", "@body.json"]).expect(0);
    assert_eq!(inline.stdout, from_file.stdout);
    let line =
        r#"body = { limit = 2, query = "query {contacts {{id}}} from {a b}", sort = [{ by = "id", up = true }] }"#;
    assert!(inline.stdout.contains(line), "{inline:?}");
    assert!(inline.stdout.contains("cursor: write \"{since}\" where the body takes it"), "{inline:?}");
    program.run(&["new", "desk", "--url", &url, "--body", body]).expect(0);
    program.run(&["--source", "desk.toml", "test"]).expect(0);
    program.run(&["--source", "desk.toml", "check"]).expect(0);
    let asked = api.requests();
    assert_eq!(asked.last().unwrap().body(), asked.first().unwrap().body(), "the description asks for the same");
    for (body, message) in [
        ("[1]", "error: the body is not a JSON object"),
        ("{", "error: the body is not a JSON object"),
        ("@missing.json", "error: the body missing.json cannot be read"),
        (r#"{"token": "ghp_0123456789abcdef"}"#, "error: the body holds a secret"),
    ] {
        let ended = program.run(&["try", &url, "--body", body]).expect(4);
        assert!(ended.stderr.starts_with(message), "{body}: {ended:?}");
        assert!(!ended.stderr.contains("ghp_") && ended.stderr.contains("help: "), "{body}: {ended:?}");
    }
}

#[test]
fn schema_prints_the_schema_of_descriptions() {
    let schema: Value = Program::new().run(&["schema"]).expect(0).json();
    assert_eq!(schema["title"], "Api");
    assert!(schema["properties"]["stream"].is_object(), "{schema}");
}

#[test]
fn the_builtin_source_takes_options_before_and_after_its_name() {
    let program = Program::new();
    for args in [&["--json", "--db", "x.db", "github", "status"][..], &["github", "status", "--db", "x.db", "--json"]] {
        assert_eq!(program.run(args).expect(0).json()["resources"], json!([]), "{args:?}");
    }
}
