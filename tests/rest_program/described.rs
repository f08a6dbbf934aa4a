//! Commands of a connector, over a description.

use serde_json::json;
use snowfeed::testkit::mock_api::MockApi;

use super::Program;

/// A description of one list with a token.
fn description(url: &str) -> String {
    format!(
        "name = \"helpdesk\"\nbase_url = \"{url}\"\nauth = {{ bearer = \"{{token}}\" }}\n\n\
         [[stream]]\nname = \"tickets\"\npath = \"/tickets\"\n"
    )
}

#[test]
fn a_description_is_a_connector() {
    let api = MockApi::start();
    api.require_bearer("secret-token-1");
    api.list("/tickets").insert(json!({"id": 1}));
    let program =
        Program::new().variable("HELPDESK_TOKEN", "secret-token-1").file("helpdesk.toml", &description(api.url()));
    let checked = program.run(&["check", "--source", "helpdesk.toml"]).expect(0);
    assert_eq!(
        checked.stderr.lines().next(),
        Some(
            "warning: helpdesk.toml:5:1: stream \"tickets\": only the first page is read: the list has no `paginate`; \
             add `paginate`; write `paginate = \"none\"` if the answer always has all records"
        )
    );
    // The description is not a settings file.
    assert!(!checked.stderr.contains("not loaded"), "{checked:?}");
    let document = program.run(&["check", "--source", "helpdesk.toml", "--json"]).expect(0).json();
    let warnings = document["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("helpdesk.toml:5:1: "), "{document}");
    let ingested = program.run(&["--source", "helpdesk.toml", "ingest", "helpdesk"]).expect(0);
    assert!(!ingested.stderr.contains("paginate"), "{ingested:?}");
    let warned = "warning: helpdesk.toml: the description has 1 warning; `check` shows it\n";
    for once in [warned, "1 new column from the records: id"] {
        assert_eq!(ingested.stderr.matches(once).count(), 1, "{once}: {ingested:?}");
    }
    let ran = program.run(&["--source", "helpdesk.toml", "run", "--help"]).expect(0);
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    let ingested = program.run(&["--quiet", "--source", "helpdesk.toml", "ingest", "helpdesk"]).expect(0);
    assert_eq!(ingested.stderr, "");
    let status = program.run(&["--source", "helpdesk.toml", "status"]).expect(0);
    assert!(!status.stderr.contains("paginate"), "nothing is read: {status:?}");
    let program = program.variable("SNOWFEED_SOURCE", "helpdesk.toml");
    let rows = program.run(&["--json", "preview", "helpdesk"]).expect(0).json();
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(1), "{rows}");
    let help = program.run(&["--help"]).expect(0);
    assert!(help.stdout.contains("snowfeed --source helpdesk.toml ingest NAME"), "{help:?}");
}

#[test]
fn resources_whose_names_are_ids_are_listed_with_their_titles() {
    let api = MockApi::start();
    api.list("/channels")
        .extend([json!({"id": "C1", "name": "general"}), json!({"id": "C2", "name": "\u{1b}[31mred"})]);
    let text = format!(
        "name = \"chat\"\nbase_url = \"{}\"\nresource = {{ stream = \"channels\", id = \"/id\", name = \"/name\" }}\n\n\
         [[stream]]\nname = \"channels\"\npath = \"/channels\"\npaginate = \"none\"\n",
        api.url()
    );
    let program = Program::new().file("chat.toml", &text).variable("SNOWFEED_SOURCE", "chat.toml");
    let listed = program.run(&["discover"]).expect(0);
    assert_eq!(listed.stdout, "channel  title\nC1       general\nC2       \u{fffd}[31mred\n");
    let listed = program.run(&["discover", "--json"]).expect(0).json();
    assert_eq!(listed["resources"], json!(["C1", "C2"]));
    assert_eq!(listed["titles"]["C1"], "general");
    // A title that no record has is a mistake in the description.
    let program = program.file("chat.toml", &text.replace("\"/name\"", "\"/title\""));
    let checked = program.run(&["check"]).expect(1);
    assert!(checked.stderr.contains("no record has a value at /title, the title of a resource"), "{checked:?}");
}

#[test]
fn a_missing_setting_is_named_with_its_variable() {
    let program = Program::new().file("helpdesk.toml", &description("https://api.example.com"));
    let ended = program.run(&["--source", "helpdesk.toml", "check"]).expect(4);
    assert!(ended.stderr.contains("the setting `token` is missing"), "{ended:?}");
    assert!(ended.stderr.contains("help: set the variable HELPDESK_TOKEN, give it with `--set token=…`"), "{ended:?}");
}

#[test]
fn each_kind_of_mistake_has_one_line_and_the_exit_code_of_a_setting() {
    let good = description("https://api.example.com");
    for (text, message, help) in [
        (good.replace("name = \"tickets\"", "name = "), "helpdesk.toml:6:8: not TOML: ", "texts stand in quotes"),
        (
            good.replace("path", "pth"),
            "helpdesk.toml:7:1: stream \"tickets\": unknown key `pth`",
            "did you mean `path`?",
        ),
        (
            good.replace("\"/tickets\"", "5"),
            "helpdesk.toml:7:8: stream \"tickets\": path: expected a text, found a number",
            "write the value in quotes",
        ),
        (
            good.clone() + "paginate = \"lnk\"\n",
            "helpdesk.toml:8:12: stream \"tickets\": paginate: \"lnk\" is not a paginator",
            "write \"link\", \"none\", or one of ",
        ),
        (
            good.clone() + "errors = { 403 = \"skpi\" }\n",
            "helpdesk.toml:8:18: stream \"tickets\": errors.403: unknown word \"skpi\"",
            "did you mean \"skip\"?",
        ),
        (
            good.clone() + "parent = \"accounts\"\n",
            "helpdesk.toml:8:10: stream \"tickets\": parent: there is no stream \"accounts\"",
            "the streams are: tickets",
        ),
        (
            good.clone() + "query = { from = \"{sinc}\" }\n",
            "helpdesk.toml:8:18: stream \"tickets\": query.from: nothing fills `{sinc}`",
            "write `{since}`",
        ),
    ] {
        let program = Program::new().file("helpdesk.toml", &text);
        let ended = program.run(&["--source", "helpdesk.toml", "status"]).expect(4);
        let (error, advice) = ended.stderr.split_once('\n').unwrap();
        assert!(error.starts_with(&format!("error: {message}")), "{ended:?}");
        assert!(advice.starts_with(&format!("help: {help}")), "{ended:?}");
        let document = program.run(&["--json", "--source", "helpdesk.toml", "status"]).expect(4).json();
        assert_eq!(document["error"]["kind"], "configuration", "{document}");
        assert!(document["error"]["message"].as_str().unwrap().starts_with(message), "{document}");
        assert!(!program.path("helpdesk.db").exists(), "nothing is created");
    }
}

#[test]
fn a_command_without_a_source_says_how_to_name_one() {
    let ended = Program::new().run(&["ingest", "helpdesk"]).expect(4);
    assert_eq!(
        ended.stderr,
        "error: `ingest` needs a source\nhelp: write `snowfeed --source FILE.toml ingest` or `snowfeed github ingest`; \
         `snowfeed new NAME` writes a description\n"
    );
    let ended = Program::new().run(&["--source", "missing.toml", "status"]).expect(4);
    assert!(ended.stderr.starts_with("error: the description missing.toml cannot be read\n"), "{ended:?}");
    for args in [&["status", "--source"][..], &["--source", "a.toml", "--source=b.toml", "status"]] {
        let ended = Program::new().run(args).expect(4);
        assert!(ended.stderr.ends_with("help: write `--source FILE.toml`, once\n"), "{ended:?}");
    }
}

#[test]
fn a_stored_setting_that_became_part_of_the_host_sends_no_credential_elsewhere() {
    let (api, thief) = (MockApi::start(), MockApi::start());
    api.list("/tickets");
    thief.list("/tickets");
    let host = thief.url().strip_prefix("http://").unwrap();
    // First it is a parameter, which may be any text. Then it stands in the host.
    let before = description(api.url()).replace("\"/tickets\"", "\"/tickets?site={site}\"");
    let after = description("http://{site}").replace("name = \"tickets\"", "name = \"tickets\"\npaginate = \"none\"");
    let program = Program::new()
        .variable("HELPDESK_TOKEN", "secret-token-1")
        .variable("SNOWFEED_SOURCE", "helpdesk.toml")
        .file("helpdesk.toml", &before);
    program.run(&["configure", &format!("site={host}")]).expect(0);
    program.run(&["ingest", "helpdesk"]).expect(0);
    assert_eq!((api.count("/tickets"), thief.count("/tickets")), (1, 0));
    let program = program.file("helpdesk.toml", &after);
    for command in [&["check"][..], &["ingest", "helpdesk"], &["discover"]] {
        let ended = program.run(command).expect(4);
        assert!(ended.stderr.contains("`site`") && ended.stderr.contains("\nhelp: "), "{ended:?}");
        assert!(!ended.stderr.contains("secret-token-1"), "{ended:?}");
    }
    // A name is allowed there, and the credential was still not given for it.
    let (name, _) = host.split_once(':').unwrap();
    let program = program.file("helpdesk.toml", &before);
    program.run(&["configure", &format!("site={name}")]).expect(0);
    let program = program.file("helpdesk.toml", &after);
    let ended = program.run(&["ingest", "helpdesk"]).expect(4);
    assert!(ended.stderr.contains("was not given for the stored setting `site`"), "{ended:?}");
    assert_eq!(thief.requests().len(), 0, "the other server has the credential");
}

#[test]
fn another_description_is_not_taken_for_settings_that_are_not_loaded() {
    let (api, program) = (MockApi::start(), Program::new().variable("HELPDESK_TOKEN", "secret-token-1"));
    api.list("/tickets").insert(json!({"id": 1}));
    let text = description(api.url());
    let program = program.file("helpdesk.toml", &text).file("second.toml", &text);
    let ended = program.run(&["--source", "second.toml", "check"]).expect(0);
    assert!(!ended.stderr.contains("not loaded"), "{ended:?}");
    let program = program.file("helpdesk.toml", "token = \"env:OTHER\"\n");
    let ended = program.run(&["--source", "second.toml", "check"]).expect(0);
    assert!(ended.stderr.contains("the file helpdesk.toml in the current folder is not loaded"), "{ended:?}");
}
