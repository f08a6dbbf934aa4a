use serde_json::json;

use super::*;
use crate::rest::{ApiFile, Severity};

/// Compares the proposal about an answer, whose description must have no mistake.
fn assert_proposal(url: &str, link: Option<&str>, body: &Value, expected: &str) {
    let mut sample = Sample::new(url, body.clone());
    if let Some(link) = link {
        sample = sample.link(link);
    }
    let proposal = propose(&sample);
    assert_eq!(proposal.stream_toml(), expected, "{url}");
    let text = proposal.to_toml("x");
    let file = ApiFile::parse(&text, "x").unwrap();
    assert!(file.warnings.iter().all(|warning| warning.severity == Severity::Warning), "{text}");
}

/// Answers of the shapes that public APIs have.
#[test]
fn answers_of_public_apis_suggest_their_streams() {
    assert_proposal(
        "https://api.github.com/repos/o/r/issues?since=2024-01-01T00:00:00Z&sort=updated&direction=asc&state=all&per_page=2",
        Some(
            "https://api.github.com/repos/o/r/issues?since=2024-01-01T00:00:00Z&sort=updated&direction=asc&state=all&per_page=2&page=2",
        ),
        &json!([{"created_at":"2024-01-02T00:00:00Z","id":7,"number":3,"updated_at":"2024-01-03T00:00:00Z"},{"created_at":"2024-01-01T00:00:00Z","id":5,"number":2,"updated_at":"2024-01-04T00:00:00Z"}]),
        r#"[[stream]]
name = "issues"
path = "/repos/o/r/issues?sort=updated&direction=asc&state=all&per_page=2"
version = "/updated_at"
cursor = "since"
order = "version"
paginate = "link"
"#,
    );
    assert_proposal(
        "https://gitlab.example/api/v4/projects/4/issues?updated_after=2024-01-01T00:00:00Z",
        None,
        &json!([{"created_at":"2024-01-01T00:00:00.000+02:00","id":7,"iid":1,"updated_at":"2024-01-03T00:00:00.000+02:00"}]),
        r#"[[stream]]
name = "issues"
path = "/projects/4/issues"
version = "/updated_at"
cursor = "updated_after"
# paginate: look up how the list continues; write "none" if the answer always has all records
"#,
    );
    assert_proposal(
        "https://s.atlassian.net/rest/api/3/search/jql?jql=project=A",
        None,
        &json!({"isLast":false,"issues":[{"fields":{"created":"2024-01-01T00:00:00.000+0000","updated":"2024-01-03T00:00:00.000+0000"},"id":"10","key":"A-1"},{"fields":{"created":"2024-01-02T00:00:00.000+0000","updated":"2024-01-02T00:00:00.000+0000"},"id":"11","key":"A-2"}],"nextPageToken":"abc"}),
        r#"[[stream]]
name = "issues"
path = "/search/jql?jql=project=A"
records = "/issues"
version = "/fields/updated"
paginate = { token = "/nextPageToken", to = "pageToken", done = "/isLast" }  # look up the parameter that takes the token; "pageToken" is a guess
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://s.zendesk.com/api/v2/incremental/tickets/cursor.json?start_time=1704067200",
        None,
        &json!({"after_cursor":"abc","after_url":"https://s.zendesk.com/api/v2/incremental/tickets/cursor.json?cursor=abc","end_of_stream":false,"tickets":[{"generated_timestamp":1704067300,"id":1,"status":"open","updated_at":"2024-01-01T00:00:00Z"}],"users":[{"id":1},{"id":2},{"id":3}]}),
        r#"[[stream]]
name = "tickets"
path = "/incremental/tickets/cursor.json"
records = "/tickets"
version = { at = "/generated_timestamp", format = "epoch" }
cursor = "start_time"
paginate = { next = "/after_url", done = "/end_of_stream" }
"#,
    );
    assert_proposal(
        "https://s.zendesk.com/api/v2/tickets/1/comments.json?page[size]=100",
        None,
        &json!({"comments":[{"created_at":"2024-01-01T00:00:00Z","id":1}],"links":{"next":"https://s.zendesk.com/api/v2/tickets/1/comments.json?page[after]=x","prev":null},"meta":{"after_cursor":"x","has_more":true}}),
        r#"[[stream]]
name = "comments"
path = "/tickets/1/comments.json?page[size]=100"
records = "/comments"
paginate = { next = "/links/next", more = "/meta/has_more" }
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
"#,
    );
    assert_proposal(
        "https://api.stripe.com/v1/invoices?limit=2&created[gte]=1704067200",
        None,
        &json!({"data":[{"created":1704067300,"id":"in_2","lines":{"data":[{"id":"a"},{"id":"b"},{"id":"c"}],"object":"list"}},{"created":1704067200,"id":"in_1"}],"has_more":true,"object":"list","url":"/v1/invoices"}),
        r#"[[stream]]
name = "invoices"
path = "/invoices?limit=2"
records = "/data"
cursor = "created[gte]"
since = { at = "/created", format = "epoch" }
paginate = { last = "/id", to = "starting_after", more = "/has_more" }  # look up the parameter that takes the key of the last record; "starting_after" is a guess
# order: this page is sorted so; write `order = "-key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://api.hubapi.com/crm/v3/objects/contacts?limit=2",
        None,
        &json!({"paging":{"next":{"after":"NTI1","link":"https://api.hubapi.com/crm/v3/objects/contacts?after=NTI1"}},"results":[{"archived":false,"createdAt":"2024-01-01T00:00:00.000Z","id":"1","properties":{"email":"a"},"updatedAt":"2024-01-03T00:00:00.000Z"},{"archived":false,"createdAt":"2024-01-02T00:00:00.000Z","id":"2","updatedAt":"2024-01-02T00:00:00.000Z"}]}),
        r#"[[stream]]
name = "contacts"
path = "/objects/contacts?limit=2"
records = "/results"
version = "/updatedAt"
paginate = { token = "/paging/next/after", to = "after" }  # look up the parameter that takes the token; "after" is a guess
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://api.pagerduty.com/incidents?limit=2&offset=0",
        None,
        &json!({"incidents":[{"created_at":"2024-01-01T00:00:00Z","id":"P1","last_status_change_at":"2024-01-03T00:00:00Z","updated_at":"2024-01-03T00:00:00Z"},{"created_at":"2024-01-02T00:00:00Z","id":"P2","updated_at":"2024-01-02T00:00:00Z"}],"limit":2,"more":true,"offset":0,"total":null}),
        r#"[[stream]]
name = "incidents"
path = "/incidents?limit=2"
records = "/incidents"
version = "/updated_at"
paginate = { offset = "offset", more = "/more" }
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://slack.com/api/conversations.history?channel=C1&oldest=1704067200.000000&limit=2",
        None,
        &json!({"has_more":true,"messages":[{"text":"b","ts":"1704067300.000200","type":"message"},{"text":"a","ts":"1704067290.000100","type":"message"}],"ok":true,"response_metadata":{"next_cursor":"bmV4dA=="}}),
        r#"[[stream]]
name = "messages"
path = "/conversations.history?channel=C1&limit=2"
records = "/messages"
key = "/ts"
cursor = "oldest"
since = { format = "epoch" }
paginate = { token = "/response_metadata/next_cursor", to = "cursor", more = "/has_more" }  # look up the parameter that takes the token; "cursor" is a guess
# order: this page is sorted so; write `order = "-key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://shop.myshopify.com/admin/api/2024-04/orders.json?status=any&limit=2&updated_at_min=2024-01-01T00:00:00-05:00",
        Some("https://shop.myshopify.com/admin/api/2024-04/orders.json?limit=2&page_info=abc"),
        &json!({"orders":[{"id":1,"updated_at":"2024-01-02T00:00:00-05:00"},{"id":2,"updated_at":"2024-01-03T00:00:00-05:00"}]}),
        r#"[[stream]]
name = "orders"
path = "/2024-04/orders.json?status=any&limit=2"
records = "/orders"
version = "/updated_at"
cursor = "updated_at_min"
paginate = "link"
# order: this page is sorted so; write `order = "key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://app.asana.com/api/1.0/tasks?project=1&opt_fields=modified_at",
        None,
        &json!({"data":[{"gid":"1","modified_at":"2024-01-02T00:00:00.000Z"}],"next_page":{"offset":"eyJ0","path":"/tasks?offset=eyJ0","uri":"https://app.asana.com/api/1.0/tasks?offset=eyJ0"}}),
        r#"[[stream]]
name = "tasks"
path = "/1.0/tasks?project=1&opt_fields=modified_at"
records = "/data"
key = "/gid"
version = "/modified_at"
paginate = { token = "/next_page/offset", to = "offset" }  # look up the parameter that takes the token; "offset" is a guess
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
"#,
    );
    assert_proposal(
        "https://api.linear.app/graphql",
        None,
        &json!({"data":{"issues":{"nodes":[{"id":"a","trashed":null,"updatedAt":"2024-01-02T00:00:00.000Z"},{"id":"b","trashed":true,"updatedAt":"2024-01-01T00:00:00.000Z"}],"pageInfo":{"endCursor":"abc","hasNextPage":true}}}}),
        r#"[[stream]]
name = "issues"
path = "/graphql"
records = "/data/issues/nodes"
version = "/updatedAt"
deleted = "/trashed"
paginate = { token = "/data/issues/pageInfo/endCursor", to = "after", more = "/data/issues/pageInfo/hasNextPage" }  # look up the parameter that takes the token; "after" is a guess
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "-version"` if the API promises it
"#,
    );
    assert_proposal(
        "https://api.airtable.com/v0/appX/tblY",
        None,
        &json!({"offset":"itr123/rec1","records":[{"createdTime":"2024-01-02T00:00:00.000Z","fields":{"Name":"x"},"id":"rec1"}]}),
        r#"[[stream]]
name = "tbl_y"
path = "/appX/tblY"
records = "/records"
paginate = { token = "/offset", to = "offset" }  # look up the parameter that takes the token; "offset" is a guess
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
"#,
    );
    assert_proposal(
        "https://forum.example/latest.json",
        None,
        &json!({"topic_list":{"more_topics_url":"/latest?page=1","topics":[{"bumped_at":"2024-01-02T00:00:00.000Z","created_at":"2024-01-01T00:00:00.000Z","id":9}]},"users":[{"id":1},{"id":2}]}),
        r#"[[stream]]
name = "topics"
path = "/latest.json"
records = "/topic_list/topics"
version = "/bumped_at"
paginate = { next = "/topic_list/more_topics_url" }
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
"#,
    );
}

#[test]
fn answers_that_show_little_leave_questions() {
    assert_proposal(
        "https://api.example.com/v1/widgets?page=1&api_key=sekret",
        None,
        &json!({"items":[{"deleted_at":null,"id":1},{"deleted_at":"2024-01-01T00:00:00Z","id":2}],"page":1,"total_pages":3}),
        r#"[[stream]]
name = "widgets"
path = "/widgets"
records = "/items"
deleted = "/deleted_at"
paginate = { page = "page", pages = "/total_pages" }
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "key"` if the API promises it
"#,
    );
    assert_proposal(
        "https://api.example.com/v1/widgets",
        None,
        &json!({"items":[]}),
        r#"[[stream]]
name = "widgets"
path = "/widgets"
records = "/items"  # there are no records: ask for a list that has some
# key: name what identifies a record; a list of pointers is possible
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# paginate: look up how the list continues; write "none" if the answer always has all records
"#,
    );
    assert_proposal(
        "https://api.example.com/v1/widgets",
        None,
        &json!([{"id":0},{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6},{"id":7},{"id":8},{"id":9},{"id":10},{"id":11},{"id":12},{"id":13},{"id":14},{"id":15},{"id":16},{"id":17},{"id":18},{"id":19},{"id":20},{"id":21},{"id":22},{"id":23},{"id":24}]),
        r#"[[stream]]
name = "widgets"
path = "/widgets"
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# order: this page is sorted so; write `order = "key"` if the API promises it
# paginate: 25 records look like the first page of several: look up how the list continues
"#,
    );
    assert_proposal(
        "https://api.example.com/v1/me",
        None,
        &json!({"id":4,"name":"x"}),
        r#"[[stream]]
name = "me"
path = "/me"
paginate = "none"
"#,
    );
    assert_proposal(
        "https://api.example.com",
        None,
        &json!("text"),
        r#"[[stream]]
name = "records"
path = "/"
paginate = "none"
# records: there are no records: ask for a list that has some
# key: name what identifies a record; a list of pointers is possible
"#,
    );
}

#[test]
fn a_proposal_holds_no_secret_of_the_request() {
    let proposal =
        propose(&Sample::new("https://api.example.com/v1/widgets?page=1&api_key=sekret", json!([{"id": 1}])));
    let text = proposal.to_toml("x");
    assert!(text.contains("auth = { query = { api_key = \"{token}\" } }  # the value of X_TOKEN"), "{text}");
    assert!(!text.contains("sekret"), "{text}");
    let text = proposal.secret_header("X Key").header("Accept", "text/\"json\"").to_toml("x");
    assert!(text.contains("auth = { header = { \"X Key\" = \"{token}\" } }"), "{text}");
    assert!(text.contains("headers = { Accept = \"text/\\\"json\\\"\" }"), "{text}");
}

#[test]
fn what_was_found_is_listed_in_words() {
    let body = json!({"ok": true, "items": [{"id": 2, "updated_at": 1_704_067_300}, {"id": 1, "updated_at": 1_704_067_200}], "next_cursor": "a"});
    let proposal = propose(&Sample::new("https://x.test/items", body));
    let found: Vec<(&str, &str)> =
        proposal.findings.iter().map(|finding| (finding.key, finding.found.as_str())).collect();
    assert_eq!(
        found,
        [
            ("records", "/items: 2 records"),
            ("key", "/id"),
            ("version", "/updated_at: seconds since 1970"),
            ("order", "-key: on this page, the newest record first"),
            ("paginate", "/next_cursor: a token for the next page"),
            ("errors", "/ok: a flag of success, so that /error may have the code of an error"),
        ]
    );
}

#[test]
fn the_blank_description_is_sound() {
    let file = ApiFile::parse(&Proposal::blank("helpdesk"), "helpdesk.toml").unwrap();
    assert_eq!(file.warnings, []);
    // What stands in comments must be right, too.
    let text =
        Proposal::blank("helpdesk").replace("# [[", "[[").replace("# name", "name").replace("# parent", "parent");
    let text = text.replace("# path", "path").replace("# records", "records").replace("# paginate", "paginate");
    assert_eq!(ApiFile::parse(&text, "helpdesk.toml").unwrap().api.streams.len(), 2);
}

#[test]
fn times_without_a_zone_are_recognized() {
    assert_proposal(
        "https://api.pipedrive.com/v1/deals?since=2026-01-01%2010:00:00",
        None,
        &json!({"data":[{"add_time":"2026-01-01 10:00:00","id":2,"update_time":"2026-01-02 10:00:00"},{"add_time":"2026-01-01 09:00:00","id":1,"update_time":"2026-01-01 11:00:00"},{"add_time":"2026-01-01 11:00:00","id":3,"update_time":"2026-01-03T11:00:00"}]}),
        r#"[[stream]]
name = "deals"
path = "/deals"
records = "/data"
version = "/update_time"
cursor = "since"
# paginate: look up how the list continues; write "none" if the answer always has all records
"#,
    );
}

#[test]
fn times_as_dotnet_writes_them_are_recognized() {
    assert_proposal(
        "https://api.xero.com/api.xro/2.0/Invoices",
        None,
        &json!({"Invoices":[{"InvoiceID":"a","UpdatedDateUTC":"/Date(1778763975021+0000)/"}]}),
        r#"[[stream]]
name = "invoices"
path = "/api.xro/2.0/Invoices"
records = "/Invoices"
key = "/InvoiceID"
version = { at = "/UpdatedDateUTC", format = "dotnet" }
# cursor: name the parameter for what has changed since, if there is one; without it each run reads everything
# paginate: look up how the list continues; write "none" if the answer always has all records
"#,
    );
}

#[test]
fn each_parameter_that_signs_in_becomes_a_setting() {
    let body = json!([{"id": "b1"}]);
    for (url, auth, path) in [
        (
            "https://api.trello.com/1/members/me/boards?key=k-123&filter=open&token=t-456",
            "auth = { query = { key = \"{api_key}\", token = \"{token}\" } }  # the values of TRELLO_API_KEY and TRELLO_TOKEN\n",
            "path = \"/members/me/boards?filter=open\"\n",
        ),
        (
            "https://api.trello.com/1/members/me/boards?key=k-123",
            "auth = { query = { key = \"{token}\" } }  # the value of TRELLO_TOKEN\n",
            "path = \"/members/me/boards\"\n",
        ),
    ] {
        let text = propose(&Sample::new(url, body.clone())).to_toml("trello");
        assert!(text.contains(auth) && text.contains(path), "{text}");
        assert!(!text.contains("k-123") && !text.contains("t-456"), "{text}");
        ApiFile::parse(&text, "x").unwrap();
    }
}

/// Records in the order of both fields, which a URL asks for by `sort`.
fn sorted_by(sort: &str, version: &str) -> Proposal {
    let record = |id: u32, day: u32| {
        let mut record = json!({"id": id, "add_time": format!("2024-01-0{day}T00:00:00Z")});
        record[version] = format!("2024-02-0{day}T00:00:00Z").into();
        record
    };
    propose(&Sample::new(format!("https://x.test/deals?{sort}"), json!([record(1, 1), record(2, 2)])))
}

#[test]
fn what_a_url_sorts_by_is_the_version_and_any_other_order_is_a_guess() {
    for (sort, version) in [
        ("sort=update_time%20ASC", "update_time"),
        ("sort=updateTime", "updateTime"),
        ("sort_by=touched_on", "touched_on"),
        ("orderBy=lastSeen&dir=asc", "lastSeen"),
        ("sort=date_modified", "date_modified"),
        ("sort=modification_time", "modification_time"),
    ] {
        let text = sorted_by(sort, version).stream_toml();
        assert!(text.contains(&format!("version = \"/{version}\"\n")), "{sort}: {text}");
        assert!(text.contains("\norder = \"version\"\n"), "{sort}: {text}");
    }
    for sort in ["sort=asc", "sort=priority", "order=asc"] {
        let text = sorted_by(sort, "seen").stream_toml();
        assert!(!text.contains("\norder = ") && text.contains("# order: this page is sorted so"), "{sort}: {text}");
    }
    assert!(sorted_by("sort=id", "seen").stream_toml().contains("\norder = \"key\"\n"));
}
