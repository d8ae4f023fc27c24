//! A sink as the last operator of a query. It must not know what the sink is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_core::{DeltaBatch, EpochHeader, Result, Sink};
use thalweg_operators::{Operator, Output};

use crate::stats::RunStats;

/// Hands deltas to a sink, commits with each epoch, and finishes it when every source has ended.
pub(crate) struct Deliver {
    sink: Box<dyn Sink>,
    index: usize,
    stats: Arc<RunStats>,
    finished: bool,
}

impl Deliver {
    pub fn new(sink: Box<dyn Sink>, index: usize, stats: Arc<RunStats>) -> Self {
        Self { sink, index, stats, finished: false }
    }
}

impl Operator for Deliver {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.stats.sinks[self.index].rows.fetch_add(delta.num_rows() as u64, Ordering::Relaxed);
        self.sink.write(&delta)
    }

    fn on_epoch(&mut self, header: &EpochHeader, _out: &mut Output) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        self.sink.commit(header)?;
        self.finished = header.sources.iter().all(|s| s.ended);
        if self.finished { self.sink.finish() } else { Ok(()) }
    }
}
