//! The coordinator of one process: decides when an epoch ends, joins the workers' reports, publishes one header.
//! It must not know rows, operators or Timely.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use thalweg_core::{Epoch, EpochHeader, Offset, SourceProgress, Watermark};

use crate::clock::Clock;
use crate::limits::EpochLimits;
use crate::splits::SplitQueue;

/// What a worker says of one source when it stops feeding an epoch.
#[derive(Clone, Debug)]
pub(crate) struct SourceReport {
    /// The lowest watermark of the splits that this worker is reading; `END` when it reads none.
    pub watermark: Watermark,
    /// Where its readers stand, for splits read in this epoch.
    pub offsets: Vec<(Arc<str>, Offset)>,
    /// Splits of which nobody needs to know any more where their readers stood.
    pub forgotten: Vec<Arc<str>>,
    /// It reads no split of this source.
    pub ended: bool,
}

/// Shared by all workers of a process.
pub(crate) struct Coordinator {
    state: Mutex<State>,
    limits: EpochLimits,
    clock: Clock,
    workers: usize,
    queues: Vec<Arc<SplitQueue>>,
}

struct State {
    open: Epoch,
    opened: Instant,
    rows: usize,
    bytes: usize,
    paused: Vec<bool>,
    finished: Vec<bool>,
    sealing: bool,
    closed: usize,
    joined: Vec<SourceProgress>,
    last: Vec<Watermark>,
    headers: BTreeMap<Epoch, Sealed>,
    stop: bool,
    threads: Vec<Thread>,
}

/// An epoch that is sealed and not known to be complete.
struct Sealed {
    header: Arc<EpochHeader>,
    opened: Instant,
    bytes: usize,
}

impl Coordinator {
    pub fn new(limits: EpochLimits, clock: Clock, workers: usize, queues: Vec<Arc<SplitQueue>>) -> Self {
        let state = State {
            open: Epoch(0),
            opened: Instant::now(),
            rows: 0,
            bytes: 0,
            paused: vec![false; workers],
            finished: vec![false; workers],
            sealing: false,
            closed: 0,
            joined: fresh(queues.len()),
            last: vec![Watermark::START; queues.len()],
            headers: BTreeMap::new(),
            stop: false,
            threads: Vec::new(),
        };
        Self { state: Mutex::new(state), limits, clock, workers, queues }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread is a worker: it is woken when a header is published.
    pub fn register(&self) {
        self.lock().threads.push(std::thread::current());
    }

    /// Rows that the calling worker may still add to the open epoch.
    pub fn allowance(&self) -> usize {
        let left = self.limits.rows.saturating_sub(self.lock().rows);
        left.div_ceil(self.workers)
    }

    /// Rows were added to the open epoch.
    pub fn added(&self, worker: usize, rows: usize, bytes: usize) {
        let mut state = self.lock();
        if state.rows == 0 {
            state.opened = Instant::now();
        }
        state.rows += rows;
        state.bytes += bytes;
        state.paused[worker] = false;
        let full = state.rows >= self.limits.rows || state.bytes >= self.limits.bytes;
        if full || state.opened.elapsed() >= self.limits.interval {
            self.seal(&mut state);
        }
    }

    /// The calling worker has nothing to read: when every worker says so, what there is goes out at once.
    pub fn paused(&self, worker: usize) {
        let mut state = self.lock();
        state.paused[worker] = true;
        let everywhere = state.paused.iter().all(|p| *p) && state.rows > 0 && !self.limits.is_forced();
        if everywhere || state.opened.elapsed() >= self.limits.heartbeat {
            self.seal(&mut state);
        }
    }

    /// The calling worker has read all its splits to the end: when every worker has, the last epoch is sealed.
    pub fn finished(&self, worker: usize) {
        let mut state = self.lock();
        state.paused[worker] = true;
        state.finished[worker] = true;
        let heartbeat = state.opened.elapsed() >= self.limits.heartbeat;
        if heartbeat || state.finished.iter().all(|f| *f) {
            self.seal(&mut state);
        }
    }

    /// No more input is read: the next epoch is the last.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        self.seal(&mut state);
    }

    /// The epoch that is not sealed yet: no worker is ahead of it.
    pub fn open(&self) -> Epoch {
        self.lock().open
    }

    /// What was read goes out now, whatever the limits.
    pub fn seal_now(&self) {
        self.seal(&mut self.lock());
    }

    /// Bytes of input of the epochs that are not complete. An epoch whose size was set by hand may be the whole input,
    /// most of which operators have long taken in: that tells nothing.
    pub fn in_flight_bytes(&self) -> usize {
        if self.limits.is_forced() {
            return 0;
        }
        let state = self.lock();
        state.headers.values().map(|sealed| sealed.bytes).sum::<usize>() + state.bytes
    }

    /// The open epoch is to be closed by every worker.
    pub fn wants_close(&self) -> bool {
        self.lock().sealing
    }

    fn seal(&self, state: &mut State) {
        if !state.sealing {
            state.sealing = true;
            wake(state);
        }
    }

    /// The calling worker feeds `epoch` no more. The last to say so publishes the header.
    pub fn close(&self, epoch: Epoch, reports: Vec<SourceReport>) {
        let mut state = self.lock();
        debug_assert_eq!(epoch, state.open);
        for (joined, report) in state.joined.iter_mut().zip(reports) {
            joined.watermark = joined.watermark.min(report.watermark);
            joined.ended &= report.ended;
            joined.offsets.extend(report.offsets);
        }
        state.closed += 1;
        if state.closed == self.workers {
            self.publish(&mut state);
        }
    }

    fn publish(&self, state: &mut State) {
        let mut sources = std::mem::replace(&mut state.joined, fresh(self.queues.len()));
        for (i, source) in sources.iter_mut().enumerate() {
            source.ended = state.stop || (source.ended && self.queues[i].is_empty());
            let bound = source.watermark.min(self.queues[i].lower_bound());
            // A stream that was stopped has not ended in event time: open windows stay open.
            let bound = if state.stop && bound == Watermark::END { state.last[i] } else { bound };
            source.watermark =
                if bound == Watermark::END && !source.ended { state.last[i] } else { bound.max(state.last[i]) };
            state.last[i] = source.watermark;
        }
        let header = EpochHeader { epoch: state.open, wall_clock: self.clock.now(), sources, checkpoint: false };
        let sealed = Sealed { header: Arc::new(header), opened: state.opened, bytes: state.bytes };
        state.headers.insert(state.open, sealed);
        state.open = state.open.next();
        state.opened = Instant::now();
        state.rows = 0;
        state.bytes = 0;
        state.closed = 0;
        state.sealing = false;
        wake(state);
    }

    /// The header of `epoch`, once it is sealed.
    pub fn header(&self, epoch: Epoch) -> Option<Arc<EpochHeader>> {
        self.lock().headers.get(&epoch).map(|sealed| Arc::clone(&sealed.header))
    }

    /// Every operator everywhere has completed the epochs below `epoch`: returns how long each took from its first row.
    pub fn completed_below(&self, epoch: Epoch) -> Vec<Duration> {
        let mut state = self.lock();
        let rest = state.headers.split_off(&epoch);
        let done = std::mem::replace(&mut state.headers, rest);
        done.into_values().map(|sealed| sealed.opened.elapsed()).collect()
    }

    /// Wakes every worker.
    pub fn wake(&self) {
        wake(&self.lock());
    }
}

fn fresh(sources: usize) -> Vec<SourceProgress> {
    vec![SourceProgress { watermark: Watermark::END, offsets: BTreeMap::new(), ended: true }; sources]
}

fn wake(state: &State) {
    state.threads.iter().for_each(Thread::unpark);
}
