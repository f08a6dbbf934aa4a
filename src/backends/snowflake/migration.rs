//! Migrates the connector's tables from older schema versions, one version at a time. Snowflake does not roll back DDL, so that each
//! step is repeatable: after a crash the version is unchanged, and the next program starts again.
//!
//! A step to version N has two halves, both called `..._to_N`: one before the tables of `state.sql` are created, and one that upgrades
//! the existing tables. To add a step, raise `state_tables::VERSION` and call its halves in [`prepare`] and [`finish`].
//!
//! | version 1 | version 2 |
//! |---|---|
//! | one table `SNOWFEED_FENCE` for all keys | a fence for each key |
//! | `INGESTION_RUN`, a table that is merged into | `SNOWFEED_RUN`, which only grows, and a view of the old name |
//! | texts of up to 16 MiB, with the account's collation | texts of up to 128 MiB, without any |
//!
//! | version 2 | version 3 |
//! |---|---|
//! | one state and one run for all streams of a resource | one for each stream: the column `STREAM` of `APP_STATE`, `SNOWFEED_RUN` and `INGESTION_RUN` |
//! | rows identified by their key, and commits without numbers | the columns of sequences in `APP_STATE`, and `PARENT` in `SNOWFEED_SEEN` |
//!
//! The raw tables get their columns `SEQ` and `PARENT` when their resource is next ensured: a thousand resources must not cost a thousand
//! statements at the first start.
//!
//! The entries and runs of a resource with a single stream become that stream's, in place: it continues from its checkpoint, above its
//! versions. An entry of a resource with several streams gets the empty name: its checkpoint covers streams that now progress apart, so
//! each of them starts anew. `STREAM` then becomes mandatory in `APP_STATE`, so that a running program of version 2, which has its
//! version cached and does not name the column, is refused from then on: it would take up the checkpoint of one stream for all. What such
//! a program commits while the columns change may lack a stream all the same: Snowflake warns of inconsistencies where DDL meets the
//! INSERT of an open transaction. `state.rs` says how such an entry counts.

use super::names::{Names, identifier, literal};
use super::state_tables::{self, VERSION};
use super::view::View;
use crate::snowflake::{Session, Sql, Statement, sql};
use crate::{Error, Result};

/// The oldest version that can be migrated.
pub(super) const OLDEST_VERSION: i64 = 1;

/// The maximum length of a text in Snowflake, in characters.
#[cfg(any(test, feature = "native-app"))]
pub(crate) const LONGEST_TEXT: u32 = 134_217_728;

/// The type of columns for documents: a text of the maximum length.
pub(super) const LONG_TEXT: &str = "VARCHAR(134217728)";

/// The prefix of MADE_FROM for a table whose keys have a collation, which follows.
pub(super) const COLLATED: &str = "collation ";

/// The columns of the run history in versions 1 and 2.
const RUN_COLUMNS: &str = "\"ID\", \"RESOURCE\", \"MODE\", \"STATUS\", \"STARTED_AT\", \"ENDED_AT\", \"OFFERED\", \"INSERTED\", \
                           \"UPDATED\", \"UNCHANGED\", \"DELETED\", \"SKIPPED\", \"REJECTED\", \"COMMITS\", \"REQUESTS\", \
                           \"BYTES\", \"WAITED_MS\", \"TOTAL_MS\", \"ERROR\", \"DOCUMENT\"";

/// Prepares the tables of version `from` for this version's.
pub(super) async fn prepare(session: &mut dyn Session, names: &Names, from: i64) -> Result<()> {
    for version in from + 1..=VERSION {
        match version {
            2 => prepare_to_2(session, names).await?,
            3 => prepare_to_3(session, names).await?,
            _ => return Err(no_step(version)),
        }
    }
    Ok(())
}

/// Upgrades the remaining tables from version `from`.
pub(super) async fn finish(session: &mut dyn Session, names: &Names, from: i64) -> Result<()> {
    for version in from + 1..=VERSION {
        match version {
            2 => finish_to_2(session, names).await?,
            3 => finish_to_3(session, names).await?,
            _ => return Err(no_step(version)),
        }
    }
    Ok(())
}

fn no_step(version: i64) -> Error {
    Error::internal(format!("there is no migration to version {version}"))
}

async fn prepare_to_2(session: &mut dyn Session, names: &Names) -> Result<()> {
    check_collations(session, names).await?;
    let tables = old_tables(session, names).await?;
    if tables.iter().any(|table| table == "SNOWFEED_FENCE") {
        // Waits for running commits of programs of the old version, and prevents further ones.
        let fence = names.state("SNOWFEED_FENCE");
        session.execute(Statement::new(sql!("UPDATE {fence} SET \"VERSION\" = -1", fence))).await?;
        session.execute(Statement::new(sql!("DROP TABLE IF EXISTS {fence}", fence))).await?;
    }
    if tables.iter().any(|table| table == "INGESTION_RUN") {
        let (old, new) = (names.state("INGESTION_RUN"), names.state("SNOWFEED_RUN"));
        let create = state_tables::statement(names, "SNOWFEED_RUN");
        session.execute(Statement::new(create)).await?;
        let copy = sql!(
            "INSERT INTO {new} (\"RECORDED_AT\", {RUN_COLUMNS}) SELECT COALESCE(o.\"ENDED_AT\", o.\"STARTED_AT\", CAST(SYSDATE() AS \
             TIMESTAMP_NTZ)), {columns} FROM {old} o WHERE NOT EXISTS (SELECT 1 AS \"ONE\" FROM {new} n WHERE n.\"ID\" = o.\"ID\")",
            new,
            RUN_COLUMNS,
            old,
            columns =
                Sql::from(RUN_COLUMNS).replace_fragment(", \"", &", o.\"").replace_fragment("\"ID\", ", &"o.\"ID\", ")
        );
        session.execute(Statement::new(copy)).await?;
        session.execute(Statement::new(sql!("DROP TABLE {old}", old))).await?;
    }
    Ok(())
}

async fn finish_to_2(session: &mut dyn Session, names: &Names) -> Result<()> {
    for (table, column) in [
        ("APP_CONFIGURATION", "DOCUMENT"),
        ("RESOURCE_CONFIGURATION", "DOCUMENT"),
        ("APP_STATE", "DOCUMENT"),
        ("REJECTED_RECORD", "RAW"),
    ] {
        session.execute(Statement::new(widen_column(&names.state(table), column))).await?;
    }
    mark_collations(session, names).await
}

/// Adds the columns that the new view reads. Tables that a crashed program has not yet created get them with their creation.
async fn prepare_to_3(session: &mut dyn Session, names: &Names) -> Result<()> {
    let view = View { name: names.state("INGESTION_RUN"), select: state_tables::ingestion_run(names) };
    if view.is_protected(session).await? {
        return Err(Error::configuration(format!(
            "a policy is attached to the view {}, which the upgrade must replace",
            view.name
        ))
        .with_help("detach the policy, start this program again, then attach it again"));
    }
    for (table, column, kind) in [
        ("APP_STATE", "STREAM", "VARCHAR COLLATE ''"),
        ("SNOWFEED_RUN", "STREAM", "VARCHAR COLLATE ''"),
        ("APP_STATE", "SEQUENCE", "NUMBER(38, 0)"),
        ("APP_STATE", "PARENT_STREAM", "VARCHAR COLLATE ''"),
        ("APP_STATE", "PARENT_SEQUENCE", "NUMBER(38, 0)"),
        ("SNOWFEED_SEEN", "PARENT", "VARCHAR COLLATE ''"),
    ] {
        let add = sql!(
            "ALTER TABLE IF EXISTS {table} ADD COLUMN IF NOT EXISTS \"{column}\" {kind}",
            table = names.state(table),
            column,
            kind
        );
        session.execute(Statement::new(add)).await?;
    }
    Ok(())
}

async fn finish_to_3(session: &mut dyn Session, names: &Names) -> Result<()> {
    let states = names.state("APP_STATE");
    for (table, resource) in [(&states, "KEY"), (&names.state("SNOWFEED_RUN"), "RESOURCE")] {
        let assign = sql!(
            "UPDATE {table} t SET \"STREAM\" = s.\"STREAM\" FROM {sole} s WHERE t.\"{resource}\" = s.\"RESOURCE\" AND t.\"STREAM\" IS NULL",
            table,
            resource,
            sole = state_tables::sole_streams(names)
        );
        session.execute(Statement::new(assign)).await?;
    }
    let end = sql!("UPDATE {states} SET \"STREAM\" = '' WHERE \"STREAM\" IS NULL", states);
    session.execute(Statement::new(end)).await?;
    // Only the marks of these reconcile runs: another program may have finished the migration and begun new ones.
    let forget = sql!(
        "DELETE FROM {seen} WHERE \"RUN\" IN (SELECT \"VALUE\":reconcile.id::VARCHAR FROM {states} WHERE \"STREAM\" = '')",
        seen = names.state("SNOWFEED_SEEN"),
        states
    );
    session.execute(Statement::new(forget)).await?;
    let require = sql!("ALTER TABLE {states} ALTER COLUMN \"STREAM\" SET NOT NULL", states);
    session.execute(Statement::new(require)).await?;
    View { name: names.state("INGESTION_RUN"), select: state_tables::ingestion_run(names) }.replace(session).await
}

/// The statement that extends a column to documents of any length.
pub(super) fn widen_column(table: &Sql, column: &str) -> Sql {
    sql!(
        "ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {LONG_TEXT}",
        table,
        LONG_TEXT,
        column = identifier(column)
    )
}

/// Brings a raw table of an older version up to date.
pub(super) async fn upgrade_raw_table(session: &mut dyn Session, raw: &Sql) -> Result<()> {
    session.execute(Statement::new(widen_column(raw, "DOCUMENT"))).await?;
    for column in ["\"SEQ\" NUMBER(38, 0)", "\"PARENT\" VARCHAR COLLATE ''"] {
        let add = sql!("ALTER TABLE {raw} ADD COLUMN IF NOT EXISTS {column}", raw, column);
        session.execute(Statement::new(add)).await?;
    }
    Ok(())
}

/// The existing tables of version 1. A view of the same name belongs to version 2.
async fn old_tables(session: &mut dyn Session, names: &Names) -> Result<Vec<String>> {
    let select = sql!(
        "SELECT \"TABLE_NAME\" FROM {schema}.\"TABLES\" WHERE \"TABLE_SCHEMA\" = ? AND \"TABLE_TYPE\" = 'BASE TABLE' AND \
         \"TABLE_NAME\" IN ('SNOWFEED_FENCE', 'INGESTION_RUN')",
        schema = names.schema_name("INFORMATION_SCHEMA")
    );
    let answer = session.execute(Statement::new(select).bind(Names::STATE)).await?;
    answer.rows.iter().map(|row| Ok(row.text(0)?.to_string())).collect()
}

/// A column that does not compare texts byte by byte.
#[derive(Debug)]
pub(super) struct CollatedColumn {
    pub(super) table: String,
    pub(super) column: String,
    pub(super) collation: String,
}

/// The columns of a schema that have a collation, by table.
pub(super) async fn collated_columns(
    session: &mut dyn Session,
    names: &Names,
    schema: &str,
) -> Result<Vec<CollatedColumn>> {
    let select = sql!(
        "SELECT \"TABLE_NAME\", \"COLUMN_NAME\", \"COLLATION_NAME\" FROM {schema}.\"COLUMNS\" WHERE \"TABLE_SCHEMA\" = ? AND \
         \"COLLATION_NAME\" IS NOT NULL ORDER BY 1, 2",
        schema = names.schema_name("INFORMATION_SCHEMA")
    );
    let answer = session.execute(Statement::new(select).bind(schema)).await?;
    let columns = answer.rows.iter().map(|row| {
        let text = |column| Ok::<_, Error>(row.text(column)?.to_string());
        Ok(CollatedColumn { table: text(0)?, column: text(1)?, collation: text(2)? })
    });
    // An empty name means no collation.
    Ok(columns.collect::<Result<Vec<_>>>()?.into_iter().filter(|column| !column.collation.is_empty()).collect())
}

/// Rejects tables with a collation: different keys would be equal.
pub(super) async fn check_collations(session: &mut dyn Session, names: &Names) -> Result<()> {
    let columns = collated_columns(session, names, Names::STATE).await?;
    let Some(first) = columns.first() else { return Ok(()) };
    let table = names.state(&first.table);
    let of_table = columns.iter().filter(|column| column.table == first.table);
    let replaced = of_table.map(|column| {
        let column = identifier(&column.column);
        sql!("COLLATE({column}, '') AS {column}", column)
    });
    Err(Error::configuration(format!(
        "the table {table} has the collation {:?}, which the account gave it: different keys would be equal",
        first.collation
    ))
    .with_help(format!(
        "let its owner run: CREATE OR REPLACE TABLE {table} COPY GRANTS AS SELECT * REPLACE ({}) FROM {table}",
        Sql::join(&replaced.collect::<Vec<_>>(), ", ")
    )))
}

/// Marks the raw tables whose keys have a collation, so that only their resources are rejected.
async fn mark_collations(session: &mut dyn Session, names: &Names) -> Result<()> {
    let keys = collated_columns(session, names, &names.raw_schema())
        .await?
        .into_iter()
        .filter(|column| column.column == "KEY");
    for CollatedColumn { table, collation, .. } in keys {
        let mark = sql!(
            "UPDATE {table} SET \"MADE_FROM\" = ? WHERE \"RESOURCE\" <> '' AND \"NAME\" = ?",
            table = names.state("SNOWFEED_TABLE")
        );
        let mark = Statement::new(mark).bind(format!("{COLLATED}{collation}")).bind(table);
        session.execute(mark).await?;
    }
    Ok(())
}

/// The error of a raw table whose keys have a collation.
pub(super) fn collation_error(names: &Names, resource: &str, name: &str, made_from: &str) -> Error {
    let (table, catalog) = (names.raw(name), names.state("SNOWFEED_TABLE"));
    let collation = made_from.strip_prefix(COLLATED).unwrap_or(made_from);
    Error::configuration(format!(
        "the table {table} has the collation {collation:?}, which the account gave it: of keys that it takes for equal only \
         one can be kept"
    ))
    .with_help(format!(
        "to read the resource anew into a table without it, run: DROP TABLE {table}; DELETE FROM {catalog} WHERE \
         \"RESOURCE\" = {}; then `reset` the resource",
        literal(resource)
    ))
}
