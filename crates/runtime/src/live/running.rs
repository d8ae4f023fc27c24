//! `Running`: a job on one worker: its inputs, how far they are open, what waits to go in. It must not know other jobs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_core::{DeltaBatch, EpochHeader, Result};
use timely::dataflow::ProbeHandle;

use super::job::Job;
use super::publish::{TapEvent, TapQueue};
use crate::container::Chunk;
use crate::feed::{Fed, Feed, Input};
use crate::headers::Headers;

/// An input that follows a relation.
pub(super) struct TapInput {
    pub queue: TapQueue,
    pub input: Input,
    /// Batches of the snapshot at the head of the queue that went in.
    pub taken: usize,
}

/// A job's dataflow on this worker.
pub(super) struct Running {
    pub job: Arc<Job>,
    pub feed: Feed,
    pub taps: Vec<TapInput>,
    pub clock: Option<Input>,
    pub probe: ProbeHandle<u64>,
    pub headers: Headers,
    /// The epoch that its inputs have open; the worker's, unless it lags behind.
    pub open: u64,
    /// The worker's index.
    pub worker: usize,
    pub dead: bool,
}

impl Running {
    /// Moves rows from the relations that it reads into its inputs, and its inputs on to `upto`, as far as those
    /// relations are complete. True if it did anything.
    pub fn pump(&mut self, upto: u64) -> bool {
        let mut busy = false;
        loop {
            let mut complete = true;
            for tap in &mut self.taps {
                let (moved, done) = tap.fill(self.open, &self.job);
                busy |= moved;
                complete &= done;
            }
            if !complete || self.open >= upto {
                return busy;
            }
            self.advance();
            busy = true;
        }
    }

    fn advance(&mut self) {
        let Some(header) = self.headers.get(thalweg_core::Epoch(self.open)) else { return };
        for tap in &mut self.taps {
            tap.queue.borrow_mut().pop_front();
            tap.input.advance_to(self.open + 1);
        }
        self.feed.advance(&header);
        self.clock.iter_mut().for_each(|clock| clock.advance_to(self.open + 1));
        self.open += 1;
        if self.worker == 0 {
            self.job.stats.sealed(&header);
        }
    }

    /// Nothing more goes in: the dataflow ends by itself.
    pub fn close(&mut self) {
        self.dead = true;
        self.clock = None;
        self.taps.clear();
        self.feed = Feed::new(Vec::new(), Arc::clone(&self.job.stats));
    }

    /// The epoch of `header` is sealed.
    pub fn sealed(&mut self, header: EpochHeader) {
        self.headers.insert(Arc::new(header));
    }

    /// Reads once from its own sources; only a job that is at the open epoch may.
    pub fn read(&mut self, max_rows: usize) -> Result<Fed> {
        self.feed.step(max_rows)
    }

    /// Epochs below it are complete on every worker.
    pub fn completed(&self) -> u64 {
        let completed = self.probe.with_frontier(|f| f.first().copied().unwrap_or(self.open));
        self.headers.forget_below(thalweg_core::Epoch(completed.min(self.open)));
        completed
    }
}

impl TapInput {
    /// Puts what waits for `open` in; a snapshot one batch at a time, so that other jobs have their turns. Whether
    /// anything moved, and whether all of `open` is in.
    fn fill(&mut self, open: u64, job: &Job) -> (bool, bool) {
        let mut queue = self.queue.borrow_mut();
        let mut moved = false;
        loop {
            match queue.front() {
                None => return (moved, false),
                Some(TapEvent::Done(epoch)) => {
                    debug_assert!(*epoch >= open, "an epoch is done once");
                    return (moved, *epoch == open);
                }
                Some(TapEvent::Change(epoch, _)) if *epoch != open => return (moved, false),
                Some(TapEvent::Change(..)) => {
                    if let Some(TapEvent::Change(_, delta)) = queue.pop_front() {
                        self.input.send_batch(&mut Chunk::new(delta));
                    }
                    moved = true;
                }
                Some(TapEvent::Snapshot(version)) => {
                    if self.taken == version.num_batches() {
                        queue.pop_front();
                        continue;
                    }
                    let batch = version.batch(self.taken);
                    self.taken += 1;
                    match batch {
                        Ok(rows) if rows.num_rows() > 0 => {
                            job.backfilled.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                            self.input.send_batch(&mut Chunk::new(DeltaBatch::insert(rows)));
                        }
                        Ok(_) => {}
                        Err(error) => job.failure.set(error),
                    }
                    return (true, false);
                }
            }
        }
    }
}
