//! The test of a description with saved answers.

use serde_json::json;
use snowfeed::testkit::mock_api::{MockApi, Paging};

use super::Program;

const DESCRIPTION: &str = r#"
name = "helpdesk"
base_url = "https://api.example.com"
resource = { stream = "workspaces", id = "/slug" }

[[stream]]
name = "workspaces"
path = "/workspaces"
paginate = "none"
default = false

[[stream]]
name = "tickets"
path = "/tickets?workspace={resource}"
records = "/data"
version = "/updated_at"
cursor = "since"
order = "version"
paginate = { token = "/next", to = "cursor", more = "/has_more" }

[[stream]]
name = "comments"
parent = "tickets"
path = "/tickets/{parent.id}/comments"
key = "/uuid"
paginate = { last = "/uuid", to = "after" }
"#;

const TICKETS: &str = r#"{"data": [{"id": 1, "updated_at": "2024-01-01T00:00:00Z"}, {"id": 2, "updated_at": "2024-01-02T00:00:00Z"}],
    "next": "c2", "has_more": true}"#;

/// A program with the description and answers of its lists.
fn program(description: &str) -> Program {
    let program = Program::new().file("helpdesk.toml", description);
    std::fs::create_dir(program.path("helpdesk.samples")).unwrap();
    program
        .file("helpdesk.samples/workspaces.json", r#"[{"id": 7, "slug": "acme"}]"#)
        .file("helpdesk.samples/tickets.json", TICKETS)
}

#[test]
fn a_description_that_fits_its_answers_passes() {
    let ended = program(DESCRIPTION).run(&["--source", "helpdesk.toml", "test"]).expect(0);
    let lines: Vec<_> = ended.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines, [["stream", "records", "result"], ["tickets", "2", "ok"], ["workspaces", "1", "ok"]]);
    assert_eq!(ended.stderr, "not tested: comments; save a page of its list as helpdesk.samples/comments.json\n");
    let document = program(DESCRIPTION).run(&["--json", "test", "--source", "helpdesk.toml"]).expect(0).json();
    assert_eq!(document["untested"], json!(["comments"]));
    assert_eq!(document["streams"][0], json!({"stream": "tickets", "records": 2, "mistakes": []}));
}

#[test]
fn a_description_that_no_longer_fits_its_answers_fails() {
    for (right, wrong, mistake) in [
        (
            "\"/data\"",
            "\"/items\"",
            "tickets: the answer has no list of records at /items: there is nothing; write `records = \"/data\"`",
        ),
        ("version = \"/up", "key = \"/uuid\"\nversion = \"/up", "tickets: no element of the list has a key at /uuid"),
        (
            "\"/updated_at\"",
            "\"/changed_at\"",
            "tickets: 2 of 2 records have no version at /changed_at; correct `version`",
        ),
        ("\"/next\"", "\"/cursor\"", "tickets: the answer has nothing at /cursor, which leads to the next page"),
        (
            "\"/has_more\"",
            "\"/more\"",
            "tickets: the answer has nothing at /more, which tells whether there are more pages",
        ),
        (
            "{parent.id}",
            "{parent.number}",
            "tickets: no record has a value at number, which the stream \"comments\" needs",
        ),
        (
            "\"/slug\"",
            "\"/name\"",
            "workspaces: no record has a value at /name, the name of a resource; correct `resource.id`",
        ),
    ] {
        assert_eq!(DESCRIPTION.matches(right).count(), 1, "{right}");
        let program = program(&DESCRIPTION.replace(right, wrong));
        let ended = program.run(&["--source", "helpdesk.toml", "test"]).expect(4);
        assert!(ended.stderr.contains(&format!("error: {mistake}")), "{mistake}: {ended:?}");
        assert!(ended.stdout.contains("failed"), "{ended:?}");
    }
    let last = program(DESCRIPTION).file("helpdesk.samples/comments.json", r#"[{"uuid": "a"}]"#);
    last.run(&["--source", "helpdesk.toml", "test"]).expect(0);
    let last = last.file("helpdesk.toml", &DESCRIPTION.replace("last = \"/uuid\"", "last = \"/at\""));
    let ended = last.run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert!(
        ended.stderr.contains("error: comments: no record has a value at /at, which leads to the next page"),
        "{ended:?}"
    );
    let empty =
        program(DESCRIPTION).file("helpdesk.samples/tickets.json", r#"{"data": [], "next": null, "has_more": false}"#);
    let ended = empty.run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert!(ended.stderr.contains("error: tickets: the answer has no record; save one that has some"), "{ended:?}");
}

#[test]
fn what_cannot_be_tested_says_what_to_save() {
    let ended = Program::new().file("helpdesk.toml", DESCRIPTION).run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert!(ended.stderr.starts_with("error: there is no saved answer in helpdesk.samples\n"), "{ended:?}");
    let other = program(DESCRIPTION).file("helpdesk.samples/tikets.json", "[]");
    let ended = other.run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert!(ended.stderr.starts_with("error: there is no stream \"tikets\""), "{ended:?}");
    let ended = Program::new().run(&["test"]).expect(4);
    assert!(ended.stderr.starts_with("error: `test` needs a source\n"), "{ended:?}");
    let ended = program(&DESCRIPTION.replace("key = ", "kye = ")).run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert!(ended.stderr.starts_with("error: helpdesk.toml:25:1: "), "{ended:?}");
}

#[test]
fn new_writes_a_test_that_passes_and_notices_a_change() {
    let api = MockApi::start();
    let tickets = api.list("/v1/tickets").records_at("/data").paging(Paging::cursor("cursor", "/next_cursor").size(2));
    tickets.extend((1..=3).map(|id| json!({"id": id, "updated_at": format!("2024-01-0{id}T00:00:00Z")})));
    let program = Program::new();
    let url = format!("{}/v1/tickets", api.url());
    let ended = program.run(&["new", "helpdesk", "--url", &url]).expect(0);
    assert!(ended.stdout.contains("wrote helpdesk.toml and helpdesk.samples/tickets.json"), "{ended:?}");
    program.run(&["--source", "helpdesk.toml", "test"]).expect(0);
    let changed = program.read("helpdesk.toml").replace("\"/data\"", "\"/tickets\"");
    let program = program.file("helpdesk.toml", &changed);
    program.run(&["--source", "helpdesk.toml", "test"]).expect(4);
    assert_eq!(api.count("/v1/tickets"), 1, "a test sends no request");
}

#[test]
fn a_time_that_cannot_be_read_is_named_with_its_format() {
    let invoices = r#"{"data": [{"id": 1, "changed": "/Date(1778763975021+0000)/"}, {"id": 2, "changed": "/Date(1778763975022+0000)/"}]}"#;
    let description = |time: &str| {
        format!(
            "name = \"helpdesk\"\nbase_url = \"https://api.example.com\"\n[[stream]]\nname = \"invoices\"\npath = \"/invoices\"\n\
             records = \"/data\"\npaginate = \"none\"\n{time}\n"
        )
    };
    for (time, mistakes) in [
        (
            "version = \"/changed\"\ncursor = \"since\"",
            &[
                "invoices: 2 of 2 records cannot be read: the value \"/Date(1778763975021+0000)/\" at /changed is not a time in RFC 3339; write \
               `version = { at = \"/changed\", format = \"dotnet\" }`",
            ][..],
        ),
        (
            "since = { at = \"/changed\" }\ncursor = \"since\"",
            &["invoices: the value \"/Date(1778763975021+0000)/\" at /changed is not a time in RFC 3339; write \
               `since = { at = \"/changed\", format = \"dotnet\" }` if the API takes `{since}` so, too, or \
               `version = { at = \"/changed\", format = \"dotnet\" }`"],
        ),
        (
            "since = { at = \"/created\" }\ncursor = \"since\"",
            &["invoices: no record has a value at /created; correct `since.at`"],
        ),
        ("version = { at = \"/changed\", format = \"dotnet\" }\ncursor = \"since\"", &[]),
    ] {
        let program = Program::new().file("helpdesk.toml", &description(time));
        std::fs::create_dir(program.path("helpdesk.samples")).unwrap();
        let program = program.file("helpdesk.samples/invoices.json", invoices);
        let ended = program.run(&["--source", "helpdesk.toml", "test"]).expect(if mistakes.is_empty() { 0 } else { 4 });
        let found: Vec<_> = ended.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        assert_eq!(found, mistakes, "{time}");
    }
}
