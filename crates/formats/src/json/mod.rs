//! JSON lines to rows: one scanner led by the schema, straight into typed columns. It must not know files.

mod infer;
pub(crate) mod scan;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use thalweg_core::Result;

use crate::column::{Column, Values, date_fault, date_of, push_str, timestamp_fault};
use crate::decode::{Decoded, Decoder, Input, MAX_LINE_BYTES, dead_letter};
use crate::time::{parse_date, parse_timestamp};
use crate::value::{self, Fault, OUT_OF_RANGE};
use scan::{Cursor, Text, unescape};

pub use infer::{JsonKind, json_fields};

/// Fields beyond this many are looked up each time instead of being expected in order.
const MAX_EXPECTED: usize = 1024;

/// Decodes one JSON object a line.
///
/// A field that the schema does not name is checked and skipped; a missing one is NULL; of a repeated one the last
/// counts. Names match exactly, or else without regard to case, as SQL folds them. A text column takes a string's
/// content and the JSON text of anything else. A timestamp is `2026-11-01 00:00:00.123`, RFC 3339, or an integer of
/// milliseconds since 1970. A decimal may be a string; a double may be `"NaN"`, `"Infinity"`, `"-Infinity"`.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    fields: Fields,
}

/// Which column a field of an object fills.
#[derive(Debug)]
pub(crate) struct Fields {
    exact: HashMap<Vec<u8>, usize>,
    folded: HashMap<Vec<u8>, usize>,
    /// The fields of the object before, in order: the next one most likely has the same.
    expected: Vec<Expected>,
    scratch: Vec<u8>,
}

/// A field as it was written, `"key":`, and the column it goes to.
#[derive(Clone, Debug)]
struct Expected {
    written: Vec<u8>,
    column: Option<usize>,
}

impl JsonDecoder {
    /// For rows of `schema`.
    ///
    /// # Errors
    /// A column type that JSON cannot fill.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let columns = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        let fields = Fields::new(schema.fields().iter().enumerate().map(|(i, f)| (f.name().as_str(), i)));
        Ok(Self { schema, columns, fields })
    }

    /// One object into the row `row` of every column; on a fault the caller takes the row back.
    fn line(&mut self, line: &[u8], row: usize) -> Result<(), (Option<usize>, Fault)> {
        let filled = self.fields.object(line, &mut self.columns, row)?;
        if filled < self.columns.len() {
            for (c, column) in self.columns.iter_mut().enumerate() {
                if column.len() == row {
                    column.push_null().map_err(|_| (Some(c), Fault("missing, and NOT NULL")))?;
                }
            }
        }
        Ok(())
    }

    fn reason(&self, column: Option<usize>, fault: Fault) -> String {
        match column {
            Some(c) => format!("column {}: {}", self.schema.field(c).name(), fault.0),
            None => fault.0.to_owned(),
        }
    }
}

impl Fields {
    /// Each name fills the column beside it.
    pub(crate) fn new<'a>(named: impl Iterator<Item = (&'a str, usize)>) -> Self {
        let mut exact = HashMap::new();
        let mut folded = HashMap::new();
        for (name, column) in named {
            exact.insert(name.as_bytes().to_vec(), column);
            folded.entry(name.to_ascii_lowercase().into_bytes()).or_insert(column);
        }
        Self { exact, folded, expected: Vec::new(), scratch: Vec::new() }
    }

    /// The column that a field of this name fills.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        let exact = self.exact.get(name.as_bytes());
        exact.or_else(|| self.folded.get(name.to_ascii_lowercase().as_bytes())).copied()
    }

    /// The object that is all of `text` into the row `row` of `columns`; returns how many it has filled that were not filled
    /// before. On a fault the caller takes the row back.
    pub(crate) fn object(
        &mut self,
        text: &[u8],
        columns: &mut [Column],
        row: usize,
    ) -> Result<usize, (Option<usize>, Fault)> {
        let whole = |fault| (None, fault);
        let mut cursor = Cursor::new(text);
        if !cursor.eat(b'{') {
            return Err(whole(Fault("not a JSON object")));
        }
        let mut filled = 0;
        if !cursor.eat(b'}') {
            let mut place = 0;
            loop {
                cursor.space();
                let column = self.key(&mut cursor, place).map_err(whole)?;
                place += 1;
                cursor.space();
                match column {
                    Some(c) => {
                        // A name that comes twice, or a column that was filled before: the last counts.
                        let again = columns[c].len() > row;
                        if again {
                            columns[c].truncate(row);
                        }
                        fill(&mut columns[c], &mut cursor, &mut self.scratch).map_err(|f| (Some(c), f))?;
                        filled += usize::from(!again);
                    }
                    None => {
                        cursor.value().map_err(whole)?;
                    }
                }
                if cursor.eat(b',') {
                    continue;
                }
                if cursor.eat(b'}') {
                    break;
                }
                return Err(whole(Fault("not valid JSON: a comma or a closing brace is missing")));
            }
        }
        if !cursor.ended() {
            return Err(whole(Fault("not valid JSON: something follows the object")));
        }
        Ok(filled)
    }

    /// The key at the cursor and its colon; returns the column that it names.
    #[inline]
    fn key(&mut self, cursor: &mut Cursor<'_>, place: usize) -> Result<Option<usize>, Fault> {
        match self.expected.get(place) {
            Some(expected) if cursor.eat_all(&expected.written) => Ok(expected.column),
            _ => self.unexpected_key(cursor, place),
        }
    }

    fn unexpected_key(&mut self, cursor: &mut Cursor<'_>, place: usize) -> Result<Option<usize>, Fault> {
        if cursor.peek() != Some(b'"') {
            return Err(Fault("not valid JSON: a field name is missing"));
        }
        let key = cursor.string()?;
        self.scratch.clear();
        unescape(key, &mut self.scratch)?;
        if !cursor.eat(b':') {
            return Err(Fault("not valid JSON: a colon is missing"));
        }
        let column = self.exact.get(&self.scratch).copied().or_else(|| {
            self.scratch.make_ascii_lowercase();
            self.folded.get(&self.scratch).copied()
        });
        if place < MAX_EXPECTED && key.raw.len() < 256 {
            let mut written = Vec::with_capacity(key.raw.len() + 3);
            written.push(b'"');
            written.extend_from_slice(key.raw);
            written.extend_from_slice(b"\":");
            let expected = Expected { written, column };
            if place < self.expected.len() {
                self.expected[place] = expected;
            } else if place == self.expected.len() {
                self.expected.push(expected);
            }
        }
        Ok(column)
    }
}

impl Decoder for JsonDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn decode(&mut self, input: Input<'_>, max_records: usize) -> Result<Decoded> {
        // What follows the last line end is not looked at before the rest of its line is there.
        let complete =
            if input.last { input.bytes.len() } else { memchr::memrchr(b'\n', input.bytes).map_or(0, |n| n + 1) };
        let bytes = &input.bytes[..complete];
        // One fast check of everything; only if it fails is each line looked at.
        let sound = simdutf8::basic::from_utf8(bytes).is_ok();
        let mut dead = Vec::new();
        let (mut at, mut rows) = (0, 0);
        if input.offset == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            at = 3;
        }
        while at < bytes.len() && rows + dead.len() < max_records {
            let (end, next) = match memchr::memchr(b'\n', &bytes[at..]) {
                Some(length) => (at + length, at + length + 1),
                None => (bytes.len(), bytes.len()),
            };
            let line = &bytes[at..end];
            let start = std::mem::replace(&mut at, next);
            if line.len() <= 1 && line.trim_ascii().is_empty() {
                continue;
            }
            let result = if line.len() > MAX_LINE_BYTES {
                Err((None, Fault("line too long")))
            } else if !sound && simdutf8::basic::from_utf8(line).is_err() {
                Err((None, Fault("not valid UTF-8")))
            } else if line.trim_ascii().is_empty() {
                continue;
            } else {
                self.line(line, rows)
            };
            match result {
                Ok(()) => rows += 1,
                Err((column, fault)) => {
                    for column in &mut self.columns {
                        column.truncate(rows);
                    }
                    dead.push(dead_letter(&input, start, line, self.reason(column, fault)));
                }
            }
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(Decoded { rows, dead, consumed: at })
    }
}

/// The one JSON value that is all of `text` into a column.
pub(crate) fn fill_value(column: &mut Column, text: &[u8], scratch: &mut Vec<u8>) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text);
    cursor.space();
    fill(column, &mut cursor, scratch)?;
    if cursor.ended() { Ok(()) } else { Err(Fault("not valid JSON: something follows the value")) }
}

/// The value at the cursor into a column.
#[inline]
fn fill(column: &mut Column, cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Result<(), Fault> {
    if cursor.peek() == Some(b'n') {
        cursor.word(b"null")?;
        return column.push_null();
    }
    match &mut column.values {
        Values::Int64(values) => values.push(cursor.integer()?),
        Values::Int32(values) => values.push(i32::try_from(cursor.integer()?).map_err(|_| OUT_OF_RANGE)?),
        Values::Int16(values) => values.push(i16::try_from(cursor.integer()?).map_err(|_| OUT_OF_RANGE)?),
        Values::Text { views, data, json } => match cursor.peek() {
            Some(b'"') if !*json => match cursor.string()? {
                Text { raw, escaped: false } => push_str(views, data, raw)?,
                text => {
                    scratch.clear();
                    unescape(text, scratch)?;
                    push_str(views, data, scratch)?;
                }
            },
            _ => push_str(views, data, cursor.value()?)?,
        },
        Values::Timestamp { values, zone, unit } => match cursor.peek() {
            Some(b'"') => {
                let text = plain(cursor.string()?, scratch)?;
                values.push(parse_timestamp(text, zone.is_some()).map_err(timestamp_fault)?);
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = cursor.integer().map_err(|_| Fault("not a timestamp"))?;
                values.push(unit.micros(number)?);
            }
            _ => return Err(Fault("not a timestamp")),
        },
        Values::Boolean(values) => match cursor.peek() {
            Some(b't') => {
                cursor.word(b"true")?;
                values.push(true);
            }
            Some(b'f') => {
                cursor.word(b"false")?;
                values.push(false);
            }
            _ => return Err(Fault("not a boolean")),
        },
        Values::Float64(values) => values.push(value::float64(float_text(cursor)?)?),
        Values::Float32(values) => values.push(value::float32(float_text(cursor)?)?),
        Values::Decimal { values, precision, scale } => {
            let text = match cursor.peek() {
                Some(b'"') => plain(cursor.string()?, scratch)?,
                _ => cursor.number().map_err(|_| Fault("not a number"))?,
            };
            values.push(value::decimal(text, *precision, *scale)?);
        }
        Values::Date { values, days } => match cursor.peek() {
            Some(b'"') => values.push(parse_date(plain(cursor.string()?, scratch)?).map_err(date_fault)?),
            Some(b'-' | b'0'..=b'9') if *days => values.push(date_of(cursor.integer()?)?),
            _ => return Err(Fault("not a date")),
        },
        Values::Binary { offsets, data } => {
            let Some(b'"') = cursor.peek() else { return Err(Fault("not bytes in the form \\x00ff")) };
            value::hex(plain(cursor.string()?, scratch)?, data)?;
            offsets.push(i32::try_from(data.len()).map_err(|_| Fault("too many bytes in a batch"))?);
        }
        Values::List { offsets, item, .. } => {
            if !cursor.eat(b'[') {
                return Err(Fault("not an array"));
            }
            if !cursor.eat(b']') {
                loop {
                    cursor.space();
                    // One level at most: the items of a list column are not lists.
                    fill(item, cursor, scratch)?;
                    if !cursor.eat(b',') {
                        break;
                    }
                }
                if !cursor.eat(b']') {
                    return Err(Fault("not valid JSON: an array is not closed"));
                }
            }
            offsets.push(i32::try_from(item.len()).map_err(|_| Fault("too many items in a batch"))?);
        }
    }
    column.grown();
    Ok(())
}

/// The content of a string, in the line or in `scratch`.
#[inline]
fn plain<'a>(text: Text<'a>, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Fault> {
    if !text.escaped {
        return Ok(text.raw);
    }
    scratch.clear();
    unescape(text, scratch)?;
    Ok(scratch)
}

/// A number, or one of the words that JSON has no number for, as a string.
fn float_text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
    const NOT: Fault = Fault("not a number");
    if cursor.peek() != Some(b'"') {
        return cursor.number().map_err(|_| NOT);
    }
    match cursor.string()?.raw {
        word @ (b"NaN" | b"Infinity" | b"-Infinity") => Ok(word),
        _ => Err(NOT),
    }
}

#[cfg(test)]
mod tests;
