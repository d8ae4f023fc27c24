//! Delimited text to rows, led by the schema. It must not know files.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use memchr::{memchr, memchr2};
use thalweg_core::Result;

use crate::column::Column;
use crate::decode::{Decoded, Decoder, Input, MAX_LINE_BYTES, dead_letter};
use crate::encode::CsvStyle;
use crate::value::Fault;

/// How the fields of a record are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvLayout {
    /// Delimiter and the text of NULL.
    pub style: CsvStyle,
    /// How many fields a record has.
    pub fields: usize,
    /// Per column of the schema, which field fills it.
    pub positions: Vec<usize>,
    /// A quoted field may hold line ends. Without, each line is a record whatever its quotes are.
    pub multiline: bool,
}

/// Decodes one record a line, with quotes as in RFC 4180.
///
/// An unquoted field that is spelt like NULL is NULL; a quoted one never is. A record with another number of fields
/// is refused. After a record whose quotes are wrong, decoding goes on at the next line.
#[derive(Debug)]
pub struct CsvDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    lines: Lines,
}

/// Reads records of one layout.
#[derive(Debug)]
pub(crate) struct Lines {
    layout: CsvLayout,
    /// Per field, the column that it fills.
    targets: Vec<Option<usize>>,
    /// The quoted field at hand, unquoted.
    scratch: Vec<u8>,
}

/// What the scanner made of a record.
enum Record {
    /// The next one starts at that byte.
    Complete { next: usize },
    /// It goes on after the input.
    Partial,
    /// It is refused; the next one starts at the next line.
    Faulty(Option<usize>, Fault),
}

impl CsvDecoder {
    /// For rows of `schema` out of records of `layout`.
    ///
    /// # Errors
    /// A column type that text cannot fill, or a layout that does not fit the schema.
    pub fn new(schema: SchemaRef, layout: CsvLayout) -> Result<Self> {
        let columns: Vec<Column> = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        Ok(Self { schema, columns, lines: Lines::new(layout)? })
    }
}

impl Lines {
    /// For records of `layout`.
    pub(crate) fn new(layout: CsvLayout) -> Result<Self> {
        let mut targets = vec![None; layout.fields];
        for (column, position) in layout.positions.iter().enumerate() {
            match targets.get_mut(*position) {
                Some(slot @ None) => *slot = Some(column),
                _ => {
                    return Err(thalweg_core::Error::Internal(format!("field {position} cannot fill column {column}")));
                }
            }
        }
        Ok(Self { layout, targets, scratch: Vec::new() })
    }

    /// For records of `layout` whose fields fill `targets`.
    pub(crate) fn from_targets(layout: CsvLayout, targets: Vec<Option<usize>>) -> Self {
        Self { layout, targets, scratch: Vec::new() }
    }

    /// The one record that is all of `text` into a new row of `columns`. On a fault the caller takes the row back.
    pub(crate) fn one(&mut self, columns: &mut [Column], text: &[u8]) -> Result<(), (Option<usize>, Fault)> {
        match self.record(columns, text, 0, text.len(), true) {
            Record::Complete { next } if next >= text.len() => Ok(()),
            Record::Faulty(column, fault) => Err((column, fault)),
            _ => Err((None, Fault("more than one record"))),
        }
    }

    /// Reads the record at `start` of `bytes` into a new row of every column.
    fn record(&mut self, columns: &mut [Column], bytes: &[u8], start: usize, end: usize, last: bool) -> Record {
        let delimiter = self.layout.style.delimiter;
        let (mut at, mut field) = (start, 0);
        loop {
            let quoted = bytes.get(at) == Some(&b'"') && at < end;
            let (content, after) = if quoted {
                match self.quoted(&bytes[..end], at + 1) {
                    Ok(Some(after)) => (None, after),
                    Ok(None) if last || !self.layout.multiline => {
                        return Record::Faulty(None, Fault("a quote is not closed"));
                    }
                    Ok(None) => return Record::Partial,
                    Err(fault) => return Record::Faulty(None, fault),
                }
            } else {
                let length = memchr2(delimiter, b'\n', &bytes[at..end]);
                let after = length.map_or(end, |n| at + n);
                (Some(&bytes[at..after]), after)
            };
            let ends = after >= end || bytes[after] == b'\n';
            // A carriage return before the line end belongs to the line end.
            let (text, ends) = match content {
                Some(text) if ends => (text.strip_suffix(b"\r").unwrap_or(text), true),
                Some(text) => (text, false),
                None if bytes.get(after) == Some(&b'\r') && (after + 1 >= end || bytes[after + 1] == b'\n') => {
                    (&[][..], true)
                }
                None => (&[][..], ends),
            };
            let text = if quoted { self.scratch.as_slice() } else { text };
            if let Some(column) = self.targets.get(field).copied().flatten() {
                let target = &mut columns[column];
                let null = !quoted && text == self.layout.style.null.as_bytes();
                let pushed = if null { target.push_null() } else { target.push_text(text) };
                if let Err(fault) = pushed {
                    return Record::Faulty(Some(column), fault);
                }
            }
            field += 1;
            if ends {
                if field != self.layout.fields {
                    let fault = if field < self.layout.fields { "too few fields" } else { "too many fields" };
                    return Record::Faulty(None, Fault(fault));
                }
                let next = memchr(b'\n', &bytes[after..end]).map_or(end, |n| after + n + 1);
                return Record::Complete { next };
            }
            at = after + 1;
        }
    }

    /// The quoted field whose content starts at `start`, unquoted into `scratch`; where its closing quote ends, or
    /// `None` when it has none.
    fn quoted(&mut self, bytes: &[u8], start: usize) -> Result<Option<usize>, Fault> {
        self.scratch.clear();
        let mut at = start;
        loop {
            let Some(length) = memchr(b'"', &bytes[at..]) else { return Ok(None) };
            self.scratch.extend_from_slice(&bytes[at..at + length]);
            at += length + 1;
            match bytes.get(at) {
                Some(b'"') => {
                    self.scratch.push(b'"');
                    at += 1;
                }
                None | Some(b'\n') => return Ok(Some(at)),
                Some(b'\r') if matches!(bytes.get(at + 1), None | Some(b'\n')) => return Ok(Some(at)),
                Some(b) if *b == self.layout.style.delimiter => return Ok(Some(at)),
                Some(_) => return Err(Fault("text after a closing quote")),
            }
        }
    }
}

impl Decoder for CsvDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn decode(&mut self, input: Input<'_>, max_records: usize) -> Result<Decoded> {
        // What follows the last line end is not looked at before the rest of its line is there.
        let complete =
            if input.last { input.bytes.len() } else { memchr::memrchr(b'\n', input.bytes).map_or(0, |n| n + 1) };
        let bytes = &input.bytes[..complete];
        let sound = simdutf8::basic::from_utf8(bytes).is_ok();
        let mut dead = Vec::new();
        let (mut at, mut rows) = (0, 0);
        if input.offset == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            at = 3;
        }
        while at < bytes.len() && rows + dead.len() < max_records {
            let line = memchr(b'\n', &bytes[at..]);
            let (line_end, line_next) = line.map_or((bytes.len(), bytes.len()), |n| (at + n, at + n + 1));
            if bytes[at..line_end].trim_ascii().is_empty() && self.lines.layout.fields > 1 {
                at = line_next;
                continue;
            }
            let limit = if self.lines.layout.multiline { bytes.len() } else { line_end };
            let record = if line_end - at > MAX_LINE_BYTES {
                Record::Faulty(None, Fault("line too long"))
            } else if !self.lines.layout.multiline
                && !sound
                && simdutf8::basic::from_utf8(&bytes[at..line_end]).is_err()
            {
                Record::Faulty(None, Fault("not valid UTF-8"))
            } else if self.lines.layout.multiline && !sound {
                self.lines.doubtful(&mut self.columns, bytes, at, input.last)
            } else {
                self.lines.record(&mut self.columns, bytes, at, limit, input.last || !self.lines.layout.multiline)
            };
            match record {
                Record::Complete { next } => {
                    rows += 1;
                    at = if self.lines.layout.multiline { next } else { line_next };
                }
                Record::Partial => {
                    self.take_back(rows);
                    break;
                }
                Record::Faulty(column, fault) => {
                    self.take_back(rows);
                    let reason = match column {
                        Some(c) => format!("column {}: {}", self.schema.field(c).name(), fault.0),
                        None => fault.0.to_owned(),
                    };
                    dead.push(dead_letter(&input, at, &bytes[at..line_end], reason));
                    at = line_next;
                }
            }
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(Decoded { rows, dead, consumed: at })
    }
}

impl CsvDecoder {
    fn take_back(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }
}

impl Lines {
    /// A record of input that has invalid UTF-8 somewhere, perhaps in it: its extent is found first, then checked.
    fn doubtful(&mut self, columns: &mut [Column], bytes: &[u8], start: usize, last: bool) -> Record {
        let end = match self.extent(bytes, start) {
            Some(end) => end,
            None if last => return Record::Faulty(None, Fault("a quote is not closed")),
            None => return Record::Partial,
        };
        if simdutf8::basic::from_utf8(&bytes[start..end]).is_err() {
            return Record::Faulty(None, Fault("not valid UTF-8"));
        }
        self.record(columns, bytes, start, end, true)
    }

    /// Where the record at `start` ends, by the rules of `record`: a quote opens a field only at its beginning. `None`
    /// when a quote is not closed.
    fn extent(&self, bytes: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        loop {
            if bytes.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    at += memchr(b'"', &bytes[at..])? + 1;
                    if bytes.get(at) != Some(&b'"') {
                        break;
                    }
                    at += 1;
                }
            }
            match memchr2(self.layout.style.delimiter, b'\n', &bytes[at..]) {
                None => return Some(bytes.len()),
                Some(length) => at += length + 1,
            }
            if bytes[at - 1] == b'\n' {
                return Some(at);
            }
        }
    }
}

/// The fields of the first record of `line`, as they are named in a header or looked at to guess types; `None` for
/// an unquoted NULL. Reading stops at what is not well formed.
pub fn csv_fields(line: &[u8], style: &CsvStyle) -> Vec<Option<String>> {
    let mut fields = Vec::new();
    let mut rest = line.strip_suffix(b"\n").unwrap_or(line);
    rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let mut text = Vec::new();
            let mut at = 0;
            while let Some(length) = memchr(b'"', &quoted[at..]) {
                text.extend_from_slice(&quoted[at..at + length]);
                at += length + 1;
                if quoted.get(at) != Some(&b'"') {
                    break;
                }
                text.push(b'"');
                at += 1;
            }
            fields.push(Some(String::from_utf8_lossy(&text).into_owned()));
            rest = &quoted[at..];
        } else {
            let length = memchr(style.delimiter, rest).unwrap_or(rest.len());
            let (text, after) = rest.split_at(length);
            let null = text == style.null.as_bytes();
            fields.push((!null).then(|| String::from_utf8_lossy(text).into_owned()));
            rest = after;
        }
        match rest.split_first() {
            Some((byte, after)) if *byte == style.delimiter => rest = after,
            _ => return fields,
        }
    }
}

#[cfg(test)]
mod tests;
