//! Rows as JSON lines. It must not know where they go.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use thalweg_core::{Error, Result};

use super::cells::Cells;

/// Writes each row as one JSON object on a line of its own, NULL as `null`.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    schema: SchemaRef,
    /// What comes before each value: `{"a":`, then `,"b":` …
    keys: Vec<Vec<u8>>,
}

impl JsonEncoder {
    /// For rows of `schema`.
    pub fn new(schema: &SchemaRef) -> Self {
        let keys = schema.fields().iter().enumerate().map(|(i, field)| {
            let mut key = vec![if i == 0 { b'{' } else { b',' }];
            write_string(field.name(), &mut key);
            key.push(b':');
            key
        });
        Self { keys: keys.collect(), schema: Arc::clone(schema) }
    }

    /// Appends the rows of `batch` to `out`, each with a line end.
    ///
    /// # Errors
    /// Another number of columns, or a type that has no JSON form.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let cells = self.cells(batch)?;
        for row in 0..batch.num_rows() {
            self.write(&cells, row, out);
            out.push(b'\n');
        }
        Ok(())
    }

    /// Calls `each` with every row of `batch`, in order, without a line end.
    ///
    /// # Errors
    /// As `encode`, or what `each` returns.
    pub fn encode_each(&self, batch: &RecordBatch, mut each: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        let cells = self.cells(batch)?;
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            out.clear();
            self.write(&cells, row, &mut out);
            each(row, &out)?;
        }
        Ok(())
    }

    fn cells(&self, batch: &RecordBatch) -> Result<Vec<Cells>> {
        if batch.num_columns() != self.keys.len() {
            return Err(Error::Internal(format!("{} columns for {} keys", batch.num_columns(), self.keys.len())));
        }
        let columns = batch.columns().iter().zip(self.schema.fields());
        columns
            .map(|(column, field)| Cells::new(column).map(|c| if is_json(field) { c.as_json() } else { c }))
            .collect::<Result<_>>()
    }

    fn write(&self, cells: &[Cells], row: usize, out: &mut Vec<u8>) {
        if cells.is_empty() {
            out.push(b'{');
        }
        for (key, cells) in self.keys.iter().zip(cells) {
            out.extend_from_slice(key);
            cells.write_json(row, out);
        }
        out.push(b'}');
    }
}

/// The field holds JSON as text (the Arrow extension type `arrow.json`).
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json")
}

/// Writes `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(other >> 4)]);
                out.push(DIGITS[usize::from(other & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}
