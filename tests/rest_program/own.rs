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
