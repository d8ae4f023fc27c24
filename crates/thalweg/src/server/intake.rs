//! `Intake`: the way of rows that are handed in: into the hub, and, once they are durable there, into their queues, all in
//! one order. Without a data directory there is no hub and they go at once. It must not know statements.
//!
//! A push is a batch of its topic: a record of the rows as an Arrow IPC stream, and one, with the key `dead`, of those
//! that could not be decoded. The ticket of a push is the offset after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use arc_swap::ArcSwapOption;
use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{DeadLetter, Error, SqlError, SqlState, dead_schema};
use thalweg_hub::{Append, Batch, Hub, HubError, Record, Ticket, TopicOptions};
use thalweg_runtime::live::{Engine, PushQueue, Pushed};
use thalweg_sql::server::Oid;
use tokio::sync::oneshot;

use super::replay::{Replay, Wanted};

/// The key of records of what could not be decoded.
const DEAD: &[u8] = b"dead";

/// Rows for one table or source.
pub(crate) struct Handed {
    pub oid: Oid,
    pub queue: Arc<PushQueue>,
    pub rows: RecordBatch,
    pub dead: Vec<DeadLetter>,
}

/// Says when a push is in its queues: its tickets there.
pub(crate) type Settled = oneshot::Receiver<Result<Vec<u64>, SqlError>>;

struct Waiting {
    ticket: Ticket,
    pushes: Vec<Pushed>,
    tell: oneshot::Sender<Result<Vec<u64>, SqlError>>,
}

/// See the module.
pub(crate) struct Intake {
    /// Until it is closed.
    hub: ArcSwapOption<Hub>,
    engine: Arc<Engine>,
    /// In the order of the hub.
    waiting: Mutex<VecDeque<Waiting>>,
    /// Set when the hub cannot make anything durable any more.
    failed: OnceLock<HubError>,
    me: Weak<Self>,
}

pub(super) fn topic(oid: Oid) -> String {
    format!("relation-{}", oid.0)
}

impl Intake {
    pub fn new(hub: Option<Arc<Hub>>, engine: Arc<Engine>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            hub: ArcSwapOption::new(hub),
            engine,
            waiting: Mutex::default(),
            failed: OnceLock::new(),
            me: Weak::clone(me),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows that belong together; `None` when a queue is full.
    ///
    /// # Errors
    /// The hub refuses; nothing was taken.
    pub fn take(&self, handed: Vec<Handed>) -> Result<Option<Settled>, SqlError> {
        let (tell, settled) = oneshot::channel();
        // Everything is in the hub's order, which is the order of whoever holds this.
        let mut waiting = self.waiting();
        if handed.iter().any(|h| !h.queue.has_room()) {
            return Ok(None);
        }
        let hub = self.hub.load_full();
        let appended = match hub.as_ref().map(|hub| append(hub, &handed)) {
            Some(Ok(appended)) => appended,
            None => None,
            Some(Err(error)) => {
                drop(waiting);
                self.settle();
                return Err(error);
            }
        };
        thalweg_core::failpoint!("intake.appended");
        let Some((hub, (ticket, tickets))) = hub.zip(appended) else {
            let pushes = handed.into_iter().map(|h| Pushed::new(h.queue, h.rows, h.dead, None)).collect();
            let _ = tell.send(Ok(self.engine.put(pushes)));
            drop(waiting);
            self.settle();
            return Ok(Some(settled));
        };
        let pushes = handed.into_iter().zip(tickets);
        let pushes = pushes.map(|(h, ticket)| Pushed::new(h.queue, h.rows, h.dead, ticket)).collect();
        waiting.push_back(Waiting { ticket, pushes, tell });
        drop(waiting);
        let me = Weak::clone(&self.me);
        hub.on_durable(
            ticket,
            Box::new(move |outcome| {
                if let Some(intake) = me.upgrade() {
                    if let Err(error) = outcome {
                        let _ = intake.failed.set(error);
                    }
                    intake.settle();
                }
            }),
        );
        self.settle();
        Ok(Some(settled))
    }

    /// Why nothing more becomes durable, if that is so.
    pub fn fault(&self) -> Option<&HubError> {
        self.failed.get()
    }

    /// Hands on what has become durable, in order; after a failure nothing will.
    ///
    /// It is called by the hub's thread, which must never wait for someone who waits for the hub: whoever holds the
    /// order calls it again when it has let go, and who holds it here looks again.
    fn settle(&self) {
        let Some(hub) = self.hub.load_full() else { return };
        let seen = || (hub.durable(), self.failed.get().is_some());
        loop {
            let before = seen();
            if !self.settle_up_to(before.0) || seen() == before {
                return;
            }
        }
    }

    /// Hands on what is up to `durable`; false if someone else holds the order.
    fn settle_up_to(&self, durable: Ticket) -> bool {
        let mut waiting = match self.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        while let Some(next) = waiting.pop_front() {
            if next.ticket <= durable || is_planted(Defect::EarlyHandIn) {
                thalweg_core::failpoint!("intake.durable");
                let _ = next.tell.send(Ok(self.engine.put(next.pushes)));
            } else if let Some(error) = self.failed.get() {
                let _ = next.tell.send(Err(refused(error.clone())));
            } else {
                waiting.push_front(next);
                break;
            }
        }
        true
    }

    /// A topic for a new relation; one that is there already stays as it is.
    ///
    /// # Errors
    /// The hub refuses.
    pub fn create(&self, oid: Oid) -> Result<(), SqlError> {
        let Some(hub) = self.hub.load_full() else { return Ok(()) };
        match hub.create_topic(&topic(oid), TopicOptions::default()) {
            Ok(()) | Err(HubError::TopicExists(_)) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    /// The relation is gone.
    pub fn delete(&self, oid: Oid) {
        let Some(hub) = self.hub.load_full() else { return };
        match hub.delete_topic(&topic(oid)) {
            Ok(()) | Err(HubError::NoTopic(_)) => {}
            // Its number is never used again; what stays only takes space.
            Err(error) => tracing::warn!(%error, "a dropped relation's log could not be removed"),
        }
    }

    /// Everything of a relation from `from` on is needed still; what is before may go.
    pub fn keep_from(&self, oid: Oid, from: u64) {
        let Some(hub) = self.hub.load_full() else { return };
        let kept = hub.set_floor(&topic(oid), from).and_then(|()| hub.delete_before(&topic(oid), from));
        match kept {
            Ok(_) | Err(HubError::NoTopic(_)) => {}
            Err(error) => tracing::warn!(%error, "an old part of the hub could not be removed"),
        }
    }

    /// Begins to hand in again what the hub holds; `None` without a hub.
    ///
    /// # Errors
    /// The hub does not hold what is needed.
    pub fn replay(&self, wanted: Vec<Wanted>) -> Result<Option<Replay>, SqlError> {
        let Some(hub) = self.hub.load_full() else { return Ok(None) };
        Replay::begin(hub, Arc::clone(&self.engine), wanted).map(Some)
    }

    /// Makes durable what was taken, and takes nothing more.
    pub fn close(&self) {
        // Whoever still holds it closes it when done.
        let hub = self.hub.swap(None).and_then(Arc::into_inner);
        if let Some(Err(error)) = hub.map(Hub::close) {
            tracing::error!(%error, "the hub did not close in order");
        }
    }

    /// What the hub has done, if there is one.
    pub fn statistics(&self) -> Option<thalweg_hub::Statistics> {
        self.hub.load().as_deref().map(Hub::statistics)
    }
}

/// Where an append went: when it is durable, and the offset after each relation's part, if it had any.
type Placed = (Ticket, Vec<Option<u64>>);

/// Appends what belongs together; `None` if that is nothing.
fn append(hub: &Hub, handed: &[Handed]) -> Result<Option<Placed>, SqlError> {
    let records = handed.iter().map(records).collect::<Result<Vec<_>, _>>()?;
    let topics: Vec<String> = handed.iter().map(|h| topic(h.oid)).collect();
    let appends: Vec<Append<'_>> = topics
        .iter()
        .zip(&records)
        .filter(|(_, records)| !records.is_empty())
        .map(|(topic, records)| Append { topic, records })
        .collect();
    if appends.is_empty() {
        return Ok(None);
    }
    let appended = hub.append(&appends).map_err(refused)?;
    let mut bases = appended.base_offsets.into_iter();
    let after =
        |records: &Vec<Record>| if records.is_empty() { None } else { Some(bases.next()? + records.len() as u64) };
    let tickets = records.iter().map(after).collect();
    Ok(Some((appended.ticket, tickets)))
}

fn records(handed: &Handed) -> Result<Vec<Record>, SqlError> {
    let mut records = Vec::new();
    if !handed.dead.is_empty() {
        let key = Some(Bytes::from_static(DEAD));
        records.push(Record { key, value: Some(encoded(&dead_rows(&handed.dead)?)?), ..Record::default() });
    }
    if handed.rows.num_rows() > 0 {
        records.push(Record { value: Some(encoded(&handed.rows)?), ..Record::default() });
    }
    Ok(records)
}

/// What was taken with one call, for its queue again.
pub(super) fn put_back(queue: &Arc<PushQueue>, batch: &Batch) -> Result<Pushed, SqlError> {
    let (mut rows, mut dead) = (RecordBatch::new_empty(queue.schema()), Vec::new());
    for (_, record) in batch.records().map_err(|e| Error::Data(e.to_string()))? {
        let value = record.value.clone().unwrap_or_default();
        for read in StreamReader::try_new(value.as_ref(), None).map_err(Error::from)? {
            let read = read.map_err(Error::from)?;
            if record.key.as_deref() == Some(DEAD) {
                dead.extend(dead_letters(&read)?);
            } else {
                rows = read;
            }
        }
    }
    let types = |schema: SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    if types(rows.schema()) != types(queue.schema()) {
        let message = format!("the hub holds rows of other columns up to offset {} of a relation", batch.end_offset());
        return Err(Error::Data(message).into());
    }
    Ok(Pushed::new(Arc::clone(queue), rows, dead, Some(batch.end_offset())))
}

fn encoded(rows: &RecordBatch) -> Result<Bytes, SqlError> {
    let mut bytes = Vec::new();
    let written = StreamWriter::try_new(&mut bytes, &rows.schema()).and_then(|mut writer| {
        writer.write(rows)?;
        writer.finish()
    });
    written.map_err(Error::from)?;
    Ok(bytes.into())
}

fn dead_rows(dead: &[DeadLetter]) -> Result<RecordBatch, SqlError> {
    let offset = |d: &DeadLetter| i64::try_from(d.offset).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(dead.iter().map(|d| &d.raw))),
        Arc::new(StringViewArray::from_iter_values(dead.iter().map(|d| d.origin.as_ref()))),
        Arc::new(Int64Array::from_iter_values(dead.iter().map(offset))),
        Arc::new(StringViewArray::from_iter_values(dead.iter().map(|d| &d.reason))),
    ];
    Ok(RecordBatch::try_new(dead_schema(), columns).map_err(Error::from)?)
}

fn dead_letters(rows: &RecordBatch) -> Result<Vec<DeadLetter>, SqlError> {
    if rows.schema() != dead_schema() {
        return Err(Error::Data("a dead letter in the hub is not one".to_owned()).into());
    }
    let (raw, origin) = (rows.column(0).as_binary::<i32>(), rows.column(1).as_string_view());
    let (offset, reason) = (rows.column(2).as_primitive::<Int64Type>(), rows.column(3).as_string_view());
    let one = |i: usize| DeadLetter {
        raw: raw.value(i).to_vec(),
        origin: origin.value(i).into(),
        offset: offset.value(i).cast_unsigned(),
        reason: reason.value(i).to_owned(),
    };
    Ok((0..rows.num_rows()).map(one).collect())
}

/// An error of the hub for whoever writes.
pub(super) fn refused(error: HubError) -> SqlError {
    let state = match &error {
        _ if error.is_no_space() => SqlState::DISK_FULL,
        HubError::TooLarge { .. } => SqlState::PROGRAM_LIMIT,
        _ => SqlState("58030"),
    };
    let found = SqlError::new(state, error.to_string());
    if error.is_no_space() {
        found.hint("Free some space; nothing was written, and writing goes on then.")
    } else {
        found
    }
}
