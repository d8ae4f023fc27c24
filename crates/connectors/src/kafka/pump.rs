//! `Pump`: what a source does beside reading, on a thread of its own, so that no reader waits for a broker: it serves
//! the client's callbacks, finds partitions and where they begin, fetches schemas, and tells the group how far readers
//! are. It must not know rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use thalweg_core::{Error, Result};

use super::client::{ANSWER, Complaints, no_answer, no_topic};
use super::options::{SourceOptions, Startup};
use super::registry::Refusal;

/// Between two looks for new partitions.
const DISCOVERY: Duration = Duration::from_secs(2);
/// Between two looks while the first has not succeeded, and between two questions for a schema.
const RETRY: Duration = Duration::from_millis(250);
/// Between two reports to the group.
const REPORT: Duration = Duration::from_secs(5);
/// How long callbacks are waited for at a time.
const SERVE: Duration = Duration::from_millis(50);
/// A topic that is not there for this long does not exist: one that was made a moment ago is not known at once.
const NOT_THERE: Duration = Duration::from_secs(2);
/// A topic that was there and is not for this long has been deleted: a broker that has just started knows none.
const DELETED: Duration = Duration::from_secs(30);
/// Schemas that wait to be fetched; more are asked for again by their readers.
const MAX_WANTED: usize = 256;

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The first offset; `None`: the oldest that is kept.
    pub(super) start: Option<i64>,
    /// The offset after the last one, for a bounded source.
    pub(super) end: Option<i64>,
}

/// What the pump has found.
#[derive(Debug, Default)]
struct Found {
    partitions: BTreeMap<i32, Range>,
    listed: bool,
    /// What the last look met with.
    failure: Option<Failure>,
    /// Since when looks have not found the topic.
    missing: Option<Instant>,
    wanted: BTreeSet<u32>,
    schemas: HashMap<u32, std::result::Result<String, String>>,
    /// The next offset of every partition that is read.
    positions: BTreeMap<i32, i64>,
}

#[derive(Clone, Debug)]
enum Failure {
    NoTopic,
    NoAnswer(String),
}

/// Shared by a source and its readers. The thread ends when they are gone.
pub(super) struct Pump {
    pub(super) options: SourceOptions,
    pub(super) consumer: Arc<BaseConsumer<Complaints>>,
    found: Mutex<Found>,
    changed: Condvar,
}

impl Pump {
    /// Starts it for the source `name`.
    pub(super) fn start(name: &str, options: SourceOptions) -> Result<Arc<Self>> {
        let mut config = options.client.config();
        config
            .set("group.id", format!("{}-{name}", options.group_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", if options.bounded { "true" } else { "false" })
            .set("isolation.level", if options.uncommitted { "read_uncommitted" } else { "read_committed" });
        // What the client holds for each partition that is read: 2 MiB, or a single larger record. When there is room again
        // it goes on at once: its default is to wait for a second.
        let small =
            [("queued.max.messages.kbytes", "2048"), ("fetch.max.bytes", "16777216"), ("fetch.queue.backoff.ms", "2")];
        for (name, value) in small {
            if options.client.property(name).is_none() {
                config.set(name, value);
            }
        }
        let created: KafkaResult<BaseConsumer<Complaints>> =
            config.create_with_context(Complaints::new(name.to_owned()));
        let consumer = created.map_err(|e| Error::invalid(super::client::explain_config(&e)))?;
        let pump =
            Arc::new(Self { options, consumer: Arc::new(consumer), found: Mutex::default(), changed: Condvar::new() });
        let weak = Arc::downgrade(&pump);
        std::thread::Builder::new()
            .name("kafka-pump".to_owned())
            .spawn(move || run(&weak))
            .map_err(|e| Error::io("thread of a Kafka source", e))?;
        Ok(pump)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that are known. Waits for the first look, at most as long as a broker may take to answer.
    ///
    /// # Errors
    /// The topic does not exist, or the broker refuses us; of a bounded source also: it does not answer.
    pub(super) fn partitions(&self) -> Result<Vec<i32>> {
        let started = Instant::now();
        let mut found = self.lock();
        while !found.listed {
            let bootstrap = &self.options.client.bootstrap;
            if let Some(reason) = self.consumer.context().lasting() {
                return Err(no_answer(bootstrap, &reason));
            }
            match &found.failure {
                Some(Failure::NoTopic) => return Err(no_topic(&self.options.topic, bootstrap)),
                Some(Failure::NoAnswer(reason)) if self.options.bounded => return Err(no_answer(bootstrap, reason)),
                // It is looked for again and again; until then the source is idle.
                Some(Failure::NoAnswer(_)) => return Ok(Vec::new()),
                None => {}
            }
            let Some(left) = ANSWER.checked_sub(started.elapsed()) else {
                let failure = Failure::NoAnswer("it takes too long".to_owned());
                found.failure.get_or_insert(failure);
                continue;
            };
            found = self.changed.wait_timeout(found, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(Failure::NoTopic) = found.failure {
            return Err(Error::invalid_with_hint(
                format!("topic '{}' has been deleted", self.options.topic),
                "Drop the source, or create the topic and the source anew.",
            ));
        }
        Ok(found.partitions.keys().copied().collect())
    }

    /// Where a known partition begins and ends.
    pub(super) fn range(&self, partition: i32) -> Option<Range> {
        self.lock().partitions.get(&partition).copied()
    }

    /// The schema `id`, or why it cannot be had; `None` while it is being fetched.
    pub(super) fn schema(&self, id: u32) -> Option<std::result::Result<String, String>> {
        let mut found = self.lock();
        let known = found.schemas.get(&id).cloned();
        if known.is_none() && found.wanted.len() < MAX_WANTED {
            found.wanted.insert(id);
        }
        known
    }

    /// A reader stands at `next`.
    pub(super) fn report(&self, partition: i32, next: i64) {
        self.lock().positions.insert(partition, next);
    }

    /// A look for partitions.
    fn look(&self) {
        let topic = &self.options.topic;
        let looked = self.consumer.fetch_metadata(Some(topic), ANSWER).and_then(|metadata| {
            let topic = metadata.topics().iter().find(|t| t.name() == topic);
            let topic = topic.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition))?;
            if let Some(error) = topic.error() {
                return Err(KafkaError::MetadataFetch(error.into()));
            }
            Ok(topic.partitions().iter().map(|p| p.id()).collect::<Vec<i32>>())
        });
        let (known, first) = {
            let found = self.lock();
            (found.partitions.keys().copied().collect::<BTreeSet<i32>>(), !found.listed)
        };
        let ranges = looked.and_then(|ids| {
            let new = ids.into_iter().filter(|id| !known.contains(id));
            new.map(|id| Ok((id, self.range_of(id, first)?))).collect::<KafkaResult<Vec<(i32, Range)>>>()
        });
        let mut found = self.lock();
        match ranges {
            Ok(ranges) => {
                // A bounded source is what was there at the first look.
                if first || !self.options.bounded {
                    found.partitions.extend(ranges);
                }
                found.listed |= !found.partitions.is_empty();
                found.failure = None;
                found.missing = None;
            }
            Err(error) => {
                let code = error.rdkafka_error_code();
                let unknown =
                    matches!(code, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic));
                if unknown {
                    let patience = if found.listed { DELETED } else { NOT_THERE };
                    let since = *found.missing.get_or_insert_with(Instant::now);
                    if since.elapsed() >= patience {
                        found.failure = Some(Failure::NoTopic);
                    }
                } else {
                    found.missing = None;
                    found.failure = Some(Failure::NoAnswer(error.to_string()));
                    self.consumer.context().add(code, &format!("partitions of {topic}: {error}"));
                }
            }
        }
        drop(found);
        self.changed.notify_all();
    }

    /// Where a partition begins that was found at the first look or later: a new one is read from its start.
    fn range_of(&self, partition: i32, first: bool) -> KafkaResult<Range> {
        let topic = &self.options.topic;
        let marks = || self.consumer.fetch_watermarks(topic, partition, ANSWER);
        let start = match &self.options.startup {
            _ if !first => None,
            Startup::Earliest => None,
            Startup::Latest => Some(marks()?.1),
            Startup::Offsets(offsets) => offsets.get(&partition).copied(),
            Startup::Timestamp(millis) => {
                let mut asked = TopicPartitionList::new();
                asked.add_partition_offset(topic, partition, Offset::Offset(*millis))?;
                let answered = self.consumer.offsets_for_times(asked, ANSWER)?;
                match answered.elements().first().map(|e| e.offset()) {
                    Some(Offset::Offset(offset)) => Some(offset),
                    // Nothing is that new.
                    _ => Some(marks()?.1),
                }
            }
        };
        let end = if self.options.bounded { Some(marks()?.1) } else { None };
        Ok(Range { start, end })
    }

    /// Fetches schemas that readers wait for; returns whether some must be asked for again.
    fn fetch(&self) -> bool {
        let Some(registry) = &self.options.layout.registry else { return false };
        let wanted: Vec<u32> = self.lock().wanted.iter().copied().collect();
        let mut waiting = false;
        for id in wanted {
            let schema = match registry.by_id(id) {
                Ok(schema) => Ok(schema),
                Err(Refusal::Final(reason)) => Err(reason),
                Err(Refusal::Again(reason)) => {
                    self.consumer.context().add(None, &format!("schema {id} of the registry: {reason}"));
                    waiting = true;
                    continue;
                }
            };
            let mut found = self.lock();
            found.wanted.remove(&id);
            found.schemas.insert(id, schema);
        }
        waiting
    }

    /// Tells the group how far readers are. Only monitoring looks at it.
    fn tell(&self) {
        let positions = std::mem::take(&mut self.lock().positions);
        let mut list = TopicPartitionList::new();
        for (partition, next) in positions {
            let added = list.add_partition_offset(&self.options.topic, partition, Offset::Offset(next));
            debug_assert!(added.is_ok(), "offsets are not negative");
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            self.consumer.context().add(error.rdkafka_error_code(), &format!("offsets for monitoring: {error}"));
        }
    }
}

fn run(weak: &Weak<Pump>) {
    let (mut look_at, mut fetch_at) = (Instant::now(), Instant::now());
    let mut tell_at = Instant::now() + REPORT;
    loop {
        let Some(pump) = weak.upgrade() else { return };
        let now = Instant::now();
        if now >= look_at {
            pump.look();
            look_at = Instant::now() + if pump.lock().listed { DISCOVERY } else { RETRY };
        }
        if now >= fetch_at {
            let waiting = pump.fetch();
            fetch_at = if waiting { Instant::now() + RETRY } else { now };
        }
        if now >= tell_at {
            pump.tell();
            tell_at = Instant::now() + REPORT;
        }
        // Records go to the queues of their partitions; what comes here are events.
        if let Some(Err(error)) = pump.consumer.poll(SERVE) {
            pump.consumer.context().add(error.rdkafka_error_code(), &error.to_string());
        }
    }
}
