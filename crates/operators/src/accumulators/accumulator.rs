//! `Accumulator`: what one aggregate keeps, a cell per group, and the rows it is fed. It must not know keys or epochs.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use thalweg_core::Result;

/// One aggregate's cells, indexed by group. Calls are per batch; inside, loops are typed.
pub(crate) trait Accumulator {
    /// Makes room for the groups below `capacity`; new cells are empty.
    fn grow(&mut self, capacity: usize);

    /// Adds rows to their groups.
    ///
    /// # Errors
    /// A value cannot be added (out of range).
    fn update(&mut self, change: &Change<'_>) -> Result<()>;

    /// The partial state of `groups`: `width` columns.
    ///
    /// # Errors
    /// State that cannot be encoded.
    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>>;

    /// Number of state columns.
    fn width(&self) -> usize;

    /// Adds partial states (as `state` yields them) to their groups.
    ///
    /// # Errors
    /// The columns are not this accumulator's state, or a sum is out of range.
    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()>;

    /// The results of `groups`.
    ///
    /// # Errors
    /// A result is out of range.
    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef>;

    /// Empties the cells of `groups`.
    fn reset(&mut self, groups: &[u32]);

    /// Bytes held.
    fn bytes(&self) -> usize;

    /// `update` looks at the arguments (`count` does not).
    fn reads_arguments(&self) -> bool {
        true
    }

    /// The states of rows that are each a group of their own, where that is cheaper than cells; `None`: use cells.
    ///
    /// # Errors
    /// As `update`.
    fn singles(&self, change: &Change<'_>) -> Result<Option<Vec<ArrayRef>>> {
        let _ = change;
        Ok(None)
    }
}

/// Rows for an accumulator.
pub(crate) struct Change<'a> {
    /// Group of each row.
    pub(crate) groups: &'a [u32],
    /// Argument columns.
    pub(crate) args: &'a [ArrayRef],
    /// Weight of each row, `None` for all +1.
    pub(crate) weights: Option<&'a [i64]>,
    /// The rows that count (filter passed, arguments not null), `None` for all.
    pub(crate) selected: Option<&'a BooleanBuffer>,
}

impl Change<'_> {
    /// Calls `f(row, group, weight)` for each row that counts.
    #[inline]
    pub(crate) fn each(&self, mut f: impl FnMut(usize, usize, i64)) {
        match (self.selected, self.weights) {
            (None, None) => {
                for (row, group) in self.groups.iter().enumerate() {
                    f(row, *group as usize, 1);
                }
            }
            (None, Some(weights)) => {
                for (row, (group, weight)) in self.groups.iter().zip(weights).enumerate() {
                    f(row, *group as usize, *weight);
                }
            }
            (Some(selected), None) => {
                for row in selected.set_indices() {
                    f(row, self.groups[row] as usize, 1);
                }
            }
            (Some(selected), Some(weights)) => {
                for row in selected.set_indices() {
                    f(row, self.groups[row] as usize, weights[row]);
                }
            }
        }
    }
}

/// The rows where `array` is not null, if any is.
pub(crate) fn valid(array: &dyn Array) -> Option<BooleanBuffer> {
    array.logical_nulls().filter(|n| n.null_count() > 0).map(NullBuffer::into_inner)
}

/// Both conditions; `None` is "all rows".
pub(crate) fn both(a: Option<BooleanBuffer>, b: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a & &b),
        (a, b) => a.or(b),
    }
}
