//! Readable contents at one pinned epoch. It must not know statements.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use thalweg_core::{Result, SqlError, SqlState};
use thalweg_operators::Version;
use thalweg_runtime::live::{JobState, Pin};
use thalweg_sql::server::{Contents, Oid, Stored};

use super::Server;

/// Everything that runs, as it stood at one epoch.
pub(crate) struct Pinned {
    pub pin: Pin,
    relations: BTreeMap<Oid, Arc<super::Running>>,
}

impl Pinned {
    /// At the newest readable epoch.
    pub fn now(server: &Server) -> Self {
        let running = server.running.read().unwrap_or_else(PoisonError::into_inner);
        Self { pin: server.engine.pin(), relations: running.clone() }
    }

    /// The parts of one relation at the newest readable epoch; `None` when it does not run.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn one(server: &Server, object: Oid) -> Result<Option<Vec<Arc<dyn Stored>>>, SqlError> {
        let Some(running) = server.running(object) else { return Ok(None) };
        let alone = Self { pin: server.engine.pin(), relations: BTreeMap::from([(object, running)]) };
        alone.parts(object, 0).map(Some)
    }
}

impl Contents for Pinned {
    fn read(&self, object: Oid) -> Result<Vec<Arc<dyn Stored>>, SqlError> {
        self.parts(object, 0)
    }

    fn read_dead(&self, object: Oid) -> Result<Vec<Arc<dyn Stored>>, SqlError> {
        self.parts(object, 1)
    }
}

impl Pinned {
    /// What the job of an object has put into its relation `which`.
    fn parts(&self, object: Oid, which: usize) -> Result<Vec<Arc<dyn Stored>>, SqlError> {
        let not_now = |what: String| SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, what);
        let running = self.relations.get(&object);
        let Some((job, relation)) = running.and_then(|r| Some((&r.job, r.relations.get(which)?))) else {
            return Err(not_now("it does not run".to_owned()));
        };
        match job.state() {
            JobState::Live => {}
            JobState::Backfilling => {
                let message = format!("{} is still being made", job.spec.name);
                return Err(not_now(message).hint("WAIT until it is, or look at thalweg_catalog.ddl_progress."));
            }
            JobState::Failed | JobState::Dropped => {
                let why = job.error().unwrap_or_else(|| "it was dropped".to_owned());
                return Err(not_now(format!("{} does not run: {why}", job.spec.name)));
            }
        }
        let parts = relation.at(self.pin.epoch());
        Ok(parts.into_iter().map(|part| Arc::new(Part(part)) as Arc<dyn Stored>).collect())
    }
}

#[derive(Debug)]
struct Part(Arc<Version>);

impl Stored for Part {
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    fn num_batches(&self) -> usize {
        self.0.num_batches()
    }

    fn batch(&self, i: usize) -> Result<RecordBatch> {
        self.0.batch(i)
    }

    fn indexes(&self) -> Vec<&[usize]> {
        self.0.indexes().collect()
    }

    fn find(&self, columns: &[usize], keys: &[ArrayRef], limit: usize) -> Result<Option<RecordBatch>> {
        self.0.find(columns, keys, limit)
    }
}
