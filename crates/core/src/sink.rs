//! `Sink`: where results leave. It must not know operators or SQL.

use crate::{DeltaBatch, EpochHeader, Result};

/// One worker's end of a sink. Calls come in this order: any number of `write`s for an epoch, then `commit`
/// of that epoch, …, and `finish` once when every input has ended.
pub trait Sink: Send {
    /// Takes rows of the epoch that is open.
    ///
    /// # Errors
    /// The target refuses or fails; the query stops with this error.
    fn write(&mut self, delta: &DeltaBatch) -> Result<()>;

    /// The epoch is complete: what was written becomes visible together.
    ///
    /// # Errors
    /// As `write`.
    fn commit(&mut self, header: &EpochHeader) -> Result<()>;

    /// Input has ended: flush, close, publish. Nothing is called after it.
    ///
    /// # Errors
    /// As `write`.
    fn finish(&mut self) -> Result<()>;
}
