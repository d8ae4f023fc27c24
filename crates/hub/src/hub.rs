//! `Hub`: the log as its users see it. It must not do the work itself: see the modules beside it.

use std::sync::Arc;
use std::thread::JoinHandle;

use thalweg_disk::Disk;

use crate::state::{Shared, lock};
use crate::{
    Append, Appended, Batch, HubError, Recovered, Removed, Result, Statistics, TopicOptions, Visibility, recover,
};

/// A place in the order of all appends of a hub, from 1. Tickets of an earlier life of the process mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

/// An open log. Shared by reference between threads.
///
/// Dropped, it makes durable what was appended and stops.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    opening: u64,
    flusher: Option<JoinHandle<()>>,
}

impl Hub {
    /// Opens the log on `disk`, or makes a new one. One process at a time may do so.
    ///
    /// # Errors
    /// The disk fails; or something that was durable is missing or damaged: then the error names the file, the place
    /// and what was expected, and nothing was changed.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Recovered)> {
        let (shared, recovered) = recover::open(disk, true)?;
        let shared = Arc::new(shared);
        let flushed = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hub-flush".to_owned());
        let flusher = thread.spawn(move || {
            let _guard = PanicGuard(&flushed);
            flushed.flush_forever();
        });
        let flusher = flusher.map_err(|e| HubError::Invalid(format!("no thread could be started: {e}")))?;
        Ok((Self { opening: shared.opening(), shared, flusher: Some(flusher) }, recovered))
    }

    /// The same without a thread of its own: whoever waits does the work, and [`Hub::round`] does, so that a simulation
    /// decides what happens when.
    ///
    /// # Errors
    /// As [`Hub::open`].
    pub fn open_stepped(disk: Arc<dyn Disk>) -> Result<(Self, Recovered)> {
        let (shared, recovered) = recover::open(disk, false)?;
        Ok((Self { opening: shared.opening(), shared: Arc::new(shared), flusher: None }, recovered))
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The number of this opening, from 1: no other of this log has it, and later ones have higher ones.
    pub fn opening(&self) -> u64 {
        self.opening
    }

    /// Makes a topic. It is durable when this returns.
    ///
    /// # Errors
    /// There is one of that name, the name or an option is wrong, or the disk refuses.
    pub fn create_topic(&self, name: &str, options: TopicOptions) -> Result<()> {
        self.shared.create_topic(name, options)
    }

    /// Gives a topic other options, from the next append on. Durable when this returns.
    ///
    /// # Errors
    /// There is no such topic, an option is wrong, or the disk refuses.
    pub fn configure_topic(&self, name: &str, options: TopicOptions) -> Result<()> {
        self.shared.configure_topic(name, options)
    }

    /// Deletes a topic and all in it. Durable when this returns.
    ///
    /// # Errors
    /// There is no such topic, or the disk refuses.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.shared.delete_topic(name)
    }

    /// The topics and their options, by name.
    pub fn topics(&self) -> Vec<(String, TopicOptions)> {
        let state = lock(&self.shared.state);
        let mut topics: Vec<_> = state.topics.values().map(|t| (t.name.clone(), t.options)).collect();
        topics.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        topics
    }

    /// Appends one batch for each of `appends`: after a crash all of them are there or none. Returns before they are
    /// durable; waits first while [`MAX_PENDING_BYTES`](crate::MAX_PENDING_BYTES) or
    /// [`MAX_PENDING_APPENDS`](crate::MAX_PENDING_APPENDS) are not durable yet, and now and then for a new segment.
    ///
    /// # Errors
    /// A topic is missing, a batch is empty or too large, or the disk refuses: then nothing was appended, and after a
    /// full disk ([`HubError::is_no_space`]) the call may succeed later. [`HubError::Poisoned`] stays until a restart.
    pub fn append(&self, appends: &[Append<'_>]) -> Result<Appended> {
        self.shared.append(appends)
    }

    /// Waits until all up to `ticket` is durable.
    ///
    /// # Errors
    /// [`HubError::Poisoned`]: it is not known whether it is.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        self.shared.wait(ticket)
    }

    /// Makes durable what was appended before the call, and tells who waits for it. There is a thread for that unless the
    /// hub was opened with [`Hub::open_stepped`].
    pub fn round(&self) {
        self.shared.round();
    }

    /// Calls `callback` once all up to `ticket` is durable, or cannot become so. It runs on the thread that syncs, or
    /// at once on this one, and must neither block nor panic.
    pub fn on_durable(&self, ticket: Ticket, callback: Box<dyn FnOnce(Result<()>) + Send>) {
        let outcome = {
            let mut state = lock(&self.shared.state);
            match &state.failed {
                _ if state.durable >= ticket.0 => Ok(()),
                Some(error) => Err(error.clone()),
                None => {
                    state.callbacks.entry(ticket.0).or_default().push(callback);
                    return;
                }
            }
        };
        callback(outcome);
    }

    /// All up to this is durable.
    pub fn durable(&self) -> Ticket {
        Ticket(lock(&self.shared.state).durable)
    }

    /// The batches of `topic` from the one that holds offset `from` on: `max_bytes` of them at most, but one at least
    /// unless `from` is the end.
    ///
    /// # Errors
    /// There is no such topic, `from` is outside of it, or a file is damaged or cannot be read.
    pub fn read(&self, topic: &str, from: u64, max_bytes: usize, visibility: Visibility) -> Result<Vec<Batch>> {
        self.shared.read(topic, from, max_bytes, visibility)
    }

    /// The first offset of `topic` that is there.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn start_offset(&self, topic: &str) -> Result<u64> {
        Ok(lock(&self.shared.state).topic(topic)?.log.start())
    }

    /// One past the last durable offset of `topic`.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn end_offset(&self, topic: &str) -> Result<u64> {
        Ok(lock(&self.shared.state).topic(topic)?.log.durable)
    }

    /// The first durable offset of `topic` whose record has this time (milliseconds since 1970, UTC) or a later one.
    ///
    /// # Errors
    /// There is no such topic, or a file is damaged or cannot be read.
    pub fn offset_at(&self, topic: &str, timestamp_ms: i64) -> Result<Option<u64>> {
        self.shared.offset_at(topic, timestamp_ms)
    }

    /// Keeps all of `topic` from `offset` on, whatever its retention says: someone still needs it. Nothing is kept so
    /// before the first call after an opening.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn set_floor(&self, topic: &str, offset: u64) -> Result<()> {
        self.shared.set_floor(topic, offset)
    }

    /// Deletes the segments of `topic` that end at or before `offset`, as far as the floor allows.
    ///
    /// # Errors
    /// There is no such topic, or the disk refuses.
    pub fn delete_before(&self, topic: &str, offset: u64) -> Result<Removed> {
        self.shared.delete_before(topic, offset)
    }

    /// Deletes the segments that are past their topic's retention, as far as the floors allow. To be called now and
    /// then; `now_ms` is the time in milliseconds since 1970 (UTC).
    ///
    /// # Errors
    /// The disk refuses.
    pub fn enforce_retention(&self, now_ms: i64) -> Result<Removed> {
        self.shared.enforce_retention(now_ms)
    }

    /// What it has done and holds.
    pub fn statistics(&self) -> Statistics {
        let state = lock(&self.shared.state);
        Statistics {
            topics: state.topics.len(),
            bytes: state.topics.values().map(|t| t.log.bytes()).sum(),
            pending_bytes: state.pending_bytes,
            ..state.statistics
        }
    }

    /// Makes durable what was appended, and notes that it is, so that whatever is missing at the next start is known
    /// to be damage.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn close(mut self) -> Result<()> {
        self.stop();
        if let Some(error) = lock(&self.shared.state).failed.clone() {
            return Err(error);
        }
        self.shared.publish(&mut lock(&self.shared.ledger), |_| {})
    }

    /// Ends the rounds after the last one.
    fn stop(&mut self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.work.notify_all();
        self.shared.progress.notify_all();
        match self.flusher.take() {
            // It has told everyone of its own failure.
            Some(flusher) => drop(flusher.join()),
            None => self.shared.round(),
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if self.flusher.is_some() {
            self.stop();
        }
    }
}

/// Tells those who wait if the flusher panics.
struct PanicGuard<'a>(&'a Shared);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(HubError::Closed);
        }
    }
}
