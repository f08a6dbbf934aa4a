use super::assert_mistakes;

#[test]
fn only_a_name_that_signs_in_may_be_no_secret() {
    assert_mistakes(
        "",
        &[
            (
                r#"name = "x"
base_url="https://x.test/{account}"
auth = { basic = ["{account}", "{token}"] }
[[stream]]
name = "t"
path = "/t""#,
                "2:10: base_url: `{account}` is a secret, because `auth` has it",
                "say that it is none: `settings.account = { secret = false }`; or use another setting here: a secret is only sent to sign in",
            ),
            (
                r#"name = "x"
base_url="https://x.test"
settings = { token = { secret = false } }
auth = { basic = ["{account}", "{token}"] }
[[stream]]
name = "t"
path = "/t""#,
                "3:33: settings.token.secret: what signs in is a secret",
                "remove `secret`: only the user name in `basic`, and a `client_id`, may be none",
            ),
            (
                r#"name = "x"
base_url="https://x.test/{site}"
settings = { site = { secret = true } }
[[stream]]
name = "t"
path = "/t""#,
                "3:32: settings.site.secret: only settings in `auth` are secrets",
                "move it to `auth`, or remove `secret`",
            ),
        ],
    );
}

#[test]
fn a_mistake_about_the_api_is_found_with_its_place() {
    assert_mistakes(
        "",
        &[
            (
                r#"name = "X"
base_url="https://x"
[[stream]]
name = "t"
path = "/t""#,
                r#"1:8: name: the name "X" is not allowed"#,
                "name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit; it prefixes environment variables",
            ),
            (
                r#"name = "x"
base_url="x.test"
[[stream]]
name = "t"
path = "/t""#,
                r#"2:10: base_url: "x.test" is not the URL of an API"#,
                "write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`",
            ),
            (
                r#"name = "x"
base_url="{site}.x.test"
[[stream]]
name = "t"
path = "/t""#,
                r#"2:10: base_url: "{site}.x.test" is not the URL of an API"#,
                "write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`",
            ),
            (
                r#"name = "x"
base_url="https://{token}.x.test"
auth = { bearer = "{token}" }
[[stream]]
name = "t"
path = "/t""#,
                "2:10: base_url: `{token}` is a secret, because `auth` has it",
                "use another setting here: a secret is only sent to sign in",
            ),
            (
                r#"name = "x"
base_url="https://x.test"
auth = { oauth2 = { token_url = "https://{id}.x.test", client_id = "{id}", client_secret = "{secret}" } }
[[stream]]
name = "t"
path = "/t""#,
                "3:33: auth.oauth2.token_url: `{id}` is a secret, because `auth` has it",
                "say that it is none: `settings.id = { secret = false }`; or use another setting here: a secret is only sent to sign in",
            ),
            (
                r#"name = "x"
base_url="https://x.test"
auth = { bearer = "{token}" }
[[stream]]
name = "t"
path = "/t?key={token}""#,
                "6:8: stream \"t\": path: `{token}` is a secret, because `auth` has it",
                "use another setting here: a secret is only sent to sign in",
            ),
            (
                r#"name = "x"
base_url="https://x.test?a=b"
[[stream]]
name = "t"
path = "/t""#,
                "2:10: base_url: the base URL has a query",
                "move the parameters to `query` in the streams",
            ),
            (
                r#"name = "x"
base_url="https://x.test/{since}"
[[stream]]
name = "t"
path = "/t""#,
                "2:10: base_url: nothing fills `{since}` here: the word is reserved for the time from which changes are asked for",
                "use it in the streams; a setting needs another name: `{start_date}`",
            ),
            (
                r#"name = "x"
base_url="https://x.test"
auth = { query = { key = "{key}", token = "{token}" } }
[[stream]]
name = "t"
path = "/t""#,
                "3:26: auth.query.key: nothing fills `{key}` here: the word is reserved for the key of a record",
                "use it in the streams; a setting needs another name: `{api_key}`",
            ),
            (
                r#"name = "x"
base_url="https://x.test"
[[stream]]
name = "t"
path = "/t?key={key}""#,
                "5:8: stream \"t\": path: nothing fills `{key}` here: the word is reserved for the key of a record",
                "move it to `get`, which asks for single records; a setting needs another name: `{api_key}`",
            ),
            (
                r#"name = "x"
base_url="https://{Host}.test"
[[stream]]
name = "t"
path = "/t""#,
                "2:10: base_url: the setting `{Host}` has a name that is not allowed",
                "name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit; write `{{Host}}` for a word in braces \
                 that is text",
            ),
            (
                r#"name = "x"
base_url = "https://x.test""#,
                "1:1: the description has no stream",
                "add a [[stream]] with `name` and `path`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
settings = { since = {} }
[[stream]]
name = "t"
path = "/t""#,
                "3:22: settings.since: `{since}` is reserved for the time from which changes are asked for",
                "give the setting another name: `{start_date}`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
settings = { Since = {} }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:22: settings.Since: the name "Since" is not allowed"#,
                "name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { bearer = "abc" }
[[stream]]
name = "t"
path = "/t""#,
                "3:8: auth: the credential stands in the description",
                "write a placeholder such as `{token}`; its setting is a secret",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { header = { "a b" = "{t}" } }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:29: auth.header.a b: "a b" is not the name of a header"#,
                "write letters, digits and `-`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { header = { } }
[[stream]]
name = "t"
path = "/t""#,
                "3:19: auth.header: it names nothing to send",
                r#"write a name and a value: { NAME = "{token}" }"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { oauth2 = { token_url = "https://t", client_id = "{c}" } }
[[stream]]
name = "t"
path = "/t""#,
                "3:19: auth.oauth2.grant: the grant `client_credentials` needs a secret",
                r#"add `client_secret = "{client_secret}"`"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { oauth2 = { token_url = "t", client_id = "{c}", grant = "password" } }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:33: auth.oauth2.token_url: "t" is not the URL of an API"#,
                "write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`; then there is another mistake: x:3:65: auth.oauth2.grant: the grant is unknown",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { oauth2 = { token_url = "https://t", client_id = "{c}", grant = "refresh_token" } }
[[stream]]
name = "t"
path = "/t""#,
                "3:73: auth.oauth2.grant: the grant `refresh_token` needs a refresh token",
                r#"add `refresh_token = "{refresh_token}"`"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { oauth2 = { token_url = "https://t", client_id = "{c}", refresh_token = "{r}", grant = "client_credentials" } }
[[stream]]
name = "t"
path = "/t""#,
                "3:96: auth.oauth2.grant: the grant `client_credentials` uses no refresh token",
                r#"remove `refresh_token`, or write `grant = "refresh_token"`"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
errors = { 700 = "skip" }
[[stream]]
name = "t"
path = "/t""#,
                "3:18: errors.700: 700 is not a status",
                "write a number from 100 to 599",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
errors = { ratelimited = "wait" }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:26: errors.ratelimited: "ratelimited" is no status, and nothing says where a body has a code"#,
                "add `code`, the pointer to the code in the body, or write a status from 100 to 599",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
errors = { 200 = "retry" }
[[stream]]
name = "t"
path = "/t""#,
                "3:18: errors.200: the status 200 is not an error",
                "name the status of an error, or add `code`, the pointer to the code in the body; `\"empty\"` is for an API that leaves out \
                 an empty list",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
errors = { code = "error" }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:19: errors.code: "error" is not a pointer: it does not begin with `/`"#,
                r#"write "/error""#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
headers = { "a b" = "c", D = "e\nf" }
[[stream]]
name = "t"
path = "/t""#,
                "3:30: headers.D: the value of a header has a line break",
                r#"remove it; then there is another mistake: x:3:21: headers.a b: "a b" is not the name of a header"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
resource = { stream = "tt", id = "id" }
[[stream]]
name = "t"
path = "/t""#,
                r#"3:34: resource.id: "id" is not a pointer: it does not begin with `/`"#,
                r#"write "/id"; then there is another mistake: x:3:23: resource.stream: there is no stream "tt""#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
resource = { stream = "t", id = "/id" }
[[stream]]
name = "t"
path = "/t"
query = { a = "{resource}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{resource}`"#,
                "remove it: this stream lists the resources, and is read once for the source",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
[[stream]]
name = "t"
path = "/t"
default = false"#,
                r#"6:11: stream "t": default: no stream is read by default"#,
                "remove `default = false` from at least one stream",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
[[stream]]
name = "t"
path = "/t"
[[stream]]
name = "t"
path = "/t""#,
                r#"7:8: stream "t": name: there are two streams "t""#,
                "rename one of them",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
paginate = "none"
[[stream]]
name = "t"
path = "/t?a=b"
query = { a = "c" }"#,
                r#"7:15: stream "t": query.a: the path has the parameter "a", too"#,
                "remove it from `path` or from `query`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
resource = { stream = "w", id = "/id" }
[[stream]]
name = "w"
path = "/w"
[[stream]]
name = "t"
path = "/t"
[[stream]]
name = "c"
path = "/c/{resource}/{parent.id}"
parent = "t""#,
                r#"12:8: stream "c": path: `{resource}` is unknown here: the stream "t" is read once for the source"#,
                r#"write `{resource}` in the request of "t", too"#,
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
resource = { stream = "t", id = "/id" }
[[stream]]
name = "t"
path = "/t"
parent = "u"
query = { a = "{parent.id}" }
[[stream]]
name = "u"
path = "/u""#,
                r#"3:23: resource.stream: the stream "t" cannot list the resources: it depends on another one"#,
                "name a stream that is read once for the source",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
auth = { bearer = "${token}" }
[[stream]]
name = "t"
path = "/t""#,
                "3:19: auth.bearer: `${token}` has a `$` before its braces",
                "write `{token}`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
headers = { Authorization = "Bearer {token}" }
[[stream]]
name = "t"
path = "/t""#,
                "3:29: headers.Authorization: a credential in `headers` is not kept secret",
                "move it to `auth` of the source: `auth = { header = { Authorization = \"…\" } }`, or `bearer`",
            ),
            (
                r#"name = "x"
base_url = "https://x.test"
paginate = { token = "next", to = "after" }
[[stream]]
name = "t"
path = "/t"
[[stream]]
name = "u"
path = "/u""#,
                r#"3:22: paginate.token: "next" is not a pointer: it does not begin with `/`"#,
                r#"write "/next""#,
            ),
        ],
    );
}
