//! Names and literals as SQL, for what cannot be bound.

use twox_hash::XxHash3_128;

use crate::backends::concatenation::concatenation;
use crate::snowflake::{Sql, sql};
use crate::stream::{Reserved, view_name};

/// Snowflake's limit on the length of a name, in characters.
const MAX_NAME_CHARS: usize = 255;

/// A name in double quotes, whatever characters it has.
pub(super) fn identifier(name: &str) -> Sql {
    Sql::assert_safe(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Reads a name from a user as Snowflake does: without quotes it means upper case; in double quotes, or with other
/// characters than letters, digits, `_` and `$`, it means itself.
pub(super) fn normalize(given: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    match given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None if given.chars().all(is_plain) => given.to_ascii_uppercase(),
        None => given.to_owned(),
    }
}

/// A text as a constant expression. A backslash begins an escape in a literal, so that backslashes and control characters are
/// written as `CHR(n)`.
pub(super) fn literal(text: &str) -> Sql {
    let is_odd = |c: char| c == '\\' || c.is_control();
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_odd) {
        let odd = rest[at..].chars().next().unwrap_or_default();
        if at > 0 {
            parts.push(quoted(&rest[..at]));
        }
        parts.push(format!("CHR({})", u32::from(odd)));
        rest = &rest[at + odd.len_utf8()..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(quoted(rest));
    }
    Sql::assert_safe(concatenation(parts, " || "))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The database and the schemas of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The database.
    pub(super) database: String,
    /// The schema of the views.
    pub(super) schema: String,
}

impl Names {
    /// Names are read as Snowflake reads them: without quotes they mean upper case, `"in quotes"` they mean themselves.
    pub(super) fn new(database: &str, schema: &str) -> Self {
        Self { database: normalize(database), schema: normalize(schema) }
    }

    /// The schema of the connector's own tables, as in the reference system.
    pub(super) const STATE: &'static str = "STATE";

    /// The schema of the raw tables.
    pub(super) fn raw_schema(&self) -> String {
        format!("{}_RAW", self.schema)
    }

    fn qualified(&self, schema: &str, name: &str) -> Sql {
        sql!("{schema}.{name}", schema = self.schema_name(schema), name = identifier(name))
    }

    /// The qualified name of one of the connector's own tables.
    pub(super) fn state(&self, table: &str) -> Sql {
        self.qualified(Self::STATE, table)
    }

    /// The qualified name of a view.
    pub(super) fn view(&self, name: &str) -> Sql {
        self.qualified(&self.schema, name)
    }

    /// The qualified name of a raw table.
    pub(super) fn raw(&self, name: &str) -> Sql {
        self.qualified(&self.raw_schema(), name)
    }

    /// The qualified name of a schema.
    pub(super) fn schema_name(&self, schema: &str) -> Sql {
        sql!("{database}.{schema}", database = identifier(&self.database), schema = identifier(schema))
    }
}

/// The name of a resource's view, and of the table behind it. A name that is too long is cut, and made unique by a
/// digest; `^#` occurs in no other name.
pub(super) fn resource_name(resource: &str, table: &str, sole: bool, reserved: Reserved<'_>) -> String {
    let name = view_name(resource, table, sole, reserved);
    // The table may get a suffix, for loading.
    if name.chars().count() <= MAX_NAME_CHARS - LOAD_SUFFIX {
        return name;
    }
    shorten(&name, &name)
}

/// The name of a resource's view, and of the table behind it, if another resource already has its name.
pub(super) fn disambiguated_name(taken: &str, resource: &str, table: &str) -> String {
    shorten(taken, &format!("{table}/{resource}"))
}

/// Cuts a name and appends a digest.
fn shorten(name: &str, apart: &str) -> String {
    let start: String = name.chars().take(MAX_NAME_CHARS - LOAD_SUFFIX - 34).collect();
    // A trailing `^` would make it `^^#`, which occurs in names.
    format!("{}^#{}", start.trim_end_matches('^'), digest(apart))
}

/// The digest of a text, as 32 hexadecimal digits.
pub(super) fn digest(text: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(text.as_bytes()))
}

/// The length of what earlier editions appended for load tables. The names of existing tables depend on it.
const LOAD_SUFFIX: usize = 46;

/// The name of a key's fence. Keys that differ only in case or beyond the cut share one, and merely wait for each other.
pub(super) fn fence_name(key: &str) -> String {
    let readable = key.chars().take(FENCE_KEY).map(|c| if c.is_control() { '_' } else { c.to_ascii_lowercase() });
    format!("SNOWFEED_FENCE/{}", readable.collect::<String>())
}

/// The maximum number of characters of a key in the name of its fence.
const FENCE_KEY: usize = 200;

/// The name of the union view of a stream, among the raw tables.
pub(super) fn union_name(stream: &str) -> String {
    format!("{}^=all", upper_name(stream))
}

/// The name of a stream's view, or of a column: upper case, so that it needs no quotes.
pub(super) fn upper_name(name: &str) -> String {
    name.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_snowflake_reads_them() {
        for (given, meant) in [
            ("sales", "SALES"),
            ("Sales_1$", "SALES_1$"),
            ("\"Sales\"", "Sales"),
            ("\"a\"\"b\"", "a\"b"),
            ("my-db", "my-db"),
            ("a b", "a b"),
            ("a\"b", "a\"b"),
        ] {
            assert_eq!(normalize(given), meant, "{given}");
        }
    }

    /// The native app's procedures name the same tables; their test reads the same file.
    #[test]
    fn a_fence_has_the_name_that_the_app_uses() {
        let text = include_str!("../../../tests/native_app/python/fences.json");
        let known: std::collections::BTreeMap<String, String> = serde_json::from_str(text).unwrap();
        assert!(known.len() > 10);
        for (key, name) in known {
            assert_eq!(fence_name(&key), name, "{key:?}");
        }
    }

    #[test]
    fn a_literal_contains_no_escape() {
        assert_eq!(&*literal("it's"), "'it''s'");
        assert_eq!(&*literal(""), "''");
        assert_eq!(&*literal("a\\'\0b"), "('a' || CHR(92) || '''' || CHR(0) || 'b')");
        assert_eq!(&*literal("\\"), "CHR(92)");
    }

    #[test]
    fn thousands_of_backslashes_stay_within_the_expression_depth() {
        let sql = literal(&"\\".repeat(5_000)).replace("CHR(92)", "c");
        assert_eq!(sql.matches('c').count(), 5_000);
        let longest = sql.split(['(', ')']).map(|row| row.matches("||").count()).max();
        assert!(longest < Some(200), "{longest:?}");
    }

    #[test]
    fn a_long_name_is_shortened_and_stays_unique() {
        let free = |_: &str| false;
        let (a, b) = ("x".repeat(300) + "a", "x".repeat(300) + "b");
        let names = [a, b].map(|resource| resource_name(&resource, "issues", true, &free));
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.chars().count() <= MAX_NAME_CHARS), "{names:?}");
    }

    #[test]
    fn a_shortened_name_is_not_another_resources_name() {
        let name = |resource: &str| resource_name(resource, "issues", true, &|_| false);
        // If the name were cut inside the escape of `^`, it would end like the other name.
        let long = format!("{}^{}", "x".repeat(174), "y".repeat(200));
        let hash = name(&long).rsplit_once('#').unwrap().1.to_owned();
        assert_ne!(name(&format!("{}^#{hash}", "x".repeat(174))), name(&long));
    }

    proptest! {
        /// Between its quotes a literal contains neither a backslash nor an unpaired single quote, so text cannot escape from it.
        #[test]
        fn a_value_never_leaves_its_literal(text in "[a'\\\\\"\u{0}\n;$-]{0,12}|.{0,12}") {
            let sql = literal(&text);
            prop_assert!(!sql.contains('\\') && !sql.chars().any(char::is_control), "{}", sql);
            prop_assert_eq!(sql.matches('\'').count() % 2, 0, "{}", sql);
        }

        #[test]
        fn no_two_resources_share_a_name(a in "[aA^=#{}0]{0,5}", b in "[aA^=#{}0]{0,5}") {
            prop_assume!(a != b);
            let name = |resource: &str| resource_name(resource, "issues", true, &|name| name == "issues");
            prop_assert_ne!(name(&a), name(&b));
        }
    }
}
