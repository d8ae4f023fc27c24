//! What is readable, as the planner of queries wants it. It must not know who keeps it.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use thalweg_core::{Result, SqlError};

use super::Oid;

/// The rows of one part of a table or view at one epoch.
pub trait Stored: Debug + Send + Sync {
    /// Rows that stand.
    fn num_rows(&self) -> usize;

    /// Batches that [`Stored::batch`] gives.
    fn num_batches(&self) -> usize;

    /// Batch `i` (maybe without rows).
    ///
    /// # Errors
    /// A kernel fails.
    fn batch(&self, i: usize) -> Result<RecordBatch>;

    /// The sets of columns by which rows are found at once.
    fn indexes(&self) -> Vec<&[usize]> {
        Vec::new()
    }

    /// The rows whose `columns` equal a row of `keys`, which are all different; `None` when there is no index over these
    /// columns, or when it names more than `limit` rows.
    ///
    /// # Errors
    /// The keys are not of the columns' types.
    fn find(&self, _columns: &[usize], _keys: &[ArrayRef], _limit: usize) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

/// Everything that can be read, at one epoch.
pub trait Contents: Send + Sync {
    /// The parts of an object.
    ///
    /// # Errors
    /// It cannot be read now: it is still being made, or it has failed.
    fn read(&self, object: Oid) -> Result<Vec<Arc<dyn Stored>>, SqlError>;

    /// The parts of what could not be decoded of a source whose rows are handed in.
    ///
    /// # Errors
    /// As [`Contents::read`].
    fn read_dead(&self, object: Oid) -> Result<Vec<Arc<dyn Stored>>, SqlError>;
}
