//! COPY's text and CSV formats to rows, however the bytes are cut into messages. It must not know sessions.

use arrow::array::{RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use thalweg_core::SqlError;

use super::super::frontend::utf8;
use super::fields::{Scan, Style, cut};
use super::values::{Wrong, read_column};
use super::{BATCH_BYTES, BATCH_ROWS, batch, malformed};
use crate::backend::CopyLayout;

/// Reads lines into columns of text, and those into typed columns, batch by batch.
pub(super) struct TextReader {
    schema: SchemaRef,
    style: Style,
    max_line_bytes: usize,
    pending: Vec<u8>,
    /// Where the next record starts in `pending`.
    at: usize,
    scan: Scan,
    columns: Vec<StringBuilder>,
    /// The line at which each row of the batch starts.
    lines: Vec<u64>,
    line: u64,
    bytes: usize,
    scratch: Vec<u8>,
    header: bool,
    /// `\.` has been read: what follows is not looked at.
    ended: bool,
}

impl TextReader {
    pub(super) fn new(schema: SchemaRef, layout: &CopyLayout, max_line_bytes: usize) -> Self {
        let style = Style::new(layout);
        Self {
            columns: schema.fields().iter().map(|_| StringBuilder::new()).collect(),
            header: style.header,
            schema,
            style,
            max_line_bytes,
            pending: Vec::new(),
            at: 0,
            scan: Scan::default(),
            lines: Vec::new(),
            line: 1,
            bytes: 0,
            scratch: Vec::new(),
            ended: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.at);
        self.at = 0;
        if !self.ended {
            self.pending.extend_from_slice(bytes);
        }
    }

    pub(super) fn next(&mut self, last: bool) -> Result<Option<RecordBatch>, SqlError> {
        while !self.ended && self.lines.len() < BATCH_ROWS && self.bytes < BATCH_BYTES {
            let rest = &self.pending[self.at..];
            let (end, next) = match self.scan.line_end(rest, &self.style) {
                Some(end) => (end, end + 1),
                None if rest.len() > self.max_line_bytes => return Err(self.at_line(self.too_long())),
                None if last && !rest.is_empty() => (rest.len(), rest.len()),
                None => break,
            };
            if end > self.max_line_bytes {
                return Err(self.at_line(self.too_long()));
            }
            let start = self.at;
            self.at += next;
            self.record(start, start + end).map_err(|error| self.at_line(error))?;
            let record = &self.pending[start..start + next];
            self.line += memchr::memchr_iter(b'\n', record).count().max(1) as u64;
        }
        let full = self.lines.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
        if self.lines.is_empty() || !(full || last) { Ok(None) } else { self.finish().map(Some) }
    }

    fn record(&mut self, start: usize, end: usize) -> Result<(), SqlError> {
        let Self { pending, style, columns, scratch, schema, .. } = self;
        let record = &pending[start..end];
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        if std::mem::take(&mut self.header) {
            return Ok(());
        }
        if record == b"\\." {
            self.ended = true;
            return Ok(());
        }
        let mut count = 0;
        cut(record, style, scratch, |value| {
            let column = columns.get_mut(count).ok_or_else(|| malformed("extra data after last expected column"))?;
            column.append_option(value.map(utf8).transpose()?);
            count += 1;
            Ok(())
        })?;
        if count < columns.len() {
            return Err(malformed(format!("missing data for column \"{}\"", schema.field(count).name())));
        }
        self.lines.push(self.line);
        self.bytes += record.len();
        Ok(())
    }

    fn finish(&mut self) -> Result<RecordBatch, SqlError> {
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let mut columns = Vec::with_capacity(self.columns.len());
        for (text, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let typed = read_column(&text.finish(), field).map_err(|Wrong { row, error }| {
                let line = lines.get(row).copied().unwrap_or(self.line);
                error.detail(format!("COPY, line {line}, column {}", field.name()))
            });
            columns.push(typed?);
        }
        batch(&self.schema, columns, lines.len())
    }

    fn too_long(&self) -> SqlError {
        malformed(format!("a line is longer than {} bytes", self.max_line_bytes))
    }

    fn at_line(&self, error: SqlError) -> SqlError {
        error.detail(format!("COPY, line {}", self.line))
    }
}

#[cfg(test)]
mod tests;
