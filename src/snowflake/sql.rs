//! SQL as a type, so that text from outside cannot become SQL by accident.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::ops::Deref;

/// SQL text. It comes from a literal, from `sql!` or from an [assertion](Self::assert_safe).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sql(Cow<'static, str>);

impl Sql {
    /// Asserts that a text is safe to run: everything in it from outside is quoted.
    pub fn assert_safe(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Joins parts with a separator between them.
    pub fn join(parts: &[Self], separator: &'static str) -> Self {
        Self::assert_safe(parts.iter().map(|part| &**part).collect::<Vec<_>>().join(separator))
    }

    /// Replaces a fragment everywhere.
    #[must_use]
    pub fn replace_fragment(&self, from: &'static str, to: &(impl SqlFragment + ?Sized)) -> Self {
        Self::assert_safe(self.0.replace(from, &to.to_string()))
    }
}

impl From<&'static str> for Sql {
    fn from(literal: &'static str) -> Self {
        Self(Cow::Borrowed(literal))
    }
}

impl From<Sql> for String {
    fn from(sql: Sql) -> Self {
        sql.0.into_owned()
    }
}

impl PartialEq<str> for Sql {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Sql {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Deref for Sql {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A value that `sql!` accepts: SQL, a literal, or a whole number.
pub trait SqlFragment: Display {}

impl SqlFragment for Sql {}
impl SqlFragment for &Sql {}
impl SqlFragment for &'static str {}
impl SqlFragment for i64 {}
impl SqlFragment for u16 {}
impl SqlFragment for u64 {}
impl SqlFragment for usize {}

/// Accepts fragments only.
pub(crate) fn fragment<T: SqlFragment>(value: &T) -> &T {
    value
}

/// Formats [`Sql`]. Each argument is named, as in `sql!("DROP TABLE {table}", table = names.raw(name))`, or `table` for
/// `table = table`, and must be an [`SqlFragment`].
macro_rules! sql {
    (@ $name:ident) => { $name };
    (@ $name:ident $value:expr) => { $value };
    ($text:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        // `concat!` keeps `format!` from capturing variables, which nothing would check.
        $crate::snowflake::Sql::assert_safe(format!(
            concat!($text) $(, $name = $crate::snowflake::fragment(&$crate::snowflake::sql!(@ $name $($value)?)))*
        ))
    };
}
pub(crate) use sql;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_pasted_and_literals_converted() {
        let table = Sql::assert_safe("\"T\"");
        let select = sql!("SELECT {columns} FROM {table} LIMIT {limit}", table, columns = "*", limit = 7_u64);
        assert_eq!(&*select, "SELECT * FROM \"T\" LIMIT 7");
        assert_eq!(&*Sql::join(&[table.clone(), table], ", "), "\"T\", \"T\"");
    }
}
