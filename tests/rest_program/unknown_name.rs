//! A name that the API does not have.

use serde_json::{Value, json};
use snowfeed::testkit::mock_api::{MockApi, MockResponse};

use super::Program;

/// A description with a list of each workspace, the comments on it, and this.
fn description(api: &MockApi, more: &str) -> String {
    format!(
        "name = \"desk\"\nbase_url = \"{}\"\nresource = {{ stream = \"workspaces\", id = \"/id\" }}\npaginate = \"none\"\n\
         [[stream]]\nname = \"workspaces\"\npath = \"/workspaces\"\ndefault = false\n\
         [[stream]]\nname = \"tickets\"\npath = \"/workspaces/{{resource}}/tickets\"\n\
         [[stream]]\nname = \"comments\"\nparent = \"tickets\"\npath = \"/tickets/{{parent.id}}/comments\"\n{more}",
        api.url()
    )
}

fn api() -> MockApi {
    let api = MockApi::start();
    api.list("/workspaces").insert(json!({"id": "acme"}));
    api.json("/workspaces/acme/tickets", &json!([]));
    api.json("/labels", &json!([]));
    api
}

/// The names that are enabled.
fn enabled(program: &Program) -> Vec<String> {
    let status = program.run(&["--source", "desk.toml", "status", "--json"]).expect(0).json();
    let resources = status["resources"].as_array().unwrap().iter().filter(|resource| resource["enabled"] == true);
    resources.map(|resource| resource["resource"].as_str().unwrap().to_owned()).collect()
}

/// The error of the run that failed.
fn error(ingested: &Value) -> (String, String) {
    let runs = ingested["runs"].as_array().unwrap();
    let error = runs.iter().find_map(|run| run["error"].as_object()).unwrap();
    assert_eq!(error["kind"], "not_found");
    (error["message"].as_str().unwrap().to_owned(), error["help"].as_str().unwrap().to_owned())
}

const NOT_KEPT: &str = "`discover` lists each workspace that the settings can access; this one does not stay enabled";
const KEPT: &str =
    "`discover` lists each workspace that the settings can access, and `disable acmee` stops the attempts";

#[test]
fn a_name_that_no_list_knows_does_not_stay_enabled() {
    let api = api();
    let program = Program::new().file("desk.toml", &description(&api, ""));
    // The children of nothing say nothing.
    let ingested = program.run(&["--source", "desk.toml", "ingest", "acmee", "--json"]).json();
    assert!(error(&ingested).1.ends_with(NOT_KEPT), "{ingested}");
    assert_eq!(enabled(&program), Vec::<String>::new());
    program.run(&["--source", "desk.toml", "ingest", "acme"]).expect(0);
    assert_eq!(enabled(&program), ["acme"]);
    // It was enabled before.
    program.run(&["--source", "desk.toml", "enable", "acmee"]).expect(0);
    for _ in 0..2 {
        let ingested = program.run(&["--source", "desk.toml", "ingest", "acmee", "--json"]).json();
        assert!(error(&ingested).1.ends_with(KEPT), "{ingested}");
        assert_eq!(enabled(&program), ["acme", "acmee"]);
    }
    let shown = program.run(&["--source", "desk.toml", "ingest", "acmee"]);
    assert!(shown.stderr.contains(KEPT), "{shown:?}");
}

#[test]
fn a_name_that_another_list_answers_stays_enabled_with_advice() {
    let api = api();
    let labels = "[[stream]]\nname = \"labels\"\npath = \"/labels?workspace={resource}\"\n";
    let program = Program::new().file("desk.toml", &description(&api, labels));
    let ingested = program.run(&["--source", "desk.toml", "ingest", "acmee", "--json"]).json();
    assert!(error(&ingested).1.ends_with(KEPT), "{ingested}");
    assert_eq!(enabled(&program), ["acmee"]);
}

#[test]
fn a_code_in_a_successful_answer_may_say_that_nothing_has_the_name() {
    let api = MockApi::start();
    api.list("/workspaces").insert(json!({"id": "acme"}));
    api.route("/workspaces/acmee/tickets", |_| MockResponse::json(&json!({"ok": false, "error": "channel_not_found"})));
    let text = description(&api, "").replace("paginate", "errors = { code = \"/error\" }\npaginate");
    let program = Program::new().file("desk.toml", &text);
    let ingested = program.run(&["--source", "desk.toml", "ingest", "acmee", "--json"]).json();
    assert!(error(&ingested).1.ends_with(NOT_KEPT), "{ingested}");
    assert_eq!(enabled(&program), Vec::<String>::new());
}
