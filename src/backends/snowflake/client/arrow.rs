//! Rows in Arrow's format, as texts: the same ones that Snowflake writes in its JSON.

use std::io::Cursor;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType, Field};
use bytestring::ByteString;

use super::Row;
use crate::{Error, Result};

/// How many digits Snowflake's numbers have at most.
const PRECISION: u8 = 38;

/// Decodes a stream of record batches; nothing is a stream without rows.
pub(super) fn rows(stream: &[u8]) -> Result<Vec<Row>> {
    if stream.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for batch in StreamReader::try_new(Cursor::new(stream), None).map_err(garbled)? {
        append(&batch.map_err(garbled)?, &mut rows)?;
    }
    Ok(rows)
}

fn append(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<()> {
    let first = rows.len();
    let width = batch.num_columns();
    rows.extend((0..batch.num_rows()).map(|_| Row(Vec::with_capacity(width))));
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let texts = texts(field, column)?;
        for (row, text) in rows.iter_mut().skip(first).zip(texts) {
            row.0.push(text);
        }
    }
    Ok(())
}

fn texts(field: &Field, column: &ArrayRef) -> Result<Vec<Option<ByteString>>> {
    match column.data_type() {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Boolean => formatted(column),
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, _) => formatted(column),
        number if number.is_integer() => match scale(field) {
            0 => formatted(column),
            scale => formatted(&scaled(column, scale)?),
        },
        DataType::Struct(_) if is_timestamp(field) => timestamps(field, column),
        _ => Err(Error::invalid_data("Snowflake answered with a type of column that is not understood")
            .with_context("column", field.name())
            .with_context("type", column.data_type())
            .with_help("cast the column to VARCHAR in the statement")),
    }
}

fn formatted(column: &ArrayRef) -> Result<Vec<Option<ByteString>>> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(garbled)?;
    let text = |row| match column.is_null(row) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(|text| Some(text.into())).map_err(garbled),
    };
    (0..column.len()).map(text).collect()
}

/// A number with digits after the point comes as a whole one, and how many digits there are beside it.
fn scaled(column: &ArrayRef, scale: i8) -> Result<ArrayRef> {
    let whole = arrow_cast::cast(column, &DataType::Decimal128(PRECISION, 0)).map_err(garbled)?;
    let decimals = whole.as_primitive::<Decimal128Type>().clone().with_precision_and_scale(PRECISION, scale);
    Ok(std::sync::Arc::new(decimals.map_err(garbled)?))
}

fn scale(field: &Field) -> i8 {
    field.metadata().get("scale").and_then(|scale| scale.parse().ok()).unwrap_or(0)
}

fn is_timestamp(field: &Field) -> bool {
    field.metadata().get("logicalType").is_some_and(|kind| kind.starts_with("TIMESTAMP"))
}

/// Seconds since 1970, nanoseconds, and perhaps an offset from UTC in minutes plus 1440: `1700000000.000000000 1440`.
fn timestamps(field: &Field, column: &ArrayRef) -> Result<Vec<Option<ByteString>>> {
    let parts = column.as_struct();
    let part = |name| {
        let missing = || Error::invalid_data("a timestamp has no such part").with_context("column", field.name());
        parts.column_by_name(name).ok_or_else(missing).map(|part| part.as_ref())
    };
    let wrong = || Error::invalid_data("a timestamp's parts are no numbers").with_context("column", field.name());
    let epoch = part("epoch")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    let fraction = match part("fraction") {
        Ok(part) => Some(part.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?),
        Err(_) => None,
    };
    let zone = match part("timezone") {
        Ok(part) => Some(part.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?),
        Err(_) => None,
    };
    let text = |row: usize| {
        let fraction = fraction.map_or(0, |fraction| fraction.value(row));
        let zone = zone.map(|zone| format!(" {}", zone.value(row))).unwrap_or_default();
        format!("{}.{fraction:09}{zone}", epoch.value(row)).into()
    };
    Ok((0..column.len()).map(|row| (!column.is_null(row)).then(|| text(row))).collect())
}

fn garbled(error: ArrowError) -> Error {
    Error::invalid_data("the rows of an answer are garbled").with_source(error)
}
