//! The indexes of a relation: which are wanted, and how far they are built. It must not know how rows are found.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::new_empty_array;
use thalweg_core::{Error, Result, hash_columns};
use thalweg_operators::IndexBuild;

use super::Shared;
use super::coordinator::Command;
use super::relation::Relation;

/// Rows that are put into a new index on the worker itself; more go in beside it.
const AT_ONCE: usize = 16_384;

/// What is wanted of a relation; every worker's part looks at each epoch.
#[derive(Debug, Default)]
pub(super) struct Indexes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    changes: u64,
    wanted: Vec<Arc<Wanted>>,
}

impl Indexes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is wanted, if that has changed since `seen`; and a number for what it is now.
    pub fn since(&self, seen: u64) -> Option<(u64, Vec<Arc<Wanted>>)> {
        let state = self.lock();
        (state.changes != seen).then(|| (state.changes, state.wanted.clone()))
    }
}

/// An index that is wanted.
pub(super) struct Wanted {
    pub columns: Box<[usize]>,
    /// Who holds it.
    users: AtomicUsize,
    /// Workers whose part is not built yet.
    missing: AtomicUsize,
    failed: AtomicBool,
    engine: Weak<Shared>,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Wanted {
    /// Puts what stands on a worker in: many rows on a thread of their own, so that the relation does not wait.
    pub fn build(self: &Arc<Self>, build: IndexBuild, worker: usize) {
        if build.num_rows() <= AT_ONCE {
            return self.built(build.run());
        }
        let index = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("thalweg-index-{worker}"));
        if let Err(error) = thread.spawn(move || index.built(build.run())) {
            self.built(Err(Error::Internal(format!("cannot start a thread: {error}"))));
        }
    }

    fn built(&self, outcome: Result<()>) {
        if outcome.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        self.missing.fetch_sub(1, Ordering::AcqRel);
        if let Some(engine) = self.engine.upgrade() {
            engine.notify();
        }
    }
}

/// Keeps an index of a relation until it is dropped.
#[derive(Debug)]
pub struct Indexed {
    relation: Arc<Relation>,
    wanted: Arc<Wanted>,
}

impl Indexed {
    /// The index of `relation` over `columns`, new unless there is one.
    pub(super) fn new(relation: &Arc<Relation>, columns: &[usize], engine: &Arc<Shared>) -> Result<Self> {
        // Equality does not ask for an order.
        let columns: Box<[usize]> = columns.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let cells: Vec<_> = columns.iter().map(|c| new_empty_array(relation.schema.field(*c).data_type())).collect();
        hash_columns(&cells, 0, &mut Vec::new())?;
        // Rows are found by what tells them apart in any case.
        let all = || (0..relation.schema.fields().len()).collect();
        let identity = relation.key.clone().or_else(|| (!relation.append_only).then(all)).unwrap_or_default();
        let missing = if identity.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(columns.iter().copied()) {
            0
        } else {
            engine.config.workers
        };
        let mut state = relation.indexes.lock();
        let known = state.wanted.iter().find(|w| w.columns == columns).cloned();
        let wanted = known.unwrap_or_else(|| {
            let (users, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
            let (missing_at, engine) = (AtomicUsize::new(missing), Arc::downgrade(engine));
            let wanted = Arc::new(Wanted { columns, users, missing: missing_at, failed, engine });
            if missing > 0 {
                state.wanted.push(Arc::clone(&wanted));
                state.changes += 1;
            }
            wanted
        });
        wanted.users.fetch_add(1, Ordering::Relaxed);
        drop(state);
        engine.coordinator.submit(Command::Look);
        Ok(Self { relation: Arc::clone(relation), wanted })
    }

    /// Every worker has put in what stood.
    pub fn is_built(&self) -> bool {
        self.wanted.missing.load(Ordering::Acquire) == 0
    }

    /// It will never find rows: a thread could not be started, or rows could not be read.
    pub fn has_failed(&self) -> bool {
        self.wanted.failed.load(Ordering::Acquire)
    }
}

impl Drop for Indexed {
    fn drop(&mut self) {
        let mut state = self.relation.indexes.lock();
        if self.wanted.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.wanted.retain(|w| !Arc::ptr_eq(w, &self.wanted));
            state.changes += 1;
            drop(state);
            if let Some(engine) = self.wanted.engine.upgrade() {
                engine.coordinator.submit(Command::Look);
            }
        }
    }
}
