//! What `check` finds out from the first pages of an API.

use serde_json::{Value, json};
use snowfeed::testkit::mock_api::{MockApi, MockResponse, Paging};

use super::Program;

/// What `check` warns about.
fn warnings(api: &MockApi, description: &str) -> Vec<String> {
    let text = format!("name = \"desk\"\nbase_url = \"{}\"\n{description}", api.url());
    let program = Program::new().file("desk.toml", &text);
    let checked = program.run(&["--source", "desk.toml", "check", "--json"]).expect(0).json();
    let plain = program.run(&["--source", "desk.toml", "check"]).expect(0);
    let texts: Vec<String> = checked["warnings"].as_array().unwrap().iter().map(text_of).collect();
    for warning in &texts {
        assert_eq!(plain.stderr.matches(warning.as_str()).count(), 1, "{warning}: {plain:?}");
    }
    texts
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_page_number_behind_a_link_is_found_with_one_request_per_list() {
    let api = MockApi::start();
    api.list("/workspaces").insert(json!({"id": "acme"}));
    let tickets = api.list("/tickets").filter("workspace", "workspace").paging(Paging::links("page").size(2));
    let comments = api.child_list("/tickets/{ticket}/comments", &tickets).paging(Paging::links("page").size(1));
    for id in 1..=5 {
        tickets.insert(json!({"id": id, "workspace": "acme", "updated_at": format!("2024-01-0{id}T00:00:00Z")}));
        comments.of(id).extend([json!({"id": id * 10}), json!({"id": id * 10 + 1})]);
    }
    let found = warnings(
        &api,
        "resource = { stream = \"workspaces\", id = \"/id\" }\npaginate = \"link\"\n\
         [[stream]]\nname = \"workspaces\"\npath = \"/workspaces\"\npaginate = \"none\"\ndefault = false\n\
         [[stream]]\nname = \"tickets\"\npath = \"/tickets?workspace={resource}\"\nversion = \"/updated_at\"\norder = \"key\"\n\
         [[stream]]\nname = \"comments\"\nparent = \"tickets\"\npath = \"/tickets/{parent.id}/comments\"\n",
    );
    let expected = [
        "stream \"tickets\": paginate: the links hold the number of the page: a record that is deleted while the list is read hides \
         another one; run `ingest --reconcile` from time to time, or use a token if the API has one",
        "stream \"comments\": paginate: the links hold the number of the page: a record that changes while the list is read moves to \
         another page, and hides another one; ask for an order and name it with `order`: \"version\" with a cursor misses nothing, \
         \"key\" only hides records behind deletions",
    ];
    assert_eq!(found, expected);
    // Two commands.
    assert_eq!((api.count("/workspaces"), api.count("/tickets"), api.count("/tickets/{ticket}/comments")), (2, 2, 2));
}

#[test]
fn a_link_with_a_token_and_a_list_that_is_asked_for_again_are_right() {
    let api = MockApi::start();
    let url = api.url().to_owned();
    api.route("/events", move |_| {
        MockResponse::json(&json!([{"id": 1}])).with_header("Link", &format!("<{url}/events?after=48f1>; rel=\"next\""))
    });
    let tickets =
        api.list("/tickets").since("since", "updated_at").sort_by("updated_at").paging(Paging::links("page").size(1));
    tickets.extend((1..=3).map(|id| json!({"id": id, "updated_at": format!("2024-01-0{id}T00:00:00Z")})));
    let found = warnings(
        &api,
        "paginate = \"link\"\n[[stream]]\nname = \"events\"\npath = \"/events\"\n\
         [[stream]]\nname = \"tickets\"\npath = \"/tickets\"\nversion = \"/updated_at\"\norder = \"version\"\ncursor = \"since\"\n\
         deleted = \"/gone\"\n",
    );
    assert_eq!(found, Vec::<String>::new());
    // One request for each list, in each of two checks.
    assert_eq!((api.count("/events"), api.count("/tickets")), (2, 2));
}

#[test]
fn a_round_number_of_records_without_a_paginator_looks_like_a_first_page() {
    let api = MockApi::start();
    api.list("/tickets").paging(Paging::links("page").size(25)).extend((1..=60).map(|id| json!({"id": id})));
    api.list("/users").extend((1..=7).map(|id| json!({"id": id})));
    let found = warnings(
        &api,
        "[[stream]]\nname = \"users\"\npath = \"/users\"\n[[stream]]\nname = \"tickets\"\npath = \"/tickets\"\n",
    );
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[..2].iter().all(|warning| warning.contains("only the first page is read")), "{found:?}");
    assert_eq!(
        found[2],
        "stream \"tickets\": 25 records, a round number, look like the first page of several; add `paginate`; \
         write `paginate = \"none\"` if the answer always has all records"
    );
}

#[test]
fn a_list_that_cannot_be_read_as_it_is_described_fails_the_check() {
    for (status, code) in [(400, 1), (403, 5), (404, 6)] {
        let api = MockApi::start();
        api.list("/users").insert(json!({"id": 1}));
        api.route("/tickets", move |_| MockResponse::new(status));
        let text = format!(
            "name = \"desk\"\nbase_url = \"{}\"\npaginate = \"link\"\n[[stream]]\nname = \"users\"\npath = \"/users\"\n\
             [[stream]]\nname = \"tickets\"\npath = \"/tickets?limit=5000\"\n",
            api.url()
        );
        let checked = Program::new().file("desk.toml", &text).run(&["--source", "desk.toml", "check"]).expect(code);
        assert!(checked.stderr.contains("/tickets?limit=5000"), "{checked:?}");
    }
}

#[test]
fn a_reconcile_run_says_what_it_cannot_tell() {
    let api = MockApi::start();
    let list = api.list("/tickets").since("since", "updated_at");
    list.extend((1..=3).map(|id| json!({"id": id, "updated_at": "2024-01-01T00:00:00Z"})));
    let text = format!(
        "name = \"desk\"\nbase_url = \"{}\"\n[[stream]]\nname = \"tickets\"\npath = \"/tickets\"\nversion = \"/updated_at\"\n\
         cursor = \"since\"\npaginate = \"none\"\ndeleted = \"/gone\"\n",
        api.url()
    );
    let program = Program::new().file("desk.toml", &text);
    program.run(&["--source", "desk.toml", "ingest", "desk"]).expect(0);
    list.delete(2);
    let reconciled = program.run(&["--source", "desk.toml", "ingest", "--reconcile", "desk"]).expect(0);
    let says = "stream \"tickets\": the source did not return 1 of the stored rows, and does not tell whether their records are gone";
    assert!(reconciled.stderr.contains(says), "{reconciled:?}");
}

#[test]
fn a_full_page_without_a_link_looks_like_a_first_page() {
    let api = MockApi::start();
    api.list("/tickets").extend((1..=3).map(|id| json!({"id": id})));
    api.list("/notes").extend((1..=3).map(|id| json!({"id": id})));
    api.list("/users").paging(Paging::links("page").size(2)).extend((1..=3).map(|id| json!({"id": id})));
    let found = warnings(
        &api,
        "paginate = \"link\"\n[[stream]]\nname = \"notes\"\npath = \"/notes?limit=50\"\n\
         [[stream]]\nname = \"tickets\"\npath = \"/tickets?per_page=3\"\nkind = \"append\"\norder = \"-key\"\n\
         [[stream]]\nname = \"users\"\npath = \"/users?limit=2\"\nkind = \"append\"\norder = \"-key\"\n",
    );
    assert_eq!(
        found,
        [
            "stream \"tickets\": 3 records fill the first page, and the answer has no header `Link` with `rel=\"next\"`; look up how the list \
             continues, unless the API leaves the header out on the last page"
        ]
    );
}

#[test]
fn a_page_number_behind_a_token_is_found() {
    let api = MockApi::start();
    api.route("/contacts", |request| {
        let after: u64 = request.query("after").and_then(|after| after.parse().ok()).unwrap_or_default();
        let next = json!({"after": (after + 3).to_string()});
        let records: Vec<Value> = (after..after + 3).map(|id| json!({"id": 900 - id * 7})).collect();
        MockResponse::json(&json!({"results": records, "paging": {"next": next}}))
    });
    let found = warnings(
        &api,
        "[[stream]]\nname = \"contacts\"\npath = \"/contacts\"\nrecords = \"/results\"\n\
         paginate = { token = \"/paging/next/after\", to = \"after\" }\n",
    );
    assert_eq!(
        found,
        [
            "stream \"contacts\": paginate: the tokens are the number of the page: a record that changes while the list is read moves to \
             another page, and hides another one; ask for an order and name it with `order`: \"version\" with a cursor misses nothing, \
             \"key\" only hides records behind deletions"
        ]
    );
}

/// What `check` warns about the single records of a list of one note, which has the key 7.
fn warnings_of_get(get: &str, answer: impl Fn() -> MockResponse + Send + Sync + 'static) -> Vec<String> {
    let api = MockApi::start();
    api.list("/notes").records_at("/data").insert(json!({"id": 7, "text": "a"}));
    api.route("/notes/7", move |_| answer());
    let found = warnings(
        &api,
        &format!(
            "[[stream]]\nname = \"notes\"\npath = \"/notes\"\nrecords = \"/data\"\npaginate = \"none\"\nget = {get}\n"
        ),
    );
    // Two commands.
    assert_eq!((api.count("/notes"), api.count("/notes/7")), (2, 2));
    found
}

#[test]
fn one_record_is_asked_for_by_its_key() {
    let plain = "\"/notes/{key}\"";
    for answer in [json!({"id": 7}), json!({"data": {"id": 7}}), json!({"data": [{"id": "7"}]})] {
        assert_eq!(warnings_of_get(plain, move || MockResponse::json(&answer)), Vec::<String>::new());
    }
    let found = warnings_of_get(plain, || MockResponse::json(&json!({"note": {"id": 7}})));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("stream \"notes\": get: the record 7 of the list cannot be read"), "{found:?}");
    assert!(found[0].ends_with("; write `get = { path = \"/notes/{key}\", records = \"/note\" }`"), "{found:?}");
    for answer in [MockResponse::new(404), MockResponse::json(&json!({"data": []}))] {
        let found = warnings_of_get(plain, move || answer.clone());
        let expected = "stream \"notes\": get: it does not find the record 7, which the list has: a reconcile run would take records for \
                        deleted that are not; correct `get`";
        assert_eq!(found, [expected]);
    }
    let found = warnings_of_get(plain, || MockResponse::json(&json!({"id": 8})));
    let expected =
        "stream \"notes\": get: it answers with another record than 7, the one that it is asked for; correct `get`";
    assert_eq!(found, [expected]);
}

#[test]
fn a_number_of_pages_that_a_full_page_contradicts_is_doubtful() {
    let missing = "stream \"tickets\": 25 records, a round number, look like the first page of several, and there is nothing at /total_pages, \
                   where the number of pages should be; correct `pages` of `paginate`";
    let one = "stream \"tickets\": 25 records fill the first page, and the number that `paginate` points at says that it is the last one; \
               correct the pointer, unless there are exactly this many";
    for (path, records, total, expected) in [
        ("/tickets", 25, None, Some(missing)),
        ("/tickets", 25, Some(1), Some(one)),
        ("/tickets?per_page=25", 25, Some(1), Some(one)),
        ("/tickets?per_page=100", 25, Some(1), None),
        ("/tickets", 25, Some(2), None),
        ("/tickets", 7, Some(1), None),
        ("/tickets", 7, None, None),
    ] {
        let api = MockApi::start();
        api.route("/tickets", move |_| {
            let mut answer = json!({"data": (0..records).map(|id| json!({"id": id})).collect::<Vec<_>>()});
            if let Some(total) = total {
                answer["total_pages"] = json!(total);
            }
            MockResponse::json(&answer)
        });
        let found = warnings(
            &api,
            &format!(
                "[[stream]]\nname = \"tickets\"\npath = \"{path}\"\nrecords = \"/data\"\norder = \"key\"\n\
                 paginate = {{ page = \"page\", pages = \"/total_pages\" }}\n"
            ),
        );
        let about: Vec<&str> =
            found.iter().filter(|it| it.contains("page of") || it.contains("fill")).map(|it| it.as_str()).collect();
        assert_eq!(about, Vec::from_iter(expected), "{path} {records} {total:?}");
    }
}
