//! Previews rows.

use serde_json::{Map, Value, json};

use super::session::Session;
use crate::cli::Exit;
use crate::cli::output::table;
use crate::engine::unknown_resource;
use crate::{Error, Result, Source, SourceSpec};

/// The width of a column, and of all columns together.
const CELL: usize = 40;
const WIDTH: usize = 150;

pub(super) async fn preview<S: Source>(
    session: Session<S>,
    name: String,
    limit: usize,
    wanted: Option<String>,
) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let wanted = table_name(&spec, wanted)?;
    if session.destination.missing().is_some() {
        return Err(unknown_resource(&spec, &name));
    }
    let store = session.destination.open_to_read()?;
    let connector = session.connector(&*store);
    let resource = connector.resolve([name]).await?.remove(0);
    if !connector.resources().await?.iter().any(|(known, _)| *known == resource) {
        return Err(unknown_resource(&spec, resource.name()));
    }
    let preview = store.preview(&resource, &wanted, limit).await?;
    if preview.rows.is_empty() {
        output.note(&format!("{resource} has no rows yet"));
    }
    let rows: Vec<Map<String, Value>> =
        preview.rows.iter().map(|row| preview.columns.iter().cloned().zip(row.iter().cloned()).collect()).collect();
    let document = json!({"resource": resource, "table": wanted, "rows": rows});
    output.result(&document, || {
        let cells: Vec<Vec<String>> = preview.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let columns: Vec<&str> = preview.columns.iter().map(String::as_str).collect();
        let shown = fitting(&columns, &cells);
        table(&columns[..shown], &[], cells.into_iter().map(|row| row.into_iter().take(shown).collect()))
    })?;
    output.note("`--json` shows every column in full");
    Ok(Exit::Complete)
}

fn table_name(spec: &SourceSpec, wanted: Option<String>) -> Result<String> {
    let names: Vec<&str> = spec.streams.iter().map(|table| table.name.as_str()).collect();
    match wanted {
        Some(name) if names.contains(&name.as_str()) => Ok(name),
        Some(name) => Err(Error::configuration(format!("there is no table {name:?}"))
            .with_help(format!("the tables are: {}", names.join(", ")))),
        None => names
            .first()
            .map(ToString::to_string)
            .ok_or_else(|| Error::internal(format!("the source {} has no table", spec.name))),
    }
}

/// A value in at most [`CELL`] characters.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    if text.chars().count() <= CELL {
        return text;
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

/// Returns the number of columns that fit side by side; at least one.
fn fitting(columns: &[&str], rows: &[Vec<String>]) -> usize {
    let mut left = WIDTH;
    let fits = |(index, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        let width = cells.max().unwrap_or(0).max(name.len()) + 2;
        left = left.checked_sub(width)?;
        Some(())
    };
    columns.iter().enumerate().map_while(fits).count().clamp(1, columns.len().max(1))
}
