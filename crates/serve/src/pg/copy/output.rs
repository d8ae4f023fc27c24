//! Rows as COPY writes them. It must not know where rows come from.

use arrow::datatypes::Schema;

use super::super::encode::ColumnWriter;
use super::super::frontend::Format;
use super::super::rows::{BatchWriter, framed};
use super::binary::SIGNATURE;
use crate::backend::CopyLayout;

fn write_header(due: bool, out: &mut Vec<u8>) {
    if due {
        out.extend_from_slice(SIGNATURE);
        // Neither flags nor an extension.
        out.extend_from_slice(&[0; 8]);
    }
}

/// Writes rows, each as one message.
pub(super) struct CopyWriter {
    layout: CopyLayout,
    /// The field at hand before its quotes and escapes.
    field: Vec<u8>,
    /// The binary header is yet to go: drivers look for it in the message of the first row.
    header_due: bool,
}

impl CopyWriter {
    pub(super) fn new(layout: CopyLayout) -> Self {
        Self { layout, field: Vec::new(), header_due: false }
    }

    /// How values are written before they are put into rows.
    pub(super) fn format(&self) -> Format {
        if self.layout == CopyLayout::Binary { Format::Binary } else { Format::Text }
    }

    /// What goes before the rows.
    pub(super) fn begin(&mut self, schema: &Schema, out: &mut Vec<u8>) {
        match self.layout {
            CopyLayout::Binary => self.header_due = true,
            CopyLayout::Text { header: true, delimiter, .. } | CopyLayout::Csv { header: true, delimiter, .. } => {
                message(out, |out| {
                    for (n, field) in schema.fields().iter().enumerate() {
                        if n > 0 {
                            out.push(delimiter);
                        }
                        self.field.clear();
                        self.field.extend_from_slice(field.name().as_bytes());
                        self.finish_field(false, out);
                    }
                    out.push(b'\n');
                });
            }
            _ => {}
        }
    }

    /// One row.
    pub(super) fn write(&mut self, batch: &BatchWriter, row: usize, out: &mut Vec<u8>) {
        let delimiter = match self.layout {
            CopyLayout::Binary => {
                let header = std::mem::take(&mut self.header_due);
                return message(out, |out| {
                    write_header(header, out);
                    batch.write_fields(row, out);
                });
            }
            CopyLayout::Text { delimiter, .. } | CopyLayout::Csv { delimiter, .. } => delimiter,
        };
        message(out, |out| {
            for (n, column) in batch.columns().iter().enumerate() {
                if n > 0 {
                    out.push(delimiter);
                }
                self.write_field(column, row, batch.columns().len() == 1, out);
            }
            out.push(b'\n');
        });
    }

    /// What goes behind the rows.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if self.layout == CopyLayout::Binary {
            message(out, |out| {
                write_header(self.header_due, out);
                out.extend_from_slice(&(-1_i16).to_be_bytes());
            });
        }
    }

    fn write_field(&mut self, column: &ColumnWriter, row: usize, alone: bool, out: &mut Vec<u8>) {
        if column.is_null(row) {
            if let CopyLayout::Text { null, .. } | CopyLayout::Csv { null, .. } = &self.layout {
                out.extend_from_slice(null.as_bytes());
            }
            return;
        }
        self.field.clear();
        column.write(row, &mut self.field);
        self.finish_field(alone, out);
    }

    /// Escapes or quotes the field as far as it could be misread.
    fn finish_field(&self, alone: bool, out: &mut Vec<u8>) {
        match &self.layout {
            CopyLayout::Binary => {}
            CopyLayout::Text { delimiter, .. } => {
                for byte in &self.field {
                    let short = match byte {
                        0x08 => b'b',
                        0x0c => b'f',
                        b'\n' => b'n',
                        b'\r' => b'r',
                        b'\t' => b't',
                        0x0b => b'v',
                        b'\\' => b'\\',
                        other if other == delimiter => *delimiter,
                        other => {
                            out.push(*other);
                            continue;
                        }
                    };
                    out.extend_from_slice(&[b'\\', short]);
                }
            }
            CopyLayout::Csv { delimiter, null, quote, escape, .. } => {
                let special = |b: &u8| [*delimiter, *quote, b'\n', b'\r'].contains(b);
                // `\.` alone on a line used to be the end of the data.
                let end = alone && self.field == b"\\.";
                if !(end || self.field == null.as_bytes() || self.field.iter().any(special)) {
                    return out.extend_from_slice(&self.field);
                }
                out.push(*quote);
                for byte in &self.field {
                    if byte == quote || byte == escape {
                        out.push(*escape);
                    }
                    out.push(*byte);
                }
                out.push(*quote);
            }
        }
    }
}

fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'd');
    framed(out, write);
}
