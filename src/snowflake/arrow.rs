//! Converts rows in Arrow's format to the texts that Snowflake writes in its JSON.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, Field};
use bytestring::ByteString;

use super::row::Row;
use crate::{Error, Result};

/// The maximum number of digits of Snowflake's numbers.
const PRECISION: u8 = 38;

/// Rows of nothing but nulls take no space in a stream, whatever their number; more of them than this are rejected.
const MAX_EMPTY_ROWS: usize = 1 << 20;

/// Decodes a stream of record batches. Empty input is a stream without rows.
pub(super) fn rows(stream: &[u8]) -> Result<Vec<Row>> {
    // The decoder panics on a batch that points outside itself, and on other malformed ones. Nothing that it has touched is used
    // afterwards.
    catch_unwind(AssertUnwindSafe(|| decode(stream)))
        .unwrap_or_else(|_| Err(Error::invalid_data("the rows of a result are malformed")))
}

fn decode(stream: &[u8]) -> Result<Vec<Row>> {
    // Unlike a reader, it allocates nothing for announced data.
    let mut decoder = StreamDecoder::new();
    let (mut rest, mut rows) = (stream.into(), Vec::new());
    while let Some(batch) = decoder.decode(&mut rest).map_err(garbled)? {
        if batch.num_rows() > stream.len().saturating_mul(8).max(MAX_EMPTY_ROWS) {
            return Err(Error::invalid_data("a result announces more rows than it has bits"));
        }
        append(&batch, &mut rows)?;
    }
    decoder.finish().map_err(garbled)?;
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
        _ => Err(Error::invalid_data("a column of a result has an unsupported type")
            .with_context("column", field.name())
            .with_context("type", column.data_type())
            .with_help("cast the column to VARCHAR in the statement")),
    }
}

fn formatted(column: &ArrayRef) -> Result<Vec<Option<ByteString>>> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(garbled)?;
    // A column of nulls has no null mask.
    let nulls = column.logical_nulls();
    let text = |row| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(|text| Some(text.into())).map_err(garbled),
    };
    (0..column.len()).map(text).collect()
}

/// A number with decimals is sent as an integer, with its scale in the metadata.
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
        let missing = || Error::invalid_data("a part of a timestamp is missing").with_context("column", field.name());
        parts.column_by_name(name).ok_or_else(missing).map(|part| part.as_ref())
    };
    let wrong = || Error::invalid_data("a part of a timestamp is not a number").with_context("column", field.name());
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
    Error::invalid_data("the rows of a result are malformed").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow_array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int32Array, Int64Array, NullArray,
        StringArray, StructArray,
    };
    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::Schema;

    use super::*;

    fn written(column: ArrayRef, metadata: &[(&str, &str)]) -> Vec<u8> {
        let metadata: HashMap<_, _> =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let field = Field::new("C", column.data_type().clone(), true).with_metadata(metadata);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn decoded(column: ArrayRef, metadata: &[(&str, &str)]) -> Result<Vec<Option<String>>> {
        let rows = rows(&written(column, metadata))?;
        Ok(rows.into_iter().map(|row| row.0[0].as_ref().map(ToString::to_string)).collect())
    }

    fn texts(column: impl Array + 'static, metadata: &[(&str, &str)]) -> Vec<Option<String>> {
        decoded(Arc::new(column), metadata).unwrap()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn numbers_have_their_scale() {
        let fixed = |scale| [("logicalType", "FIXED"), ("scale", scale)];
        assert_eq!(texts(Int8Array::from(vec![1, -5, 0]), &fixed("2")), some(&["0.01", "-0.05", "0.00"]));
        let wide = Int64Array::from(vec![i64::MAX, i64::MIN]);
        assert_eq!(texts(wide.clone(), &fixed("0")), some(&["9223372036854775807", "-9223372036854775808"]));
        assert_eq!(texts(wide, &fixed("3")), some(&["9223372036854775.807", "-9223372036854775.808"]));
        let decimals = Decimal128Array::from(vec![150, -1]).with_precision_and_scale(38, 2).unwrap();
        assert_eq!(texts(decimals, &fixed("2")), some(&["1.50", "-0.01"]));
        assert_eq!(texts(Float64Array::from(vec![0.1, -2.0]), &[]), some(&["0.1", "-2.0"]));
    }

    #[test]
    fn texts_truth_values_and_nulls_are_themselves() {
        let text = StringArray::from(vec![Some("a\0😀"), None, Some("")]);
        assert_eq!(texts(text, &[]), [Some("a\0😀".to_owned()), None, Some(String::new())]);
        assert_eq!(texts(BooleanArray::from(vec![true, false]), &[]), some(&["true", "false"]));
        assert_eq!(texts(NullArray::new(2), &[]), [None, None]);
    }

    #[test]
    fn timestamps_are_seconds_with_a_fraction() {
        let part = |name: &str, kind| Arc::new(Field::new(name, kind, false));
        let epoch: ArrayRef = Arc::new(Int64Array::from(vec![1_700_000_000]));
        let fraction: ArrayRef = Arc::new(Int32Array::from(vec![5]));
        let zone: ArrayRef = Arc::new(Int32Array::from(vec![1500]));
        let parts = vec![
            (part("epoch", DataType::Int64), epoch),
            (part("fraction", DataType::Int32), fraction),
            (part("timezone", DataType::Int32), zone),
        ];
        let kind = [("logicalType", "TIMESTAMP_TZ"), ("scale", "9")];
        assert_eq!(texts(StructArray::from(parts.clone()), &kind), some(&["1700000000.000000005 1500"]));
        assert_eq!(texts(StructArray::from(parts[..2].to_vec()), &kind), some(&["1700000000.000000005"]));
        let milliseconds = Int64Array::from(vec![1_700_000_000_123]);
        assert_eq!(texts(milliseconds, &[("logicalType", "TIMESTAMP_NTZ"), ("scale", "3")]), some(&["1700000000.123"]));
    }

    #[test]
    fn a_type_that_is_not_understood_names_its_column() {
        let error = decoded(Arc::new(Date32Array::from(vec![1])), &[]).unwrap_err();
        assert!(error.to_string().contains("column: C"), "{error}");
        assert!(error.help().unwrap().contains("VARCHAR"));
    }

    #[test]
    fn garbage_is_not_a_stream() {
        assert!(rows(b"garbage that is long enough to be read").is_err());
        assert_eq!(rows(b"").unwrap(), []);
    }

    #[test]
    fn the_number_of_empty_rows_is_limited() {
        let empty = |rows| rows_of(Arc::new(NullArray::new(rows)));
        assert_eq!(empty(MAX_EMPTY_ROWS).unwrap().len(), MAX_EMPTY_ROWS);
        assert!(empty(1 << 40).unwrap_err().to_string().contains("more rows than"));
    }

    fn rows_of(column: ArrayRef) -> Result<Vec<Row>> {
        rows(&written(column, &[]))
    }

    #[test]
    fn no_corrupted_byte_makes_decoding_panic() {
        let stream = written(Arc::new(StringArray::from(vec![Some("a"), None, Some("bc")])), &[]);
        for at in 0..stream.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut stream = stream.clone();
                stream[at] = byte;
                // It is understood or refused; what matters is that it ends.
                let _ = rows(&stream);
            }
            let _ = rows(&stream[..at]);
        }
    }
}
