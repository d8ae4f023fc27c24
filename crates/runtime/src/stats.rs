//! Counters of a run, read while it goes on. It must not know who prints them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thalweg_core::{EpochHeader, Watermark};

/// Counters of one source or sink.
#[derive(Debug, Default)]
pub struct QueryStats {
    /// Rows decoded, or rows delivered.
    pub rows: AtomicU64,
    /// Bytes read.
    pub bytes: AtomicU64,
    /// Rows that came below the watermark and were dropped.
    pub late: AtomicU64,
    /// Rows that could not be decoded.
    pub dead: AtomicU64,
}

/// Counters of a run, shared by its workers and whoever watches.
#[derive(Debug)]
pub struct RunStats {
    /// Per source of the plan.
    pub sources: Vec<QueryStats>,
    /// Per sink of the plan.
    pub sinks: Vec<QueryStats>,
    epochs: AtomicU64,
    watermark: AtomicI64,
    state: AtomicU64,
    peak_state: AtomicU64,
    latencies: Mutex<Vec<u32>>,
}

/// A moment's reading of [`RunStats`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Rows decoded from all sources.
    pub rows_in: u64,
    /// Bytes read from all sources.
    pub bytes_in: u64,
    /// Rows delivered to all sinks.
    pub rows_out: u64,
    /// Rows dropped as late.
    pub late: u64,
    /// Rows that could not be decoded.
    pub dead: u64,
    /// Epochs completed.
    pub epochs: u64,
    /// Bytes of operators' state, of all workers.
    pub state_bytes: u64,
    /// The most that `state_bytes` has been.
    pub peak_state_bytes: u64,
    /// The lowest watermark of the sources that have one.
    pub watermark: Watermark,
}

/// At most this many epoch latencies are kept (4 MiB); later ones are dropped.
const MAX_LATENCIES: usize = 1 << 20;

impl RunStats {
    /// For a plan with so many sources and sinks.
    pub fn new(sources: usize, sinks: usize) -> Self {
        Self {
            sources: (0..sources).map(|_| QueryStats::default()).collect(),
            sinks: (0..sinks).map(|_| QueryStats::default()).collect(),
            epochs: AtomicU64::new(0),
            watermark: AtomicI64::new(Watermark::START.0),
            state: AtomicU64::new(0),
            peak_state: AtomicU64::new(0),
            latencies: Mutex::new(Vec::new()),
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let sum =
            |of: &[QueryStats], f: fn(&QueryStats) -> &AtomicU64| of.iter().map(|s| f(s).load(Ordering::Relaxed)).sum();
        Snapshot {
            rows_in: sum(&self.sources, |s| &s.rows),
            bytes_in: sum(&self.sources, |s| &s.bytes),
            rows_out: sum(&self.sinks, |s| &s.rows),
            late: sum(&self.sources, |s| &s.late),
            dead: sum(&self.sources, |s| &s.dead),
            epochs: self.epochs.load(Ordering::Relaxed),
            state_bytes: self.state.load(Ordering::Relaxed),
            peak_state_bytes: self.peak_state.load(Ordering::Relaxed),
            watermark: Watermark(self.watermark.load(Ordering::Relaxed)),
        }
    }

    /// The `q`-quantile (0 to 1) of epoch latency: first row read to last sink done.
    pub fn epoch_latency(&self, q: f64) -> Duration {
        let mut sorted = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if sorted.is_empty() {
            return Duration::ZERO;
        }
        sorted.sort_unstable();
        let last = sorted.len() - 1;
        let index = ((last as f64) * q.clamp(0.0, 1.0)).round() as usize;
        Duration::from_micros(u64::from(sorted[index.min(last)]))
    }

    pub(crate) fn completed(&self, latencies: &[Duration]) {
        self.epochs.fetch_add(latencies.len() as u64, Ordering::Relaxed);
        let mut kept = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_LATENCIES.saturating_sub(kept.len());
        kept.extend(latencies.iter().take(room).map(|d| u32::try_from(d.as_micros()).unwrap_or(u32::MAX)));
    }

    pub(crate) fn state(&self, bytes: usize) {
        self.state.store(bytes as u64, Ordering::Relaxed);
        self.peak_state.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sealed(&self, header: &EpochHeader) {
        let lowest = header.sources.iter().map(|s| s.watermark).filter(|w| *w != Watermark::START).min();
        if let Some(lowest) = lowest {
            self.watermark.store(lowest.0, Ordering::Relaxed);
        }
    }
}
