//! The shape of every operator and its state on the way to and from a checkpoint.
//! It must not know Timely, threads, files or clocks.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, vnode};

/// A sans-IO state machine. The runtime calls, for each epoch in order: `on_delta` any number of times, then
/// `on_epoch` once when the epoch is complete on every port.
///
/// A stateful operator emits once per epoch from `on_epoch`, consolidated; a stateless one emits from `on_delta`.
pub trait Operator {
    /// Takes a change on `port` (0 for the only or left input, 1 for the right) while the epoch is open.
    ///
    /// # Errors
    /// An expression fails on a row, or an aggregate overflows: the query stops with this error.
    fn on_delta(&mut self, port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()>;

    /// The epoch of `header` is complete on every port.
    ///
    /// # Errors
    /// As `on_delta`.
    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()>;

    /// What changed in the state since the last call (since the start for the first). Called between epochs.
    ///
    /// # Errors
    /// State that cannot be encoded.
    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        Ok(Vec::new())
    }

    /// Makes the next snapshot one of the whole state, as if none had been taken.
    fn save_all(&mut self) {}

    /// Rebuilds state into a fresh operator from deltas in the order in which they were taken, of any number of former
    /// workers, keeping only the keys whose vnode `keep` accepts.
    ///
    /// # Errors
    /// The state does not fit this operator.
    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let _ = (deltas, keep);
        Ok(())
    }

    /// What stands of all that it has put out; only of an operator whose state holds that, see [`crate::holds_output`].
    ///
    /// # Errors
    /// It does not.
    fn standing(&self, _out: &mut Output) -> Result<()> {
        Err(Error::Internal("an operator that does not hold what it has put out is asked for it".to_owned()))
    }

    /// Bytes of state held, for the memory budget.
    fn state_bytes(&self) -> usize {
        0
    }
}

/// Where an operator puts its results.
#[derive(Debug, Default)]
pub struct Output {
    batches: Vec<DeltaBatch>,
}

impl Output {
    /// Adds a batch; empty ones are dropped.
    pub fn push(&mut self, batch: DeltaBatch) {
        if !batch.is_empty() {
            self.batches.push(batch);
        }
    }

    /// Takes what was added since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, DeltaBatch> {
        self.batches.drain(..)
    }

    /// Nothing was added since the last drain.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// A change of one table of an operator's state.
#[derive(Clone, Debug)]
pub struct StateTable {
    /// The table's name within the operator.
    pub name: Cow<'static, str>,
    /// Rows to insert or overwrite, by the operator's own layout.
    pub upserts: RecordBatch,
    /// Keys to remove, if any.
    pub deletes: Option<RecordBatch>,
}

/// The rows of `hashes` whose vnode `keep` accepts.
pub fn kept_rows(hashes: &[u64], keep: &dyn Fn(u8) -> bool) -> arrow::array::BooleanArray {
    hashes.iter().map(|h| Some(keep(vnode(*h)))).collect()
}

/// Which worker an operator runs on.
#[derive(Clone, Copy, Debug)]
pub struct WorkerInfo {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub peers: usize,
}

/// The value of `expr` for each of `rows`.
///
/// # Errors
/// The expression fails on a row (division by zero, overflow, a cast).
pub fn evaluate(expr: &thalweg_plan::Expr, rows: &RecordBatch) -> Result<arrow::array::ArrayRef> {
    let value = expr.evaluate(rows).map_err(data_error)?;
    value.into_array(rows.num_rows()).map_err(data_error)
}

/// A failure of an expression, in the words of the data.
pub(crate) fn data_error(error: datafusion::error::DataFusionError) -> thalweg_core::Error {
    use datafusion::error::DataFusionError;
    match error.find_root() {
        DataFusionError::ArrowError(arrow, _) => thalweg_core::Error::Data(arrow.to_string()),
        other => thalweg_core::Error::Data(other.strip_backtrace()),
    }
}
