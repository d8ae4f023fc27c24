//! Columns of text read as columns of a type, as PostgreSQL reads them. It must not know lines or messages.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, Date32Array, FixedSizeBinaryBuilder, Float32Array, Float64Array, ListArray,
    StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use thalweg_core::{SqlError, SqlState};
use thalweg_formats::time::{parse_date, parse_timestamp};

use super::super::types::type_of;
use super::super::uuid::{read_hex, read_uuid};

/// A value that does not read as its type.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Its row.
    pub(super) row: usize,
    pub(super) error: SqlError,
}

/// Reads every value; NULL stays NULL.
pub(super) fn read_column(texts: &StringArray, field: &Field) -> Result<ArrayRef, Wrong> {
    let each = |row: usize| Wrong { row, error: wrong(texts.value(row), field) };
    Ok(match field.data_type() {
        DataType::Utf8 => Arc::new(texts.clone()),
        DataType::Float32 => {
            Arc::new(read(texts, |text| text.trim().parse().ok()).map_err(each)?.into_iter().collect::<Float32Array>())
        }
        DataType::Float64 => {
            Arc::new(read(texts, |text| text.trim().parse().ok()).map_err(each)?.into_iter().collect::<Float64Array>())
        }
        DataType::Date32 => {
            let days = read(texts, |text| parse_date(text.trim().as_bytes()).ok()).map_err(each)?;
            Arc::new(Date32Array::from(days))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = read(texts, |text| match text.trim() {
                "infinity" => Some(i64::MAX),
                "-infinity" => Some(i64::MIN),
                text => parse_timestamp(text.as_bytes(), zone.is_some()).ok(),
            });
            Arc::new(TimestampMicrosecondArray::from(micros.map_err(each)?).with_timezone_opt(zone.clone()))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let values = read(texts, bytea).map_err(each)?;
            let mut builder = BinaryBuilder::new();
            values.iter().for_each(|value| builder.append_option(value.as_deref()));
            convert(&(Arc::new(builder.finish()) as ArrayRef), field)?
        }
        DataType::FixedSizeBinary(16) => {
            let values = read(texts, read_uuid).map_err(each)?;
            let mut builder = FixedSizeBinaryBuilder::new(16);
            for value in values {
                match value {
                    Some(value) => builder.append_value(value).map_err(|_| whole(field))?,
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::List(item) => read_lists(texts, item, field)?,
        _ => convert(&(Arc::new(texts.clone()) as ArrayRef), field)?,
    })
}

fn read<T>(texts: &StringArray, one: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>, usize> {
    let values = texts.iter().enumerate().map(|(row, text)| text.map(|text| one(text).ok_or(row)).transpose());
    values.collect()
}

/// What Arrow can read itself. A value that it cannot read becomes null, and is found by that.
fn convert(values: &ArrayRef, field: &Field) -> Result<ArrayRef, Wrong> {
    let converted = cast(values, field.data_type()).map_err(|_| whole(field))?;
    let lost = converted.null_count() > values.null_count();
    match (0..values.len()).find(|row| lost && converted.is_null(*row) && values.is_valid(*row)) {
        None => Ok(converted),
        Some(row) => {
            let texts = values.as_any().downcast_ref::<StringArray>();
            Err(Wrong { row, error: wrong(texts.map_or("", |texts| texts.value(row)), field) })
        }
    }
}

fn wrong(text: &str, field: &Field) -> SqlError {
    const SHOWN: usize = 100;
    let shown: String = text.chars().take(SHOWN).collect();
    let message = format!("invalid input syntax for type {}: \"{shown}\"", type_of(field).name());
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn whole(field: &Field) -> Wrong {
    let message = format!("COPY into a column of type {} is not supported", field.data_type());
    Wrong { row: 0, error: SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message) }
}

/// `\xDEADBEEF`, or the older form with `\ooo` and `\\`.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        return read_hex(&digits);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            (b'\\', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    Some(bytes)
}

/// `{1,NULL,"a b"}`: one dimension.
fn read_lists(texts: &StringArray, item: &Arc<Field>, field: &Field) -> Result<ArrayRef, Wrong> {
    let mut items = StringBuilder::new();
    let (mut lengths, mut rows) = (Vec::with_capacity(texts.len()), Vec::new());
    for (row, text) in texts.iter().enumerate() {
        let values = match text {
            None => Vec::new(),
            Some(text) => list(text).ok_or_else(|| Wrong { row, error: wrong(text, field) })?,
        };
        lengths.push(values.len());
        rows.extend(std::iter::repeat_n(row, values.len()));
        values.into_iter().for_each(|value| items.append_option(value));
    }
    let items = read_column(&items.finish(), item)
        .map_err(|wrong| Wrong { row: rows.get(wrong.row).copied().unwrap_or(0), error: wrong.error })?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::clone(item), offsets, items, texts.nulls().cloned());
    Ok(Arc::new(list.map_err(|_| whole(field))?))
}

fn list(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut values = Vec::new();
    if inner.trim().is_empty() {
        return Some(values);
    }
    let mut chars = inner.chars();
    loop {
        let (mut value, mut quoted, mut within) = (String::new(), false, false);
        let more = loop {
            match chars.next() {
                None if within => return None,
                None => break false,
                Some('"') => (quoted, within) = (true, !within),
                Some('\\') => {
                    quoted = true;
                    value.push(chars.next()?);
                }
                Some(',') if !within => break true,
                Some('{' | '}') if !within => return None,
                Some(c) => value.push(c),
            }
        };
        let value = if quoted { value } else { value.trim().to_owned() };
        match quoted {
            false if value.is_empty() => return None,
            false if value.eq_ignore_ascii_case("null") => values.push(None),
            _ => values.push(Some(value)),
        }
        if !more {
            return Some(values);
        }
    }
}
