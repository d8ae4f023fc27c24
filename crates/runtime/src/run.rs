//! A run: starts the workers, drives each one's loop, joins them. It must not know SQL or connectors' insides.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_core::{Epoch, Error, Result, Sink, Source, Watermark};
use thalweg_operators::WorkerInfo;
use thalweg_plan::Plan;
use timely::WorkerConfig;
use timely::communication::Config as Communication;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

use crate::budget::{Budget, Watch};
use crate::coordinator::Coordinator;
use crate::feed::{Fed, Feed, FeedSource, Input};
use crate::headers::Headers;
use crate::limits::RunConfig;
use crate::render::{Last, render};
use crate::shell::{Context, Failure, panicked};
use crate::sink::Deliver;
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
    budget: Arc<Budget>,
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
    let coordinator = Coordinator::new(config.epochs, config.clock.clone(), workers, queues.clone());
    let failure = Failure::default();
    let budget = Arc::new(Budget::new(config.memory_limit_bytes, plan.nodes.len(), workers));
    let shared = Arc::new(Shared { plan, sources, queues, sinks, config, coordinator, failure, budget, stats, stop });
    let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
    let timely = timely::Config { communication, worker: WorkerConfig::default() };
    let of_workers = Arc::clone(&shared);
    let guards = timely::execute(timely, move |worker| {
        // Unwinding must not leave the other workers waiting for this one's report.
        let outcome = catch_unwind(AssertUnwindSafe(|| drive(worker, &of_workers)));
        if let Err(error) = outcome.unwrap_or_else(|panic| Err(panicked("a worker", panic.as_ref()))) {
            of_workers.failure.set(error);
            of_workers.coordinator.wake();
        }
        // A failed run leaves operators that will never complete.
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    })
    .map_err(Error::Internal)?;
    let died = guards.join().into_iter().find_map(std::result::Result::err);
    match (shared.failure.take(), died) {
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
    watch: Watch,
    /// The epoch to complete before the run fails for want of memory, on worker 0.
    last: Option<(Epoch, Error)>,
}

impl<'a> Driver<'a> {
    fn start(worker: &mut Worker, shared: &'a Shared) -> Result<Self> {
        shared.coordinator.register();
        let index = worker.index();
        let info = WorkerInfo { index, peers: worker.peers() };
        let sinks = (0..shared.plan.sinks.len())
            .map(|s| {
                let deliver = Deliver::new((shared.sinks)(s, index)?, s, Arc::clone(&shared.stats));
                Ok(Last::saving(Box::new(deliver)))
            })
            .collect::<Result<Vec<_>>>()?;
        let headers = Headers::default();
        let context = Context { headers: headers.clone(), failure: shared.failure.clone(), start: 0, saver: None };
        let rendered =
            worker.dataflow(|scope| render(scope, &shared.plan, sinks, info, &context, &shared.budget, None))?;
        let feeds = rendered.inputs.into_iter().enumerate().map(|(i, (rows, dead))| {
            let spec = shared.plan.sources[i].clone();
            let (source, queue) = (Arc::clone(&shared.sources[i]), Arc::clone(&shared.queues[i]));
            FeedSource::new(spec, source, queue, rows, dead, i, Watermark::START)
        });
        let feed = Feed::new(feeds.collect(), Arc::clone(&shared.stats));
        let (clock, probe) = (Some(rendered.clock), rendered.probe);
        let (open, closed, watch, last) = (Epoch(0), false, Watch::default(), None);
        Ok(Self { shared, index, feed, clock, probe, headers, open, closed, watch, last })
    }

    /// Feeds or waits once, then lets operators work. True when the last epoch is sealed.
    fn step(&mut self, worker: &mut Worker) -> Result<bool> {
        self.check_failure()?;
        self.check_memory()?;
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

    /// Epochs in work are bounded: without credit, or memory, no more is read.
    fn has_credit(&self) -> bool {
        if self.shared.budget.is_exceeded() {
            return false;
        }
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

    /// Worker 0 watches the budget. When it is exceeded nothing more is read; what was read is delivered; then the run
    /// fails. An epoch of a size set by hand may be too large to be completed: then the run fails at once.
    fn check_memory(&mut self) -> Result<()> {
        if self.index != 0 {
            return Ok(());
        }
        if let Some((epoch, _)) = &self.last {
            let waits = self.probe.less_equal(&epoch.0);
            return match self.last.take_if(|_| !waits) {
                Some((_, error)) => Err(error),
                None => Ok(()),
            };
        }
        let shared = self.shared;
        let (state, in_flight) = (shared.budget.state_bytes(), shared.coordinator.in_flight_bytes());
        shared.stats.state(state);
        if !self.watch.is_over(&shared.budget, state, in_flight) {
            return Ok(());
        }
        let error = shared.budget.exceed(&shared.plan, in_flight);
        if shared.config.epochs.is_forced() {
            return Err(error);
        }
        // Another worker may be an epoch ahead of this one and have read for it.
        self.last = Some((shared.coordinator.open(), error));
        shared.coordinator.seal_now();
        Ok(())
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
            if index == 0 {
                shared.stats.state(shared.budget.state_bytes());
            }
        }
        if index == 0 {
            shared.stats.completed(&shared.coordinator.completed_below(Epoch(u64::MAX)));
        }
        Ok(())
    }
}
