//! The server: one catalog, one engine, many sessions. It wires the rooms and owns what is shared by all sessions.
//!
//! The way of a statement: a door of `thalweg_serve` hands it to a [`Session`], `thalweg_sql` plans it against the
//! catalog, and it ends as a change of the catalog and the engine ([`ddl`]), a write into a table's queue ([`writes`]),
//! or a query over the relations at one pinned epoch ([`read`]). It must not know protocols.

mod alerts;
pub(crate) mod audit;
mod backend;
mod comments;
mod create;
mod cursors;
mod dashboards;
mod ddl;
mod deadline;
mod deliveries;
mod drops;
mod indexes;
mod intake;
mod jobs;
mod keeper;
mod metrics;
mod pool;
mod read;
mod reopening;
mod replay;
mod roles;
mod seal;
mod secrets;
mod session;
mod settings;
mod show;
#[cfg(test)]
mod simulation;
mod subscribe;
mod system;
mod transaction;
mod users;
mod works;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use thalweg_core::{Epoch, SqlError, SqlState};
use thalweg_disk::{Disk, LocalDisk};
use thalweg_hub::Hub;
use thalweg_runtime::RunConfig;
use thalweg_runtime::live::{Engine, Job, JobState, PushQueue, Relation};
use thalweg_sql::server::{Database, Objects, Oid};
use thalweg_store::checkpoint::{BucketShelf, Checkpoints, DiskShelf, Shelf};
use thalweg_store::{DataDirectory, Log};
use tokio::sync::{Mutex, watch};

pub use thalweg_store::checkpoint::BucketOptions;

pub use audit::without_credentials;
use audit::{AuditLog, Event, Kind};
pub use backend::ServerBackend;
use intake::Intake;
use keeper::{Keeper, Line};
use reopening::Reopening;
use replay::Step;
pub(crate) use session::Session;
use works::Works;

/// The catalog's log, in a data directory.
const CATALOG: &str = "catalog.log";
/// What a data directory always has.
const ALWAYS: [&str; 3] = [CATALOG, seal::KEY, seal::CLUSTER];

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
    /// Time between two checkpoints, at least; with a data directory.
    pub checkpoint_interval: Duration,
    /// Where checkpoints are; `None`: in the data directory.
    pub state_store: Option<StateStore>,
    /// How long a statement may run unless its session sets `statement_timeout`; zero: without end.
    pub statement_timeout: Duration,
}

/// A bucket for checkpoints.
#[derive(Clone, Debug, Default)]
pub struct StateStore {
    /// `s3://BUCKET/PREFIX`.
    pub url: String,
    /// How it is reached.
    pub options: BucketOptions,
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
            checkpoint_interval: Duration::from_secs(1),
            state_store: None,
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
    /// Sources that could not be opened at the start.
    pub reopening: Vec<Arc<Reopening>>,
    /// Held by a statement that reads what it then changes.
    pub turn: Arc<Mutex<()>>,
}

/// Shared by all sessions.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) objects: ArcSwap<Objects>,
    pub(crate) running: RwLock<BTreeMap<Oid, Arc<Running>>>,
    pub(crate) indexes: indexes::Indexes,
    pub(crate) engine: Arc<Engine>,
    pub(crate) intake: Arc<Intake>,
    /// With a data directory.
    pub(crate) keeper: Option<Arc<Keeper>>,
    pub(crate) deliveries: deliveries::Deliveries,
    /// Names this server's data at the targets of sinks.
    pub(crate) cluster: String,
    pub(crate) database: Database,
    pub(crate) pool: pool::QueryPool,
    /// One statement that changes the catalog at a time; its log, if there is one.
    pub(crate) catalog: Mutex<Option<Log>>,
    /// Until the server stops: then another may use the directory.
    data: ArcSwapOption<DataDirectory>,
    pub(crate) seal: seal::Seal,
    progress: Arc<watch::Sender<Epoch>>,
    pub(crate) started: Instant,
    pub(crate) sessions: users::Sessions,
    /// Everything is there that was there before.
    open: AtomicBool,
    pub(crate) audit: AuditLog,
    stopping: AtomicBool,
    /// Why it cannot go on, if that is so.
    failed: OnceLock<String>,
}

impl Server {
    /// Opens the catalog and starts what it names.
    ///
    /// # Errors
    /// The data directory is in use, damaged or cannot be read; the engine cannot start.
    pub async fn open(config: ServerConfig) -> Result<Arc<Self>, SqlError> {
        let mut data = config.data.as_deref().map(DataDirectory::open).transpose()?;
        let (log, replayed) = match &data {
            Some(data) => {
                ALWAYS.iter().try_for_each(|name| data.expect(name))?;
                let (log, replayed) = Log::open(data.disk(), CATALOG)?;
                (Some(log), replayed.records)
            }
            None => (None, Vec::new()),
        };
        let cluster = seal::cluster_name(data.as_ref(), replayed.is_empty())?;
        let seal = seal::Seal::open(data.as_ref())?;
        data.as_mut().map_or(Ok(()), DataDirectory::made)?;
        let audit = config.audit_log.clone().or_else(|| data.as_ref().map(|d| d.file("audit.log")));
        let audit = AuditLog::open(audit.as_deref())?;
        let progress = Arc::new(watch::Sender::new(Epoch(0)));
        let moved = Arc::clone(&progress);
        // A job's change of state is news as well, though the epoch is the same.
        let observer = Box::new(move |epoch| moved.send_modify(|at| *at = epoch));
        let state_store = config.state_store.as_ref();
        let (hub, keeper) = data.as_ref().map(|data| durable(data, state_store, &cluster)).transpose()?.unzip();
        let line = Line::new();
        let sender = line.sender.clone();
        // There is room: the next one is taken when this one is written.
        let taken = Box::new(move |checkpoint| drop(sender.try_send(checkpoint)));
        let mut run = config.run.clone();
        if let Some(keeper) = &keeper {
            run.checkpoint_interval = Some(config.checkpoint_interval);
            run.first_epoch = keeper.begin(run.clock.now());
        }
        let engine = Arc::new(Engine::held(run, observer, taken)?);
        let server = Arc::new(Self {
            intake: Intake::new(hub.map(Arc::new), Arc::clone(&engine)),
            keeper,
            deliveries: deliveries::Deliveries::default(),
            cluster,
            engine,
            open: AtomicBool::new(false),
            failed: OnceLock::new(),
            database: Database::new(config.query_memory_bytes)?,
            pool: pool::QueryPool::start()?,
            objects: ArcSwap::default(),
            running: RwLock::default(),
            indexes: indexes::Indexes::default(),
            catalog: Mutex::new(None),
            seal,
            data: ArcSwapOption::from_pointee(data),
            progress,
            started: Instant::now(),
            sessions: users::Sessions::default(),
            audit,
            stopping: AtomicBool::new(false),
            config,
        });
        if let Some(keeper) = &server.keeper {
            line.keep(Arc::clone(keeper), Arc::downgrade(&server))?;
        }
        thalweg_core::failpoint!("start.opened");
        ddl::replay(&server, replayed).await?;
        thalweg_core::failpoint!("start.replayed");
        server.engine.begin();
        thalweg_core::failpoint!("start.begun");
        server.take_up()?;
        thalweg_core::failpoint!("start.taken_up");
        server.open.store(true, Ordering::Release);
        // Who connects finds everything as it was.
        ddl::wait(&server).await;
        server.works().begin_checkpoints();
        writes::flush(&server).await;
        thalweg_core::failpoint!("start.flushed");
        *server.catalog.lock().await = log;
        server.audit.start(&Event::new(Kind::ServerStart).detail(env!("CARGO_PKG_VERSION")))?;
        Ok(server)
    }

    /// The data directory's files, if there is one.
    pub(crate) fn disk(&self) -> Option<Arc<dyn Disk>> {
        self.data.load_full().map(|data| Arc::new(data.disk().clone()) as Arc<dyn Disk>)
    }

    /// What runs, for those who need not know the rest.
    pub(crate) fn works(&self) -> Works<'_> {
        Works {
            engine: &self.engine,
            intake: &self.intake,
            keeper: self.keeper.as_ref(),
            running: &self.running,
            is_starting: !self.is_open(),
        }
    }

    /// Hands in again what came after the last checkpoint.
    fn take_up(&self) -> Result<(), SqlError> {
        let mut take_up = self.works().take_up()?;
        loop {
            match take_up.step(self.works())? {
                Step::HandedIn => {}
                Step::Full if self.is_stopping() => return Err(shutting_down()),
                // The engine reads while we hand in: a full queue has room in a moment.
                Step::Full => std::thread::yield_now(),
                Step::Done => return Ok(()),
            }
        }
    }

    /// Waits until everything that is readable now survives any crash.
    ///
    /// # Errors
    /// Checkpoints cannot be made durable.
    pub(crate) async fn checkpointed(&self) -> Result<(), SqlError> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let (mut kept, wanted) = (keeper.kept(), self.works().held_from());
        let failures = kept.borrow().failures;
        loop {
            let now = kept.borrow_and_update().clone();
            if now.last.epoch >= wanted.0 {
                return Ok(());
            }
            if now.failures > failures + 1 {
                let why = now.error.unwrap_or_default();
                let state = if now.is_full { SqlState::DISK_FULL } else { SqlState("58030") };
                return Err(SqlError::new(state, format!("no checkpoint can be made durable: {why}")));
            }
            self.engine.want_checkpoint();
            if kept.changed().await.is_err() || self.is_stopping() {
                return Err(shutting_down());
            }
        }
    }

    /// Everything is there that was there before.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
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
        self.config.run.clock.now()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.fault().is_some()
    }

    /// Why the engine has stopped by itself, if it has.
    pub fn fault(&self) -> Option<String> {
        let of_hub = || self.intake.fault().map(ToString::to_string);
        self.failed.get().cloned().or_else(of_hub).or_else(|| self.engine.fault())
    }

    /// Nothing can be made durable any more: the server ends, and the next start reads back what is there.
    pub(crate) fn fail(&self, error: &thalweg_core::Error) {
        let _ = self.failed.set(error.to_string());
        self.progress.send_modify(|_| {});
    }

    /// Waits until what was written is in its views, takes no more statements that write, makes what was written durable,
    /// ends the engine, and lets go of the data directory. Whoever waits for something is told that the server goes down.
    pub async fn stop(self: &Arc<Self>) {
        const GRACE: Duration = Duration::from_secs(10);
        let _ = tokio::time::timeout(GRACE, writes::flush(self)).await;
        // The next start has nothing to do again.
        match tokio::time::timeout(GRACE, self.checkpointed()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the last checkpoint"),
            Err(_) => tracing::warn!("the last checkpoint takes too long; the next start does some work again"),
        }
        self.stopping.store(true, Ordering::Release);
        self.progress.send_modify(|_| {});
        // After the statement that is changing the catalog; those that wait for their turn find that we are stopping.
        drop(self.catalog.lock().await.take());
        let server = Arc::clone(self);
        // It waits for the disk and for threads.
        let ended = tokio::task::spawn_blocking(move || {
            thalweg_core::failpoint!("stop.checkpointed");
            server.engine.stop();
            if let Some(keeper) = &server.keeper {
                keeper.end();
            }
            thalweg_core::failpoint!("stop.ended");
            server.intake.close();
            thalweg_core::failpoint!("stop.closed");
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
}

/// The hub and the checkpoints of a data directory that is called `name`.
fn durable(data: &DataDirectory, store: Option<&StateStore>, name: &str) -> Result<(Hub, Arc<Keeper>), SqlError> {
    let disk = |name: &str| LocalDisk::open(data.file(name)).map_err(thalweg_core::Error::from);
    let (hub, recovered) = Hub::open(Arc::new(disk("hub")?)).map_err(intake::refused)?;
    tracing::debug!(?recovered, "the hub is open");
    let shelf: Arc<dyn Shelf> = match store {
        Some(store) => Arc::new(BucketShelf::open(&store.url, &store.options, name)?),
        None => Arc::new(DiskShelf::open(Arc::new(disk("")?), "checkpoints", hub.opening())?),
    };
    let (checkpoints, found) = Checkpoints::open(shelf)?;
    Ok((hub, Arc::new(Keeper::new(checkpoints, found))))
}

impl Drop for Server {
    fn drop(&mut self) {
        // The engine ends by itself when it is dropped.
        if !self.stopping.load(Ordering::Acquire) {
            self.audit.stop(&Event::new(Kind::ServerStop).detail("dropped"));
        }
    }
}

pub(crate) fn shutting_down() -> SqlError {
    SqlError::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down")
}
