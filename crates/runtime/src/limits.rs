//! The limits and settings of a run, each with its unit. It must not know where they were set.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Epoch;

use crate::clock::Clock;
use crate::machine::memory_bytes;
use crate::stepper::Stepper;

/// When the coordinator seals an epoch: at the first limit reached, or at once when the input pauses.
#[derive(Clone, Copy, Debug)]
pub struct EpochLimits {
    /// Rows read by all workers together.
    pub rows: usize,
    /// Input bytes read by all workers together.
    pub bytes: usize,
    /// Time since the epoch's first row.
    pub interval: Duration,
    /// Epochs that may be open or in work at once: the credit that sources have.
    pub in_flight: u64,
    /// An empty epoch is sealed this often, so that time passes in a quiet stream.
    pub heartbeat: Duration,
}

impl Default for EpochLimits {
    fn default() -> Self {
        Self {
            rows: 262_144,
            bytes: 64 << 20,
            interval: Duration::from_millis(50),
            in_flight: 2,
            heartbeat: Duration::from_millis(200),
        }
    }
}

impl EpochLimits {
    /// Epochs of exactly this many rows where possible, whatever the time; 0 means everything in one epoch.
    pub fn forced(rows: usize) -> Self {
        let rows = if rows == 0 { usize::MAX } else { rows };
        Self { rows, bytes: usize::MAX, interval: Duration::MAX, heartbeat: Duration::MAX, ..Self::default() }
    }

    /// The epoch's size was set by hand: a pause of the input does not seal it.
    pub fn is_forced(&self) -> bool {
        self.interval == Duration::MAX
    }
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Worker threads.
    pub workers: usize,
    /// When epochs end.
    pub epochs: EpochLimits,
    /// The clock.
    pub clock: Clock,
    /// A partition without rows for this long no longer holds its source's watermark.
    pub idle_timeout: Duration,
    /// Rows of one read at most; the size of a batch.
    pub batch_rows: usize,
    /// Bytes of operators' state and of input in work, of all workers together; a run that needs more is stopped.
    pub memory_limit_bytes: usize,
    /// Time between two checkpoints of a long-lived engine, at least; `None` takes none.
    pub checkpoint_interval: Option<Duration>,
    /// Epochs of a long-lived engine begin with this one, or with the clock's microseconds if that is later.
    pub first_epoch: Epoch,
    /// Decides when each worker of a long-lived engine does its next step; `None`: the machine.
    pub stepper: Option<Arc<dyn Stepper>>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            epochs: EpochLimits::default(),
            clock: Clock::System,
            idle_timeout: Duration::from_secs(10),
            batch_rows: 8192,
            // The rest is for what is not state: code, buffers of readers and writers, a table that is being doubled.
            memory_limit_bytes: memory_bytes().map_or(usize::MAX, |bytes| bytes / 5 * 4),
            checkpoint_interval: None,
            first_epoch: Epoch(0),
            stepper: None,
        }
    }
}
