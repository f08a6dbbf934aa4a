//! The JSON Schema against what is read: editors accept what the program accepts.

use serde_json::{Value, json};
use snowfeed::rest::Api;

use super::json_schema::violations;

/// The forms of real APIs, one after the other.
const FORMS: [&str; 4] = [
    r#"
name = "desk"
base_url = "https://{domain}.example.com/api/v2"
auth = { basic = ["{token}", "X"] }
settings = { domain = { default = "acme", help = "the first part of the host" } }
errors = { 403 = "skip" }
paginate = "link"
[[stream]]
name = "tickets"
path = "/tickets?per_page=100"
cursor = "updated_since"
version = "/updated_at"
order = "version"
cap = 30000
[[stream]]
name = "tickets_deleted"
deletes = "tickets"
path = "/tickets?filter=deleted"
paginate = "none"
"#,
    r#"
name = "search"
base_url = "https://api.example.com"
auth = { header = { Authorization = "Token token={token}" } }
headers = { Accept = "application/json;version=2" }
pace = "5/1s"
errors = { code = ["/errors/0/code", "/error"], RATELIMITED = "wait" }
[[stream]]
name = "contacts"
path = "/search"
since = { format = "epoch_ms", overlap = "5m", start = "2024-05-06" }
records = "/results"
version = { at = ["/updatedAt", "/changedAt"], format = "epoch" }
order = "key"
paginate = { last = "/id", to = "/filters/0/value" }
spread = "/properties"
columns = { email = "/properties/email" }
deleted = { at = "/status", is = "deleted" }
[stream.body]
limit = 200
filters = [{ name = "id", value = "0" }, { name = "changed", value = "{since}" }]
"#,
    r#"
name = "chat"
base_url = "https://chat.example.com/api"
auth = { oauth2 = { token_url = "https://chat.example.com/token", client_id = "{id}", client_secret = "{secret}" } }
resource = { stream = "channels", id = "/id", name = "/name" }
paginate = { token = "/next_cursor", to = "cursor", more = "/has_more" }
[[stream]]
name = "channels"
path = "/channels"
default = false
[[stream]]
name = "messages"
path = "/history"
query = { channel = "{resource}", oldest = "{since}", latest = "{until}" }
since = { at = "/ts", format = "epoch", window = "7d" }
key = ["/channel", "/ts"]
kind = "append"
order = "-key"
[[stream]]
name = "replies"
parent = { stream = "messages", when = "/reply_count" }
path = "/replies?channel={resource}&ts={parent.ts}"
paginate = { next = "/next", done = "/done" }
"#,
    r#"
name = "work"
base_url = "{url}"
auth = { query = { api_key = "{token}" } }
[[stream]]
name = "worklogs"
path = "/updated?since={since}"
since = { format = "number" }
paginate = { offset = "startAt" }
get = { path = "/list", body = { ids = "{keys}" }, keys = "/worklogId", batch = 50, records = "/values" }
errors = { 404 = "empty", 410 = "gone" }
[[stream]]
name = "users"
path = "/users"
get = "/users/{key}"
paginate = { page = "page", pages = "/total_pages" }
deleted = "/gone"
"#,
];

fn schema() -> Value {
    let mut schema = serde_json::to_value(Api::json_schema()).unwrap();
    let api = schema.clone();
    schema["$defs"]["Api"] = api;
    schema
}

fn found(text: &str) -> Vec<String> {
    violations(&schema(), "Api", &toml::from_str(text).unwrap())
}

#[test]
fn what_is_read_fits_the_schema() {
    for text in FORMS {
        Api::from_toml(text, "x.toml").unwrap();
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_gallery_fits_the_schema() {
    let files: Vec<_> = std::fs::read_dir("examples/rest").unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(found(&text), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn what_is_not_read_does_not_fit() {
    for (wrong, right) in [
        ("vesion = ", "version = "),
        ("order = \"updated\"", "order = \"version\""),
        ("cap = \"many\"", "cap = 30000"),
        ("403 = \"skpi\"", "403 = \"skip\""),
        ("paginate = \"lnk\"", "paginate = \"link\""),
        ("basic = [\"{token}\"]", "basic = [\"{token}\", \"X\"]"),
        ("pth = \"/tickets?per", "path = \"/tickets?per"),
    ] {
        let text = FORMS[0].replacen(right, wrong, 1);
        assert_ne!(text, FORMS[0], "{right}");
        Api::from_toml(&text, "x.toml").expect_err(wrong);
        assert_ne!(found(&text), Vec::<String>::new(), "{wrong}");
    }
    assert_eq!(schema()["properties"]["stream"]["type"], json!("array"));
}

/// The keys of a schema without a description, by their places.
fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let described = property.get("description").and_then(Value::as_str);
                if described.is_none_or(|text| text.trim().is_empty()) {
                    found.push(format!("{at}: {name}"));
                }
            }
            members.iter().for_each(|(name, value)| undescribed(value, &format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| undescribed(value, &format!("{at}/{n}"), found))
        }
        _ => {}
    }
}

#[test]
fn each_key_has_a_description() {
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}
