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

    /// The columns by which rows are found.
    fn key(&self) -> Option<&[usize]>;

    /// The rows whose key columns equal the one row of `key`.
    ///
    /// # Errors
    /// The columns are not of the key's types.
    fn find(&self, key: &[ArrayRef]) -> Result<RecordBatch>;
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
