//! One worker of an engine: feeds all jobs, seals epochs with the others, carries commands out. It must not know what a
//! job computes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, EpochHeader, Error, Result, Watermark};
use thalweg_operators::WorkerInfo;
use thalweg_plan::Distribution;
use timely::worker::Worker as Timely;

use super::Shared;
use super::checkpoint::{Checkpoint, SavedChange};
use super::coordinator::{Command, Sealed};
use super::job::{Job, JobId, JobInput, JobOutput, JobState};
use super::outbox::Outbox;
use super::publish::{Place, Publish, Tap};
use super::relation::RelationId;
use super::running::{Running, TapInput};
use crate::feed::{Fed, Feed, FeedSource};
use crate::headers::Headers;
use crate::render::{Last, render};
use crate::save::Saver;
use crate::shell::Context;
use crate::sink::Deliver;
use crate::standing::held_by;
use crate::stepper::Turn;

/// A worker without work looks again after this long, or when it is woken.
const IDLE_PARK: Duration = Duration::from_millis(1);

pub(super) struct Worker<'a> {
    shared: &'a Shared,
    index: usize,
    open: Epoch,
    closed: bool,
    jobs: BTreeMap<JobId, Running>,
    taps: BTreeMap<RelationId, Rc<RefCell<Tap>>>,
    /// The job to read from next.
    turn: usize,
    /// Rows of all answers so far, as this worker last saw them.
    answered: u64,
}

impl<'a> Worker<'a> {
    pub fn new(index: usize, shared: &'a Shared) -> Self {
        shared.coordinator.register();
        Self {
            shared,
            index,
            open: shared.coordinator.open(),
            closed: false,
            jobs: BTreeMap::new(),
            taps: BTreeMap::new(),
            turn: 0,
            answered: 0,
        }
    }

    /// Works until the engine stops.
    pub fn run(&mut self, timely: &mut Timely) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let stepper = self.shared.config.stepper.as_deref();
            let _turn = stepper.map(|stepper| Turn::begin(stepper, self.index));
            self.bury();
            self.seal(timely);
            let moved = self.pump();
            let read = self.has_credit() && self.read();
            self.complete();
            if moved || read || stepper.is_some() {
                timely.step();
            } else {
                timely.step_or_park(Some(IDLE_PARK));
            }
        }
        let flows: Vec<usize> = timely.installed_dataflows();
        flows.into_iter().for_each(|flow| timely.drop_dataflow(flow));
    }

    fn seal(&mut self, timely: &mut Timely) {
        let coordinator = &self.shared.coordinator;
        if !self.closed && coordinator.wants_close() {
            let mut reports = Vec::new();
            for (id, running) in self.jobs.iter_mut().filter(|(_, r)| r.open == self.open.0 && !r.dead) {
                if let Err(error) = running.feed.finish_epoch() {
                    running.job.failure.set(error);
                }
                let of_job = running.feed.reports(self.shared.config.idle_timeout);
                reports.extend(running.feed.places().zip(of_job).map(|(place, report)| ((*id, place), report)));
            }
            coordinator.close(reports);
            self.closed = true;
        }
        if !self.closed {
            return;
        }
        let Some(sealed) = coordinator.take(self.index, self.open) else { return };
        self.closed = false;
        self.open = self.open.next();
        for running in self.jobs.values_mut() {
            let header = running.job.header(&sealed.header, &sealed.sources);
            let checkpoint = sealed.saves.contains(&running.job.id);
            running.sealed(EpochHeader { checkpoint, ..header });
        }
        self.carry_out(timely, &sealed);
    }

    fn carry_out(&mut self, timely: &mut Timely, sealed: &Sealed) {
        for command in &sealed.commands {
            match command {
                Command::Install(job) => match self.install(timely, job) {
                    Ok(running) => {
                        self.jobs.insert(job.id, running);
                    }
                    Err(error) => self.shared.fail(job, error),
                },
                Command::Look => {}
                // Its inputs close and its operators let go: the dataflow ends by itself, whatever is on the way.
                Command::Remove(id) => {
                    if let Some(running) = self.jobs.remove(id) {
                        running.job.failure.set(Error::Data("the job was dropped".to_owned()));
                        running.job.written().for_each(|r| drop(self.taps.remove(&r)));
                    }
                }
            }
        }
    }

    /// Failed jobs take nothing in any more; every worker closes its part for itself.
    fn bury(&mut self) {
        for running in self.jobs.values_mut().filter(|r| !r.dead && r.job.failure.is_set()) {
            if let Some(error) = running.job.failure.take() {
                self.shared.fail(&running.job, error);
            }
            running.close();
        }
    }

    fn install(&mut self, timely: &mut Timely, job: &Arc<Job>) -> Result<Running> {
        let start = self.open.0;
        job.set_start(start);
        let info = WorkerInfo { index: self.index, peers: timely.peers() };
        let headers = Headers::default();
        let saver = job.spec.durable.is_some().then(|| Saver { parts: job.parts.clone(), worker: self.index });
        let context = Context { headers: headers.clone(), failure: job.failure.clone(), start, saver };
        let restored = job.restored().map(Arc::as_ref);
        let last = (0..job.spec.outputs.len()).map(|o| self.output(job, o, start)).collect::<Result<Vec<_>>>()?;
        let plan = &job.spec.plan;
        let rendered = timely.dataflow(|scope| render(scope, plan, last, info, &context, &job.budget, restored))?;
        let (mut feeds, mut taps) = (Vec::new(), Vec::new());
        for (i, (mut rows, mut dead)) in rendered.inputs.into_iter().enumerate() {
            rows.advance_to(start);
            dead.iter_mut().for_each(|d| d.advance_to(start));
            match (&job.spec.inputs[i], &job.queues[i]) {
                (JobInput::Source(source), Some(queue)) => {
                    let spec = job.spec.plan.sources[i].clone();
                    let floor = restored.and_then(|r| r.sources.get(i)).map_or(Watermark::START, |s| s.watermark);
                    feeds.push(FeedSource::new(spec, Arc::clone(source), Arc::clone(queue), rows, dead, i, floor));
                }
                (JobInput::Relation(relation), _) => {
                    let tap = self.taps.entry(relation.id).or_insert_with(|| Tap::new(start));
                    // What was restored has what stood before.
                    let queue = tap.borrow_mut().join(start, restored.is_none());
                    taps.push(TapInput { queue, input: rows, taken: 0 });
                }
                (JobInput::Source(_), None) => {}
            }
        }
        let mut clock = rendered.clock;
        clock.advance_to(start);
        let feed = Feed::new(feeds, Arc::clone(&job.stats));
        let (job, probe, open, worker, dead) = (Arc::clone(job), rendered.probe, start, self.index, false);
        let clock = Some(clock);
        Ok(Running { job, feed, taps, clock, probe, headers, open, worker, dead })
    }

    fn output(&mut self, job: &Job, sink: usize, start: u64) -> Result<Last> {
        let stats = Arc::clone(&job.stats);
        Ok(match &job.spec.outputs[sink] {
            JobOutput::Sink(open) => Last::saving(Box::new(Deliver::new(open(self.index)?, sink, stats))),
            JobOutput::Outbox => {
                let input = job.spec.plan.sinks[sink].input;
                let schema = Arc::clone(&job.spec.plan.node(input).properties.schema);
                Last::saving(Box::new(Outbox::new(schema, stats, sink)))
            }
            JobOutput::Relation(relation) => {
                let tap = Rc::clone(self.taps.entry(relation.id).or_insert_with(|| Tap::new(start)));
                let (relation, readable) = (Arc::clone(relation), Arc::clone(&self.shared.readable));
                let plan = &job.spec.plan;
                let placement = match &plan.node(plan.sinks[sink].input).properties.distribution {
                    Distribution::Hash(columns) => columns.clone(),
                    Distribution::Any | Distribution::Single => (0..relation.schema.fields().len()).collect(),
                };
                let held_by = if relation.kept { held_by(plan, plan.sinks[sink].input) } else { Vec::new() };
                let place = Place { relation, readable, worker: self.index, tap, stats, sink, placement };
                let saves = job.spec.durable.is_some() && held_by.is_empty();
                Last { operator: Box::new(Publish::new(place, start, saves)), held_by }
            }
        })
    }

    fn pump(&mut self) -> bool {
        let mut busy = false;
        for running in self.jobs.values_mut().filter(|r| !r.dead) {
            busy |= running.pump(self.open.0);
        }
        busy
    }

    /// Epochs in work are bounded: without credit no more is read. Jobs that still take in what stood before them do
    /// not count: they must not hold the others up.
    fn has_credit(&self) -> bool {
        let least = self.open.0.saturating_sub(self.shared.config.epochs.in_flight);
        let waits = |r: &Running| !r.dead && r.job.state() == JobState::Live && r.probe.less_than(&least);
        !self.jobs.values().any(waits)
    }

    /// Reads one batch from the job whose turn it is.
    fn read(&mut self) -> bool {
        let coordinator = &self.shared.coordinator;
        let max_rows = coordinator.allowance().min(self.shared.config.batch_rows);
        if max_rows == 0 || self.closed {
            return false;
        }
        let count = self.jobs.len();
        let turn = self.turn;
        let (before, after): (Vec<_>, Vec<_>) = self.jobs.values_mut().enumerate().partition(|(i, _)| *i < turn);
        for (i, running) in after.into_iter().chain(before) {
            if running.dead || running.open != self.open.0 {
                continue;
            }
            match running.read(max_rows) {
                Ok(Fed::Read { rows, bytes }) => {
                    self.turn = (i + 1) % count;
                    coordinator.added(self.index, rows, bytes);
                    return true;
                }
                Ok(Fed::Paused | Fed::Finished) => {}
                Err(error) => running.job.failure.set(error),
            }
        }
        coordinator.paused(self.index);
        false
    }

    /// Worker 0 sees how far everyone is: what is readable, and which jobs have caught up.
    fn complete(&mut self) {
        if self.index == 0 {
            self.note_answers();
        }
        let mut least = self.open.0;
        let mut behind = Vec::new();
        for running in self.jobs.values().filter(|r| !r.dead) {
            let completed = running.completed();
            match running.job.state() {
                JobState::Live => least = least.min(completed),
                JobState::Backfilling => behind.push((completed, &running.job)),
                JobState::Failed | JobState::Dropped => {}
            }
        }
        if self.index != 0 {
            return;
        }
        for (completed, job) in behind {
            // It has completed its first epoch, which holds what stood before, and all that the others have.
            if completed > job.start() && completed >= least {
                thalweg_core::failpoint!("job.caught_up");
                job.set_live();
                self.shared.coordinator.changed();
                least = least.min(completed);
                self.shared.notify();
            }
        }
        let ahead = u64::from(is_planted(Defect::EarlyEpoch) && least < self.open.0);
        if let Some(readable) = (least + ahead).checked_sub(1) {
            self.shared.make_readable(Epoch(readable));
        }
        self.finish_checkpoint();
    }

    /// Answers may change while nothing is read: a window closes, an alert fires. They are for the next checkpoint too, and
    /// leave with it.
    fn note_answers(&mut self) {
        let live = self.jobs.values().filter(|r| !r.dead);
        let rows = live.flat_map(|r| &r.job.stats.sinks).map(|sink| sink.rows.load(Ordering::Relaxed));
        let answered = rows.fold(0, u64::wrapping_add);
        if answered != self.answered {
            self.answered = answered;
            self.shared.coordinator.changed();
        }
    }

    /// Hands a checkpoint on when every operator of its jobs has saved.
    fn finish_checkpoint(&self) {
        // What begins at the end of its epoch is only there once this worker has gone on from it.
        let Some(taking) = self.shared.coordinator.taking().filter(|taking| taking.epoch < self.open) else { return };
        // A job that has failed or was dropped is not in it: its state may be of no one epoch.
        let stands = |job: &Arc<Job>| job.state() == JobState::Live && !job.failure.is_set();
        let of = |job: &Arc<Job>| self.jobs.get(&job.id).filter(|r| !r.dead && stands(job));
        if taking.jobs.iter().filter_map(of).any(|running| running.completed() <= taking.epoch.0) {
            return;
        }
        let jobs = taking.jobs.iter().filter(|job| of(job).is_some());
        let workers = self.shared.config.workers;
        let saved = jobs.filter_map(|job| Some(SavedChange::of(job, job.spec.durable.as_ref()?.key, &taking, workers)));
        let checkpoint =
            Checkpoint { epoch: taking.epoch, wall_clock: taking.wall_clock, workers, jobs: saved.collect() };
        thalweg_core::failpoint!("epoch.checkpoint_saved");
        self.shared.coordinator.taken();
        (self.shared.keeper)(checkpoint);
    }
}
