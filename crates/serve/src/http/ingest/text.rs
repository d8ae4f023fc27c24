//! Runs a text decoder over a body piece by piece. It must not know formats.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use thalweg_core::SqlError;
use thalweg_formats::{Decoder, Input};

use super::super::failure::Failure;
use super::harvest::{BATCH_ROWS, Harvest};

/// A decoder looks at a piece as a whole before it takes records from it, so pieces are small.
const PIECE_BYTES: usize = 256 * 1024;

/// What dead letters name as their origin.
pub(super) static ORIGIN: LazyLock<Arc<str>> = LazyLock::new(|| "http".into());

/// Decodes `body` from the byte `start` on; `finish` makes the decoded rows those of the target.
pub(super) fn decode(
    body: &[u8],
    start: usize,
    decoder: &mut impl Decoder,
    finish: impl Fn(RecordBatch) -> Result<RecordBatch, Failure>,
    mut harvest: Harvest,
) -> Result<Harvest, Failure> {
    let (mut at, mut piece) = (start, PIECE_BYTES);
    let mut lines = Lines { body, at: start, row: 1 };
    while at < body.len() {
        let end = body.len().min(at.saturating_add(piece));
        let last = end == body.len();
        let input = Input { bytes: &body[at..end], origin: &ORIGIN, offset: at as u64, last };
        let decoded = decoder.decode(input, BATCH_ROWS).map_err(SqlError::from)?;
        harvest.add(finish(decoded.rows)?)?;
        for letter in decoded.dead {
            harvest.reject(lines.row_at(letter.offset as usize), letter)?;
        }
        if decoded.consumed == 0 && last {
            break;
        }
        // A record longer than the piece: offer more of it.
        piece = if decoded.consumed == 0 { piece.saturating_mul(2) } else { PIECE_BYTES };
        at += decoded.consumed;
    }
    Ok(harvest)
}

/// Counts lines that are not blank, once over the body.
struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    row: u64,
}

impl Lines<'_> {
    /// The number of the row that starts at `offset`.
    fn row_at(&mut self, offset: usize) -> u64 {
        while self.at < offset {
            let rest = &self.body[self.at..offset];
            let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
            if !line.trim_ascii().is_empty() {
                self.row += 1;
            }
            self.at += line.len() + 1;
        }
        self.row
    }
}
