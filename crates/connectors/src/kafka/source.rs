//! `KafkaSource` and its readers: partitions as splits, records as rows. It must not know encodings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, OwnedMessage, Timestamp};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use thalweg_core::{Error, Offset, Polled, Result, Source, Split, SplitReader};
use thalweg_formats::record::{Record, RecordDecoder};

use super::client::Complaints;
use super::options::SourceOptions;
use super::pump::Pump;

/// Bytes of records that a poll decodes at most (4 MiB), or one larger record.
const MAX_POLL_BYTES: usize = 4 * 1024 * 1024;

/// A topic as a source: a split a partition, `topic/partition`.
///
/// An [`Offset`] is the number of the next record plus one; 0 stands for a partition that was never read, which begins
/// as `scan.startup.mode` says. So that a stored position at record 0 is not taken for no position.
pub(super) struct KafkaSource {
    name: String,
    options: SourceOptions,
    declared: SchemaRef,
    projection: Vec<usize>,
    schema: SchemaRef,
    /// Made when it is first needed: a source that is only planned connects to nothing.
    pump: Mutex<Option<Arc<Pump>>>,
}

impl KafkaSource {
    /// Reads the columns `projection` of `declared`, followed by what a row does where the format says it.
    pub(super) fn new(
        name: String,
        options: SourceOptions,
        declared: SchemaRef,
        mut projection: Vec<usize>,
    ) -> Result<Self> {
        let whole = options.layout.decoder(&declared)?.schema();
        // The mark of a deletion comes with whatever else is read.
        projection.extend(declared.fields().len()..whole.fields().len());
        let schema = Arc::new(whole.project(&projection)?);
        Ok(Self { name, options, declared, projection, schema, pump: Mutex::default() })
    }

    fn pump(&self) -> Result<Arc<Pump>> {
        let mut pump = self.pump.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pump) = &*pump {
            return Ok(Arc::clone(pump));
        }
        let started = Pump::start(&self.name, self.options.clone())?;
        *pump = Some(Arc::clone(&started));
        Ok(started)
    }
}

impl Source for KafkaSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |partition| Split { id: format!("{}/{partition}", self.options.topic).into(), lower_bound: None };
        Ok(self.pump()?.partitions()?.into_iter().map(split).collect())
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let partition = split.id.rsplit_once('/').and_then(|(_, p)| p.parse::<i32>().ok());
        let partition = partition.ok_or_else(|| Error::Internal(format!("no partition is called {}", split.id)))?;
        let pump = self.pump()?;
        let range = pump.range(partition);
        let next = match (from.0, range) {
            (0, Some(range)) => range.start,
            (0, None) => None,
            (stored, _) => {
                Some(i64::try_from(stored - 1).map_err(|_| Error::Internal("an offset beyond 63 bits".into()))?)
            }
        };
        let decoder = self.options.layout.decoder(&self.declared)?;
        // The queue is split off first, so that no record comes by another way.
        let topic = &self.options.topic;
        let queue = pump.consumer.split_partition_queue(topic, partition);
        let queue = queue.ok_or_else(|| Error::Internal(format!("no queue for {}", split.id)))?;
        let mut assignment = TopicPartitionList::new();
        let assigned = assignment
            .add_partition_offset(topic, partition, next.map_or(At::Beginning, At::Offset))
            .and_then(|()| pump.consumer.incremental_assign(&assignment));
        assigned.map_err(|e| Error::Internal(format!("partition {} cannot be assigned: {e}", split.id)))?;
        Ok(Box::new(Reader {
            origin: Arc::clone(&split.id),
            partition,
            next,
            end: range.and_then(|r| r.end),
            bounded: self.options.bounded,
            ended: false,
            held: Vec::new(),
            failed: None,
            projection: self.projection.clone(),
            decoder,
            queue,
            pump,
        }))
    }

    fn bounded(&self) -> bool {
        self.options.bounded
    }
}

/// Reads one partition.
struct Reader {
    origin: Arc<str>,
    partition: i32,
    /// The next offset; `None` before the first record of a partition that is read from its oldest.
    next: Option<i64>,
    /// A bounded reader ends there.
    end: Option<i64>,
    bounded: bool,
    ended: bool,
    /// Records that wait for their schema.
    held: Vec<OwnedMessage>,
    /// What is to be said after the records before it.
    failed: Option<Error>,
    projection: Vec<usize>,
    decoder: RecordDecoder,
    queue: PartitionQueue<Complaints>,
    pump: Arc<Pump>,
}

impl SplitReader for Reader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            return match self.missing(&held) {
                true => {
                    self.held = held;
                    Ok(Polled::Idle)
                }
                false => self.decode(&held),
            };
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Self { queue, pump, .. } = self;
        let mut messages: Vec<BorrowedMessage<'_>> = Vec::new();
        let (mut bytes, mut next, mut ended, mut failed) = (0, self.next, self.ended, None);
        while !ended && messages.len() < max_rows.max(1) && bytes < MAX_POLL_BYTES {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    if self.end.is_some_and(|end| message.offset() >= end) {
                        ended = true;
                    } else if next.is_none_or(|next| message.offset() >= next) {
                        bytes += message.payload_len() + message.key_len();
                        next = Some(message.offset() + 1);
                        ended = self.end == next;
                        messages.push(message);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended = self.bounded,
                Some(Err(error)) => {
                    failed = fatal(&error, &self.origin, next);
                    if failed.is_none() {
                        pump.consumer.context().add(error.rdkafka_error_code(), &format!("{}: {error}", self.origin));
                    }
                    break;
                }
            }
        }
        if messages.is_empty() {
            self.ended = ended;
            return match failed {
                Some(error) => Err(error),
                None if ended => Ok(Polled::End),
                None => Ok(Polled::Idle),
            };
        }
        let Self { decoder, pump, .. } = self;
        if missing(decoder, pump, &messages) {
            // They are kept in our own memory, and the offset stays before them.
            self.held = messages.iter().map(BorrowedMessage::detach).collect();
            drop(messages);
            self.ended = ended;
            self.failed = failed;
            return Ok(Polled::Idle);
        }
        let polled = decode(decoder, &self.origin, &self.projection, &messages)?;
        drop(messages);
        self.ended = ended;
        self.failed = failed;
        self.moved(next);
        Ok(polled)
    }

    fn offset(&self) -> Offset {
        Offset(self.next.and_then(|next| u64::try_from(next).ok()).map_or(0, |next| next + 1))
    }
}

impl Reader {
    fn missing(&mut self, held: &[OwnedMessage]) -> bool {
        missing(&mut self.decoder, &self.pump, held)
    }

    fn decode(&mut self, held: &[OwnedMessage]) -> Result<Polled> {
        let polled = decode(&mut self.decoder, &self.origin, &self.projection, held)?;
        self.moved(held.last().map(|m| m.offset() + 1));
        Ok(polled)
    }

    fn moved(&mut self, next: Option<i64>) {
        self.next = next;
        if let Some(next) = next {
            self.pump.report(self.partition, next);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.pump.options.topic, self.partition);
        if let Err(error) = self.pump.consumer.incremental_unassign(&list) {
            self.pump.consumer.context().add(error.rdkafka_error_code(), &format!("{}: {error}", self.origin));
        }
    }
}

/// Some of `messages` need a schema that is not there yet. Those that are there are given to the decoder.
fn missing<M: Message>(decoder: &mut RecordDecoder, pump: &Pump, messages: &[M]) -> bool {
    let mut waiting = false;
    for message in messages {
        let record = Record { key: message.key(), value: message.payload(), ..Record::default() };
        // A key and a value may each need one.
        while let Some(id) = decoder.missing_schema(&record) {
            match pump.schema(id) {
                Some(Ok(text)) => decoder.add_schema(id, Ok(&text)),
                Some(Err(reason)) => decoder.add_schema(id, Err(reason)),
                None => {
                    waiting = true;
                    break;
                }
            }
        }
    }
    waiting
}

fn decode<M: Message>(
    decoder: &mut RecordDecoder,
    origin: &Arc<str>,
    projection: &[usize],
    messages: &[M],
) -> Result<Polled> {
    let with_headers = decoder.wants_headers();
    let records: Vec<Record<'_>> = messages.iter().map(|m| record(m, with_headers)).collect();
    let bytes = messages.iter().map(|m| m.payload_len() + m.key_len()).sum();
    let decoded = decoder.decode(&records, origin)?;
    Ok(Polled::Rows { rows: decoded.rows.project(projection)?, dead: decoded.dead, bytes })
}

fn record<M: Message>(message: &M, with_headers: bool) -> Record<'_> {
    let headers = message.headers().filter(|_| with_headers).map(|h| h.iter().map(|h| (h.key, h.value)).collect());
    Record {
        key: message.key(),
        value: message.payload(),
        partition: message.partition(),
        offset: u64::try_from(message.offset()).unwrap_or(0),
        timestamp: match message.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => Some(millis),
        },
        headers: headers.unwrap_or_default(),
    }
}

/// The error of the query that `error` is, if it will not go away by itself.
fn fatal(error: &KafkaError, origin: &str, next: Option<i64>) -> Option<Error> {
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
            let at = next.map_or_else(|| "its start".to_owned(), |n| format!("offset {n}"));
            Some(Error::invalid_with_hint(
                format!(
                    "partition {origin} no longer has {at}: records were lost to retention, or the topic was recreated"
                ),
                "Drop the source and create it anew to go on with what is there.",
            ))
        }
        _ => None,
    }
}

trait Lengths {
    fn payload_len(&self) -> usize;
    fn key_len(&self) -> usize;
}

impl<M: Message> Lengths for M {
    fn payload_len(&self) -> usize {
        self.payload().map_or(0, <[u8]>::len)
    }

    fn key_len(&self) -> usize {
        self.key().map_or(0, <[u8]>::len)
    }
}
