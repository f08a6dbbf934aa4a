//! A preview of a resource's newest rows.

use serde_json::Value;

use super::Snowflake;
use super::columns::select_list;
use super::documents::TEXT;
use super::names::upper_name;
use crate::backends::Preview;
use crate::sink::not_ensured;
use crate::snowflake::{Sql, Statement, sql};
use crate::stream::Column;
use crate::{ColumnType, Error, Resource, Result};

/// The format of timestamps, without the zone; the session's own format may differ.
const RFC_3339: &str = "YYYY-MM-DD\"T\"HH24:MI:SS.FF9";

impl Snowflake {
    /// Returns at most `limit` rows of a resource's typed view, the last changed first.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the resource was never ingested into this table;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when Snowflake cannot be reached.
    pub async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview> {
        let mut session = self.session().await?;
        let name = self.raw_name(&mut *session, resource, table).await?;
        let typed: Vec<Column> = self
            .catalog(&mut *session)
            .await?
            .columns(resource, table)
            .ok_or_else(|| not_ensured(resource, table))?
            .to_vec();
        let texts: Vec<Sql> = typed
            .iter()
            .map(|column| {
                let name = super::names::identifier(&upper_name(&column.name));
                match column.kind {
                    ColumnType::Json => sql!("TO_JSON(v.{name}) AS {name}", name),
                    ColumnType::Timestamp => {
                        sql!("TO_VARCHAR(v.{name}, '{RFC_3339}TZH:TZM') AS {name}", name, RFC_3339)
                    }
                    ColumnType::Date => sql!("TO_VARCHAR(v.{name}, 'YYYY-MM-DD') AS {name}", name),
                    _ => sql!("CAST(v.{name} AS VARCHAR) AS {name}", name),
                }
            })
            .collect();
        let comma = if typed.is_empty() { "" } else { ", " };
        let select = sql!(
            "SELECT {texts}{comma}v.\"DELETED_AT\", v.\"DOCUMENT\" FROM (SELECT {typed}{comma}TO_VARCHAR(t.\"DELETED_AT\", '{RFC_3339}') || 'Z' \
             AS \"DELETED_AT\", {TEXT} AS \"DOCUMENT\", t.\"CHANGED_AT\", t.\"KEY\" FROM {raw} t WHERE t.\"DOCUMENT\" IS NOT NULL ORDER BY \
             t.\"CHANGED_AT\" DESC, t.\"KEY\" DESC LIMIT {limit}) v ORDER BY v.\"CHANGED_AT\" DESC, v.\"KEY\" DESC",
            comma,
            RFC_3339,
            TEXT,
            limit,
            texts = Sql::join(&texts, ", "),
            typed = select_list(&typed),
            raw = self.0.names.raw(&name)
        );
        let answer = session.execute(Statement::new(select)).await?;
        let mut columns: Vec<String> = typed.iter().map(|column| column.name.clone()).collect();
        columns.extend(["deleted_at".to_owned(), "raw".to_owned()]);
        let kinds: Vec<ColumnType> = typed.iter().map(|column| column.kind).collect();
        let rows = answer.rows.into_iter().map(|row| {
            let cells = row.0.into_iter().enumerate();
            cells.map(|(index, cell)| value(cell.as_deref(), kinds.get(index).copied())).collect::<Result<Vec<_>>>()
        });
        Ok(Preview { columns, rows: rows.collect::<Result<_>>()? })
    }
}

/// A cell as JSON; without a type it is text.
fn value(cell: Option<&str>, kind: Option<ColumnType>) -> Result<Value> {
    let Some(text) = cell else { return Ok(Value::Null) };
    let read = |text: &str| {
        serde_json::from_str(text).map_err(|error| {
            Error::invalid_data(format!("Snowflake returned {text:?} where a JSON value was expected"))
                .with_source(error)
        })
    };
    match kind {
        // A longer one would lose digits as a JSON number.
        Some(ColumnType::Integer) => Ok(text.parse::<i64>().map_or_else(|_| text.into(), Value::from)),
        Some(ColumnType::Json) => read(text),
        // Without its decimal point it would become an integer in JSON.
        Some(ColumnType::Float) => Ok(read(text)?.as_f64().into()),
        // Not the zeros that the type of the column adds.
        Some(ColumnType::Decimal) if text.contains('.') => Ok(text.trim_end_matches('0').trim_end_matches('.').into()),
        Some(ColumnType::Boolean | ColumnType::Present) => read(&text.to_ascii_lowercase()),
        Some(ColumnType::Text | ColumnType::Decimal | ColumnType::Timestamp | ColumnType::Date | ColumnType::Any)
        | None => Ok(text.into()),
    }
}
