//! The row store: rows of a relation in column segments under 32-bit row numbers, with hash chains over them.
//!
//! Owns how the joins, Top-N, OVER and temporal filters keep rows. It must not know what any of them does with a row.

mod chain;
mod column;
mod groups;
mod index;
mod lane;
mod pieces;
mod retention;
mod rows;
mod saved;
mod sort_key;
mod timed;
mod views;
mod zset;

pub(crate) use chain::{Chain, Pairs};
pub(crate) use groups::Groups;
pub(crate) use lane::Lane;
pub(crate) use retention::{Retention, micros};
pub(crate) use rows::{CHANGED, FRESH, RowStore, SAVED};
pub(crate) use saved::SavedRows;
pub use saved::pieces;
pub(crate) use sort_key::{KeyEncoder, KeyWidth, PairKey, SingleKey, SortKey, WideKey};
pub(crate) use timed::TimedRows;
pub use zset::consolidate;
pub(crate) use zset::{distinct_rows, group_rows};

/// No row.
pub(crate) const NONE: u32 = u32::MAX;
/// Marks a number as that of a row of a batch that is not stored yet; stored rows are numbered below it.
pub(crate) const PENDING: u32 = 1 << 31;
/// log2 of the rows of a segment. Tests use tiny ones, so that every history drops, rewrites and reuses segments.
pub(crate) const SEGMENT_BITS: u32 = if cfg!(test) { 3 } else { 14 };
/// Rows of a segment.
pub(crate) const SEGMENT_ROWS: usize = 1 << SEGMENT_BITS;
const MASK: u32 = (1 << SEGMENT_BITS) - 1;

/// The segment of a row number.
#[inline]
pub(crate) fn segment_of(id: u32) -> usize {
    (id >> SEGMENT_BITS) as usize
}

/// The place of a row number within its segment.
#[inline]
pub(crate) fn place_of(id: u32) -> usize {
    (id & MASK) as usize
}

/// Rows of a batch: a range, or some in the order named.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Picked<'a> {
    /// From the first, this many.
    Range(usize, usize),
    /// These.
    Rows(&'a [u32]),
}

impl<'a> Picked<'a> {
    /// How many rows.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Range(_, len) => len,
            Self::Rows(rows) => rows.len(),
        }
    }

    /// The part `from .. from + len` of these rows.
    pub(crate) fn part(self, from: usize, len: usize) -> Self {
        match self {
            Self::Range(start, _) => Self::Range(start + from, len),
            Self::Rows(rows) => Self::Rows(&rows[from..from + len]),
        }
    }

    /// Calls `f` with each row.
    #[inline]
    pub(crate) fn each(self, mut f: impl FnMut(usize)) {
        match self {
            Self::Range(start, len) => (start..start + len).for_each(f),
            Self::Rows(rows) => rows.iter().for_each(|row| f(*row as usize)),
        }
    }
}
