//! What is pasted into statements: Snowflake binds nothing in the statements that make and change objects.

pub(super) use crate::snowflake::text_literal as text;
use crate::native_app::Name;

/// The pattern of a SHOW that finds at least this name. A name may hold what a pattern reads otherwise, so that what is found is
/// still to be compared.
pub(super) fn like(name: &Name) -> String {
    text(&name.as_str().replace('\\', "_"))
}

/// A name of several parts.
pub(super) fn path(parts: &[&Name]) -> String {
    parts.iter().map(|part| part.sql()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_pattern_is_no_escape() {
        let name: Name = "\"a\\'b\"".parse().unwrap();
        assert_eq!(like(&name), "'a_''b'");
        assert_eq!(path(&[&name, &"c".parse().unwrap()]), "\"a\\'b\".C");
    }
}
