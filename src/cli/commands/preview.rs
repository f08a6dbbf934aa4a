//! Previews rows.

use serde_json::{Map, Value, json};

use super::session::Session;
use crate::cli::Exit;
use crate::cli::labels::Labels;
use crate::cli::output::table;
use crate::engine::{Connector, find_stream, unknown_resource};
use crate::{Error, ErrorKind, Resource, Result, Source, StateKey};

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
    let wanted = wanted.map(|wanted| find_stream(&spec, &wanted).map(|stream| stream.name.clone())).transpose()?;
    if session.destination.missing().is_some() {
        return Err(unknown_resource(&spec, &name));
    }
    let store = session.destination.open_to_read()?;
    let connector = session.connector(&*store);
    let resource = connector.resolve([name]).await?.remove(0);
    let known = connector.resources().await?;
    let Some((_, config)) = known.iter().find(|(known, _)| *known == resource) else {
        return Err(unknown_resource(&spec, resource.name()));
    };
    let read = connector.streams(Some(config));
    let stream = match wanted {
        Some(stream) => stream,
        None => read.first().or(spec.streams.first().as_ref()).map(|stream| stream.name.clone()).unwrap_or_default(),
    };
    let declared = find_stream(&spec, &stream)?;
    let owner = declared.owner(&resource);
    let is_read = read.iter().any(|read| read.name == stream);
    if !is_read && !was_read(&connector, &owner, &stream).await? {
        return Err(Error::new(ErrorKind::NotFound, format!("the stream {stream} of {resource} was never read"))
            .with_help(format!("`enable {resource} --streams` selects the streams to read")));
    }
    let preview = store.preview(&owner, declared.table(), limit).await?;
    if preview.rows.is_empty() {
        output.note(&format!("{} has no rows yet", Labels::new(&spec).label(resource.name(), &stream)));
    }
    let rows: Vec<Map<String, Value>> =
        preview.rows.iter().map(|row| preview.columns.iter().cloned().zip(row.iter().cloned()).collect()).collect();
    let document = json!({"resource": resource, "stream": stream, "rows": rows});
    output.result(&document, || {
        let cells: Vec<Vec<String>> = preview.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let columns: Vec<&str> = preview.columns.iter().map(String::as_str).collect();
        let shown = fitting(&columns, &cells);
        table(&columns[..shown], &[], cells.into_iter().map(|row| row.into_iter().take(shown).collect()))
    })?;
    output.note("`--json` shows every column in full");
    Ok(Exit::Complete)
}

/// Whether a stream that is not selected may have rows.
async fn was_read(connector: &Connector, resource: &Resource, stream: &str) -> Result<bool> {
    Ok(connector.state(&StateKey::new(resource.name(), stream)).await?.is_some())
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
