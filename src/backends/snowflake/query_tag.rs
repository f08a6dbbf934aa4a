//! Query tags: they say for which stream a statement runs, so that its cost can be attributed.
//!
//! A tag is a JSON object. Each statement sends its own, so that none is needed to set it. The reads of an idle cycle all carry the
//! same one: whether a different tag keeps Snowflake from answering out of its result cache is not documented. Unverified: see
//! docs/unverified.md#query-tags.

use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::RunId;

/// The members of a tag. Snowflake accepts at most 2,000 characters; the limits of the texts add up to less.
#[derive(Serialize)]
struct Tag<'a> {
    app: &'static str,
    database: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    /// The connection's own tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
}

/// The member `app` of every tag.
const APP: &str = "snowfeed";

const MAX_DATABASE: usize = 300;
const MAX_RESOURCE: usize = 700;
const MAX_STREAM: usize = 300;
const MAX_CONNECTION_TAG: usize = 500;

/// Writes the tags of one backend.
#[derive(Debug)]
pub(super) struct QueryTags {
    database: String,
    connection_tag: Option<String>,
    constant: OnceLock<Arc<str>>,
}

impl QueryTags {
    /// The tags of a database, and the tag that the connection sets itself.
    pub(super) fn new(database: &str, connection_tag: Option<&str>) -> Self {
        Self {
            database: database.to_owned(),
            connection_tag: connection_tag.map(str::to_owned),
            constant: OnceLock::new(),
        }
    }

    /// The database, as the tags name it.
    pub(super) fn database(&self) -> &str {
        cut(&self.database, MAX_DATABASE)
    }

    /// The tag of statements that concern no particular resource. It never changes.
    pub(super) fn constant(&self) -> Arc<str> {
        self.constant.get_or_init(|| self.write(None, None, None)).clone()
    }

    /// The tag of a resource's, a stream's or a run's statements.
    pub(super) fn write(&self, resource: Option<&str>, stream: Option<&str>, run: Option<RunId>) -> Arc<str> {
        let tag = Tag {
            app: APP,
            database: self.database(),
            resource: resource.map(|resource| cut(resource, MAX_RESOURCE)),
            stream: stream.map(|stream| cut(stream, MAX_STREAM)),
            run,
            tag: self.connection_tag.as_deref().map(|tag| cut(tag, MAX_CONNECTION_TAG)),
        };
        serde_json::to_string(&tag).unwrap_or_else(|error| unreachable!("a tag consists of texts: {error}")).into()
    }
}

/// The longest beginning of a text that takes at most `max` characters in a JSON text.
fn cut(text: &str, max: usize) -> &str {
    let mut left = max;
    let end = text.char_indices().find(|&(_, c)| {
        let length = match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            // Counted in UTF-16, in case Snowflake counts so.
            c => c.len_utf16(),
        };
        match left.checked_sub(length) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        }
    });
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented limit: `sql-reference/parameters`, `QUERY_TAG`.
    const MAX_TAG: usize = 2_000;

    #[test]
    fn the_longest_tag_is_within_snowflakes_limit() {
        for character in ["a", "\"", "\u{1}", "é", "😀"] {
            let text = character.repeat(10_000);
            let tag = QueryTags::new(&text, Some(&text)).write(Some(&text), Some(&text), Some(RunId::new()));
            assert!(tag.encode_utf16().count() <= MAX_TAG, "{character:?}: {}", tag.encode_utf16().count());
            serde_json::from_str::<serde_json::Value>(&tag).unwrap();
        }
    }

    #[test]
    fn the_connections_own_tag_is_kept() {
        let tags = QueryTags::new("D", Some("their \"team\""));
        assert_eq!(&*tags.constant(), r#"{"app":"snowfeed","database":"D","tag":"their \"team\""}"#);
        let tag = tags.write(Some("acme/widgets"), Some("issues"), None);
        let expected =
            r#"{"app":"snowfeed","database":"D","resource":"acme/widgets","stream":"issues","tag":"their \"team\""}"#;
        assert_eq!(&*tag, expected);
    }
}
