//! `CREATE INDEX`: the indexes that relations have, by object. It must not know how rows are found by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_core::{SqlError, SqlState};
use thalweg_runtime::live::{Indexed, JobState};
use thalweg_sql::server::{Kind, Object, Oid};

use super::{Running, Server, ddl, shutting_down};

/// What keeps each index, and what runs for its relation.
#[derive(Default)]
pub(crate) struct Indexes(Mutex<Held>);

/// By the index.
type Held = BTreeMap<Oid, (Arc<Indexed>, Arc<Running>)>;

impl Indexes {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `oid` is an index.
    pub fn holds(&self, oid: Oid) -> bool {
        self.lock().contains_key(&oid)
    }

    /// The index `oid` goes, if it is one.
    pub fn remove(&self, oid: Oid) {
        self.lock().remove(&oid);
    }
}

/// Only what is so already may be said to be unique: nothing keeps rows apart but a primary key.
///
/// # Errors
/// `columns` do not hold the primary key.
pub(super) fn may_be_unique(unique: bool, on: &Object, columns: &[usize]) -> Result<(), SqlError> {
    let key = match &on.kind {
        Kind::Table(table) => table.primary_key(),
        Kind::Alert(alert) => alert.known.key.as_deref().unwrap_or_default(),
        Kind::MaterializedView(known) => known.key.as_deref().unwrap_or_default(),
        _ => &[],
    };
    if !unique || (!key.is_empty() && key.iter().all(|k| columns.contains(k))) {
        return Ok(());
    }
    let message = format!("a unique index that does not hold the primary key of {}", on.name);
    let hint =
        "Declare the columns as PRIMARY KEY of the table, or leave UNIQUE out: the index finds rows all the same.";
    Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint))
}

/// Begins to index the relation `on`.
///
/// # Errors
/// It does not run; a column cannot be looked up.
pub(super) fn start(server: &Server, oid: Oid, on: Oid, columns: &[usize]) -> Result<(), SqlError> {
    let not_now = || SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, "the relation to index does not run");
    let running = server.running(on).ok_or_else(not_now)?;
    let relation = running.relations.first().ok_or_else(not_now)?;
    let columns: BTreeSet<usize> = columns.iter().copied().collect();
    let indexed = server.engine.index(relation, &columns.into_iter().collect::<Vec<_>>())?;
    server.indexes.lock().insert(oid, (Arc::new(indexed), running));
    Ok(())
}

/// Waits until an index finds what stood when it was made. Whoever does not wait leaves it to be finished.
///
/// # Errors
/// It cannot be finished: it is taken back.
pub(super) async fn built(server: &Arc<Server>, oid: Oid) -> Result<(), SqlError> {
    let Some((indexed, running)) = server.indexes.lock().get(&oid).cloned() else { return Ok(()) };
    let lost = || indexed.has_failed() || matches!(running.job.state(), JobState::Failed | JobState::Dropped);
    server.wait_until(|| indexed.is_built() || lost()).await;
    if server.is_stopping() {
        return Err(shutting_down());
    }
    if lost() {
        ddl::take_back(server, oid).await;
        return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, "what is indexed does not run any more"));
    }
    Ok(())
}
