//! `Job`: a dataflow that was added to the engine, as all workers share it. It must not know Timely.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_core::{EpochHeader, Error, Sink, Source, SourceProgress, Watermark};
use thalweg_plan::Plan;

use super::relation::Relation;
use crate::budget::Budget;
use crate::save::{Parts, SavedJob};
use crate::shell::Failure;
use crate::splits::SplitQueue;
use crate::stats::RunStats;

/// Names a job for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A source of a job, among the sources of all jobs.
pub(super) type SourceKey = (JobId, usize);

/// Opens one worker's end of a sink.
pub type OpenSink = dyn Fn(usize) -> thalweg_core::Result<Box<dyn Sink>> + Send + Sync;

/// Where a source of a plan gets its rows.
#[derive(Clone)]
pub enum JobInput {
    /// From outside; this job reads it alone.
    Source(Arc<dyn Source>),
    /// From the output of another job: what stands, then what changes.
    Relation(Arc<Relation>),
}

/// Where a sink of a plan puts its rows.
#[derive(Clone)]
pub enum JobOutput {
    /// Where they can be read and followed.
    Relation(Arc<Relation>),
    /// Outside.
    Sink(Arc<OpenSink>),
    /// Into checkpoints, from where they leave exactly once: see [`super::outbox_epochs`].
    Outbox,
}

/// A dataflow to run: a plan, and what its sources and sinks stand for, in the plan's order.
#[derive(Clone)]
pub struct JobSpec {
    /// For people.
    pub name: String,
    /// What to compute.
    pub plan: Plan,
    /// One a source.
    pub inputs: Vec<JobInput>,
    /// One a sink.
    pub outputs: Vec<JobOutput>,
    /// Set when checkpoints hold it.
    pub durable: Option<Durable>,
}

/// What a checkpoint knows a job by, and what the last one held of it.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Names the job for ever.
    pub key: u64,
    /// Its state, after a restart.
    pub restored: Option<Arc<SavedJob>>,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It takes in what stood before it began.
    Backfilling,
    /// Its results are of the same epoch as everyone's.
    Live,
    /// It has stopped with an error; what it had computed stays.
    Failed,
    /// It was removed.
    Dropped,
}

/// Whose progress a source of a job follows.
pub(super) enum Follows {
    Own(SourceKey),
    Other {
        /// The source whose watermark bounds its rows.
        watermark: Option<SourceKey>,
        /// It ends when all of these have.
        ends_with: Vec<SourceKey>,
    },
}

/// A job, shared by the workers and whoever watches it.
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was asked for.
    pub spec: JobSpec,
    /// Its counters.
    pub stats: Arc<RunStats>,
    pub(super) queues: Vec<Option<Arc<SplitQueue>>>,
    pub(super) follows: Vec<Follows>,
    pub(super) failure: Failure,
    pub(super) budget: Arc<Budget>,
    /// What its operators have saved for the checkpoint that is being taken.
    pub(super) parts: Parts,
    /// A checkpoint before holds state of it.
    saved: AtomicBool,
    /// Rows of snapshots that its workers have taken in.
    pub(super) backfilled: AtomicU64,
    /// Its first epoch, once it is installed.
    start: AtomicU64,
    state: AtomicU8,
    error: Mutex<Option<String>>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl Job {
    /// `writers` are the jobs that fill each relation.
    pub(super) fn new(
        id: JobId,
        spec: JobSpec,
        queues: Vec<Option<Arc<SplitQueue>>>,
        writer: impl Fn(&Relation) -> Option<Arc<Self>>,
        budget: Budget,
    ) -> Self {
        let follows = spec.inputs.iter().enumerate().map(|(i, input)| match input {
            JobInput::Source(_) => Follows::Own((id, i)),
            JobInput::Relation(relation) => writer(relation)
                .map_or(Follows::Other { watermark: None, ends_with: Vec::new() }, |job| job.as_followed()),
        });
        let follows = follows.collect();
        let is_restored = spec.durable.as_ref().is_some_and(|d| d.restored.is_some());
        let stats = Arc::new(RunStats::new(spec.plan.sources.len(), spec.plan.sinks.len()));
        Self {
            id,
            spec,
            stats,
            queues,
            follows,
            failure: Failure::default(),
            budget: Arc::new(budget),
            parts: Parts::default(),
            backfilled: Default::default(),
            start: AtomicU64::new(u64::MAX),
            // What was restored has nothing to catch up with: it is in every checkpoint from the first on.
            state: AtomicU8::new(u8::from(is_restored)),
            saved: AtomicBool::new(is_restored),
            error: Mutex::new(None),
        }
    }

    /// The sources from outside that it reads, itself or through others.
    pub(super) fn ends_with(&self) -> Vec<SourceKey> {
        let of = |follows: &Follows| match follows {
            Follows::Own(key) => vec![*key],
            Follows::Other { ends_with, .. } => ends_with.clone(),
        };
        self.follows.iter().flat_map(of).collect()
    }

    /// How a job that reads this one's output follows it. Only rows that pass unchanged keep their watermark: those of a
    /// job of one source with a watermark and no operator that keeps state.
    fn as_followed(&self) -> Follows {
        let passes = self.spec.plan.sources.len() == 1 && self.spec.plan.sources[0].watermark.is_some();
        let watermark = match self.follows.first() {
            Some(Follows::Own(key)) if passes => Some(*key),
            _ => None,
        };
        Follows::Other { watermark, ends_with: self.ends_with() }
    }

    /// The header as this job's plan numbers its sources.
    pub(super) fn header(&self, header: &EpochHeader, sources: &BTreeMap<SourceKey, SourceProgress>) -> EpochHeader {
        let watermark = |key: &SourceKey| sources.get(key).map_or(Watermark::START, |s| s.watermark);
        let ended = |key: &SourceKey| sources.get(key).is_some_and(|s| s.ended);
        let own = self.follows.iter().map(|follows| match follows {
            Follows::Own(key) => {
                SourceProgress { watermark: watermark(key), offsets: BTreeMap::new(), ended: ended(key) }
            }
            Follows::Other { watermark: from, ends_with } => {
                let ended = !ends_with.is_empty() && ends_with.iter().all(ended);
                let watermark = if ended { Watermark::END } else { from.as_ref().map_or(Watermark::START, watermark) };
                SourceProgress { watermark, offsets: BTreeMap::new(), ended }
            }
        });
        EpochHeader { sources: own.collect(), ..*header }
    }

    /// Its state as the last checkpoint held it, after a restart.
    pub(super) fn restored(&self) -> Option<&Arc<SavedJob>> {
        self.spec.durable.as_ref()?.restored.as_ref()
    }

    /// Whether a checkpoint holds state of it already; from now on one does.
    pub(super) fn note_saved(&self) -> bool {
        self.saved.swap(true, Ordering::Relaxed)
    }

    /// How far it has come.
    pub fn state(&self) -> JobState {
        match self.state.load(Ordering::Acquire) {
            0 => JobState::Backfilling,
            1 => JobState::Live,
            2 => JobState::Failed,
            _ => JobState::Dropped,
        }
    }

    /// Its first epoch; `u64::MAX` until it is installed.
    pub(super) fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    pub(super) fn set_start(&self, epoch: u64) {
        self.start.store(epoch, Ordering::Release);
    }

    pub(super) fn set_live(&self) {
        let _ = self.state.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn set_dropped(&self) {
        self.state.store(3, Ordering::Release);
    }

    pub(super) fn set_failed(&self, error: &Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        self.state.store(2, Ordering::Release);
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of its operators' state.
    pub fn state_bytes(&self) -> usize {
        self.budget.state_bytes()
    }

    /// Rows of snapshots taken in so far, and how many there are in all as far as is known.
    pub fn backfill(&self) -> u64 {
        self.backfilled.load(Ordering::Relaxed)
    }

    /// True when this job reads what `other` writes.
    pub(super) fn reads(&self, other: &Self) -> bool {
        let written: Vec<_> = other.written().collect();
        self.spec.inputs.iter().any(|i| matches!(i, JobInput::Relation(r) if written.contains(&r.id)))
    }

    pub(super) fn written(&self) -> impl Iterator<Item = super::RelationId> + '_ {
        self.spec.outputs.iter().filter_map(|o| match o {
            JobOutput::Relation(r) => Some(r.id),
            JobOutput::Sink(_) | JobOutput::Outbox => None,
        })
    }
}
