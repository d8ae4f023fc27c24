//! Aligned columns as psql prints them. It must not know epochs or weights.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::Result;
use thalweg_formats::Cells;

/// Rows that are held at most before widths are fixed and printing begins, when rows come without end.
const HELD_ROWS: usize = 1_000;
/// Microseconds that rows are held at most, when rows come without end.
const HELD_MICROS: i64 = 1_000_000;

/// A table that is being collected or printed.
pub(super) struct Table {
    names: Vec<String>,
    widths: Vec<usize>,
    right: Vec<bool>,
    /// Cells of the rows that wait, row by row.
    cells: Vec<Vec<u8>>,
    /// All rows are awaited before the first is printed.
    whole: bool,
    /// The heading is printed and widths do not change any more.
    started: bool,
    since: Option<i64>,
    rows: u64,
}

impl Table {
    /// With the columns of `schema`; `whole`: nothing is printed before the end.
    pub(super) fn new(schema: &SchemaRef, whole: bool) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let widths = names.iter().map(|n| n.chars().count()).collect();
        let right = vec![false; names.len()];
        Self { names, widths, right, cells: Vec::new(), whole, started: false, since: None, rows: 0 }
    }

    /// Takes rows; prints when enough are held.
    pub(super) fn add(&mut self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns: Vec<Cells> = rows.columns().iter().map(Cells::new).collect::<Result<_>>()?;
        for (right, cells) in self.right.iter_mut().zip(&columns) {
            *right = cells.is_number();
        }
        for row in 0..rows.num_rows() {
            for (column, cells) in columns.iter().enumerate() {
                let mut text = Vec::new();
                if !cells.is_null(row) {
                    write_cell(cells, row, &mut text);
                }
                if !self.started {
                    self.widths[column] = self.widths[column].max(width(&text));
                }
                self.cells.push(text);
            }
        }
        self.rows += rows.num_rows() as u64;
        if !self.whole && (self.started || self.cells.len() >= HELD_ROWS * self.names.len().max(1)) {
            self.print(out);
        }
        Ok(())
    }

    /// Time goes on: rows of a stream are not held for long.
    pub(super) fn tick(&mut self, now: i64, out: &mut Vec<u8>) -> Result<()> {
        if self.whole || self.started || self.cells.is_empty() {
            return Ok(());
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) >= HELD_MICROS {
            self.print(out);
        }
        Ok(())
    }

    /// The end: what is held, and the count.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.print(out);
        let plural = if self.rows == 1 { "" } else { "s" };
        out.extend_from_slice(format!("({} row{plural})\n", self.rows).as_bytes());
        Ok(())
    }

    fn print(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            self.heading(out);
        }
        let cells = std::mem::take(&mut self.cells);
        for row in cells.chunks(self.names.len().max(1)) {
            let mut line = Vec::new();
            for (i, text) in row.iter().enumerate() {
                line.extend_from_slice(if i == 0 { b" " } else { b" | " });
                let padding = self.widths[i].saturating_sub(width(text));
                if self.right[i] {
                    line.extend(std::iter::repeat_n(b' ', padding));
                }
                line.extend_from_slice(text);
                if !self.right[i] && i + 1 < row.len() {
                    line.extend(std::iter::repeat_n(b' ', padding));
                }
            }
            out.extend_from_slice(&line);
            out.push(b'\n');
        }
    }

    fn heading(&self, out: &mut Vec<u8>) {
        let mut names = String::new();
        let mut rule = String::new();
        for (i, (name, width)) in self.names.iter().zip(&self.widths).enumerate() {
            let space = width - name.chars().count();
            let (before, after) = (space / 2, space - space / 2);
            names.push_str(if i == 0 { " " } else { "| " });
            names.extend(std::iter::repeat_n(' ', before));
            names.push_str(name);
            names.extend(std::iter::repeat_n(' ', after + 1));
            rule.push_str(if i == 0 { "" } else { "+" });
            rule.extend(std::iter::repeat_n('-', width + 2));
        }
        out.extend_from_slice(names.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(rule.as_bytes());
        out.push(b'\n');
    }
}

/// A value on one line: control characters escaped, so that data cannot steer a terminal.
pub(super) fn write_cell(cells: &Cells, row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    cells.write_text(row, out);
    let control = |b: &u8| b.is_ascii_control();
    if !out[start..].iter().any(control) {
        return;
    }
    let text = out.split_off(start);
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte if byte.is_ascii_control() => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => out.push(byte),
        }
    }
}

fn width(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().count()
}
