//! `Sink`: where results leave. It must not know operators or SQL.

use crate::{DeltaBatch, Epoch, EpochHeader, Error, Result};

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

/// Numbers the starts of a server on one data directory. A target refuses those below the highest that it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What changed in one epoch.
#[derive(Clone, Debug)]
pub struct EpochRows {
    /// The epoch.
    pub epoch: Epoch,
    /// Its changes, consolidated: of one row there is at most one weight.
    pub deltas: Vec<DeltaBatch>,
}

/// A sink whose target keeps, together with the rows, how far they go: each epoch's rows get there once.
///
/// The caller keeps every epoch until the target holds it. After any error but [`SinkError::Fatal`] it calls `open`
/// again and delivers what comes after the epoch that `open` answers: never is the same call repeated blindly, for what
/// has become of it may not be known.
pub trait EpochSink: Send {
    /// Connects, shuts out every lower incarnation, and reads back the last epoch that the target holds; `None` if it
    /// has never held one.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] when a higher incarnation was there, or the target can never take these rows.
    fn open(&mut self, incarnation: Incarnation) -> std::result::Result<Option<Epoch>, SinkError>;

    /// Delivers epochs in order (some without rows). All of it and the progress `upto` become visible together;
    /// `upto` is at least the last epoch of `epochs`.
    ///
    /// # Errors
    /// The target refuses, fails, or does not answer.
    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> std::result::Result<(), SinkError>;
}

/// Why a delivery did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The target does not answer, or what became of the delivery is not known: open again, after a while.
    #[error("{0}")]
    Again(Error),
    /// A person must act: the sink stops and says why.
    #[error("{0}")]
    Fatal(Error),
}
