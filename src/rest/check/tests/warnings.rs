use super::super::*;
use crate::http::Url;
use crate::rest::{ApiFile, Order, Paginate, ParentOf, Since, Span, StreamType};

/// The warnings about a text, with their positions and help.
fn warnings(text: &str) -> Vec<(String, String)> {
    let file = ApiFile::parse(&format!("name = \"x\"\nbase_url = \"https://{{site}}.test\"\n{text}"), "x").unwrap();
    file.warnings.into_iter().map(|warning| (warning.to_string(), warning.help)).collect()
}

#[test]
fn what_its_author_may_not_expect_is_a_warning() {
    let by_page = "paginate = { page = \"page\" }\n[[stream]]\nname = \"t\"\npath = \"/t\"\n";
    let one_page = "paginate = \"none\"\n[[stream]]\nname = \"t\"\npath = \"/t\"\n";
    let deletions =
        "add `deleted`, a stream with `deletes`, or `get`, which lets `ingest --reconcile` verify what a list lacks";
    for (text, expected, help) in [
        (
            "[[stream]]\nname = \"t\"\npath = \"/t\"\n".to_owned(),
            "x:3:1: stream \"t\": only the first page is read: the list has no `paginate`",
            "add `paginate`; write `paginate = \"none\"` if the answer always has all records",
        ),
        (
            by_page.to_owned(),
            "x:4:1: stream \"t\": paginate: a record that changes while the list is read moves to another page, and hides another one",
            "ask for an order and name it with `order`: \"version\" with a cursor misses nothing, \"key\" only hides records behind deletions",
        ),
        (
            format!("{by_page}version = \"/u\"\norder = \"version\""),
            "x:4:1: stream \"t\": paginate: a record that changes while the list is read moves to another page, and hides another one",
            "add `cursor`, so that page one can be asked for again from the last version",
        ),
        (
            format!("{by_page}order = \"key\""),
            "x:4:1: stream \"t\": paginate: a record that is deleted while the list is read hides another one",
            "run `ingest --reconcile` from time to time, or use a token if the API has one",
        ),
        (
            format!("{one_page}[[stream]]\nname = \"c\"\npath = \"/t/{{parent.id}}\"\nparent = \"t\""),
            "x:10:10: stream \"c\": parent: each run asks for the list of every record of \"t\", which has no `version`",
            "add a `version` to \"t\" that moves when a record of this list changes",
        ),
        (
            format!("{one_page}cursor = \"since\""),
            "x:4:1: stream \"t\": records that are deleted stay: nothing finds deletions",
            deletions,
        ),
        (
            format!("{one_page}deleted = \"/gone\"\npath = \"/t?from={{since}}&to={{until}}\"\nsince = {{ at = \"/c\", window = \"30d\" }}").replacen("path = \"/t\"\n", "", 1),
            "x:8:31: stream \"t\": since.window: a first read asks for each window since 1970, however little they hold",
            "say when the API's first records are from: `since = { start = \"2020-01-01\", window = \"30d\" }`",
        ),
        (
            format!("{one_page}deleted = \"/gone\"\nversion = \"/u\"\ncursor = \"from\"\nsince = {{ at = \"/c\" }}"),
            "x:10:16: stream \"t\": since.at: a record that changes later is not read again: the API is asked by /c, and changes move /u",
            "ask by what changes move; if the API cannot, let `overlap` cover the time in which records change, such as `overlap = \"30d\"`",
        ),
        (
            format!("settings = {{ sites = {{ help = \"x\" }} }}\n{one_page}"),
            "x:3:22: settings.sites: nothing in the description uses the setting",
            "write `{sites}` where it belongs, or remove it; `{site}` is another one",
        ),
        (
            format!("{one_page}query = {{ api_key = \"{{code}}\" }}"),
            "x:7:21: stream \"t\": query.api_key: `{code}` looks like a credential, and is stored and shown as any setting",
            "move it to `auth`, where settings are secrets: `auth = { query = { api_key = \"{code}\" } }`",
        ),
        (
            format!("{one_page}query = {{ a = \"{{{{since}}}}\" }}"),
            "x:7:15: stream \"t\": query.a: `{{since}}` is the text `{since}`, and no placeholder",
            "write `{since}` for the value",
        ),
        (
            format!("{one_page}query = {{ a = \"{{{{site}}}}\" }}"),
            "x:7:15: stream \"t\": query.a: `{{site}}` is the text `{site}`, and no placeholder",
            "write `{site}` for the value",
        ),
        (
            "paginate = \"none\"\n[[stream]]\nname = \"t\"\npath = \"/t/{{id}}\"\n".to_owned(),
            "x:6:8: stream \"t\": path: `{{id}}` is the text `{id}`, and no placeholder",
            "write `{id}` for the value",
        ),
        (
            format!("{one_page}query = {{ a = \"x {{since\" }}"),
            "x:7:15: stream \"t\": query.a: the brace in \"{since\" belongs to no placeholder",
            "write a placeholder as `{word}`, with letters, digits and `_`, and a word in braces that is text as `{{word}}`",
        ),
        (
            format!("{one_page}headers = {{ X-Api-Token = \"{{code}}\" }}"),
            "x:7:27: stream \"t\": headers.X-Api-Token: `{code}` looks like a credential, and is stored and shown as any setting",
            "move it to `auth`, where settings are secrets: `auth = { header = { X-Api-Token = \"{code}\" } }`",
        ),
        (
            format!("{one_page}paginate = {{ token = \"/cursor\", to = \"cursor\" }}\nbody = {{ limit = 100 }}").replacen("paginate = \"none\"\n", "", 1),
            "x:6:38: stream \"t\": paginate.to: the token of the next page is sent as the parameter \"cursor\", and everything else in the body",
            "write `to = \"/cursor\"` if the API takes it in the body, too",
        ),
        (
            format!("{one_page}paginate = {{ page = \"page\" }}\norder = \"-key\"\nkind = \"append\"\nbody = {{ limit = 100 }}").replacen("paginate = \"none\"\n", "", 1),
            "x:6:21: stream \"t\": paginate.page: the number of the next page is sent as the parameter \"page\", and everything else in the body",
            "write `page = \"/page\"` if the API takes it in the body, too",
        ),
        (
            format!("{one_page}kind = \"append\"\norder = \"-key\"\ncursor = \"since\""),
            "x:9:10: stream \"t\": cursor: `{since}` is never known: the records have no time from which to read on",
            "add `since = { at = \"/created_at\" }` or `version`, the pointer to what the API filters by; without it each run reads everything",
        ),
    ] {
        assert_eq!(warnings(&text), [(expected.to_owned(), help.to_owned())], "{text}");
    }
    for text in [
        format!("{one_page}query = {{ a = \"{{{{Status}}}} {{{{key_}}}}\" }}"),
        format!("{by_page}version = \"/u\"\norder = \"version\"\ncursor = \"since\"\ndeleted = \"/gone\""),
        format!("{by_page}kind = \"append\"\norder = \"-key\""),
        // A request with a body and other parameters.
        format!("{one_page}paginate = {{ token = \"/cursor\", to = \"cursor\" }}\nbody = {{ a = 1 }}\nquery = {{ limit = \"9\" }}").replacen("paginate = \"none\"\n", "", 1),
        format!("{one_page}paginate = {{ token = \"/cursor\", to = \"/cursor\" }}\nbody = {{ a = 1 }}").replacen("paginate = \"none\"\n", "", 1),
        format!("{one_page}kind = \"append\"\norder = \"-key\"\ncursor = \"since\"\nsince = {{ at = \"/date\" }}"),
        // Only an answer shows what is in the links.
        "[[stream]]\nname = \"t\"\npath = \"/t\"\npaginate = \"link\"".to_owned(),
        format!("{one_page}cursor = \"since\"\nget = \"/t/{{key}}\""),
        format!("{one_page}deleted = \"/gone\"\npath = \"/t?from={{since}}&to={{until}}\"\nsince = {{ at = \"/c\", start = \"2020-01-01\", window = \"30d\" }}").replacen("path = \"/t\"\n", "", 1),
        format!("{one_page}cursor = \"since\"\n[[stream]]\nname = \"d\"\npath = \"/d\"\ndeletes = \"t\""),
    ] {
        assert_eq!(warnings(&text), [], "{text}");
    }
}

#[test]
fn the_order_and_the_paginator_decide_what_changes_do_to_a_list() {
    let stream = || Stream::new("t", "/t");
    let numbered = || stream().paginate(Paginate::page("page"));
    for (stream, is_numbered, expected) in [
        (stream(), None, Drift::OnePage),
        (stream().paginate(Paginate::token("/a", "b")), None, Drift::None),
        (stream().paginate(Paginate::last("/a", "b")), None, Drift::None),
        (stream().paginate(Paginate::next("/a")), None, Drift::None),
        (stream().paginate(Paginate::next("/a")), Some(true), Drift::Updates),
        (stream().paginate(Paginate::link()), None, Drift::Links),
        (stream().paginate(Paginate::link()), Some(false), Drift::None),
        (stream().paginate(Paginate::link()).order(Order::Key), Some(true), Drift::Deletions),
        (stream().paginate(Paginate::link()).version("/u").order(Order::Version).cursor("s"), None, Drift::ReAnchored),
        (numbered(), None, Drift::Updates),
        (stream().paginate(Paginate::offset("o")), None, Drift::Updates),
        (numbered().version("/u").order(Order::Version), None, Drift::Updates),
        (numbered().version("/u").order(Order::Version).cursor("s"), None, Drift::ReAnchored),
        (numbered().version("/u").order(Order::VersionDescending).cursor("s"), None, Drift::Deletions),
        (numbered().order(Order::KeyDescending), None, Drift::Deletions),
        (numbered().order(Order::KeyDescending).kind(StreamType::Append), None, Drift::Repeats),
    ] {
        let api = Api::new("x", "https://x.test").stream(stream.clone());
        assert_eq!(drift(&api, &stream, is_numbered), expected, "{stream:?}");
        let loses = matches!(expected, Drift::Updates | Drift::Deletions);
        assert_eq!(expected.loses(), loses);
    }
    let stream = stream();
    let api = Api::new("x", "https://x.test").paginate(Paginate::page("page")).stream(stream.clone());
    assert_eq!(drift(&api, &stream, None), Drift::Updates, "the paginator of the API counts");
}

#[test]
fn a_link_may_hide_the_number_of_a_page() {
    let is_number = |page: &str, next: &str, records| {
        is_page_number(&Url::parse(page).unwrap(), &Url::parse(next).unwrap(), records, records)
    };
    for (page, next, records) in [
        ("https://x/t?per_page=30", "https://x/t?page=2&per_page=30", 30),
        ("https://x/t?page=2&per_page=30", "https://x/t?per_page=30&page=3", 17),
        ("https://x/t", "https://x/t?offset=100", 100),
        ("https://x/t?offset=100", "https://x/t?offset=200", 100),
        ("https://x/t?page=0", "https://x/t?page=1", 5),
        ("https://x/t?since=a", "https://x/t?since=a&page=2", 50),
        ("https://x/t?since=2024-01-01T00:00:00Z&page=2", "https://x/t?page=3&since=2024-01-01T00%3A00%3A00Z", 50),
        ("https://x/t?offset=100", "https://x/t?offset=150", 50),
        ("https://x/t", "https://x/t?offset=50", 50),
        ("https://x/repos/acme/w/issues?since=a", "https://x/repositories/17/issues?since=a&page=2", 50),
        ("https://x/repositories/17/issues?page=2", "https://x/repositories/17/issues?page=3", 50),
        ("https://x/t/1", "https://x/t/2", 50),
        ("https://x/t/1/items?a=b", "https://x/t/2/items?a=b", 50),
        ("https://x/t/100", "https://x/t/150", 50),
        ("https://x/t", "https://x/t/2", 50),
        ("https://x/t", "https://x/t/page/2", 50),
        ("https://x/t/", "https://x/t/2", 50),
    ] {
        assert!(is_number(page, next, records), "{page} {next}");
    }
    for (page, next, records) in [
        ("https://x/t", "https://x/t?after=abc", 30),
        ("https://x/t", "https://x/t?after=48213", 30),
        ("https://x/t?after=48213", "https://x/t?after=48313", 30),
        ("https://x/t?page=1", "https://y/t?page=2", 30),
        ("https://x/t?page=1", "https://x/t?page=2&token=abc", 30),
        ("https://x/t?page=a", "https://x/t?page=2", 30),
        ("https://x/t?page=1", "https://x/t?page=1", 30),
        ("https://x/t", "https://x/t?page=7", 50),
        ("https://x/t?page=2", "https://x/t?page=4", 50),
        ("https://x/t?after=x", "https://x/t?after=y", 50),
        ("https://x/t", "https://x/t/7", 50),
        ("https://x/t/1", "https://x/t/3", 50),
        ("https://x/t/1/items", "https://x/t/2/other", 50),
        ("https://x/t/a", "https://x/t/b", 50),
        ("https://x/t", "https://x/t", 50),
        ("https://x/t?after=1&at=2", "https://x/t?after=7&at=9", 50),
        ("https://x/t?id=1&page=2", "https://x/t?id=2&page=3", 50),
    ] {
        assert!(!is_number(page, next, records), "{page} {next}");
    }
}

#[test]
fn a_token_that_counts_is_a_page_number() {
    use serde_json::{Value, json};

    let is_number = |old: Option<Value>, token: Value, last_key: &str, records: u64| {
        is_page_number_token(old.as_ref(), &token, Some(last_key), 50, records)
    };
    for (old, token, records) in [
        (None, json!("50"), 50),
        (None, json!(2), 50),
        (None, json!(1), 50),
        (Some(json!("50")), json!("100"), 100),
        (Some(json!(2)), json!(3), 100),
        // The size of the page is written as a text, then as a number.
        (Some(json!("50")), json!(100), 100),
    ] {
        assert!(is_number(old.clone(), token.clone(), "8812", records), "{old:?} {token}");
    }
    for (old, token, records) in [
        (None, json!("8812"), 50),
        (None, json!("NTA="), 50),
        (None, json!("0050"), 50),
        (Some(json!("8762")), json!("8812"), 100),
        // The key of the next record, as the id of a keyset.
        (Some(json!("8763")), json!("8813"), 100),
        (Some(json!("a1")), json!("2"), 100),
        (Some(json!(50)), json!(170), 100),
        (Some(json!(50)), json!(50), 100),
    ] {
        assert!(!is_number(old.clone(), token.clone(), "8812", records), "{old:?} {token}");
    }
}

#[test]
fn a_page_is_full_if_it_has_as_many_records_as_were_asked_for() {
    let is_full = |url: &str, records| is_full_page(&Url::parse(url).unwrap(), records);
    for (url, records) in [
        ("https://x/t", 25),
        ("https://x/t?per_page=7", 7),
        ("https://x/t?page[size]=3", 3),
        ("https://x/t?pageSize=7", 7),
    ] {
        assert!(is_full(url, records), "{url} {records}");
    }
    for (url, records) in [
        ("https://x/t", 7),
        ("https://x/t?per_page=7", 6),
        ("https://x/t?limit=7&page=3", 3),
        ("https://x/t?limit=0", 0),
    ] {
        assert!(!is_full(url, records), "{url} {records}");
    }
}

#[test]
fn a_round_number_of_records_looks_like_a_page() {
    for records in [10, 20, 25, 30, 50, 100, 200, 250, 500, 1_000] {
        assert!(is_page_size(records), "{records}");
    }
    for records in [0, 1, 7, 11, 29, 31, 99, 101, 333] {
        assert!(!is_page_size(records), "{records}");
    }
}

#[test]
fn streams_are_put_after_those_that_they_depend_on() {
    let api = Api::new("x", "https://x.test")
        .paginate(Paginate::none())
        .stream(Stream::new("gone", "/c/{parent.id}").parent("c"))
        .stream(Stream::new("c", "/t/{parent.id}/c").parent(ParentOf::stream("t")))
        .stream(Stream::new("other", "/other"))
        .stream(Stream::new("t", "/t"));
    let names: Vec<String> = api.validated().unwrap().streams.into_iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["other", "t", "c", "gone"]);
}

#[test]
fn a_description_in_rust_has_its_places_without_a_file() {
    let stream = Stream::new("t", "/t?a={until}").since(Since::new().overlap(Span::seconds(1))).order(Order::Version);
    let error = Api::new("x", "https://x.test").stream(stream).validated().unwrap_err();
    assert!(error.message().starts_with("stream \"t\": order: "), "{error}");
    assert!(
        error.help().unwrap().contains("; then there are 2 more mistakes, the next one: stream \"t\": since: "),
        "{error:?}"
    );
    let flags = Stream::new("t", "/t").paginate(Paginate::link().more("/more"));
    let error = Api::new("x", "https://x.test").stream(flags).validated().unwrap_err();
    assert_eq!(error.message(), "stream \"t\": paginate: a flag says nothing beside a link");
}
