//! `Hub::append`: records to the end of topics, all or none of a call. It must not wait for the disk.
//!
//! An append to one topic is one batch, and a batch is whole or not there. An append of several batches is a
//! transaction: each batch has the transactional bit and says, in the fields that Kafka has for producers, which
//! transaction it is of (producer id), of how many batches (producer epoch), and which of them it is (base sequence).
//! A start after a crash keeps a transaction only if every batch of it is there; see `recover.rs`.

use std::collections::BTreeMap;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use crate::batch::{Encoding, Producer, encode, set_base_offset, set_topic};
use crate::limits::{MAX_APPENDS, MAX_PENDING_APPENDS, MAX_PENDING_BYTES};
use crate::state::{Roll, Shared, State, lock};
use crate::{Compression, HubError, Record, Result, Ticket};

/// Records for the end of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The records, one at least.
    pub records: &'a [Record],
}

/// Where records went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record of each [`Append`], in their order.
    pub base_offsets: Vec<u64>,
    /// They are durable when this is: see [`Hub::wait`](crate::Hub::wait).
    pub ticket: Ticket,
}

/// A batch on its way.
struct Outgoing<'a> {
    name: &'a str,
    topic: u64,
    bytes: Vec<u8>,
    records: u64,
    max_timestamp_ms: i64,
}

/// Topics that a call has written to: bytes of the file before it, and the next offset.
type Touched = BTreeMap<u64, (u64, u64)>;

impl Shared {
    pub fn append(&self, appends: &[Append<'_>]) -> Result<Appended> {
        if appends.is_empty() || appends.len() > MAX_APPENDS {
            let message = format!("an append of {} batches: give 1 to {MAX_APPENDS}", appends.len());
            return Err(HubError::Invalid(message));
        }
        let mut outgoing = self.encode(appends)?;
        thalweg_core::failpoint!("hub.append.encoded");
        let mut state = self.room(&outgoing)?;
        let mut base_offsets = Vec::with_capacity(outgoing.len());
        let mut touched = Touched::new();
        for batch in &mut outgoing {
            match state.write(batch, &mut touched) {
                Ok(base) => base_offsets.push(base),
                Err(error) => return Err(self.undo(state, &touched, error)),
            }
        }
        // From here on nothing fails.
        let bytes = outgoing.iter().map(|b| b.bytes.len() as u64).sum::<u64>();
        for (batch, base) in outgoing.iter().zip(&base_offsets) {
            let topic = state.topics.get_mut(&batch.topic).expect("it was written to under this lock");
            topic.log.active.push(batch.bytes.len() as u64, base + batch.records, batch.max_timestamp_ms);
            state.soil(batch.topic);
        }
        state.last += 1;
        state.pending_bytes += bytes;
        state.pending_appends += 1;
        state.statistics.appends += 1;
        state.statistics.appended_bytes += bytes;
        let ticket = Ticket(state.last);
        drop(state);
        thalweg_core::failpoint!("hub.append.done");
        self.work.notify_one();
        Ok(Appended { base_offsets, ticket })
    }

    /// The batches, without their place.
    fn encode<'a>(&self, appends: &[Append<'a>]) -> Result<Vec<Outgoing<'a>>> {
        let topics: Vec<(u64, Compression)> = {
            let mut state = lock(&self.state);
            state.check()?;
            let topic = |a: &Append<'_>| state.topic_mut(a.topic).map(|(id, t)| (id, t.options.compression));
            appends.iter().map(topic).collect::<Result<_>>()?
        };
        let transaction = (appends.len() > 1).then(|| self.next_transaction.fetch_add(1, Ordering::Relaxed));
        let batches = appends.iter().zip(topics).enumerate();
        batches
            .map(|(i, (append, (topic, compression)))| {
                let producer = transaction.map_or_else(Producer::default, |id| Producer {
                    id: id as i64,
                    epoch: i16::try_from(appends.len()).expect("no more than MAX_APPENDS"),
                    sequence: i32::try_from(i).expect("no more than MAX_APPENDS"),
                });
                let encoding = Encoding { compression, producer, is_transactional: transaction.is_some() };
                let bytes = encode(append.records, &encoding)?;
                let max = append.records.iter().map(|r| r.timestamp_ms).max().unwrap_or_default();
                let (name, records) = (append.topic, append.records.len() as u64);
                Ok(Outgoing { name, topic, bytes, records, max_timestamp_ms: max })
            })
            .collect()
    }

    /// Waits until all batches may be written, and holds the lock.
    fn room(&self, outgoing: &[Outgoing<'_>]) -> Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        loop {
            state.check()?;
            if state.is_ready(outgoing)? {
                return Ok(state);
            }
            state = self.wait_progress(state);
        }
    }

    /// Takes back what a failed append has written.
    fn undo(&self, mut state: MutexGuard<'_, State>, touched: &Touched, error: HubError) -> HubError {
        for (id, (bytes, _)) in touched {
            let topic = state.topics.get_mut(id).expect("it was written to under this lock");
            if let Err(e) = topic.log.active.file.truncate(*bytes) {
                drop(state);
                self.poison(HubError::Poisoned(e));
                return error;
            }
            // A segment must not be closed while a crash could bring back what was taken away.
            state.soil(*id);
        }
        error
    }
}

impl State {
    /// The file of a topic has something that is not durable.
    fn soil(&mut self, id: u64) {
        let topic = self.topics.get_mut(&id).expect("it was written to under this lock");
        if !std::mem::replace(&mut topic.is_dirty, true) {
            self.dirty.push(id);
        }
    }

    /// All batches may be written now. Asks for new segments where they are needed.
    fn is_ready(&mut self, outgoing: &[Outgoing<'_>]) -> Result<bool> {
        let mut is_ready = self.pending_bytes < MAX_PENDING_BYTES && self.pending_appends < MAX_PENDING_APPENDS;
        for batch in outgoing {
            let topic = self.topics.get_mut(&batch.topic).filter(|t| !t.is_going);
            let topic = topic.ok_or_else(|| HubError::NoTopic(batch.name.to_owned()))?;
            let (log, size) = (&topic.log, batch.bytes.len() as u64);
            match std::mem::take(&mut topic.roll) {
                Roll::Failed(error) => return Err(error),
                Roll::Wanted => {
                    topic.roll = Roll::Wanted;
                    is_ready = false;
                }
                Roll::No if log.active.bytes > 0 && log.active.bytes + size > topic.options.segment_bytes => {
                    topic.roll = Roll::Wanted;
                    self.rolls.push(batch.topic);
                    is_ready = false;
                }
                Roll::No => {}
            }
        }
        Ok(is_ready)
    }

    /// Writes one batch behind what is in the topic's file; returns its base offset.
    fn write(&mut self, batch: &mut Outgoing<'_>, touched: &mut Touched) -> Result<u64> {
        let active = &self.topics.get(&batch.topic).expect("is_ready found it").log.active;
        let (_, next) = touched.entry(batch.topic).or_insert((active.bytes, active.end));
        let base = *next;
        set_base_offset(&mut batch.bytes, base);
        set_topic(&mut batch.bytes, batch.topic);
        active.file.append(&batch.bytes)?;
        *next += batch.records;
        thalweg_core::failpoint!("hub.append.batch_written");
        Ok(base)
    }
}
