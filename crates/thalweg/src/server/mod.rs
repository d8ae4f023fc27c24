//! The server: one catalog, one engine, many sessions. It wires the rooms and owns what is shared by all sessions.
//!
//! The way of a statement: a door of `thalweg_serve` hands it to a [`Session`], `thalweg_sql` plans it against the
//! catalog, and it ends as a change of the catalog and the engine ([`ddl`]), a write into a table's queue ([`writes`]),
//! or a query over the relations at one pinned epoch ([`read`]). It must not know protocols.

pub(crate) mod audit;
mod backend;
mod ddl;
mod drops;
mod jobs;
mod metrics;
mod pool;
mod read;
mod roles;
mod session;
mod settings;
mod show;
mod subscribe;
mod system;
mod transaction;
mod users;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use thalweg_core::{Epoch, SqlError, SqlState};
use thalweg_runtime::live::{Engine, Job, JobState, PushQueue, Relation};
use thalweg_runtime::{Clock, RunConfig};
use thalweg_sql::server::{Database, Objects, Oid};
use thalweg_store::{DataDirectory, Log};
use tokio::sync::{Mutex, watch};

pub use audit::without_credentials;
use audit::{AuditLog, Event, Kind};
pub use backend::ServerBackend;
pub(crate) use session::Session;

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where the catalog and the tables' logs are; `None` keeps everything in memory.
    pub data: Option<PathBuf>,
    /// Where the audit log is; `None`: `audit.log` in the data directory, and without one there is none.
    pub audit_log: Option<PathBuf>,
    /// Workers, epochs, memory.
    pub run: RunConfig,
    /// Bytes that all queries together may use.
    pub query_memory_bytes: usize,
    /// Sessions at one time.
    pub max_sessions: usize,
    /// How long a statement may run unless its session sets `statement_timeout`; zero: without end.
    pub statement_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let run = RunConfig::default();
        let query_memory_bytes = run.memory_limit_bytes / 4;
        Self {
            data: None,
            audit_log: None,
            run,
            query_memory_bytes,
            max_sessions: 20_000,
            statement_timeout: Duration::ZERO,
        }
    }
}

/// What runs for an object.
pub(crate) struct Running {
    pub job: Arc<Job>,
    /// Its rows, by sink of its plan: the rows, then for sources what could not be decoded.
    pub relations: Vec<Arc<Relation>>,
    /// Where rows are handed in.
    pub queue: Option<Arc<PushQueue>>,
    /// Held by a statement that reads what it then changes.
    pub turn: Arc<Mutex<()>>,
    /// Where what is handed in is kept until it can be read again.
    pub log: Option<std::sync::Mutex<Log>>,
}

/// Shared by all sessions.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) objects: ArcSwap<Objects>,
    pub(crate) running: RwLock<BTreeMap<Oid, Arc<Running>>>,
    pub(crate) engine: Engine,
    pub(crate) database: Database,
    pub(crate) pool: pool::QueryPool,
    /// One statement that changes the catalog at a time; its log, if there is one.
    pub(crate) catalog: Mutex<Option<Log>>,
    /// Until the server stops: then another may use the directory.
    pub(crate) data: ArcSwapOption<DataDirectory>,
    progress: Arc<watch::Sender<Epoch>>,
    pub(crate) started: Instant,
    pub(crate) sessions: users::Sessions,
    pub(crate) audit: AuditLog,
    stopping: AtomicBool,
}

impl Server {
    /// Opens the catalog and starts what it names.
    ///
    /// # Errors
    /// The data directory is in use, damaged or cannot be read; the engine cannot start.
    pub async fn open(config: ServerConfig) -> Result<Arc<Self>, SqlError> {
        let data = config.data.as_deref().map(DataDirectory::open).transpose()?;
        let (log, replayed) = match &data {
            Some(data) => {
                let (log, replayed) = Log::open(&data.file("catalog.log"))?;
                (Some(log), replayed.records)
            }
            None => (None, Vec::new()),
        };
        let audit = config.audit_log.clone().or_else(|| data.as_ref().map(|d| d.file("audit.log")));
        let audit = AuditLog::open(audit.as_deref())?;
        let progress = Arc::new(watch::Sender::new(Epoch(0)));
        let moved = Arc::clone(&progress);
        // A job's change of state is news as well, though the epoch is the same.
        let observer = Box::new(move |epoch| moved.send_modify(|at| *at = epoch));
        let server = Arc::new(Self {
            engine: Engine::start(config.run.clone(), observer)?,
            database: Database::new(config.query_memory_bytes)?,
            pool: pool::QueryPool::start()?,
            objects: ArcSwap::default(),
            running: RwLock::default(),
            catalog: Mutex::new(None),
            data: ArcSwapOption::from_pointee(data),
            progress,
            started: Instant::now(),
            sessions: users::Sessions::default(),
            audit,
            stopping: AtomicBool::new(false),
            config,
        });
        ddl::replay(&server, replayed).await?;
        // Who connects finds everything as it was.
        ddl::wait(&server).await;
        writes::flush(&server).await;
        *server.catalog.lock().await = log;
        server.audit.start(&Event::new(Kind::ServerStart).detail(env!("CARGO_PKG_VERSION")))?;
        Ok(server)
    }

    /// What runs for `oid`.
    pub(crate) fn running(&self, oid: Oid) -> Option<Arc<Running>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).get(&oid).cloned()
    }

    /// Waits until `done`, looking whenever an epoch has become readable or a job has changed.
    pub(crate) async fn wait_until(&self, mut done: impl FnMut() -> bool) {
        let mut progress = self.news();
        loop {
            progress.borrow_and_update();
            if done() || self.is_stopping() {
                return;
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// The next news of the engine.
    pub(crate) fn news(&self) -> watch::Receiver<Epoch> {
        self.progress.subscribe()
    }

    /// Waits until the results of `job` can be read.
    ///
    /// # Errors
    /// It has failed or was dropped.
    pub(crate) async fn ready(&self, job: &Job) -> Result<(), SqlError> {
        self.wait_until(|| self.engine.is_ready(job) || matches!(job.state(), JobState::Failed | JobState::Dropped))
            .await;
        match job.state() {
            JobState::Live => Ok(()),
            _ if self.is_stopping() => Err(shutting_down()),
            _ => {
                let why = job.error().unwrap_or_else(|| "it was cancelled".to_owned());
                Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, format!("{}: {why}", job.spec.name)))
            }
        }
    }

    /// Microseconds since 1970-01-01 UTC.
    pub(crate) fn now(&self) -> i64 {
        Clock::System.now()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.engine.fault().is_some()
    }

    /// Why the engine has stopped by itself, if it has.
    pub fn fault(&self) -> Option<String> {
        self.engine.fault()
    }

    /// Waits until what was written is in its views, takes no more statements that write, makes what was written durable,
    /// ends the engine, and lets go of the data directory. Whoever waits for something is told that the server goes down.
    pub async fn stop(self: &Arc<Self>) {
        const GRACE: Duration = Duration::from_secs(10);
        let _ = tokio::time::timeout(GRACE, writes::flush(self)).await;
        self.stopping.store(true, Ordering::Release);
        self.progress.send_modify(|_| {});
        // After the statement that is changing the catalog; those that wait for their turn find that we are stopping.
        drop(self.catalog.lock().await.take());
        let server = Arc::clone(self);
        // It waits for the disk and for threads.
        let ended = tokio::task::spawn_blocking(move || {
            server.sync_logs();
            server.engine.stop();
            let event = Event::new(Kind::ServerStop);
            server.audit.stop(&match server.fault() {
                Some(fault) => event.failed(SqlState::INTERNAL_ERROR).detail(fault),
                None => event,
            });
        });
        if ended.await.is_err() {
            tracing::error!("the engine did not end in order");
        }
        self.data.store(None);
    }

    fn sync_logs(&self) {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        for log in running.values().filter_map(|r| r.log.as_ref()) {
            if let Err(error) = log.lock().unwrap_or_else(PoisonError::into_inner).sync() {
                tracing::error!(%error, "a table's log could not be made durable");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The engine ends by itself when it is dropped.
        if !self.stopping.load(Ordering::Acquire) {
            self.sync_logs();
            self.audit.stop(&Event::new(Kind::ServerStop).detail("dropped"));
        }
    }
}

pub(crate) fn shutting_down() -> SqlError {
    SqlError::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down")
}
