//! Join kinds and what lets a join forget. It must not know how rows are stored.

use std::fmt;

use crate::Bound;

/// Which rows a join keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// Pairs, and left rows without a match padded with nulls.
    Left,
    /// Pairs, and right rows without a match padded with nulls.
    Right,
    /// Pairs, and both sides' unmatched rows.
    Full,
    /// Left rows with at least one match, once.
    LeftSemi,
    /// Left rows without a match.
    LeftAnti,
    /// Right rows with at least one match, once.
    RightSemi,
    /// Right rows without a match.
    RightAnti,
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Right => "right",
            Self::Full => "full",
            Self::LeftSemi => "left semi",
            Self::LeftAnti => "left anti",
            Self::RightSemi => "right semi",
            Self::RightAnti => "right anti",
        })
    }
}

/// A stored row of one side may be forgotten once `row[column] < bound`: no row of the other side can match it.
/// `column` holds a timestamp in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinExpiry {
    /// Column of the stored side.
    pub column: usize,
    /// What it is compared with: a bound of the other side, shifted by the join condition.
    pub bound: Bound,
}
