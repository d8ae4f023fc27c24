//! Rows as delimited text. It must not know where they go.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::Result;

use super::cells::Cells;

/// How delimited text is written and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvStyle {
    /// Between fields.
    pub delimiter: u8,
    /// The unquoted text of NULL.
    pub null: String,
}

impl Default for CsvStyle {
    fn default() -> Self {
        Self { delimiter: b',', null: String::new() }
    }
}

/// Writes each row as one record; a field is quoted when it could be misread.
#[derive(Clone, Debug)]
pub struct CsvEncoder {
    style: CsvStyle,
    text: Vec<u8>,
}

impl CsvEncoder {
    /// In this style.
    pub fn new(style: CsvStyle) -> Self {
        Self { style, text: Vec::new() }
    }

    /// Appends the names of the columns.
    pub fn header(&mut self, schema: &SchemaRef, out: &mut Vec<u8>) {
        for (i, field) in schema.fields().iter().enumerate() {
            if i > 0 {
                out.push(self.style.delimiter);
            }
            write_field(field.name().as_bytes(), &self.style, out);
        }
        out.push(b'\n');
    }

    /// Appends the rows of `batch`.
    ///
    /// # Errors
    /// A type that has no text form.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let cells: Vec<Cells> = batch.columns().iter().map(Cells::new).collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            for (i, cells) in cells.iter().enumerate() {
                if i > 0 {
                    out.push(self.style.delimiter);
                }
                if cells.is_null(row) {
                    out.extend_from_slice(self.style.null.as_bytes());
                } else if cells.is_number() {
                    cells.write_text(row, out);
                } else {
                    self.text.clear();
                    cells.write_text(row, &mut self.text);
                    write_field(&self.text, &self.style, out);
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

fn write_field(text: &[u8], style: &CsvStyle, out: &mut Vec<u8>) {
    let special = |b: &u8| *b == style.delimiter || matches!(*b, b'"' | b'\n' | b'\r');
    // An empty text is quoted to be told from NULL; so is a text that is spelt like NULL.
    let quote = text.is_empty() || text == style.null.as_bytes() || text.iter().any(special);
    if !quote {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn fields_are_quoted_when_they_could_be_misread() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("plain"), Some(""), None, Some("a,\"b\"\n")]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t t", texts)]).expect("two columns");
        let mut encoder = CsvEncoder::new(CsvStyle::default());
        let mut out = Vec::new();
        encoder.header(&batch.schema(), &mut out);
        encoder.encode(&batch, &mut out).expect("encodes");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), "n,t t\n1,plain\n,\"\"\n3,\n4,\"a,\"\"b\"\"\n\"\n");
    }
}
