use super::*;

const PAGINATE: &str = r#"write "link", "none", or one of { next = "/pointer" }, { token = "/pointer", to = "parameter" }, { last = "/pointer", to = "parameter" }, { offset = "parameter" }, { page = "parameter" }"#;

/// A text, its message without the file, and its help.
type Row = (&'static str, &'static str, &'static str);

/// Reads each text below `top`, and compares its error.
fn assert_mistakes(top: &str, rows: &[Row]) {
    for (text, message, help) in rows {
        let error = Api::from_toml(&format!("{top}{text}"), "x.toml").expect_err(text);
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
        assert_eq!(error.message(), format!("x.toml:{message}"), "{text}");
        assert_eq!(error.help().unwrap_or_default(), *help, "{text}");
    }
}

#[test]
fn a_text_that_is_not_toml_has_its_place() {
    assert_mistakes(
        "",
        &[
            (
                "name = \"x\"\nbase_url",
                "2:9: not TOML: key with no value, expected `=`",
                "write a key and a value: `name = \"value\"`",
            ),
            (
                "name = \"x\"\nbase_url = \"http://é\" oops",
                "2:23: not TOML: unexpected key or value, expected newline, `#`",
                "texts stand in quotes, and a table of one line in { }",
            ),
            (
                "name = x",
                "1:8: not TOML: string values must be quoted, expected literal string",
                "texts stand in quotes, and a table of one line in { }",
            ),
            (
                "name = \"x\"\nname = \"u\"",
                "2:1: not TOML: duplicate key",
                "remove the key `name` here, or the one before it",
            ),
            (
                "auth = { bearer = \"{t}\" }\n[auth]\nbearer = \"{t}\"",
                "2:2: not TOML: duplicate key",
                "remove the key `auth` here, or the one before it",
            ),
            (
                "name = \"x",
                "1:10: not TOML: invalid basic string, expected `\"`",
                "close the text with a quote in the same line",
            ),
            (
                "name = \"x\"\ndefault = False",
                "2:11: not TOML: invalid boolean, expected `false`",
                "write `true` or `false`, in lower case",
            ),
            (
                "{\"name\": \"x\"}",
                "1:1: not TOML: invalid key-value pair, expected key",
                "write TOML: `name = \"value\"`, one in a line; `snowfeed new NAME` writes a file to start from",
            ),
        ],
    );
}

#[test]
fn a_mistake_in_the_keys_of_the_api_has_its_place() {
    assert_mistakes(
        "",
        &[
            (
                "nam = 1",
                "1:1: unknown key `nam`",
                "did you mean `name`? the keys are: name, base_url, settings, auth, headers, pace, errors, resource, paginate, stream",
            ),
            ("name = \"x\"\n", "1:1: `base_url` is missing", "add `base_url`"),
            ("name = 1", "1:8: name: expected a text, found a number", "write the value in quotes"),
        ],
    );
    assert_mistakes(
        "name = \"x\"\nbase_url = \"u\"\n",
        &[
            (
                r#"auth = "ghp_0123456789""#,
                r#"3:8: auth: expected a table such as { bearer = "{token}" }, found a text"#,
                r#"write a table such as { bearer = "{token}" }"#,
            ),
            (
                "auth = {}",
                "3:8: auth: `auth` does not say how to sign in",
                "write one of `bearer`, `basic`, `header`, `query` and `oauth2`",
            ),
            (
                r#"auth = { bearer = "{t}", basic = ["a", "b"] }"#,
                "3:8: auth: `auth` says in several ways how to sign in",
                "write one of `bearer`, `basic`, `header`, `query` and `oauth2`",
            ),
            (
                r#"auth = { baerer = "{t}" }"#,
                "3:10: auth: unknown key `baerer`",
                "did you mean `bearer`? the keys are: bearer, basic, header, query, oauth2",
            ),
            (
                r#"auth = { basic = ["a"] }"#,
                "3:18: auth.basic: expected a list of a user name and a password, found a list of 1",
                "write a list of a user name and a password",
            ),
            (
                r#"auth = { basic = ["a", "b", "c"] }"#,
                "3:18: auth.basic: expected a list of a user name and a password, found a list of 3",
                "write a list of a user name and a password",
            ),
            (
                "auth = { header = { A = 5 } }",
                "3:25: auth.header.A: expected a text, found a number",
                "write the value in quotes",
            ),
            (
                r#"auth = { oauth2 = { client_id = "a" } }"#,
                "3:19: auth.oauth2: `token_url` is missing",
                "add `token_url`",
            ),
            (
                r#"pace = "10""#,
                r#"3:8: pace: "10" is not a pace"#,
                r#"write the requests and the time: "10/1m", "5/1s""#,
            ),
            (
                r#"errors = { 403 = "skpi" }"#,
                r#"3:18: errors.403: unknown word "skpi""#,
                r#"did you mean "skip"? the words are: "wait", "retry", "empty", "skip", "gone", "restart", "split", "fail""#,
            ),
            (
                "errors = { code = { a = 1} }",
                "3:19: errors.code: expected a text, or a list of texts, found a table",
                "write a text, or a list of texts",
            ),
            (
                "errors = [404]",
                r#"3:10: errors: expected a table such as { 403 = "skip" }, found a list"#,
                r#"write a table such as { 403 = "skip" }"#,
            ),
            (
                r#"errors = { 404 = "ignore" }"#,
                r#"3:18: errors.404: unknown word "ignore""#,
                r#"the words are: "wait", "retry", "empty", "skip", "gone", "restart", "split", "fail""#,
            ),
            (
                r#"resource = "tickets""#,
                r#"3:12: resource: expected a table such as { stream = "workspaces", id = "/id" }, found a text"#,
                r#"write a table such as { stream = "workspaces", id = "/id" }"#,
            ),
            (
                r#"settings = { u = "https://x" }"#,
                r#"3:18: settings.u: expected a table such as { default = "https://api.example.com", help = "the URL" }, found a text"#,
                r#"write a table such as { default = "https://api.example.com", help = "the URL" }"#,
            ),
            (r#"paginate = "lnk""#, r#"3:12: paginate: "lnk" is not a paginator"#, PAGINATE),
            (
                r#"paginate = { token = "/a" }"#,
                "3:12: paginate: the paginator has no `to`: where the next page takes the value",
                PAGINATE,
            ),
            (
                r#"paginate = { tokn = "/a", to = "a" }"#,
                "3:14: paginate: unknown key `tokn`",
                "did you mean `token`? the keys are: next, token, last, to, offset, page, more, done, pages",
            ),
            (
                r#"paginate = { next = "/a", page = "a" }"#,
                "3:12: paginate: the paginator says in several ways where the next page is",
                PAGINATE,
            ),
            (
                "paginate = 3",
                r#"3:12: paginate: expected "link", "none", or a table, found a number"#,
                r#"write "link", "none", or a table"#,
            ),
            ("[[stream]]\nname = \"t\"", r#"3:1: stream "t": `path` is missing"#, "add `path`"),
            (
                "[[stream]]\npath = 1",
                "4:8: stream 1: path: expected a text, found a number",
                "write the value in quotes",
            ),
            (
                "[stream]\nname = \"t\"\npath = \"/t\"\n",
                "3:1: stream: expected a list, found a table",
                "write the name in two pairs of brackets: [[name]]",
            ),
            (
                "[[streams]]\nname = \"t\"\npath = \"/t\"\n",
                "3:3: unknown key `streams`",
                "did you mean `stream`? the keys are: name, base_url, settings, auth, headers, pace, errors, resource, paginate, stream",
            ),
        ],
    );
}

#[test]
fn a_mistake_in_a_stream_has_its_place() {
    assert_mistakes(
        "name = \"x\"\nbase_url = \"u\"\n[[stream]]\nname = \"t\"\npath = \"/t\"\n",
        &[
            (
                r#"vesion = "/u""#,
                r#"6:1: stream "t": unknown key `vesion`"#,
                "did you mean `version`? the keys are: name, path, query, headers, body, records, key, version, cursor, since, order, cap, kind, parent, deleted, deletes, get, spread, columns, errors, pace, paginate, default",
            ),
            (
                r#"version = { at = "/u", format = "epcoh" }"#,
                r#"6:33: stream "t": version.format: unknown word "epcoh""#,
                r#"did you mean "epoch"? the words are: "rfc3339", "rfc2822", "epoch", "epoch_ms", "date", "dotnet", "number""#,
            ),
            (
                r#"version = { att = "/u" }"#,
                r#"6:13: stream "t": version: unknown key `att`"#,
                "did you mean `at`? the keys are: at, format",
            ),
            (
                "query = { limit = 100 }",
                r#"6:19: stream "t": query.limit: expected a text, found a number"#,
                "write the value in quotes",
            ),
            (
                r#"cap = "100""#,
                r#"6:7: stream "t": cap: expected a whole number from 0, found a text"#,
                "write the value without quotes",
            ),
            (
                "cap = -100",
                r#"6:7: stream "t": cap: expected a whole number from 0, found a negative number"#,
                "write a whole number from 0",
            ),
            (
                r#"default = "no""#,
                r#"6:11: stream "t": default: expected true or false, found a text"#,
                "write the value without quotes",
            ),
            (
                r#"order = "updated""#,
                r#"6:9: stream "t": order: unknown word "updated""#,
                r#"the words are: "version", "-version", "key", "-key""#,
            ),
            (
                r#"kind = "incremental""#,
                r#"6:8: stream "t": kind: unknown word "incremental""#,
                r#"remove it, unless records never change and `kind = "append"` fits: a `parent` makes a child, a `cursor` an incremental stream, and neither a snapshot"#,
            ),
            ("order = 1", r#"6:9: stream "t": order: expected a text, found a number"#, "write the value in quotes"),
            ("key = [1]", r#"6:8: stream "t": key.0: expected a text, found a number"#, "write the value in quotes"),
            (
                "key = true",
                r#"6:7: stream "t": key: expected a text, or a list of texts, found true"#,
                "write the value in quotes",
            ),
            (
                r#"since = { overlap = "5 parsecs" }"#,
                r#"6:21: stream "t": since.overlap: "5 parsecs" is not a length of time"#,
                r#"write a number and a unit: "1s", "5m", "2h", "7d""#,
            ),
            (
                r#"body = "x""#,
                r#"6:8: stream "t": body: expected a table, found a text"#,
                "write a table: { name = value }",
            ),
            (
                "body = { a = { b = [ nan ] } }",
                r#"6:22: stream "t": body.a.b.0: expected any valid JSON value, found nan or inf"#,
                "write any valid JSON value",
            ),
            (
                r#"get = { batch = 5000000000, path = "/x" }"#,
                r#"6:17: stream "t": get.batch: expected a whole number from 0, found a number that is too large"#,
                "write a whole number from 0",
            ),
            (
                r#"since = "since""#,
                r#"6:9: stream "t": since: expected a table such as { start = "2024-01-01", overlap = "5m" }, found a text"#,
                r#"write a table such as { start = "2024-01-01", overlap = "5m" }"#,
            ),
            (
                r#"resource = { stream = "t", id = "/id" }"#,
                r#"6:1: stream "t": unknown key `resource`"#,
                "move `resource` above the first [[stream]]: what follows [[stream]] belongs to the stream",
            ),
        ],
    );
}

#[test]
fn an_instant_and_numbers_in_a_body_become_json() {
    let text = "name = \"x\"\nbase_url = \"{u}\"\n[[stream]]\nname = \"t\"\npath = \"/t\"\nsince = { start = 2024-05-06 }\n\
                body = { a = -1, b = 1.5, c = true, d = [{ e = \"{since}\" }], f = 2024-05-06T07:08:09Z, g = 0x10 }\n";
    let api = Api::from_toml(text, "x.toml").unwrap();
    let stream = &api.streams[0];
    let body = serde_json::json!({"a": -1, "b": 1.5, "c": true, "d": [{"e": "{since}"}], "f": "2024-05-06T07:08:09Z", "g": 16});
    assert_eq!(stream.body, body.as_object().cloned());
    assert_eq!(stream.since.as_ref().and_then(|since| since.start.as_deref()), Some("2024-05-06"));
}

#[test]
fn a_description_survives_json() {
    let text = r#"
name = "x"
base_url = "https://{host}/v1"
auth = { basic = ["{user}", "X"] }
pace = "5/1s"
errors = { 403 = "skip", code = "/error", gone_away = "gone" }
[[stream]]
name = "a"
path = "/a?since={since}"
version = { at = ["/u", "/v"], format = "epoch" }
paginate = { token = "/next", to = "cursor", more = "/more" }
deleted = { at = "/gone", is = true }
get = { path = "/a/{key}" }
[[stream]]
name = "b"
path = "/a/{parent.id}/b"
parent = { stream = "a", when = "/count" }
paginate = "link"
"#;
    let api = Api::from_toml(text, "x.toml").unwrap();
    let json = serde_json::to_string(&api).unwrap();
    assert_eq!(serde_json::from_str::<Api>(&json).unwrap(), api, "{json}");
}
