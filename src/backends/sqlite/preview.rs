//! The preview of a resource's newest rows.

use rusqlite::params;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::Sqlite;
use super::error::SqliteResult;
use super::{sql, tables};
use crate::backends::Preview;
use crate::{ColumnType, Resource, Result};

impl Sqlite {
    /// At most `limit` rows of a resource's typed view, the one that changed last first.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the resource was never ingested into this table;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the file cannot be read.
    pub async fn preview(&self, resource: &Resource, table: &str, limit: usize) -> Result<Preview> {
        let (resource, table) = (resource.clone(), table.to_owned());
        self.run(move |connection| {
            let ids = tables::table_ids(connection, &resource, &table)?;
            let typed = tables::columns(connection, ids.stream_id)?;
            let mut find = connection.prepare(&format!(
                // The newest are chosen before anything is parsed: sorting whole rows would read all documents.
                "SELECT {} t.deleted_at, t.raw FROM {raw} t WHERE t.id IN (SELECT id FROM {raw} WHERE resource_id = ?1 \
                 AND raw IS NOT NULL ORDER BY changed_at DESC, id DESC LIMIT ?2) ORDER BY t.changed_at DESC, t.id DESC",
                tables::select_list(&typed),
                raw = sql::raw_table(&table)
            ))?;
            let mut columns: Vec<String> = typed.iter().map(|column| column.name.clone()).collect();
            columns.extend(["deleted_at".to_owned(), "raw".to_owned()]);
            let mut found = find.query(params![ids.resource_id, i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let kinds = typed.iter().map(|column| column.kind).chain([ColumnType::Text, ColumnType::Text]);
                let values = kinds.enumerate().map(|(index, kind)| value(row.get_ref(index)?, kind));
                rows.push(values.collect::<SqliteResult<_>>()?);
            }
            Ok(Preview { columns, rows })
        })
        .await
    }
}

fn value(value: ValueRef<'_>, kind: ColumnType) -> SqliteResult<Value> {
    Ok(match (value, kind) {
        (ValueRef::Integer(number), ColumnType::Boolean | ColumnType::Present) => Value::Bool(number != 0),
        (ValueRef::Integer(number), _) => number.into(),
        (ValueRef::Real(number), _) => number.into(),
        (ValueRef::Text(text), ColumnType::Json) => serde_json::from_slice(text)?,
        (ValueRef::Text(text), _) => String::from_utf8_lossy(text).into(),
        (ValueRef::Null | ValueRef::Blob(_), _) => Value::Null,
    })
}
