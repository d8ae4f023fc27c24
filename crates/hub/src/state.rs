//! `Shared`: what all threads of a hub share, and its locks. It must not do I/O itself.
//!
//! Three locks, taken in this order: `turn` (one round of fsyncs at a time), `ledger` (manifest and marks), `state`.
//! The disk is written under `state` only to append, which goes to the operating system's memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use thalweg_disk::{Disk, DiskError, DiskErrorKind, Operation};

use crate::log::{Closed, Log};
use crate::manifest::{ClosedEntry, Manifest, TopicEntry};
use crate::marks::Marks;
use crate::{HubError, Result, Statistics, Ticket, TopicOptions};

/// What is called when a ticket is durable, or cannot become so.
pub(crate) type Callback = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Debug)]
pub(crate) struct Shared {
    pub disk: Arc<dyn Disk>,
    /// A thread runs the rounds; otherwise whoever waits does.
    pub has_flusher: bool,
    pub turn: Mutex<()>,
    pub ledger: Mutex<Ledger>,
    pub state: Mutex<State>,
    /// The flusher waits here for something to do.
    pub work: Condvar,
    /// Everyone else waits here for it to be done.
    pub progress: Condvar,
    pub next_transaction: AtomicU64,
    /// Closed segments whose index is in memory, oldest first.
    pub indexed: Mutex<VecDeque<Weak<Closed>>>,
}

/// What is written beside the topics.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The number of the manifest that counts.
    pub number: u64,
    /// The number of the next topic.
    pub next_topic: u64,
    pub marks: Marks,
    /// Space is kept free.
    pub has_reserve: bool,
}

#[derive(Default)]
pub(crate) struct State {
    pub topics: BTreeMap<u64, Topic>,
    pub names: HashMap<String, u64>,
    /// Tickets given out.
    pub last: u64,
    /// Tickets that are durable.
    pub durable: u64,
    /// Appended and not yet durable.
    pub pending_bytes: u64,
    pub pending_appends: u64,
    /// Topics with something not yet durable.
    pub dirty: Vec<u64>,
    /// Topics that want a new segment.
    pub rolls: Vec<u64>,
    pub callbacks: BTreeMap<u64, Vec<Callback>>,
    /// Why nothing more is taken.
    pub failed: Option<HubError>,
    pub is_closing: bool,
    pub statistics: Statistics,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub options: TopicOptions,
    pub log: Log,
    /// The oldest offset that someone still needs.
    pub floor: Option<u64>,
    /// It is in the list of dirty topics.
    pub is_dirty: bool,
    pub roll: Roll,
    /// It takes no more: it is being deleted.
    pub is_going: bool,
}

/// Whether a topic's active segment is to be closed.
#[derive(Debug, Default)]
pub(crate) enum Roll {
    #[default]
    No,
    /// Nothing is appended until it is.
    Wanted,
    /// It could not be; whoever wanted it takes the error away.
    Failed(HubError),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("topics", &self.topics).field("last", &self.last).finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The topic `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn topic(&self, name: &str) -> Result<&Topic> {
        let topic = self.names.get(name).and_then(|id| self.topics.get(id));
        topic.filter(|t| !t.is_going).ok_or_else(|| HubError::NoTopic(name.to_owned()))
    }

    /// The same, to change it, and its number.
    pub fn topic_mut(&mut self, name: &str) -> Result<(u64, &mut Topic)> {
        let id = self.names.get(name).copied();
        let topic = id.and_then(|id| Some((id, self.topics.get_mut(&id)?)));
        topic.filter(|(_, t)| !t.is_going).ok_or_else(|| HubError::NoTopic(name.to_owned()))
    }

    /// # Errors
    /// Nothing more is taken.
    pub fn check(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.is_closing => Err(HubError::Closed),
            None => Ok(()),
        }
    }

    /// What is certain now, for a manifest.
    pub fn manifest(&self, number: u64, next_topic: u64, next_transaction: u64) -> Manifest {
        let topics = self.topics.iter().map(|(id, topic)| TopicEntry {
            id: *id,
            name: topic.name.clone(),
            options: topic.options,
            start: topic.log.start(),
            durable: topic.log.durable,
            closed: topic.log.closed.iter().map(|c| c.entry).collect::<Vec<ClosedEntry>>(),
        });
        Manifest { number, next_topic, next_transaction, topics: topics.collect() }
    }
}

impl Shared {
    /// The number of the manifest that an opening has made durable: each makes its own.
    pub fn opening(&self) -> u64 {
        lock(&self.ledger).number
    }

    /// Waits until something may have changed; without a flusher, by changing it.
    pub fn wait_progress<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.work.notify_one();
        if self.has_flusher {
            return self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.round();
        lock(&self.state)
    }

    /// Waits until `ticket` is durable.
    ///
    /// # Errors
    /// It cannot become so.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        let mut state = lock(&self.state);
        if ticket.0 > state.last {
            return Err(HubError::Invalid(format!("ticket {} is not of this log", ticket.0)));
        }
        while state.durable < ticket.0 {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            state = self.wait_progress(state);
        }
        Ok(())
    }

    /// Takes note of a failure: after an fsync nothing more is taken.
    pub fn note(&self, error: &DiskError) {
        let is_sync = matches!(error.operation, Operation::Sync | Operation::SyncFolder);
        if error.kind == DiskErrorKind::Poisoned || (is_sync && error.kind != DiskErrorKind::NotFound) {
            self.poison(HubError::Poisoned(error.clone()));
        }
    }

    /// Nothing more is taken, and all who wait are told: an fsync has failed.
    pub fn poison(&self, error: HubError) {
        let (failed, callbacks) = {
            let mut state = lock(&self.state);
            let failed = state.failed.get_or_insert(error).clone();
            (failed, std::mem::take(&mut state.callbacks))
        };
        self.progress.notify_all();
        self.work.notify_all();
        callbacks.into_values().flatten().for_each(|callback| callback(Err(failed.clone())));
    }
}
