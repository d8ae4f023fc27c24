//! The long-lived engine of a server: jobs come and go on one timeline of epochs while others run.
//!
//! A job is a plan whose sources are outside or other jobs' relations, and whose sinks are relations or outside. All
//! jobs share the coordinator, so a reader that pins an epoch sees every relation at the same prefix of every input. A
//! job that reads a relation begins with what stands, off the timeline, and counts from when it has caught up.
//!
//! The way of a push: [`PushQueue`] → the worker's feed → the job's dataflow → [`Relation`], and from there to the jobs
//! that read it. It must not know SQL, sessions or async.

mod changes;
mod checkpoint;
mod coordinator;
mod cut;
mod indexes;
mod job;
mod outbox;
mod publish;
mod push;
mod relation;
mod running;
mod worker;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeadLetter, Epoch, Error, Result, Source, planted};
use timely::WorkerConfig;
use timely::communication::Config as Communication;

pub use changes::{Begin, ChangeLog, Changed, Followed};
pub use checkpoint::{Checkpoint, SavedChange};
pub use indexes::Indexed;
pub use job::{Durable, Job, JobId, JobInput, JobOutput, JobSpec, JobState, OpenSink};
pub use outbox::outbox_epochs;
pub use push::{Full, PushQueue, Pushed, QUEUE_BYTES, SPLIT as PUSH_SPLIT};
pub use relation::{Pin, Relation, RelationId};

pub use crate::save::{PartId, SavedJob, SavedPart};

use crate::budget::Budget;
use crate::limits::RunConfig;
use crate::shell::panicked;
use crate::splits::SplitQueue;
use coordinator::{Command, Coordinator};
use cut::Cut;
pub(crate) use publish::{ROWS, saved_rows, without_weights};
use push::PushSource;
use relation::Readable;
use worker::Worker;

/// Called when an epoch has become readable or a job has changed its state; it must not block.
pub type Observer = dyn Fn(Epoch) + Send + Sync;

/// Gets each checkpoint when all of it is saved; it must not block. Whoever keeps it calls
/// [`Engine::checkpoint_written`] or [`Engine::checkpoint_owed`]: until then none is taken.
pub type Keeper = dyn Fn(Checkpoint) + Send + Sync;

type Jobs = RwLock<BTreeMap<JobId, Arc<Job>>>;

struct Shared {
    config: RunConfig,
    coordinator: Coordinator,
    cut: Arc<Cut>,
    readable: Arc<Readable>,
    jobs: Arc<Jobs>,
    observer: Box<Observer>,
    keeper: Box<Keeper>,
    stop: AtomicBool,
    /// Why the engine as a whole has stopped.
    fault: Mutex<Option<String>>,
    /// What a test has planted.
    defect: Option<planted::Defect>,
}

impl Shared {
    fn notify(&self) {
        (self.observer)(self.readable.epoch());
    }

    fn make_readable(&self, epoch: Epoch) {
        if self.readable.advance(epoch) {
            self.coordinator.completed(epoch);
            self.notify();
        }
    }

    /// `job` has failed; those that read it cannot go on either.
    fn fail(&self, job: &Arc<Job>, error: Error) {
        job.set_failed(&error);
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        for reader in jobs.values().filter(|j| j.reads(job) && !j.failure.is_set()) {
            reader.failure.set(Error::Data(format!("{} has failed: {error}", job.spec.name)));
        }
        drop(jobs);
        self.notify();
    }
}

/// Workers that run jobs until it is dropped.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    next: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("readable", &self.shared.readable.epoch()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the workers.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn start(config: RunConfig, observer: Box<Observer>) -> Result<Self> {
        let engine = Self::held(RunConfig { checkpoint_interval: None, ..config }, observer, Box::new(|_| {}))?;
        engine.begin();
        Ok(engine)
    }

    /// Starts the workers of an engine that seals no epoch until [`Engine::begin`]: all that is added before begins at
    /// one epoch. `keeper` gets its checkpoints, from [`Engine::take_checkpoints`] on.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn held(config: RunConfig, observer: Box<Observer>, keeper: Box<Keeper>) -> Result<Self> {
        let workers = config.workers.max(1);
        let config = RunConfig { workers, ..config };
        let cut = Arc::<Cut>::default();
        let jobs = Arc::<Jobs>::default();
        let shared = Arc::new(Shared {
            coordinator: Coordinator::new(&config, workers, Arc::clone(&cut), Arc::clone(&jobs), true),
            cut,
            readable: Arc::default(),
            jobs,
            observer,
            keeper,
            stop: AtomicBool::new(false),
            fault: Mutex::default(),
            defect: planted::planted(),
            config,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("thalweg-engine".to_owned())
            .spawn(move || run_workers(workers, &of_thread))
            .map_err(|e| Error::Internal(format!("cannot start the engine: {e}")))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), next: AtomicU64::new(1) })
    }

    /// Epochs begin.
    pub fn begin(&self) {
        self.shared.coordinator.release();
    }

    /// Everything that the jobs had beyond their restored state is handed in again: checkpoints are taken from now on.
    /// Before, one would tear what belongs together, and hold places of queues that are not filled yet.
    pub fn take_checkpoints(&self) {
        self.shared.coordinator.allow_checkpoints();
    }

    /// Asks for a checkpoint before the interval has passed.
    pub fn want_checkpoint(&self) {
        self.shared.coordinator.want_checkpoint();
    }

    /// The checkpoint that the keeper got last is durable.
    pub fn checkpoint_written(&self) {
        self.shared.coordinator.written(true);
    }

    /// The checkpoint that the keeper got last could not be made durable; the keeper puts it with the next, which comes
    /// after the interval even if nothing changes until then.
    pub fn checkpoint_owed(&self) {
        self.shared.coordinator.written(false);
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Workers.
    pub fn workers(&self) -> usize {
        self.shared.config.workers
    }

    /// A relation that a job to be added will write.
    pub fn relation(&self, schema: SchemaRef, key: Option<Vec<usize>>, append_only: bool) -> Arc<Relation> {
        Arc::new(Relation::new(RelationId(self.number()), schema, key, append_only, self.workers()))
    }

    /// Finds rows of `relation` by `columns` as well, from an epoch on that comes at once; what stands is put in beside
    /// the relation's changes. When the last [`Indexed`] of the columns is dropped, so is the index.
    ///
    /// # Errors
    /// A column's type cannot be looked up.
    pub fn index(&self, relation: &Arc<Relation>, columns: &[usize]) -> Result<Indexed> {
        Indexed::new(relation, columns, &self.shared)
    }

    /// A queue for the first source of a job to be added.
    pub fn queue(&self, schema: SchemaRef) -> (Arc<PushQueue>, Arc<dyn Source>) {
        let queue = PushQueue::new(schema, Arc::clone(&self.shared.cut));
        (Arc::clone(&queue), Arc::new(PushSource(queue)))
    }

    /// Hands rows and rejects in to queues; all become visible in one epoch. Returns a ticket for each: see
    /// [`Engine::is_visible`].
    ///
    /// # Errors
    /// A queue is full; nothing was taken.
    pub fn push(&self, pushes: Vec<(Arc<PushQueue>, RecordBatch, Vec<DeadLetter>)>) -> Result<Vec<u64>, Full> {
        let tickets = self.shared.cut.together(|stamp| {
            if pushes.iter().any(|(queue, ..)| !queue.has_room()) {
                return Err(Full);
            }
            Ok(pushes.into_iter().map(|(queue, rows, dead)| queue.push(stamp, rows, dead, None)).collect())
        })?;
        self.shared.coordinator.wake();
        Ok(tickets)
    }

    /// As [`Engine::push`], whatever room there is: for what has been promised already.
    pub fn put(&self, pushes: Vec<Pushed>) -> Vec<u64> {
        let tickets = self.shared.cut.together(|stamp| pushes.into_iter().map(|pushed| pushed.enter(stamp)).collect());
        self.shared.coordinator.wake();
        tickets
    }

    /// A relation of which nothing is kept: who reads it gets what comes from then on.
    pub fn stream(&self, schema: SchemaRef) -> Arc<Relation> {
        Arc::new(Relation::new(RelationId(self.number()), schema, None, true, self.workers()).passing())
    }

    /// Adds a job; it begins at the next epoch, which comes at once.
    ///
    /// # Errors
    /// A source cannot list its splits.
    pub fn add(&self, spec: JobSpec) -> Result<Arc<Job>> {
        let restored = spec.durable.as_ref().and_then(|d| d.restored.clone());
        let restored = restored.as_deref();
        let queues = spec
            .inputs
            .iter()
            .enumerate()
            .map(|input| match input {
                (place, JobInput::Source(source)) => {
                    let offsets = restored.and_then(|r| r.sources.get(place)).map(|s| s.offsets.clone());
                    Ok(Some(Arc::new(SplitQueue::resumed(source.splits()?, offsets.unwrap_or_default()))))
                }
                (_, JobInput::Relation(_)) => Ok(None),
            })
            .collect::<Result<Vec<_>>>()?;
        let budget = Budget::new(self.shared.config.memory_limit_bytes, spec.plan.nodes.len(), self.workers());
        let mut jobs = self.shared.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let writer = |relation: &Relation| jobs.values().find(|j| j.written().any(|r| r == relation.id)).cloned();
        let sources = restored.map(|r| r.sources.clone()).unwrap_or_default();
        let job = Arc::new(Job::new(JobId(self.number()), spec, queues, writer, budget));
        jobs.insert(job.id, Arc::clone(&job));
        drop(jobs);
        self.shared.coordinator.resume(job.id, &sources);
        self.shared.coordinator.submit(Command::Install(Arc::clone(&job)));
        Ok(job)
    }

    /// Removes a job; nothing must read its relations any more but those who hold a pin.
    pub fn remove(&self, job: &Job) {
        job.set_dropped();
        self.shared.jobs.write().unwrap_or_else(PoisonError::into_inner).remove(&job.id);
        if !self.shared.coordinator.withdraw(job.id) {
            self.shared.coordinator.submit(Command::Remove(job.id));
        }
    }

    /// The newest epoch that every live job has completed.
    pub fn epoch(&self) -> Epoch {
        self.shared.readable.epoch()
    }

    /// Keeps the newest readable epoch readable.
    pub fn pin(&self) -> Pin {
        Pin::new(&self.shared.readable)
    }

    /// Whether the results of `job` can be read at [`Engine::epoch`].
    pub fn is_ready(&self, job: &Job) -> bool {
        job.state() == JobState::Live && self.epoch().0 >= job.start()
    }

    /// Whether everything up to `ticket` of the queue that feeds `job` can be read at [`Engine::epoch`].
    pub fn is_visible(&self, job: &Job, ticket: u64) -> bool {
        self.shared.coordinator.visible((job.id, 0)) >= ticket
    }

    /// Whether every source of `job` has ended and all of it can be read at [`Engine::epoch`].
    pub fn has_ended(&self, job: &Job) -> bool {
        self.shared.coordinator.have_ended(&job.ends_with())
    }

    /// The jobs, oldest first.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.shared.jobs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Bytes of state of all jobs.
    pub fn state_bytes(&self) -> usize {
        self.jobs().iter().map(|j| j.state_bytes()).sum()
    }

    /// Why the engine as a whole has stopped, if it has.
    pub fn fault(&self) -> Option<String> {
        self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Epochs sealed so far.
    pub fn sealed(&self) -> u64 {
        self.shared.coordinator.open().0
    }

    /// Ends the workers and waits for them.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.config.stepper.iter().for_each(|stepper| stepper.release());
        self.shared.coordinator.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run_workers(workers: usize, shared: &Arc<Shared>) {
    let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
    let timely = timely::Config { communication, worker: WorkerConfig::default() };
    let of_workers = Arc::clone(shared);
    let defect = shared.defect;
    let outcome = timely::execute(timely, move |timely| {
        planted::plant(defect);
        let outcome = catch_unwind(AssertUnwindSafe(|| Worker::new(timely.index(), &of_workers).run(timely)));
        if let Err(panic) = outcome {
            of_workers
                .fault
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| panicked("a worker", panic.as_ref()).to_string());
            of_workers.stop.store(true, Ordering::Release);
            of_workers.coordinator.wake();
            of_workers.notify();
        }
    });
    match outcome {
        Ok(guards) => drop(guards.join()),
        Err(error) => drop(shared.fault.lock().unwrap_or_else(PoisonError::into_inner).insert(error)),
    }
}
