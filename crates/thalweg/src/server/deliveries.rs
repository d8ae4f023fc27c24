//! `Deliveries`: what leaves exactly once goes from the outboxes of durable checkpoints to its targets, a thread a sink. A
//! target that does not answer holds up its own sink alone. It must not know targets or plans.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

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
        let run = move || Courier { server, keeper, delivery, oid, sink }.run();
        thread.spawn(run).map(drop).map_err(|e| Error::Internal(format!("cannot start a delivery: {e}")))
    }

    /// Ends the delivery of `oid`; what is on its way to the target may get there.
    pub fn end(&self, oid: Oid) {
        if let Some(delivery) = self.lock().remove(&oid) {
            delivery.stop.store(true, Ordering::Release);
        }
    }
}

struct Courier {
    server: Weak<Server>,
    keeper: Arc<Keeper>,
    delivery: Arc<Delivery>,
    oid: Oid,
    sink: Box<dyn EpochSink>,
}

impl Courier {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.is_over() {
            match self.session() {
                Ok(()) => return,
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

    fn is_over(&self) -> bool {
        self.delivery.is_stopped() || self.server.upgrade().is_none_or(|server| server.is_stopping())
    }

    /// From the opening of the target until it fails, or the sink ends.
    fn session(&mut self) -> Result<(), SinkError> {
        let held = self.sink.open(Incarnation(self.keeper.incarnation()))?;
        let mut delivered = held.map_or(0, |epoch| epoch.0);
        let last = self.keeper.kept().borrow().last.epoch;
        if delivered > last {
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
        while !self.is_over() {
            self.keeper.delivered(self.oid, delivered);
            let last = self.keeper.kept().borrow().last.epoch;
            let pending = self.keeper.outbox(self.oid, delivered);
            {
                let mut state = self.delivery.lock();
                // A checkpoint without rows for it is nothing that it lacks.
                state.delivered = if pending.is_empty() { last.max(delivered) } else { delivered };
                state.error = None;
            }
            if pending.is_empty() {
                self.keeper.wait(LOOK_AGAIN);
                continue;
            }
            let mut pending = pending.into_iter().peekable();
            let mut epochs = Vec::new();
            while let Some((epoch, parts)) = pending.next() {
                if self.delivery.is_stopped() {
                    return Ok(());
                }
                epochs.extend(self.keeper.outbox_epochs(&parts).map_err(SinkError::Again)?);
                if pending.peek().is_some() && bytes_of(&epochs) < TOGETHER_BYTES {
                    continue;
                }
                self.sink.deliver(&epochs, Epoch(epoch))?;
                let rows: usize = epochs.drain(..).flat_map(|e| e.deltas).map(|d| d.num_rows()).sum();
                self.delivery.rows.fetch_add(rows as u64, Ordering::Relaxed);
                delivered = epoch;
            }
        }
        Ok(())
    }
}
