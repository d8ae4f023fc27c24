//! Columns made ready to be written value by value, as text or as binary: types are looked at once a batch, values go
//! straight into the output. It must not know rows' messages.

mod binary;
mod text;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Field;
use thalweg_core::SqlError;

use self::binary::BinaryValues;
pub(crate) use self::binary::{EPOCH_DAYS, EPOCH_MICROS, JSONB_VERSION};
use self::text::TextValues;
use super::frontend::Format;
use super::types::type_of;

/// A column that can be written.
pub(crate) struct ColumnWriter {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Text(TextValues),
    Binary(BinaryValues),
}

impl ColumnWriter {
    /// Looks at a column.
    pub(crate) fn new(column: &ArrayRef, field: &Field, format: Format) -> Result<Self, SqlError> {
        let own = type_of(field);
        let values = match format {
            Format::Text => Values::Text(TextValues::new(column, &own)?),
            Format::Binary => Values::Binary(BinaryValues::new(column, &own)?),
        };
        Ok(Self { nulls: column.logical_nulls(), values })
    }

    /// Whether row `row` is NULL.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the value of row `row`, which is not NULL.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Text(values) => values.write(row, out),
            Values::Binary(values) => values.write(row, out),
        }
    }

    /// Writes the value of row `row` after its length, or −1 for NULL.
    pub(crate) fn write_sized(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
        } else {
            sized(out, |out| self.write(row, out));
        }
    }
}

/// Runs `write` with room before it for a length, then fills the length in.
pub(crate) fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests;
