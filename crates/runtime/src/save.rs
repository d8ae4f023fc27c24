//! State on its way into a checkpoint and back: what operators saved, by job, worker and slot. It must not know files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_core::{Result, SourceProgress};
use thalweg_operators::{Operator, StateTable, WorkerInfo};
use thalweg_plan::Distribution;

/// Names a part of a job's state: the worker, and the operator's slot (its node in the plan; sinks come after the nodes).
pub type PartId = (usize, usize);

/// What a job has saved, in all checkpoints so far.
#[derive(Clone, Debug, Default)]
pub struct SavedJob {
    /// How far each source of the plan was read.
    pub sources: Vec<SourceProgress>,
    /// By slot, the changes, in the order in which they were saved.
    pub parts: BTreeMap<usize, Vec<SavedPart>>,
}

/// What the operator of a slot has saved on one worker, at one time.
#[derive(Clone, Debug)]
pub struct SavedPart {
    /// Which worker.
    pub worker: usize,
    /// Of how many.
    pub workers: usize,
    /// What changed.
    pub tables: Vec<StateTable>,
}

impl SavedJob {
    /// Gives `operator`, which is in `slot` and whose rows are where `distribution` says, what was saved of it.
    ///
    /// # Errors
    /// The state does not fit the operator.
    pub(crate) fn restore(
        &self,
        operator: &mut dyn Operator,
        slot: usize,
        distribution: &Distribution,
        WorkerInfo { index, peers }: WorkerInfo,
    ) -> Result<()> {
        let Some(parts) = self.parts.get(&slot) else { return Ok(()) };
        let tables = |part: &SavedPart| part.tables.clone();
        if parts.iter().all(|part| part.workers == peers) {
            // Each worker has its own back, wherever the keys of its rows would be.
            let own: Vec<_> = parts.iter().filter(|part| part.worker == index).map(tables).collect();
            return if own.is_empty() { Ok(()) } else { operator.restore(&own, &|_| true) };
        }
        let all: Vec<_> = parts.iter().map(tables).collect();
        match distribution {
            Distribution::Single => operator.restore(&all, &|_| index == 0),
            Distribution::Hash(_) | Distribution::Any => {
                operator.restore(&all, &|vnode| usize::from(vnode) % peers == index)
            }
        }
    }
}

/// What operators have saved for the checkpoint that is being taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(Arc<Mutex<BTreeMap<PartId, Vec<StateTable>>>>);

impl Parts {
    /// Takes them; the next checkpoint begins with none.
    pub fn take(&self) -> BTreeMap<PartId, Vec<StateTable>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where the operators of a job on one worker save their state.
#[derive(Clone, Debug)]
pub(crate) struct Saver {
    pub parts: Parts,
    pub worker: usize,
}

impl Saver {
    /// What changed of the operator in `slot`.
    pub fn save(&self, slot: usize, tables: Vec<StateTable>) {
        if !tables.is_empty() {
            let mut parts = self.parts.0.lock().unwrap_or_else(PoisonError::into_inner);
            parts.insert((self.worker, slot), tables);
        }
    }
}
