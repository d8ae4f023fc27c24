//! `Works`: what runs for the objects of a catalog: jobs, the way in through the hub, the way out through checkpoints. It
//! must not know sessions, SQL or threads: a server and a simulation drive the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, SqlError};
use thalweg_runtime::live::{Engine, Job, JobInput, JobState, PUSH_SPLIT};
use thalweg_sql::server::Oid;

use super::Running;
use super::intake::Intake;
use super::keeper::Keeper;
use super::replay::{Replay, Step, Wanted};

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Works<'a> {
    pub engine: &'a Arc<Engine>,
    pub intake: &'a Arc<Intake>,
    pub keeper: Option<&'a Arc<Keeper>>,
    pub running: &'a RwLock<BTreeMap<Oid, Arc<Running>>>,
    /// What is opened at a start may be out of reach for a while.
    pub is_starting: bool,
}

impl Works<'_> {
    /// What runs for `oid`.
    pub fn running(&self, oid: Oid) -> Option<Arc<Running>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).get(&oid).cloned()
    }

    /// Jobs that have failed and read nothing that others compute: what the last checkpoint holds of them stays true, and
    /// what came after it is where it came from.
    pub fn stopped(&self) -> BTreeSet<u64> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let alone = |job: &Job| job.spec.inputs.iter().all(|input| matches!(input, JobInput::Source(_)));
        let failed = running.values().filter(|r| r.job.state() == JobState::Failed && alone(&r.job));
        failed.filter_map(|r| Some(r.job.spec.durable.as_ref()?.key)).collect()
    }

    /// A checkpoint of this epoch, or of a later one, holds every job and row that can be read now. One that is readable
    /// itself may have been begun before a job that is readable at its epoch was known to be.
    pub fn held_from(&self) -> Epoch {
        Epoch(self.engine.sealed())
    }

    /// Begins to hand in again what came after the last checkpoint.
    ///
    /// # Errors
    /// The hub refuses, or does not hold what is needed.
    pub fn take_up(&self) -> Result<TakeUp, SqlError> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut wanted = Vec::new();
        for (oid, running) in running {
            let Some(queue) = running.queue.clone() else { continue };
            self.intake.create(oid)?;
            let job = Arc::clone(&running.job);
            let restored = job.spec.durable.as_ref().and_then(|d| d.restored.as_ref());
            let from = restored.and_then(|r| r.sources.first()?.offsets.get(PUSH_SPLIT).copied());
            wanted.push(Wanted { oid, job, queue, from: from.map(|offset| offset.0) });
        }
        Ok(TakeUp(self.intake.replay(wanted)?))
    }

    /// Nothing that was there before is still being made. An earlier checkpoint would move a source past rows that a view
    /// of it is yet to hold: the next start would not hand them in again.
    pub fn is_made(&self) -> bool {
        let made = |job: &Arc<Job>| match job.state() {
            JobState::Backfilling => false,
            // Its first epoch is not readable yet when it goes on from a checkpoint.
            JobState::Live => self.engine.is_ready(job),
            JobState::Failed | JobState::Dropped => true,
        };
        self.engine.jobs().iter().all(made)
    }

    /// Everything was handed in again and is made: checkpoints are taken from now on.
    pub fn begin_checkpoints(&self) {
        self.engine.take_checkpoints();
    }
}

/// What a start hands in again: all of it is there before [`Works::begin_checkpoints`].
pub(crate) struct TakeUp(Option<Replay>);

impl TakeUp {
    /// Hands in the next part.
    ///
    /// # Errors
    /// The hub cannot be read.
    pub fn step(&mut self, works: Works<'_>) -> Result<Step, SqlError> {
        if is_planted(Defect::EarlyCheckpoint) {
            works.engine.take_checkpoints();
        }
        let step = self.0.as_mut().map_or(Ok(Step::Done), Replay::step)?;
        if step == Step::Done {
            self.0 = None;
            works.keeper.iter().for_each(|keeper| keeper.forget_restored());
        }
        Ok(step)
    }
}
