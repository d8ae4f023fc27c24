//! The coordinator of a long-lived engine: one timeline of epochs for all jobs, headers, commands at epochs, credit.
//! It must not know rows, operators or Timely.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, EpochHeader, Offset, SourceProgress, Watermark};

use super::Jobs;
use super::cut::Cut;
use super::job::{Job, JobId, JobState, SourceKey};
use super::push::SPLIT;
use crate::clock::Clock;
use crate::coordinator::SourceReport;
use crate::limits::{EpochLimits, RunConfig};

/// Epochs that follow a command at once: its jobs complete their first, and readers see that they have.
const EAGER_EPOCHS: usize = 2;

/// A change of what runs; every worker carries it out between the same two epochs.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Install(Arc<Job>),
    Remove(JobId),
    /// A relation is to be indexed: its end sees by itself what is wanted of it.
    Look,
}

/// What is published when an epoch is sealed.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Without sources: see [`Sealed::sources`].
    pub header: EpochHeader,
    pub sources: BTreeMap<SourceKey, SourceProgress>,
    /// To be carried out after this epoch, before the next.
    pub commands: Vec<Command>,
    /// Jobs whose operators save their state when they have completed this epoch.
    pub saves: BTreeSet<JobId>,
}

/// A checkpoint that is being taken.
#[derive(Debug)]
pub(super) struct Taking {
    pub epoch: Epoch,
    pub wall_clock: i64,
    pub jobs: Vec<Arc<Job>>,
    /// How far every source was read when the epoch ended.
    pub sources: BTreeMap<SourceKey, SourceProgress>,
}

pub(super) struct Coordinator {
    state: Mutex<State>,
    limits: EpochLimits,
    clock: Clock,
    workers: usize,
    cut: Arc<Cut>,
    jobs: Arc<Jobs>,
    /// Between the beginnings of two checkpoints, at least; without it none is taken.
    interval: Option<Duration>,
}

struct State {
    open: Epoch,
    opened: Instant,
    rows: usize,
    bytes: usize,
    paused: Vec<bool>,
    sealing: bool,
    closed: usize,
    joined: BTreeMap<SourceKey, (usize, SourceProgress)>,
    last: BTreeMap<SourceKey, SourceProgress>,
    sealed: BTreeMap<Epoch, Arc<Sealed>>,
    commands: Vec<Command>,
    /// Epochs to be sealed without waiting for rows: what commands have begun is then done at once.
    eager: usize,
    /// Of push queues: the ticket up to which everything is visible.
    visible: BTreeMap<SourceKey, u64>,
    /// Sources that have ended, as far as is visible.
    ended: BTreeSet<SourceKey>,
    /// Per worker, the epoch that it has open.
    taken: Vec<Epoch>,
    threads: Vec<Thread>,
    /// No epoch is sealed until all is there that was there before.
    held: bool,
    /// Where to read on, by split, as of the last sealed epoch.
    offsets: BTreeMap<SourceKey, BTreeMap<Arc<str>, Offset>>,
    /// What is to be taken out of `offsets` when the open epoch is sealed.
    forgotten: Vec<(SourceKey, Arc<str>)>,
    saving: Saving,
}

/// How it stands with checkpoints.
struct Saving {
    /// The one that is being taken.
    taking: Option<Arc<Taking>>,
    /// It is being made durable.
    writing: bool,
    began: Instant,
    /// Something has changed since the last one that is durable began.
    changed: bool,
    /// Someone waits for one.
    wanted: bool,
    /// The first epoch that may be one; `None` while what came after the last one of the life before is not all here.
    from: Option<Epoch>,
}

impl Coordinator {
    pub fn new(config: &RunConfig, workers: usize, cut: Arc<Cut>, jobs: Arc<Jobs>, held: bool) -> Self {
        // A server's epochs go on after those of the one before it, so that a resume token of that one is known as old.
        let now = Epoch(u64::try_from(config.clock.now()).unwrap_or(0));
        let first = now.max(config.first_epoch);
        let state = State {
            open: first,
            opened: config.clock.instant(),
            rows: 0,
            bytes: 0,
            paused: vec![false; workers],
            sealing: false,
            closed: 0,
            joined: BTreeMap::new(),
            last: BTreeMap::new(),
            sealed: BTreeMap::new(),
            commands: Vec::new(),
            eager: 0,
            visible: BTreeMap::new(),
            ended: BTreeSet::new(),
            taken: vec![first; workers],
            threads: Vec::new(),
            held,
            offsets: BTreeMap::new(),
            forgotten: Vec::new(),
            saving: Saving {
                taking: None,
                writing: false,
                began: config.clock.instant(),
                changed: false,
                wanted: false,
                from: None,
            },
        };
        let (limits, clock, interval) = (config.epochs, config.clock.clone(), config.checkpoint_interval);
        Self { state: Mutex::new(state), limits, clock, workers, cut, jobs, interval }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread is a worker: it is woken when there is something to do.
    pub fn register(&self) {
        self.lock().threads.push(std::thread::current());
    }

    pub fn wake(&self) {
        wake(&self.lock());
    }

    /// Rows that the calling worker may still add to the open epoch.
    pub fn allowance(&self) -> usize {
        self.limits.rows.saturating_sub(self.lock().rows).div_ceil(self.workers)
    }

    /// Rows were added to the open epoch.
    pub fn added(&self, worker: usize, rows: usize, bytes: usize) {
        let mut state = self.lock();
        if state.rows == 0 {
            state.opened = self.clock.instant();
        }
        state.rows += rows;
        state.bytes += bytes;
        state.paused[worker] = false;
        let full = state.rows >= self.limits.rows || state.bytes >= self.limits.bytes;
        if full || self.clock.since(state.opened) >= self.limits.interval {
            self.seal(&mut state);
        }
    }

    /// The calling worker has nothing to read: when every worker says so, what there is goes out at once.
    pub fn paused(&self, worker: usize) {
        let mut state = self.lock();
        state.paused[worker] = true;
        let everywhere = (state.rows > 0 || state.eager > 0) && state.paused.iter().all(|p| *p);
        if everywhere || self.clock.since(state.opened) >= self.limits.heartbeat {
            self.seal(&mut state);
        }
    }

    /// Carries `command` out at the next boundary between epochs, which comes at once.
    pub fn submit(&self, command: Command) {
        let mut state = self.lock();
        state.commands.push(command);
        self.seal(&mut state);
    }

    fn seal(&self, state: &mut State) {
        if !state.sealing && !state.held {
            state.sealing = true;
            self.cut.end();
            wake(state);
        }
    }

    /// Everything is there that was there before: epochs begin.
    pub fn release(&self) {
        let mut state = self.lock();
        state.held = false;
        self.seal(&mut state);
    }

    /// A job that is not installed yet will not be; `false` when it is too late for that.
    pub fn withdraw(&self, job: JobId) -> bool {
        let mut state = self.lock();
        if !state.held {
            return false;
        }
        state.commands.retain(|c| !matches!(c, Command::Install(j) if j.id == job));
        true
    }

    /// Sources that were read before begin where they stood.
    pub fn resume(&self, job: JobId, sources: &[SourceProgress]) {
        let mut state = self.lock();
        for (place, progress) in sources.iter().enumerate() {
            state.offsets.insert((job, place), progress.offsets.clone());
            let known = SourceProgress { offsets: BTreeMap::new(), ..progress.clone() };
            state.last.insert((job, place), known);
        }
    }

    /// All that was handed in before the start is handed in again: checkpoints may be taken.
    pub fn allow_checkpoints(&self) {
        let mut state = self.lock();
        // The open epoch may have ended before the last of it; the next one has all.
        let from = state.open.next();
        state.saving.from.get_or_insert(from);
        if state.saving.wanted {
            self.seal(&mut state);
        }
    }

    /// There is more for the next checkpoint than what was read: a job has caught up, or time alone has changed an answer.
    pub fn changed(&self) {
        self.lock().saving.changed = true;
    }

    /// Takes a checkpoint as soon as can be.
    pub fn want_checkpoint(&self) {
        let mut state = self.lock();
        state.saving.wanted = true;
        self.seal(&mut state);
    }

    /// The checkpoint whose operators are saving.
    pub fn taking(&self) -> Option<Arc<Taking>> {
        self.lock().saving.taking.clone()
    }

    /// Everything of it is saved, and on its way to be made durable.
    pub fn taken(&self) {
        self.lock().saving.taking = None;
    }

    /// What was taken is durable, or is owed: the next may begin.
    pub fn written(&self, is_durable: bool) {
        let mut state = self.lock();
        state.saving.writing = false;
        // What is owed is tried again also when nothing more comes.
        state.saving.changed |= !is_durable && !is_planted(Defect::OwedWaits);
        if state.saving.wanted {
            self.seal(&mut state);
        }
    }

    /// Begins a checkpoint with the epoch that is being sealed, if one is due.
    fn begin_checkpoint(&self, state: &mut State, header: &mut EpochHeader) -> BTreeSet<JobId> {
        let Some(interval) = self.interval else { return BTreeSet::new() };
        let saving = &mut state.saving;
        let due = saving.wanted || (saving.changed && self.clock.since(saving.began) >= interval);
        if !due || saving.writing {
            return BTreeSet::new();
        }
        if saving.from.is_none_or(|from| header.epoch < from) && !is_planted(Defect::EarlyCheckpoint) {
            if saving.wanted && saving.from.is_some() {
                state.eager = state.eager.max(1);
            }
            return BTreeSet::new();
        }
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        // What still takes in what stood before it would hold the others up; it begins anew after a restart.
        let jobs: Vec<Arc<Job>> =
            jobs.values().filter(|j| j.spec.durable.is_some() && j.state() == JobState::Live).cloned().collect();
        let mut sources = state.last.clone();
        for (key, progress) in &mut sources {
            progress.offsets = state.offsets.get(key).cloned().unwrap_or_default();
        }
        thalweg_core::failpoint!("epoch.checkpoint_begun");
        header.checkpoint = true;
        let saves = jobs.iter().map(|j| j.id).collect();
        let taking = Taking { epoch: header.epoch, wall_clock: header.wall_clock, jobs, sources };
        *saving = Saving {
            taking: Some(Arc::new(taking)),
            writing: true,
            began: self.clock.instant(),
            changed: false,
            wanted: false,
            from: saving.from,
        };
        // The epoch after it lets everyone see that it is complete.
        state.eager = state.eager.max(1);
        saves
    }

    pub fn wants_close(&self) -> bool {
        self.lock().sealing
    }

    /// The calling worker feeds the open epoch no more. The last to say so publishes the header.
    pub fn close(&self, reports: Vec<(SourceKey, SourceReport)>) {
        let mut state = self.lock();
        for (key, report) in reports {
            let State { joined, forgotten, .. } = &mut *state;
            let (count, joined) = joined.entry(key).or_insert_with(|| (0, fresh()));
            *count += 1;
            joined.watermark = joined.watermark.min(report.watermark);
            joined.ended &= report.ended;
            joined.offsets.extend(report.offsets);
            forgotten.extend(report.forgotten.into_iter().map(|split| (key, split)));
        }
        state.closed += 1;
        if state.closed == self.workers {
            self.publish(&mut state);
        }
    }

    fn publish(&self, state: &mut State) {
        let joined = std::mem::take(&mut state.joined);
        let mut moved = BTreeMap::new();
        for (key, (count, mut progress)) in joined {
            let last = state.last.get(&key).map_or(Watermark::START, |p| p.watermark);
            // A worker that has not begun to read says nothing yet.
            progress.ended &= count == self.workers;
            let known = count == self.workers && (progress.watermark != Watermark::END || progress.ended);
            progress.watermark = if known { progress.watermark.max(last) } else { last };
            moved.insert(key, progress);
        }
        state.last.extend(moved.iter().map(|(k, p)| (*k, SourceProgress { offsets: BTreeMap::new(), ..p.clone() })));
        // Not only rows that were counted: an epoch that ends takes in what was handed in together with what it has.
        let mut changed = state.rows > 0 || !state.commands.is_empty();
        for (key, progress) in &moved {
            let known = state.offsets.entry(*key).or_default();
            changed |= progress.offsets.iter().any(|(split, offset)| known.get(split) != Some(offset));
            known.extend(progress.offsets.clone());
        }
        for (key, split) in std::mem::take(&mut state.forgotten) {
            if let Some(offsets) = state.offsets.get_mut(&key) {
                offsets.remove(&split);
            }
        }
        state.saving.changed |= changed;
        let mut header =
            EpochHeader { epoch: state.open, wall_clock: self.clock.now(), sources: Vec::new(), checkpoint: false };
        let commands = std::mem::take(&mut state.commands);
        state.eager = if commands.is_empty() { state.eager.saturating_sub(1) } else { EAGER_EPOCHS };
        for command in &commands {
            if let Command::Remove(job) = command {
                state.last.retain(|(of, _), _| of != job);
                state.visible.retain(|(of, _), _| of != job);
                state.ended.retain(|(of, _)| of != job);
                state.offsets.retain(|(of, _), _| of != job);
            }
        }
        thalweg_core::failpoint!("epoch.sealing");
        let saves = self.begin_checkpoint(state, &mut header);
        let mut sources = state.last.clone();
        sources.extend(moved);
        state.sealed.insert(state.open, Arc::new(Sealed { header, sources, commands, saves }));
        state.open = state.open.next();
        state.opened = self.clock.instant();
        state.rows = 0;
        state.bytes = 0;
        state.closed = 0;
        state.sealing = false;
        self.cut.next();
        wake(state);
    }

    /// What was sealed as `epoch`, once it is; `worker` goes on with the next.
    pub fn take(&self, worker: usize, epoch: Epoch) -> Option<Arc<Sealed>> {
        let mut state = self.lock();
        let sealed = state.sealed.get(&epoch).cloned()?;
        state.taken[worker] = epoch.next();
        Some(sealed)
    }

    /// Every live job has completed the epochs up to `epoch`.
    pub fn completed(&self, epoch: Epoch) {
        let mut state = self.lock();
        let taken = state.taken.iter().copied().min().unwrap_or_default();
        while let Some(first) = state.sealed.first_entry().filter(|e| *e.key() <= epoch && *e.key() < taken) {
            let sealed = first.remove();
            for (key, progress) in &sealed.sources {
                if progress.ended {
                    state.ended.insert(*key);
                }
                if let Some(offset) = progress.offsets.get(SPLIT) {
                    state.visible.insert(*key, offset.0);
                }
            }
        }
    }

    /// Whether all of `keys` have ended, and the epochs in which they did are complete.
    pub fn have_ended(&self, keys: &[SourceKey]) -> bool {
        let state = self.lock();
        keys.iter().all(|key| state.ended.contains(key))
    }

    /// The ticket up to which everything pushed to `key` is visible.
    pub fn visible(&self, key: SourceKey) -> u64 {
        self.lock().visible.get(&key).copied().unwrap_or(0)
    }

    pub fn open(&self) -> Epoch {
        self.lock().open
    }
}

fn fresh() -> SourceProgress {
    SourceProgress { watermark: Watermark::END, offsets: BTreeMap::new(), ended: true }
}

fn wake(state: &State) {
    state.threads.iter().for_each(Thread::unpark);
}
