//! `Statistics`: what a hub has done since it was opened. It must not know how.

/// Counts since the hub was opened, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Topics now.
    pub topics: usize,
    /// Bytes of all topics now.
    pub bytes: u64,
    /// Bytes appended and not yet durable.
    pub pending_bytes: u64,
    /// Calls that appended.
    pub appends: u64,
    /// Bytes that they appended.
    pub appended_bytes: u64,
    /// Records that became durable.
    pub durable_records: u64,
    /// Fsyncs of topics' files.
    pub fsyncs: u64,
    /// Microseconds that the last of them took.
    pub last_fsync_micros: u64,
}

impl Statistics {
    /// Records that became durable with one fsync, on average.
    pub fn records_per_fsync(&self) -> f64 {
        if self.fsyncs == 0 { 0.0 } else { self.durable_records as f64 / self.fsyncs as f64 }
    }
}
