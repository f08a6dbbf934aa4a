//! Names of views: one for each resource, whatever its name.

/// Whether the backend reserves a view name, given in lower case: tables, its own tables, forbidden prefixes.
#[cfg(any(feature = "snowflake", feature = "sqlite", feature = "testkit", fuzzing))]
pub(crate) type Reserved<'a> = &'a dyn Fn(&str) -> bool;

/// Returns the name of the view over one resource's rows in one table.
///
/// No two resources share a view name, not even in a database that ignores the case of ASCII letters.
/// `acme/widgets` stays `acme/widgets`; the name must be quoted in SQL.
///
/// | in the resource's name | in the view's name |
/// |---|---|
/// | `A` … `Z` | `^a` … `^z` |
/// | `^` | `^^` |
/// | a control character, NUL among them | `^{hex}` |
/// | anything else | itself |
///
/// A source with several tables (`sole` is false) gets `/table` appended. A name that is reserved gets `^=` in front.
///
/// ```
/// use snowfeed::internals::view_name;
///
/// let free = |_: &str| false;
/// assert_eq!(view_name("acme/widgets", "issues", true, &free), "acme/widgets");
/// assert_eq!(view_name("Acme/Widgets", "issues", true, &free), "^acme/^widgets");
/// assert_eq!(view_name("issues", "issues", true, &|name| name == "issues"), "^=issues");
/// ```
#[cfg(any(feature = "snowflake", feature = "sqlite", feature = "testkit", fuzzing))]
#[allow(unreachable_pub, reason = "`internals` exports it")]
pub fn view_name(resource: &str, table: &str, sole: bool, reserved: Reserved<'_>) -> String {
    let mut name = String::with_capacity(resource.len() + 8);
    for c in resource.chars() {
        match c {
            'A'..='Z' => name.extend(['^', c.to_ascii_lowercase()]),
            '^' => name.push_str("^^"),
            c if c.is_control() => name.push_str(&format!("^{{{:x}}}", u32::from(c))),
            c => name.push(c),
        }
    }
    if !sole {
        name.push('/');
        name.push_str(table);
    }
    if reserved(&name) {
        name.insert_str(0, "^=");
    }
    name
}

/// Describes the valid names of sources, tables and columns.
pub(crate) const PLAIN_NAME: &str = "1 to 128 lower-case letters, digits and `_`, the first one not a digit";

/// Whether a name is as [`PLAIN_NAME`] describes.
pub(crate) fn is_plain(name: &str) -> bool {
    name.len() <= 128
        && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
        && name.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(resource: &str) -> String {
        view_name(resource, "issues", true, &|name| name == "issues" || name.starts_with("sqlite_"))
    }

    #[test]
    fn names_that_other_systems_confuse_stay_distinct() {
        let resources =
            ["a-b/c", "a_b/c", "a/b_c", "vercel/next.js", "1x/ß", "A-b/c", "issues", "Issues", "sqlite_x", "^=issues"];
        let mut names: Vec<String> = resources.iter().map(|r| name(r).to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), resources.len());
    }

    proptest! {
        #[test]
        fn no_two_resources_share_a_name(a in ".{0,12}", b in ".{0,12}") {
            prop_assume!(a != b);
            prop_assert_ne!(name(&a).to_ascii_lowercase(), name(&b).to_ascii_lowercase());
        }

        #[test]
        fn close_resources_do_not_share_a_name(a in "[aA^={}0\u{0}]{0,5}", b in "[aA^={}0\u{0}]{0,5}") {
            prop_assume!(a != b);
            prop_assert_ne!(name(&a).to_ascii_lowercase(), name(&b).to_ascii_lowercase());
        }

        #[test]
        fn no_two_tables_of_resources_share_a_name(a in "[a/b]{0,5}", b in "[a/b]{0,5}", s in "a|b|ab", t in "a|b|ab") {
            prop_assume!((&a, &s) != (&b, &t));
            prop_assert_ne!(view_name(&a, &s, false, &|_| false), view_name(&b, &t, false, &|_| false));
        }
    }
}
