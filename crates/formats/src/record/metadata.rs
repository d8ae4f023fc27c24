//! What a record says beside its value, as columns. It must not know how values are written.

use super::{Reason, Record};
use crate::column::{Column, Values, push_str};
use crate::encode::write_string;
use crate::value::Fault;

/// Something of a record beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// Its key as it is; text must be UTF-8.
    Key,
    /// The number of its partition.
    Partition,
    /// Its offset.
    Offset,
    /// Its timestamp; NULL if it has none.
    Timestamp,
    /// All its headers as a JSON array of `{"key": …, "value": …}`, bytes that are not UTF-8 as `\x00ff`.
    Headers,
    /// The value of the last header of this name, NULL without one.
    Header(String),
}

impl Metadata {
    /// Appends it to `column`.
    pub(crate) fn push(&self, record: &Record<'_>, column: &mut Column) -> Result<(), Reason> {
        match self {
            Self::Key => push_bytes(column, record.key),
            Self::Partition => Ok(column.push_text(itoa::Buffer::new().format(record.partition).as_bytes())?),
            Self::Offset => Ok(column.push_text(itoa::Buffer::new().format(record.offset).as_bytes())?),
            Self::Timestamp => push_millis(column, record.timestamp),
            Self::Headers => Ok(column.push_text(&headers_json(record))?),
            Self::Header(name) => {
                let value = record.headers.iter().rev().find(|(n, _)| n == name).and_then(|(_, v)| *v);
                push_bytes(column, value)
            }
        }
    }
}

/// Bytes as they are into a binary column; as text into any other.
pub(crate) fn push_bytes(column: &mut Column, bytes: Option<&[u8]>) -> Result<(), Reason> {
    let Some(bytes) = bytes else { return Ok(column.push_null()?) };
    if let Values::Binary { offsets, data } = &mut column.values {
        data.extend_from_slice(bytes);
        offsets.push(i32::try_from(data.len()).map_err(|_| Fault("too many bytes in a batch"))?);
        column.grown();
        return Ok(());
    }
    if simdutf8::basic::from_utf8(bytes).is_err() {
        return Err(Fault("not valid UTF-8").into());
    }
    Ok(column.push_text(bytes)?)
}

fn push_millis(column: &mut Column, millis: Option<i64>) -> Result<(), Reason> {
    let Some(millis) = millis else { return Ok(column.push_null()?) };
    match &mut column.values {
        Values::Timestamp { values, .. } => {
            values.push(millis.checked_mul(1000).ok_or(Fault("timestamp out of range"))?);
            column.grown();
            Ok(())
        }
        _ => Ok(column.push_text(itoa::Buffer::new().format(millis).as_bytes())?),
    }
}

fn headers_json(record: &Record<'_>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (i, (name, value)) in record.headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        write_string(name, &mut out);
        out.extend_from_slice(b",\"value\":");
        match value.map(|v| (simdutf8::basic::from_utf8(v), v)) {
            None => out.extend_from_slice(b"null"),
            Some((Ok(text), _)) => write_string(text, &mut out),
            Some((Err(_), bytes)) => write_hex_string(bytes, &mut out),
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// Bytes as a JSON string in PostgreSQL's hexadecimal form.
pub(crate) fn write_hex_string(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\"\\\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// Appends validated text to a text column, or reads it as the column's type.
pub(crate) fn push_valid_text(column: &mut Column, text: &str) -> Result<(), Fault> {
    if let Values::Text { views, data, json: false } = &mut column.values {
        push_str(views, data, text.as_bytes())?;
        column.grown();
        return Ok(());
    }
    column.push_text(text.as_bytes())
}
