//! What every decoder of text takes and gives, and its limits. It must not know any format.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeadLetter, Result};

/// A record longer than this (16 MiB) is not decoded: whoever reads gives it up as a dead letter and reads on
/// after it, so that the memory of a reader is bounded whatever the input is.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Values nested deeper than this are refused.
pub const MAX_DEPTH: usize = 128;

/// A piece of a text.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// It starts at the start of a record.
    pub bytes: &'a [u8],
    /// What it is a piece of.
    pub origin: &'a Arc<str>,
    /// Where in `origin` it starts, in bytes.
    pub offset: u64,
    /// Nothing follows: a last record without a line end is complete.
    pub last: bool,
}

/// What became of the records at the start of an [`Input`].
#[derive(Debug)]
pub struct Decoded {
    /// The good ones.
    pub rows: RecordBatch,
    /// The bad ones.
    pub dead: Vec<DeadLetter>,
    /// How many bytes they took; the rest is to be offered again, with more behind it.
    pub consumed: usize,
}

/// Bytes to rows. A decoder keeps no rows between calls.
pub trait Decoder: Send {
    /// The columns of the rows.
    fn schema(&self) -> SchemaRef;

    /// Decodes complete records from the start of `input`, at most `max_records` good and bad together.
    ///
    /// # Errors
    /// Never because of the input.
    fn decode(&mut self, input: Input<'_>, max_records: usize) -> Result<Decoded>;
}

/// A rejected record.
pub(crate) fn dead_letter(input: &Input<'_>, start: usize, raw: &[u8], reason: String) -> DeadLetter {
    DeadLetter {
        raw: raw[..raw.len().min(DeadLetter::MAX_RAW_BYTES)].to_vec(),
        origin: Arc::clone(input.origin),
        offset: input.offset + start as u64,
        reason,
    }
}
