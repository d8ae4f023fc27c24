//! `Deliveries`: what leaves exactly once goes from the outboxes of durable checkpoints to its targets, a thread a sink. A
//! target that does not answer holds up its own sink alone. It must not know targets or plans.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};
use thalweg_sql::server::Oid;

use super::Server;
use super::keeper::Keeper;

/// Between two attempts to reach a target: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A delivery without work looks after its sink this often.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Checkpoints that wait are delivered together until their rows are so many bytes: one that has fallen behind catches up,
/// however long its target takes for a delivery.
const TOGETHER_BYTES: usize = 16 * 1024 * 1024;

fn bytes_of(epochs: &[EpochRows]) -> usize {
    epochs.iter().flat_map(|e| &e.deltas).map(|d| d.rows.get_array_memory_size()).sum()
}

/// How far a sink is.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The last checkpoint whose rows the target holds.
    pub delivered: u64,
    /// Its `now()`, microseconds since 1970; 0 if it is not known.
    pub delivered_at: i64,
    /// Why it does not go on, if it does not.
    pub error: Option<String>,
    /// It will not go on before a person has acted.
    pub failed: bool,
}

/// One sink's.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    state: Mutex<State>,
    stop: AtomicBool,
    rows: AtomicU64,
}

impl Delivery {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Rows delivered since the start.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Of all sinks.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<BTreeMap<Oid, Arc<Delivery>>>);

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Oid, Arc<Delivery>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of `oid`, if it is a sink that delivers exactly once.
    pub fn of(&self, oid: Oid) -> Option<Arc<Delivery>> {
        self.lock().get(&oid).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Oid, Arc<Delivery>)> {
        self.lock().iter().map(|(oid, delivery)| (*oid, Arc::clone(delivery))).collect()
    }

    /// Begins to deliver what the outbox of `oid` holds, and what comes.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn begin(&self, server: &Arc<Server>, oid: Oid, sink: Box<dyn EpochSink>) -> thalweg_core::Result<()> {
        let Some(keeper) = server.keeper.clone() else { return Ok(()) };
        let delivery = Arc::<Delivery>::default();
        self.lock().insert(oid, Arc::clone(&delivery));
        let server = Arc::downgrade(server);
        let thread = std::thread::Builder::new().name(format!("thalweg-sink-{}", oid.0));
        let run = move || Courier::new(keeper, delivery, oid, sink).run(&server);
        thread.spawn(run).map(drop).map_err(|e| Error::Internal(format!("cannot start a delivery: {e}")))
    }

    /// Ends the delivery of `oid`; what is on its way to the target may get there.
    pub fn end(&self, oid: Oid) {
        if let Some(delivery) = self.lock().remove(&oid) {
            delivery.stop.store(true, Ordering::Release);
        }
    }
}

/// Delivers for one sink, step by step.
pub(crate) struct Courier {
    keeper: Arc<Keeper>,
    delivery: Arc<Delivery>,
    oid: Oid,
    sink: Box<dyn EpochSink>,
    /// The last checkpoint whose rows the target holds, while it is open.
    delivered: Option<u64>,
}

/// What a step of a courier did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The target is open, or holds one more checkpoint's rows.
    Moved,
    /// The target holds all there is.
    Idle,
}

impl Courier {
    pub fn new(keeper: Arc<Keeper>, delivery: Arc<Delivery>, oid: Oid, sink: Box<dyn EpochSink>) -> Self {
        Self { keeper, delivery, oid, sink, delivered: None }
    }

    fn run(mut self, server: &Weak<Server>) {
        let mut pause = FIRST_PAUSE;
        while !self.delivery.is_stopped() && server.upgrade().is_some_and(|server| !server.is_stopping()) {
            match self.step() {
                Ok(Progress::Moved) => {}
                Ok(Progress::Idle) => self.keeper.wait(LOOK_AGAIN),
                Err(SinkError::Again(error)) => {
                    tracing::warn!(sink = self.oid.0, %error, "a delivery is tried again");
                    if self.delivery.lock().error.replace(error.to_string()).is_none() {
                        pause = FIRST_PAUSE;
                    }
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(SinkError::Fatal(error)) => {
                    tracing::error!(sink = self.oid.0, %error, "a sink has stopped");
                    let mut state = self.delivery.lock();
                    state.error = Some(error.to_string());
                    state.failed = true;
                    return;
                }
            }
        }
    }

    /// Opens the target, or delivers the next checkpoint's rows. After an error the target is opened again first.
    ///
    /// # Errors
    /// As the sink's.
    pub fn step(&mut self) -> Result<Progress, SinkError> {
        let before = self.delivered.take();
        let moved = match before {
            None => self.open().map(|delivered| (delivered, Progress::Moved)),
            Some(delivered) => self.deliver(delivered),
        };
        if moved.is_err() && is_planted(Defect::BlindDelivery) {
            self.delivered = before;
        }
        let (delivered, progress) = moved?;
        self.delivered = Some(delivered);
        self.note(delivered);
        Ok(progress)
    }

    /// The last checkpoint whose rows the target holds.
    fn open(&mut self) -> Result<u64, SinkError> {
        let held = self.sink.open(Incarnation(self.keeper.incarnation()))?;
        thalweg_core::failpoint!("delivery.opened");
        let delivered = held.map_or(0, |epoch| epoch.0);
        let last = self.keeper.kept().borrow().last.epoch;
        if delivered > last || self.keeper.is_of_another_history(delivered) {
            let message = format!(
                "SINK_AHEAD_OF_CHECKPOINT: the target holds epoch {delivered}, the last checkpoint is of epoch {last}"
            );
            let hint = "An older copy of the data directory was put back: drop the sink and create it anew.";
            return Err(SinkError::Fatal(Error::invalid_with_hint(message, hint)));
        }
        let known = self.keeper.delivered_to(self.oid);
        if delivered < known {
            let message = format!(
                "SINK_REWOUND: the target holds epoch {delivered}, and has held everything up to epoch {known}: \
                 what came between is kept no longer"
            );
            let hint = "The target was emptied, or an older copy of it was put back: drop the sink, empty the target and \
                        create the sink anew.";
            return Err(SinkError::Fatal(Error::invalid_with_hint(message, hint)));
        }
        Ok(delivered)
    }

    /// Delivers the rows of the first checkpoints after `delivered` that have any: as many as go together.
    fn deliver(&mut self, delivered: u64) -> Result<(u64, Progress), SinkError> {
        let mut upto = None;
        let mut epochs = Vec::new();
        for (epoch, parts) in self.keeper.outbox(self.oid, delivered) {
            epochs.extend(self.keeper.outbox_epochs(&parts).map_err(SinkError::Again)?);
            upto = Some(epoch);
            if bytes_of(&epochs) >= TOGETHER_BYTES {
                break;
            }
        }
        let Some(epoch) = upto else { return Ok((delivered, Progress::Idle)) };
        if is_planted(Defect::EarlyDelivery) {
            self.keeper.delivered(self.oid, epoch);
        }
        thalweg_core::failpoint!("delivery.read");
        self.sink.deliver(&epochs, Epoch(epoch))?;
        thalweg_core::failpoint!("delivery.done");
        let rows: usize = epochs.iter().flat_map(|e| &e.deltas).map(|d| d.num_rows()).sum();
        self.delivery.rows.fetch_add(rows as u64, Ordering::Relaxed);
        Ok((epoch, Progress::Moved))
    }

    /// Tells everyone how far the target is.
    fn note(&self, delivered: u64) {
        self.keeper.delivered(self.oid, delivered);
        let last = self.keeper.kept().borrow().last.epoch;
        let is_all = self.keeper.outbox(self.oid, delivered).is_empty();
        let at = self.keeper.wall_clock_of(if is_all { last.max(delivered) } else { delivered });
        let mut state = self.delivery.lock();
        // A checkpoint without rows for it is nothing that it lacks.
        state.delivered = if is_all { last.max(delivered) } else { delivered };
        state.delivered_at = at.unwrap_or(state.delivered_at);
        state.error = None;
    }
}
