//! A run: starts the workers, drives each one's loop, joins them. It must not know SQL or connectors' insides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_core::{Epoch, Error, Result, Sink, Source};
use thalweg_operators::WorkerInfo;
use thalweg_plan::Plan;
use timely::WorkerConfig;
use timely::communication::Config as Communication;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

use crate::coordinator::Coordinator;
use crate::feed::{Fed, Feed, FeedSource, Input};
use crate::headers::Headers;
use crate::limits::RunConfig;
use crate::render::render;
use crate::shell::{Context, Failure};
use crate::splits::SplitQueue;
use crate::stats::RunStats;

/// Opens this worker's end of each sink of the plan: `(sink, worker)`.
pub type Sinks = dyn Fn(usize, usize) -> Result<Box<dyn Sink>> + Send + Sync;

/// A worker without work looks again after this long, or when it is woken.
const IDLE_PARK: Duration = Duration::from_millis(1);

struct Shared {
    plan: Plan,
    sources: Vec<Arc<dyn Source>>,
    queues: Vec<Arc<SplitQueue>>,
    sinks: Box<Sinks>,
    config: RunConfig,
    coordinator: Coordinator,
    failure: Failure,
    stats: Arc<RunStats>,
    stop: Arc<AtomicBool>,
}

/// Runs `plan` until its sources end, `stop` is set or something fails. `sources` are in the plan's order.
///
/// # Errors
/// The first error of any worker: of a source, an operator or a sink.
pub fn run(
    plan: Plan,
    sources: Vec<Arc<dyn Source>>,
    sinks: Box<Sinks>,
    config: RunConfig,
    stats: Arc<RunStats>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    if plan.sinks.is_empty() {
        // Declarations alone: there is nothing to compute.
        return Ok(());
    }
    let queues = sources.iter().map(|s| Ok(Arc::new(SplitQueue::new(s.splits()?)))).collect::<Result<Vec<_>>>()?;
    let workers = config.workers.max(1);
    let coordinator = Coordinator::new(config.epochs, config.clock, workers, queues.clone());
    let failure = Failure::default();
    let shared = Arc::new(Shared { plan, sources, queues, sinks, config, coordinator, failure, stats, stop });
    let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
    let timely = timely::Config { communication, worker: WorkerConfig::default() };
    let of_workers = Arc::clone(&shared);
    let guards = timely::execute(timely, move |worker| {
        if let Err(error) = drive(worker, &of_workers) {
            of_workers.failure.set(error);
            of_workers.coordinator.wake();
        }
        // A failed run leaves operators that will never complete.
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    })
    .map_err(Error::Internal)?;
    let panicked = guards.join().into_iter().find_map(std::result::Result::err);
    match (shared.failure.take(), panicked) {
        (Some(error), _) => Err(error),
        (None, Some(panic)) => Err(Error::Internal(format!("a worker panicked: {panic}"))),
        (None, None) => Ok(()),
    }
}

fn drive(worker: &mut Worker, shared: &Shared) -> Result<()> {
    let mut driver = Driver::start(worker, shared)?;
    while !driver.step(worker)? {}
    driver.drain(worker)
}

/// One worker's loop.
struct Driver<'a> {
    shared: &'a Shared,
    index: usize,
    feed: Feed,
    clock: Option<Input>,
    probe: ProbeHandle<u64>,
    headers: Headers,
    open: Epoch,
    closed: bool,
}

impl<'a> Driver<'a> {
    fn start(worker: &mut Worker, shared: &'a Shared) -> Result<Self> {
        shared.coordinator.register();
        let index = worker.index();
        let info = WorkerInfo { index, peers: worker.peers() };
        let sinks = (0..shared.plan.sinks.len()).map(|s| (shared.sinks)(s, index)).collect::<Result<Vec<_>>>()?;
        let headers = Headers::default();
        let context = Context { headers: headers.clone(), failure: shared.failure.clone() };
        let rendered = worker.dataflow(|scope| render(scope, &shared.plan, sinks, info, &context, &shared.stats))?;
        let feeds = rendered.inputs.into_iter().enumerate().map(|(i, (rows, dead))| {
            let spec = shared.plan.sources[i].clone();
            FeedSource::new(spec, Arc::clone(&shared.sources[i]), Arc::clone(&shared.queues[i]), rows, dead, i)
        });
        let feed = Feed::new(feeds.collect(), Arc::clone(&shared.stats));
        let (clock, probe) = (Some(rendered.clock), rendered.probe);
        Ok(Self { shared, index, feed, clock, probe, headers, open: Epoch(0), closed: false })
    }

    /// Feeds or waits once, then lets operators work. True when the last epoch is sealed.
    fn step(&mut self, worker: &mut Worker) -> Result<bool> {
        self.check_failure()?;
        let coordinator = &self.shared.coordinator;
        if self.shared.stop.load(Ordering::Relaxed) {
            coordinator.stop();
        }
        if !self.closed && coordinator.wants_close() {
            coordinator.close(self.open, self.feed.reports(self.shared.config.idle_timeout));
            self.closed = true;
        }
        if self.closed {
            let Some(header) = coordinator.header(self.open) else {
                worker.step_or_park(Some(IDLE_PARK));
                return Ok(false);
            };
            if self.index == 0 {
                self.shared.stats.sealed(&header);
            }
            let ended = header.sources.iter().all(|s| s.ended);
            self.headers.insert(Arc::clone(&header));
            self.feed.advance(&header);
            self.open = header.epoch.next();
            if let Some(clock) = &mut self.clock {
                clock.advance_to(self.open.0);
            }
            self.closed = false;
            if ended {
                return Ok(true);
            }
        }
        self.note_completed();
        let busy = self.has_credit() && self.read()?;
        if busy {
            worker.step();
        } else {
            worker.step_or_park(Some(IDLE_PARK));
        }
        Ok(false)
    }

    /// Epochs in work are bounded: without credit no more is read.
    fn has_credit(&self) -> bool {
        let in_flight = self.shared.config.epochs.in_flight;
        !self.probe.less_than(&self.open.0.saturating_sub(in_flight))
    }

    fn read(&mut self) -> Result<bool> {
        let coordinator = &self.shared.coordinator;
        let max_rows = coordinator.allowance().min(self.shared.config.batch_rows);
        if max_rows == 0 {
            return Ok(false);
        }
        Ok(match self.feed.step(max_rows)? {
            Fed::Read { rows, bytes } => {
                coordinator.added(self.index, rows, bytes);
                true
            }
            Fed::Paused => {
                coordinator.paused(self.index);
                false
            }
            Fed::Finished => {
                coordinator.finished(self.index);
                false
            }
        })
    }

    fn note_completed(&self) {
        let below = self.probe.with_frontier(|f| f.first().copied().unwrap_or(self.open.0));
        self.headers.forget_below(Epoch(below));
        if self.index != 0 {
            return;
        }
        let latencies = self.shared.coordinator.completed_below(Epoch(below.saturating_sub(1)));
        if !latencies.is_empty() {
            self.shared.stats.completed(&latencies);
        }
    }

    fn check_failure(&self) -> Result<()> {
        if !self.shared.failure.is_set() {
            return Ok(());
        }
        self.shared.coordinator.wake();
        // The first error is kept where it was set.
        Err(Error::Internal("another worker failed".to_owned()))
    }

    /// Closes the inputs and works until every epoch is complete.
    fn drain(mut self, worker: &mut Worker) -> Result<()> {
        let last = self.open.0;
        self.clock = None;
        let (index, probe, shared) = (self.index, self.probe.clone(), self.shared);
        drop(self);
        while probe.less_than(&last) {
            if shared.failure.is_set() {
                return Ok(());
            }
            worker.step_or_park(Some(IDLE_PARK));
        }
        if index == 0 {
            shared.stats.completed(&shared.coordinator.completed_below(Epoch(u64::MAX)));
        }
        Ok(())
    }
}
