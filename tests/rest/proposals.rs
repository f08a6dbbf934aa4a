//! Proposals from answers, and that what they say can be read.

use serde_json::{Value, json};
use snowfeed::rest::{ApiFile, Sample, propose};

/// What is proposed for `paginate`, of a description without a mistake.
fn paginate(sample: Sample) -> String {
    let proposal = propose(&sample);
    let text = proposal.to_toml("x");
    ApiFile::parse(&text, "x").unwrap();
    let line = text.lines().find(|line| line.starts_with("paginate = ")).unwrap_or_else(|| panic!("{text}"));
    line.trim_start_matches("paginate = ").split("  #").next().unwrap().to_owned()
}

fn posted(url: &str, answer: Value, body: Value) -> Sample {
    Sample::new(url, answer).posted(body.as_object().unwrap().clone())
}

#[test]
fn a_token_inside_an_object_comes_before_a_page_number() {
    let pages = json!({"type": "pages", "page": 1, "per_page": 150, "total_pages": 2, "next": {"page": 2, "starting_after": "WzE3OTQ="}});
    let answer = json!({"type": "conversation.list", "pages": pages, "total_count": 300, "conversations": [{"id": "1", "updated_at": 1_794_338_845}, {"id": "2", "updated_at": 1_794_338_905}]});
    let url = "https://api.intercom.io/conversations/search";
    for (body, to) in [
        (
            json!({"query": {"field": "updated_at", "value": 0}, "pagination": {"per_page": 150}}),
            "/pagination/starting_after",
        ),
        (json!({"query": {"field": "updated_at", "value": 0}, "pagination": {}}), "/pagination/starting_after"),
        (json!({"search": {"q": "x"}, "window": {"limit": 150}}), "/window/starting_after"),
        (json!({"filter": {"limit": 3}, "per_page": 150}), "/starting_after"),
        (json!({"query": {}}), "/starting_after"),
    ] {
        let expected = format!("{{ token = \"/pages/next/starting_after\", to = \"{to}\" }}");
        assert_eq!(paginate(posted(url, answer.clone(), body)), expected);
    }
    let url = "https://api.intercom.io/contacts?per_page=150";
    let expected = "{ token = \"/pages/next/starting_after\", to = \"starting_after\" }";
    assert_eq!(paginate(Sample::new(url, answer)), expected);
    // Alone, it may be what was asked.
    let answer = json!({"data": [{"id": 1}], "page": 2, "starting_after": "x"});
    assert_eq!(paginate(Sample::new("https://x.test/v1/a", answer)), "{ page = \"page\" }");
}

#[test]
fn a_number_of_pages_beside_the_page_number_ends_the_list() {
    for (url, answer, expected) in [
        (
            "https://x.test/v1/items?per_page=20&page=1",
            json!({"page": 1, "per_page": 20, "total_pages": 5, "total": 100, "items": [{"id": 1}]}),
            "{ page = \"page\", pages = \"/total_pages\" }",
        ),
        (
            "https://x.test/v1/items",
            json!({"meta": {"pagination": {"page": 1, "pageCount": 5}}, "data": [{"id": 1}]}),
            "{ page = \"page\", pages = \"/meta/pagination/pageCount\" }",
        ),
        // Laravel's, without its links.
        (
            "https://x.test/v1/items",
            json!({"current_page": 1, "data": [{"id": 1}], "last_page": 5, "per_page": 15}),
            "{ page = \"page\", pages = \"/last_page\" }",
        ),
        (
            "https://x.test/v1/items?page=1",
            json!({"page": 1, "total_pages": 5, "has_more": true, "items": [{"id": 1}]}),
            "{ page = \"page\", more = \"/has_more\" }",
        ),
        ("https://x.test/v1/items?page=1", json!({"items": [{"id": 1}], "total": 100}), "{ page = \"page\" }"),
        (
            "https://x.test/v1/items?offset=0",
            json!({"items": [{"id": 1}], "total_pages": 100}),
            "{ offset = \"offset\" }",
        ),
    ] {
        assert_eq!(paginate(Sample::new(url, answer)), expected, "{url}");
    }
    let answer = json!({"page": 1, "total_pages": 5, "items": [{"id": 1}]});
    let proposal = propose(&Sample::new("https://x.test/v1/items?page=1", answer));
    let found: Vec<&str> =
        proposal.findings.iter().filter(|finding| finding.key == "paginate").map(|it| it.found.as_str()).collect();
    assert_eq!(found, ["the parameter page: the number of the page", "/total_pages: the number of pages"]);
}
