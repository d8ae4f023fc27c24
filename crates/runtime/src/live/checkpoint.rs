//! `Checkpoint`: what all durable jobs have saved as of one epoch. It must not know files or how state is laid out.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, SourceProgress};
use thalweg_operators::StateTable;

use super::coordinator::Taking;
use super::job::{Job, JobOutput};
use crate::save::PartId;

/// The state of every durable job when `epoch` was complete: what changed since the checkpoint before it.
#[derive(Debug)]
pub struct Checkpoint {
    /// Everything up to it, and nothing after it, is in.
    pub epoch: Epoch,
    /// The epoch's `now()`: microseconds since 1970-01-01 UTC.
    pub wall_clock: i64,
    /// Workers of the engine.
    pub workers: usize,
    /// Jobs; one that is missing here has failed, was dropped, or still takes in what stood before it.
    pub jobs: Vec<SavedChange>,
}

/// What changed of one job.
#[derive(Debug)]
pub struct SavedChange {
    /// The job's [`super::Durable::key`].
    pub key: u64,
    /// How far each source of its plan was read.
    pub sources: Vec<SourceProgress>,
    /// By worker and slot.
    pub parts: BTreeMap<PartId, Vec<StateTable>>,
    /// It is all of the job's state: no checkpoint before holds any.
    pub whole: bool,
    /// The slot of its outbox, if it has one: what is saved there is to be delivered once the checkpoint is durable.
    pub outbox: Option<usize>,
    /// Bytes of its plan's printed form, hashed: state fits the plan that saved it.
    pub fingerprint: u64,
}

impl SavedChange {
    pub(super) fn of(job: &Arc<Job>, key: u64, taking: &Taking, workers: usize) -> Self {
        let places = 0..job.spec.plan.sources.len();
        let sources = places.map(|i| taking.sources.get(&(job.id, i)).cloned().unwrap_or_default()).collect();
        let (whole, fingerprint) = (!job.note_saved(), job.spec.plan.fingerprint());
        let outbox = job.spec.outputs.iter().position(|o| matches!(o, JobOutput::Outbox));
        let outbox = outbox.map(|sink| job.spec.plan.nodes.len() + sink);
        let mut parts = job.parts.take();
        if is_planted(Defect::WorkerLeftOut) {
            parts.retain(|(worker, _), _| *worker == 0 || worker + 1 < workers);
        }
        Self { key, sources, parts, whole, outbox, fingerprint }
    }
}
