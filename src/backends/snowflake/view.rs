//! The views that users query: how their text is made, and how one is replaced without taking a policy from it.
//!
//! `CREATE OR REPLACE VIEW` keeps grants and tags where it is told to, and drops the policies that somebody has attached. So a
//! view is replaced only when its text changes, and not at all while a policy is on it. What changes with every new resource,
//! the union of the raw tables, is a view of its own below the stream's.

use super::columns::select_list;
use super::names::{Names, literal, union_name, upper_name};
use super::pool::is_missing;
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::table::Column;
use crate::{Error, Result};

/// The longest definition of a view that Snowflake takes, in bytes.
const MAX_VIEW_BYTES: usize = 1_000_000;

/// A view, and the SELECT that it is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The whole name.
    pub(super) name: Sql,
    pub(super) select: Sql,
}

impl View {
    /// The view of one resource, over its raw table.
    pub(super) fn for_resource(names: &Names, name: &str, columns: &[Column]) -> Self {
        let select = sql!(
            "SELECT {columns}t.\"DELETED_AT\", t.\"RAW\" FROM {raw} t WHERE t.\"DOCUMENT\" IS NOT NULL",
            columns = column_prefix(columns),
            raw = names.raw(name)
        );
        Self { name: names.view(name), select }
    }

    /// The view over all resources of a stream, over the union of their raw tables.
    pub(super) fn for_stream(names: &Names, stream: &str, columns: &[Column]) -> Self {
        let select = sql!(
            "SELECT t.\"RESOURCE\", {columns}t.\"DELETED_AT\", t.\"RAW\" FROM {raw} t WHERE t.\"DOCUMENT\" IS NOT NULL",
            columns = column_prefix(columns),
            raw = names.raw(&union_name(stream))
        );
        Self { name: names.view(&upper_name(stream)), select }
    }

    /// The union of the raw tables of a stream, each given by its resource and its name. The type of the resource's column must
    /// not change with the resources: views over this one remember it.
    pub(super) fn union(names: &Names, stream: &str, members: &[(&str, &str)]) -> Self {
        let branches: Vec<Sql> = members
            .iter()
            .map(|(resource, table)| {
                sql!("SELECT CAST({resource} AS VARCHAR) AS \"RESOURCE\", \"RAW\", \"DELETED_AT\", \"DOCUMENT\" FROM {raw}", resource = literal(resource), raw = names.raw(table))
            })
            .collect();
        Self { name: names.raw(&union_name(stream)), select: Sql::join(&branches, " UNION ALL ") }
    }

    /// Whether Snowflake takes so long a definition.
    pub(super) fn is_too_long(&self) -> bool {
        self.statement().len() > MAX_VIEW_BYTES
    }

    /// The statement that makes it, in place of one of this name.
    fn statement(&self) -> Sql {
        sql!("CREATE OR REPLACE VIEW {name} COPY GRANTS COPY TAGS AS {select}", name = self.name, select = self.select)
    }

    /// Makes it, whatever is there.
    pub(super) async fn replace(&self, session: &mut dyn Session) -> Result<()> {
        session.execute(Statement::new(self.statement())).await.map(drop)
    }

    /// Makes it, unless a policy is attached to the one that is there: it would be gone, and what it hides be seen. Says whether it
    /// was made.
    pub(super) async fn replace_unless_protected(&self, session: &mut dyn Session) -> Result<bool> {
        if self.is_protected(session).await? {
            tracing::warn!(
                view = %self.name,
                "the view was not brought up to date: a policy is attached to it, and replacing the view would drop the policy. \
                 Detach the policy and attach it to a tag on the columns instead; the next run then replaces the view and keeps \
                 its tags"
            );
            return Ok(false);
        }
        self.replace(session).await?;
        Ok(true)
    }

    /// Whether a policy is attached to the view. Its definition says so to its owner, also where the policy itself is hidden.
    async fn is_protected(&self, session: &mut dyn Session) -> Result<bool> {
        let select = sql!("SELECT GET_DDL('VIEW', {name}) AS \"DDL\"", name = literal(&self.name));
        let definition = match session.execute(Statement::new(select)).await {
            Ok(answer) => answer.rows.first().map(|row| row.text(0).map(|text| text.to_string())).transpose()?,
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(definition.is_some_and(|definition| names_a_policy(&definition)))
    }
}

/// Whether a view's definition attaches a policy, before the SELECT.
fn names_a_policy(definition: &str) -> bool {
    let upper = definition.to_ascii_uppercase();
    let words: Vec<&str> = upper.split_whitespace().collect();
    let body = words.windows(2).position(|pair| pair[0] == "AS" && pair[1].trim_start_matches('(') == "SELECT");
    let head = &words[..body.unwrap_or(words.len())];
    let kinds = ["MASKING", "ACCESS", "AGGREGATION", "PROJECTION", "JOIN", "PRIVACY"];
    head.windows(2).any(|pair| kinds.contains(&pair[0].trim_start_matches('(')) && pair[1] == "POLICY")
        || head.iter().any(|word| word.contains("#UNKNOWN_POLICY"))
}

/// Refuses a table of the source whose views would break a limit of Snowflake's. `columns` are those of its view.
pub(super) fn check_table(names: &Names, stream: &str, columns: &[Column]) -> Result<()> {
    if View::for_stream(names, stream, columns).is_too_long() {
        return Err(Error::internal(format!(
            "the view of the table {stream:?} with its {} columns would be longer than the 1 MB that Snowflake takes",
            columns.len()
        ))
        .with_help("give the table fewer columns, or shorter paths, in the source's tables"));
    }
    Ok(())
}

/// The typed columns, with a comma behind them where there are any.
fn column_prefix(columns: &[Column]) -> Sql {
    if columns.is_empty() { Sql::default() } else { sql!("{columns}, ", columns = select_list(columns)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_seen_before_the_select_only() {
        for (definition, is_protected) in [
            ("create or replace view ISSUES(\n\tID,\n\tTITLE\n) as SELECT t.\"RESOURCE\" FROM x t;", false),
            ("create or replace view ISSUES(\n\tTITLE WITH MASKING POLICY db.s.hide\n) as SELECT t FROM x t;", true),
            ("create or replace view ISSUES( ID ) WITH ROW ACCESS POLICY #UNKNOWN_POLICY as SELECT t FROM x t;", true),
            ("create or replace view ISSUES ROW ACCESS POLICY p ON (ID) as\nSELECT 1", true),
            ("create or replace view ISSUES with aggregation policy p as SELECT 1", true),
            (
                "create or replace view ISSUES(\"POLICY\", \"MASKING\") as SELECT 'WITH MASKING POLICY x' AS \"A\"",
                false,
            ),
        ] {
            assert_eq!(names_a_policy(definition), is_protected, "{definition}");
        }
    }

    #[test]
    fn the_stream_view_depends_on_columns_and_never_on_resources() {
        let names = Names::new("db", "public");
        let union = View::union(&names, "issues", &[("a", "a"), ("b'", "b'")]);
        assert!(
            union.select.contains("CAST('b''' AS VARCHAR) AS \"RESOURCE\"") && union.select.contains(" UNION ALL ")
        );
        assert_eq!(union.name, "\"DB\".\"PUBLIC_RAW\".\"ISSUES^=all\"");
        assert!(View::for_stream(&names, "issues", &[]).select.contains(&*union.name));
    }
}
