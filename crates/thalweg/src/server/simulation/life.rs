//! `Life`: one start of the server, from opening what the disk holds to the moment it ends: the real hub, checkpoints,
//! engine, intake and deliveries, each done a step at a time. It must not know who says which step is next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use thalweg_core::{EpochSink, SinkError};
use thalweg_hub::Hub;
use thalweg_runtime::live::{Checkpoint, Engine, JobState};
use thalweg_runtime::{Clock, DrivenClock, EpochLimits, RunConfig};
use thalweg_sql::server::Oid;
use thalweg_store::checkpoint::{Checkpoints, DiskShelf};

use super::super::Running;
use super::super::deliveries::{Courier, Delivery, Progress};
use super::super::intake::{Handed, Intake, Settled};
use super::super::jobs::{End, start};
use super::super::keeper::Keeper;
use super::super::replay::Step;
use super::super::works::{TakeUp, Works};
use super::objects::{OUT, Rows, batch, numbers, oid, planned, written};
use super::target::{Target, TargetSink};
use super::turnstile::Turnstile;
use super::weather::Weathered;

/// How a server is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub workers: usize,
    pub epoch_rows: usize,
    pub epoch_interval: Duration,
    pub batch_rows: usize,
    pub checkpoint_interval: Duration,
    pub max_pieces: usize,
}

/// Why a step cannot be done.
#[derive(Debug)]
pub(super) enum Fall {
    /// The process ends, as it must when the disk fails.
    Exit(String),
    /// That must never happen.
    Wrong(String),
}

/// What a reader sees at one epoch.
pub(super) struct Seen {
    pub epoch: u64,
    pub rows: BTreeMap<&'static str, Rows>,
}

pub(super) struct Life {
    pub setup: Setup,
    hub: Arc<Hub>,
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
    intake: Arc<Intake>,
    running: RwLock<BTreeMap<Oid, Arc<Running>>>,
    turnstile: Arc<Turnstile>,
    taken: Arc<Mutex<Option<Checkpoint>>>,
    take_up: Option<TakeUp>,
    /// Where everything is that was there before.
    promised: Vec<(Oid, u64)>,
    is_open: bool,
    couriers: Vec<(Courier, TargetSink)>,
}

fn exit(error: impl std::fmt::Display) -> Fall {
    Fall::Exit(error.to_string())
}

impl Life {
    /// Opens what the disk holds.
    pub fn open(disk: &Weathered, clock: &Arc<DrivenClock>, setup: Setup, targets: &[Target]) -> Result<Self, Fall> {
        thalweg_disk::durable_folder(disk, "hub").map_err(exit)?;
        let (hub, _) = Hub::open_stepped(Arc::new(disk.folder("hub/"))).map_err(exit)?;
        let shelf = DiskShelf::open(Arc::new(disk.clone()), "checkpoints", hub.opening()).map_err(exit)?;
        let (checkpoints, found) = Checkpoints::open(Arc::new(shelf)).map_err(exit)?;
        if let Some(error) = found.damaged.first().filter(|_| disk.ended().is_none()) {
            return Err(Fall::Wrong(format!("a crash has damaged a checkpoint: {error}")));
        }
        let keeper = Arc::new(Keeper::new(checkpoints.with_max_pieces(setup.max_pieces), found));
        let turnstile = Arc::new(Turnstile::new(setup.workers));
        let clock = Clock::Driven(Arc::clone(clock));
        let run = RunConfig {
            workers: setup.workers,
            epochs: EpochLimits { rows: setup.epoch_rows, interval: setup.epoch_interval, ..EpochLimits::default() },
            clock: clock.clone(),
            batch_rows: setup.batch_rows,
            memory_limit_bytes: usize::MAX,
            checkpoint_interval: Some(setup.checkpoint_interval),
            first_epoch: keeper.begin(clock.now()),
            stepper: Some(turnstile.clone()),
            ..RunConfig::default()
        };
        let taken = Arc::<Mutex<Option<Checkpoint>>>::default();
        let slot = Arc::clone(&taken);
        let keep = move |checkpoint| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        let engine = Arc::new(Engine::held(run, Box::new(|_| {}), Box::new(keep)).map_err(exit)?);
        let hub = Arc::new(hub);
        let intake = Intake::new(Some(Arc::clone(&hub)), Arc::clone(&engine));
        let mut life = Self {
            setup,
            hub,
            keeper,
            engine,
            intake,
            running: RwLock::default(),
            turnstile,
            taken,
            take_up: None,
            promised: Vec::new(),
            is_open: false,
            couriers: Vec::new(),
        };
        life.start(targets)?;
        Ok(life)
    }

    fn start(&mut self, targets: &[Target]) -> Result<(), Fall> {
        for object in planned() {
            let end = if object.is_out() { End::Outbox } else { End::Relations };
            let started = start(self.works(), object.name, object.plan.clone(), end, Some(object.oid));
            let running = started.map_err(|e| Fall::Wrong(format!("{} does not start: {e}", object.name)))?;
            self.running.write().unwrap_or_else(PoisonError::into_inner).insert(object.oid, running);
        }
        for (name, target) in OUT.iter().zip(targets) {
            let sink = target.sink();
            let to: Box<dyn EpochSink> = Box::new(sink.clone());
            let courier = Courier::new(Arc::clone(&self.keeper), Arc::<Delivery>::default(), oid(name), to);
            self.couriers.push((courier, sink));
        }
        self.engine.begin();
        self.take_up = Some(self.works().take_up().map_err(exit)?);
        Ok(())
    }

    fn works(&self) -> Works<'_> {
        Works {
            engine: &self.engine,
            intake: &self.intake,
            keeper: Some(&self.keeper),
            running: &self.running,
            is_starting: !self.is_open,
        }
    }

    fn running(&self, name: &str) -> Arc<Running> {
        self.works().running(oid(name)).expect("all objects run")
    }

    /// Everything is there that was there before.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The newest readable epoch, epochs sealed, and the last durable checkpoint.
    pub fn progress(&self) -> [u64; 3] {
        [self.engine.epoch().0, self.engine.sealed(), self.keeper.kept().borrow().last.epoch]
    }

    /// Checkpoints made durable, and those that could not be.
    pub fn checkpoints(&self) -> (u64, u64) {
        let kept = self.keeper.kept().borrow().clone();
        (kept.count, kept.failures)
    }

    /// Lets a worker step.
    pub fn work(&self, worker: usize) -> Result<(), Fall> {
        self.turnstile.step(worker).map_err(Fall::Wrong)?;
        if let Some(fault) = self.engine.fault() {
            return Err(Fall::Wrong(format!("the engine has stopped: {fault}")));
        }
        Ok(())
    }

    /// Makes durable what is in the hub.
    pub fn round(&self) -> Result<(), Fall> {
        self.hub.round();
        self.intake.fault().map_or(Ok(()), |fault| Err(exit(fault)))
    }

    /// Hands in the next part of what came after the last checkpoint.
    pub fn take_up(&mut self) -> Result<bool, Fall> {
        let Some(mut take_up) = self.take_up.take() else { return Ok(false) };
        let step = take_up.step(self.works()).map_err(exit)?;
        if step == Step::Done {
            let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
            let queues = running.iter().filter_map(|(oid, r)| Some((*oid, r.queue.as_ref()?.last_ticket())));
            self.promised = queues.collect();
        } else {
            self.take_up = Some(take_up);
        }
        Ok(true)
    }

    /// Sees whether everything is there that was there before; then writers and readers come.
    pub fn try_to_open(&mut self) -> bool {
        let visible = |(oid, ticket): &(Oid, u64)| {
            let running = self.works().running(*oid);
            running.is_some_and(|r| *ticket == 0 || self.engine.is_visible(&r.job, *ticket))
        };
        let opens =
            !self.is_open && self.take_up.is_none() && self.works().is_made() && self.promised.iter().all(visible);
        if opens {
            self.works().begin_checkpoints();
            self.is_open = true;
        }
        opens
    }

    fn is_ready(&self) -> bool {
        self.engine.jobs().iter().all(|job| self.engine.is_ready(job))
    }

    /// Hands in rows of a writer; `None` when the disk is full, or a queue.
    pub fn push(&self, writer: i64, from: i64, to: i64) -> Result<Option<Settled>, Fall> {
        let handed = written(writer, from, to).into_iter().map(|(name, rows)| {
            let queue = self.running(name).queue.clone().expect("rows are handed in");
            let rows = batch(queue.schema(), &rows).expect("the rows fit");
            Handed { oid: oid(name), queue, rows, dead: Vec::new() }
        });
        match self.intake.take(handed.collect()) {
            Ok(settled) => Ok(settled),
            Err(_) if self.intake.fault().is_none() => Ok(None),
            Err(error) => Err(exit(error)),
        }
    }

    /// All rows of `a` up to `ticket` can be read.
    pub fn is_visible(&self, ticket: u64) -> bool {
        self.engine.is_visible(&self.running("a").job, ticket)
    }

    /// Makes the checkpoint durable that is taken, if there is one.
    pub fn keep(&self, now: i64) -> Result<bool, Fall> {
        let checkpoint = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(checkpoint) = checkpoint else { return Ok(false) };
        let change = Keeper::change(checkpoint, self.works());
        let outcome = self.keeper.write(change);
        self.keeper.written(outcome, self.works(), now).map_err(exit)?;
        Ok(true)
    }

    /// Asks for a checkpoint.
    pub fn want_checkpoint(&self) {
        self.engine.want_checkpoint();
    }

    /// Lets a sink deliver.
    pub fn deliver(&mut self, sink: usize) -> Result<bool, Fall> {
        match self.couriers[sink].0.step() {
            Ok(progress) => Ok(progress == Progress::Moved),
            Err(SinkError::Again(_)) => Ok(true),
            Err(SinkError::Fatal(error)) => Err(Fall::Wrong(format!("{} has stopped: {error}", OUT[sink]))),
        }
    }

    /// What a sink was about to deliver leaves, and arrives when the process is gone.
    pub fn leave_behind(&self, sink: usize, progress: u64) {
        let outbox = self.keeper.outbox(oid(OUT[sink]), progress);
        let Some((upto, parts)) = outbox.first() else { return };
        if let Ok(epochs) = self.keeper.outbox_epochs(parts) {
            self.couriers[sink].1.deliver_late(&epochs, *upto);
        }
    }

    /// Reads everything at one epoch; `None` before there is one.
    pub fn read(&self) -> Result<Option<Seen>, Fall> {
        if let Some(job) = self.engine.jobs().iter().find(|job| job.state() == JobState::Failed) {
            return Err(Fall::Wrong(format!("{} has failed: {}", job.spec.name, job.error().unwrap_or_default())));
        }
        if !self.is_ready() {
            return Ok(None);
        }
        let pin = self.engine.pin();
        let mut rows = BTreeMap::new();
        // Of a source nothing is kept, and what leaves is not there.
        for object in planned().iter().filter(|o| !o.is_out() && o.name != "b") {
            let running = self.running(object.name);
            let mut found = Rows::new();
            for version in running.relations[0].at(pin.epoch()) {
                for i in 0..version.num_batches() {
                    let batch = version.batch(i).map_err(|e| Fall::Wrong(format!("{}: {e}", object.name)))?;
                    found.extend(numbers(&batch));
                }
            }
            found.sort_unstable();
            rows.insert(object.name, found);
        }
        Ok(Some(Seen { epoch: pin.epoch().0, rows }))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.engine.stop();
    }
}
