use super::assert_mistakes;

#[test]
fn a_mistake_about_a_stream_is_found_with_its_place() {
    let top =
        "name = \"x\"\nbase_url = \"https://x.test\"\npaginate = \"none\"\n[[stream]]\nname = \"t\"\npath = \"/t\"\n";
    assert_mistakes(
        top,
        &[
            (
                r#"[[stream]]
name = "T"
path = "t""#,
                r#"8:8: stream "T": name: the name "T" is not allowed"#,
                r#"name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit; then there is another mistake: x:9:8: stream "T": path: the path does not begin with `/`"#,
            ),
            (
                r#"[[stream]]
name = "u"
path = "https://x/t""#,
                r#"9:8: stream "u": path: the path is a URL"#,
                "write the part after `base_url`, with a leading `/`",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/t#x""#,
                r#"9:8: stream "u": path: the path has a fragment, which is never sent"#,
                "remove `#` and what follows",
            ),
            (
                r#"query = { a = "{resource}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{resource}`"#,
                "add `resource = { stream, id }`: the stream that lists the resources",
            ),
            (
                r#"query = { a = "{parent.id}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{parent.id}`"#,
                "add `parent`, the name of the stream whose records have these lists",
            ),
            (
                r#"query = { a = "{sinc}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{sinc}`"#,
                r#"write `{since}`, or declare a setting: `settings.sinc = { help = "…" }`"#,
            ),
            (
                r#"query = { a = "{until}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{until}`"#,
                r#"add `since = { window = "30d" }`, the longest time that one question may span"#,
            ),
            (
                r#"query = { a = "{key}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{key}` here: the word is reserved for the key of a record"#,
                "move it to `get`, which asks for single records; a setting needs another name: `{api_key}`",
            ),
            (
                r#"query = { a = "{a.b}" }"#,
                r#"7:15: stream "t": query.a: nothing fills `{a.b}`"#,
                "write `{parent.field}` for a field of the parent, and a setting without a dot",
            ),
            (
                r#"body = { query = "query {nodes {id}}" }"#,
                r#"7:18: stream "t": body.query: nothing fills `{id}`"#,
                r#"write `{{id}}` if it is not a placeholder, or declare a setting: `settings.id = { help = "…" }`"#,
            ),
            (
                r#"query = { a = "${site}" }"#,
                r#"7:15: stream "t": query.a: `${site}` has a `$` before its braces"#,
                "write `{site}`",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/t/{}""#,
                r#"9:8: stream "u": path: the brace in "{}" belongs to no placeholder"#,
                "write a placeholder as `{word}`, with letters, digits and `_`, and a word in braces that is text as `{{word}}`",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/t/{id""#,
                r#"9:8: stream "u": path: the brace in "{id" belongs to no placeholder"#,
                "write a placeholder as `{word}`, with letters, digits and `_`, and a word in braces that is text as `{{word}}`",
            ),
            (
                r#"query = { a = "{Status}" }"#,
                r#"7:15: stream "t": query.a: the setting `{Status}` has a name that is not allowed"#,
                "name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit; write `{{Status}}` for a word in braces \
                 that is text",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/t t""#,
                r#"9:8: stream "u": path: the path has a space"#,
                "remove it, or write `%20`",
            ),
            (
                r#"headers = { authorization = "Bearer {site}" }"#,
                r#"7:29: stream "t": headers.authorization: a credential in `headers` is not kept secret"#,
                "move it to `auth` of the source: `auth = { header = { authorization = \"…\" } }`, or `bearer`",
            ),
            (
                r#"headers = { "x y" = "z" }"#,
                r#"7:21: stream "t": headers.x y: "x y" is not the name of a header"#,
                "write letters, digits and `-`",
            ),
            (
                r#"cursor = "since"
query = { since = "1" }"#,
                r#"7:10: stream "t": cursor: the query has the parameter "since", too"#,
                "remove `cursor`, or the parameter",
            ),
            (
                r#"cursor = "since"
query = { from = "{since}" }"#,
                r#"7:10: stream "t": cursor: `{since}` is in the request, too"#,
                "remove `cursor`, or `{since}`",
            ),
            (
                r#"cursor = "/since""#,
                r#"7:10: stream "t": cursor: "/since" is not the name of a parameter"#,
                r#"write only the name, or `"{since}"` where it belongs"#,
            ),
            (
                r#"records = "data.items""#,
                r#"7:11: stream "t": records: "data.items" is not a pointer: it does not begin with `/`"#,
                r#"write "/data/items""#,
            ),
            (
                r#"records = "$.data[*]""#,
                r#"7:11: stream "t": records: "$.data[*]" is not a pointer: it does not begin with `/`"#,
                r#"write "/data[*]""#,
            ),
            ("key = []", r#"7:7: stream "t": key: no pointer to the key"#, r#"write `key = "/id"`, or leave it out"#),
            (
                r#"key = ["/a", "b~"]"#,
                r#"7:14: stream "t": key.1: "b~" is not a pointer: it does not begin with `/`"#,
                r#"write "/b~""#,
            ),
            (
                r#"key = "/a~b""#,
                r#"7:7: stream "t": key: "/a~b" is not a pointer: a `~` stands alone"#,
                "write `~0` for `~`, and `~1` for a `/` in a name",
            ),
            (
                r#"key = "/a/*/b""#,
                r#"7:7: stream "t": key: "/a/*/b" has a wildcard, and a pointer has none"#,
                "name one value; a list within a record becomes a column of JSON",
            ),
            (
                "version = { at = [] }",
                r#"7:11: stream "t": version: no pointer to the version"#,
                r#"write `version = "/updated_at"`"#,
            ),
            (
                r#"order = "version""#,
                r#"7:9: stream "t": order: the list is in the order of a version that the records do not have"#,
                r#"add `version`, the pointer to what the list is sorted by, or write `order = "key"`"#,
            ),
            (
                r#"since = { overlap = "1s" }"#,
                r#"7:9: stream "t": since: nothing in the request takes `{since}`"#,
                "add `cursor`, the name of the parameter, or write `{since}` in the request",
            ),
            (
                r#"since = { start = "yesterday" }
cursor = "s""#,
                r#"7:19: stream "t": since.start: "yesterday" is not a value to start from"#,
                r#"write an instant, a date or a number: "2024-05-06T07:08:09Z", "2024-05-06", "0""#,
            ),
            (
                r#"since = { format = "number", overlap = "1s" }
cursor = "s""#,
                r#"7:40: stream "t": since.overlap: a number is not an instant, and has no length of time"#,
                "remove `overlap`",
            ),
            (
                r#"since = { window = "1d" }
cursor = "s""#,
                r#"7:20: stream "t": since.window: nothing in the request takes `{until}`, the end of a window"#,
                "write `{until}` in the request, or remove `window`",
            ),
            (
                r#"since = { window = "0s" }
query = { s = "{since}", u = "{until}" }"#,
                r#"7:20: stream "t": since.window: a window of no time"#,
                r#"write how long one question may span: "30d""#,
            ),
            (
                "cap = 100",
                r#"7:7: stream "t": cap: nothing splits a question with more results"#,
                r#"add `order = "version"` with a cursor, or `since.window`, so that what is beyond the cap can be asked for"#,
            ),
            (
                "cap = 0",
                r#"7:7: stream "t": cap: a question of no results"#,
                "write the number of results that one question can have",
            ),
            (
                r#"kind = "append""#,
                r#"7:8: stream "t": kind: records are appended, and the list does not say that the newest are first"#,
                r#"ask for the newest first and write `order = "-key"`, or remove `kind`"#,
            ),
            (
                r#"kind = "append"
order = "-key"
deleted = "/gone""#,
                r#"7:8: stream "t": kind: appended records never change, and the stream has `deleted`"#,
                "remove `kind`, or `deleted`",
            ),
            (
                r#"columns = { Id = "/id", raw = "/raw" }"#,
                r#"7:18: stream "t": columns.Id: the column name "Id" is not allowed"#,
                r#"name it with 1 to 128 lower-case letters, digits and `_`, the first one not a digit; then there is another mistake: x:7:31: stream "t": columns.raw: each view has a column "raw""#,
            ),
            (
                r#"errors = { 99 = "skip" }"#,
                r#"7:17: stream "t": errors.99: 99 is not a status"#,
                "write a number from 100 to 599",
            ),
            (
                r#"deletes = "tt""#,
                r#"7:11: stream "t": deletes: there is no stream "tt""#,
                r#"did you mean "t"? the streams are: t"#,
            ),
            (
                r#"deletes = "t""#,
                r#"7:11: stream "t": deletes: the stream "t" is a list of deletions itself"#,
                r#"name a stream with rows; then there is another mistake: x:7:11: stream "t": deletes: the streams depend on each other: t → t"#,
            ),
            (
                r#"parent = "t"
query = { a = "{parent.id}" }"#,
                r#"7:10: stream "t": parent: the streams depend on each other: t → t"#,
                "remove one `parent`",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/u"
parent = "t""#,
                r#"9:8: stream "u": path: the request does not say which parent it is about"#,
                "write `{parent.id}` in the path, the query or the body",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/u/{parent}"
parent = "t""#,
                r#"9:8: stream "u": path: nothing fills `{parent}`"#,
                "write `{parent.id}`, with the name of the field",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/u/{parent.id}"
parent = "ticket""#,
                r#"10:10: stream "u": parent: there is no stream "ticket""#,
                "the streams are: t, u",
            ),
            (
                r#"[[stream]]
name = "u"
path = "/u/{parent.id}"
parent = "t"
cursor = "x"
since = {}"#,
                r#"12:9: stream "u": since: the list of a parent is read whole"#,
                r#"remove `since`; then there is another mistake: x:11:10: stream "u": cursor: the list of a parent is read whole"#,
            ),
            (
                r#"parent = "u"
query = { a = "{parent.id}" }
[[stream]]
name = "u"
path = "/u/{parent.id}"
parent = "t""#,
                r#"7:10: stream "t": parent: the streams depend on each other: t → u → t"#,
                r#"remove one `parent`; then there is another mistake: x:12:10: stream "u": parent: the streams depend on each other: u → t → u"#,
            ),
            (
                r#"[[stream]]
name = "d"
path = "/d"
deletes = "t"
key = ["/a", "/b"]
spread = "/x""#,
                r#"11:7: stream "d": key: the key has 2 values, and that of "t" has 1"#,
                r#"name a pointer to each of them, in the same order; then there is another mistake: x:12:10: stream "d": spread: a list of deletions has no rows, and `spread` is about rows"#,
            ),
            (
                r#"[[stream]]
name = "d"
path = "/d"
deletes = "t"
[[stream]]
name = "e"
path = "/e"
deletes = "d"
[[stream]]
name = "f"
path = "/f/{parent.id}"
parent = "d""#,
                r#"14:11: stream "e": deletes: the stream "d" is a list of deletions itself"#,
                r#"name a stream with rows; then there is another mistake: x:18:10: stream "f": parent: the stream "d" is a list of deletions, which has no rows"#,
            ),
            (
                r#"[[stream]]
name = "c"
path = "/c/{parent.id}"
parent = "t"
[[stream]]
name = "d"
path = "/d"
deletes = "c""#,
                r#"14:11: stream "d": deletes: the stream "c" has a parent"#,
                "remove it; the whole list of each parent tells what is gone",
            ),
            (
                r#"paginate = { token = "next", to = "/after" }"#,
                r#"7:22: stream "t": paginate.token: "next" is not a pointer: it does not begin with `/`"#,
                r#"write "/next"; then there is another mistake: x:7:35: stream "t": paginate.to: "/after" is a place in the body, and the stream "t" has none"#,
            ),
            (
                r#"paginate = { token = "/next", to = "/a/b" }
body = { x = 1 }"#,
                r#"7:36: stream "t": paginate.to: the body has no object or list at "/a""#,
                "add it to `body`",
            ),
            (
                r#"paginate = { next = "/next", more = "/more", done = "/done" }"#,
                r#"7:12: stream "t": paginate: `more` and `done` say the same"#,
                "remove one of them",
            ),
            (
                r#"paginate = { page = "page", pages = "/pages", done = "/done" }"#,
                r#"7:12: stream "t": paginate: `pages` and `done` say the same"#,
                "remove one of them",
            ),
            (
                r#"paginate = { offset = "offset", pages = "total_pages" }"#,
                r#"7:41: stream "t": paginate.pages: "total_pages" is not a pointer: it does not begin with `/`"#,
                r#"write "/total_pages"; then there is another mistake: x:7:41: stream "t": paginate.pages: a number of pages ends only a list that continues by page numbers"#,
            ),
            (
                r#"paginate = { page = "page=" }"#,
                r#"7:21: stream "t": paginate.page: "page=" is not the name of a parameter"#,
                "write only the name, or with a leading `/` a place in the body",
            ),
            (
                r#"get = "/t/1""#,
                r#"7:7: stream "t": get.path: `get` does not say which record: it has no `{key}`"#,
                "write `{key}` in the path or the body",
            ),
            (
                r#"get = "/t/{keys}""#,
                r#"7:7: stream "t": get.path: nothing fills `{keys}`"#,
                "write `{key}` for one record, or add `keys`, the pointer to the keys in the list",
            ),
            (
                r#"get = { path = "/t/{key}", keys = "/id" }"#,
                r#"7:16: stream "t": get.path: nothing fills `{key}`"#,
                "write `{keys}`, or remove `keys`",
            ),
            (
                r#"get = { path = "/t/{since}/{key}", batch = 0 }"#,
                r#"7:16: stream "t": get.path: nothing fills `{since}`"#,
                r#"remove it: what is asked for by key, or by parent, is read whole; then there is another mistake: x:7:44: stream "t": get.batch: a request of no records"#,
            ),
            (
                r#"get = "/t/{key}"
key = ["/a", "/b"]"#,
                r#"7:7: stream "t": get: a record has several keys, and `{key}` is one"#,
                "name one pointer as `key`, or remove `get`",
            ),
        ],
    );
}
