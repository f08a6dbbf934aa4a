//! Writes the rows of the catalog's table.

use serde::Serialize;

use crate::backends::snowflake::names::{Names, upper_name};
use crate::snowflake::{Session, Statement, sql};
use crate::stream::Column;
use crate::{Error, Result};

/// The prefix of a claim, before its id.
pub(super) const CLAIM: &str = "claim ";

/// The prefix of a claim that overrode an unfinished one.
pub(super) const SECOND_CLAIM: &str = "claim over another ";

/// A row of the catalog table.
#[derive(Serialize)]
pub(super) struct CatalogRow<'a> {
    pub(super) resource: &'a str,
    pub(super) stream: &'a str,
    pub(super) name: &'a str,
    pub(super) columns: String,
    pub(super) made_from: &'a str,
}

pub(super) fn write_columns(columns: &[Column]) -> Result<String> {
    serde_json::to_string(columns).map_err(|error| Error::internal("columns cannot be written").with_source(error))
}

/// Inserts or replaces a row.
pub(super) async fn write_row(session: &mut dyn Session, names: &Names, entry: &CatalogRow<'_>) -> Result<()> {
    let json = serde_json::to_string(entry)
        .map_err(|error| Error::internal("an entry of the catalog cannot be written").with_source(error))?;
    let merge = sql!(
        "MERGE INTO {table} t USING (SELECT b.\"E\":resource::VARCHAR AS \"RESOURCE\", \
         b.\"E\":stream::VARCHAR AS \"STREAM\", b.\"E\":name::VARCHAR AS \"NAME\", \
         b.\"E\":columns::VARCHAR AS \"COLUMNS\", b.\"E\":made_from::VARCHAR AS \"MADE_FROM\" \
         FROM (SELECT PARSE_JSON(?) AS \"E\") b) s ON t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" \
         WHEN MATCHED THEN UPDATE SET \"NAME\" = s.\"NAME\", \"COLUMNS\" = s.\"COLUMNS\", \"MADE_FROM\" = s.\"MADE_FROM\" \
         WHEN NOT MATCHED THEN INSERT (\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\") \
         VALUES (s.\"RESOURCE\", s.\"STREAM\", s.\"NAME\", s.\"COLUMNS\", s.\"MADE_FROM\")",
        table = names.state("SNOWFEED_TABLE")
    );
    session.execute(Statement::new(merge).bind(json)).await?;
    Ok(())
}

/// Claims the view of a stream: its row has no digest until [`finish_claim`].
pub(super) async fn claim(session: &mut dyn Session, names: &Names, stream: &str, id: &str) -> Result<()> {
    let merge = sql!(
        "MERGE INTO {table} t USING (SELECT '' AS \"RESOURCE\", b.\"STREAM\", b.\"NAME\", '[]' AS \"COLUMNS\", \
         '{CLAIM}' || b.\"ID\" AS \"CLAIM\", '{SECOND_CLAIM}' || b.\"ID\" AS \"CLAIM_OVER\" \
         FROM (SELECT CAST(? AS VARCHAR) AS \"STREAM\", CAST(? AS VARCHAR) AS \"NAME\", CAST(? AS VARCHAR) AS \"ID\") b) s \
         ON t.\"RESOURCE\" = s.\"RESOURCE\" AND t.\"STREAM\" = s.\"STREAM\" \
         WHEN MATCHED AND STARTSWITH(t.\"MADE_FROM\", '{CLAIM}') THEN UPDATE SET \"MADE_FROM\" = s.\"CLAIM_OVER\" \
         WHEN MATCHED THEN UPDATE SET \"MADE_FROM\" = s.\"CLAIM\" \
         WHEN NOT MATCHED THEN INSERT (\"RESOURCE\", \"STREAM\", \"NAME\", \"COLUMNS\", \"MADE_FROM\") \
         VALUES (s.\"RESOURCE\", s.\"STREAM\", s.\"NAME\", s.\"COLUMNS\", s.\"CLAIM\")",
        table = names.state("SNOWFEED_TABLE"),
        CLAIM,
        SECOND_CLAIM
    );
    session.execute(Statement::new(merge).bind(stream).bind(upper_name(stream)).bind(id)).await?;
    Ok(())
}

/// Stores the digest of a stream's view, unless another program has claimed it since.
pub(super) async fn finish_claim(
    session: &mut dyn Session,
    names: &Names,
    stream: &str,
    claimed: &str,
    columns: &[Column],
    made_from: &str,
) -> Result<bool> {
    let update = sql!(
        "UPDATE {table} SET \"COLUMNS\" = ?, \"MADE_FROM\" = ? WHERE \"RESOURCE\" = '' AND \"STREAM\" = ? AND \"MADE_FROM\" = ?",
        table = names.state("SNOWFEED_TABLE")
    );
    let update = Statement::new(update).bind(write_columns(columns)?).bind(made_from);
    Ok(session.execute(update.bind(stream).bind(claimed)).await?.rows_affected()? > 0)
}
