//! The views that users query: their SQL, and how one is replaced without losing a policy.
//!
//! `CREATE OR REPLACE VIEW` can keep grants and tags, but drops attached policies. So a view is replaced only when its text changes,
//! and never while a policy is attached to it. The union of the raw tables, which changes with every new resource, is a separate view
//! below the stream's view.

use super::columns::select_list;
use super::names::{Names, literal, union_name, upper_name};
use super::pool::is_missing;
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::stream::Column;
use crate::{Error, Result, StreamSpec};

/// The maximum size of a view's definition in Snowflake, in bytes.
const MAX_VIEW_BYTES: usize = 1_000_000;

/// A view and its SELECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The qualified name.
    pub(super) name: Sql,
    pub(super) select: Sql,
}

/// A raw table in the union of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnionMember<'a> {
    pub(super) resource: &'a str,
    pub(super) table: &'a str,
    /// Whether the table has the column `PARENT`.
    pub(super) has_parents: bool,
}

impl View {
    /// The view of one resource, over its raw table.
    pub(super) fn for_resource(names: &Names, spec: &StreamSpec, name: &str, columns: &[Column]) -> Self {
        let select = sql!(
            "SELECT {parent}{columns}t.\"DELETED_AT\", t.\"RAW\" FROM {raw} t WHERE t.\"DOCUMENT\" IS NOT NULL",
            parent = parent_prefix(spec),
            columns = column_prefix(columns),
            raw = names.raw(name)
        );
        Self { name: names.view(name), select }
    }

    /// The view over all resources of a stream, over the union of their raw tables.
    pub(super) fn for_stream(names: &Names, spec: &StreamSpec, columns: &[Column]) -> Self {
        let stream = spec.name.as_str();
        let select = sql!(
            "SELECT t.\"RESOURCE\", {parent}{columns}t.\"DELETED_AT\", t.\"RAW\" FROM {raw} t WHERE t.\"DOCUMENT\" IS NOT NULL",
            parent = parent_prefix(spec),
            columns = column_prefix(columns),
            raw = names.raw(&union_name(stream))
        );
        Self { name: names.view(&upper_name(stream)), select }
    }

    /// The union of the raw tables of a stream. The type of the resource's column must not depend on the resources: views over this one
    /// have recorded it.
    pub(super) fn union(names: &Names, spec: &StreamSpec, members: &[UnionMember<'_>]) -> Self {
        let branches: Vec<Sql> = members
            .iter()
            .map(|UnionMember { resource, table, has_parents }| {
                let parent = match (spec.child_of(), has_parents) {
                    (None, _) => "",
                    (Some(_), true) => ", \"PARENT\"",
                    (Some(_), false) => ", CAST(NULL AS VARCHAR) AS \"PARENT\"",
                };
                sql!(
                    "SELECT CAST({resource} AS VARCHAR) AS \"RESOURCE\", \"RAW\", \"DELETED_AT\", \"DOCUMENT\"{parent} FROM {raw}",
                    resource = literal(resource),
                    parent,
                    raw = names.raw(table)
                )
            })
            .collect();
        Self { name: names.raw(&union_name(&spec.name)), select: Sql::join(&branches, " UNION ALL ") }
    }

    /// Whether the definition exceeds Snowflake's limit.
    pub(super) fn is_too_long(&self) -> bool {
        self.statement().len() > MAX_VIEW_BYTES
    }

    /// The statement that creates or replaces it.
    fn statement(&self) -> Sql {
        sql!("CREATE OR REPLACE VIEW {name} COPY GRANTS COPY TAGS AS {select}", name = self.name, select = self.select)
    }

    /// Creates or replaces it.
    pub(super) async fn replace(&self, session: &mut dyn Session) -> Result<()> {
        session.execute(Statement::new(self.statement())).await.map(drop)
    }

    /// Creates or replaces it, unless a policy is attached to the existing one: replacing would drop the policy and reveal hidden data.
    /// Returns whether it was created.
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

    /// Whether a policy is attached to the view. Its definition shows this to its owner, even if the policy itself is hidden.
    pub(super) async fn is_protected(&self, session: &mut dyn Session) -> Result<bool> {
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

/// Rejects a table whose views would exceed a limit of Snowflake. `columns` are those of its view.
pub(super) fn check_table(names: &Names, spec: &StreamSpec, columns: &[Column]) -> Result<()> {
    if View::for_stream(names, spec, columns).is_too_long() {
        return Err(Error::internal(format!(
            "the view of the table {:?} with its {} columns would exceed Snowflake's limit of 1 MB",
            spec.name,
            columns.len()
        ))
        .with_help("in the source, give the stream fewer columns, or shorter paths"));
    }
    Ok(())
}

/// The key of the parent, followed by a comma; empty unless the stream is a child.
fn parent_prefix(spec: &StreamSpec) -> Sql {
    match spec.child_of() {
        None => Sql::default(),
        Some(_) => sql!(
            "CAST(GET(PARSE_JSON(t.\"PARENT\"), ARRAY_SIZE(PARSE_JSON(t.\"PARENT\")) - 1) AS VARCHAR) AS \"PARENT_KEY\", "
        ),
    }
}

/// The typed columns, followed by a comma if there are any.
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
        let member = |resource| UnionMember { resource, table: resource, has_parents: true };
        let issues = StreamSpec::new("issues");
        let union = View::union(&names, &issues, &[member("a"), member("b'")]);
        assert!(
            union.select.contains("CAST('b''' AS VARCHAR) AS \"RESOURCE\"") && union.select.contains(" UNION ALL ")
        );
        assert_eq!(union.name, "\"DB\".\"PUBLIC_RAW\".\"ISSUES^=all\"");
        let view = View::for_stream(&names, &issues, &[]);
        assert!(view.select.contains(&*union.name) && !view.select.contains("PARENT_KEY"));
    }

    #[test]
    fn the_views_of_a_child_stream_have_the_key_of_the_parent() {
        let names = Names::new("db", "public");
        let comments = StreamSpec::child("comments", "issues");
        let member = |has_parents| UnionMember { resource: "a", table: "a", has_parents };
        let union = View::union(&names, &comments, &[member(true), member(false)]).select;
        assert!(union.contains("\"DOCUMENT\", \"PARENT\" FROM") && union.contains("AS VARCHAR) AS \"PARENT\" FROM"));
        assert!(View::for_stream(&names, &comments, &[]).select.contains("AS \"PARENT_KEY\", t.\"DELETED_AT\""));
        assert!(View::for_resource(&names, &comments, "a", &[]).select.contains("AS \"PARENT_KEY\", t.\"DELETED_AT\""));
    }
}
