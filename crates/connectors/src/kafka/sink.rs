//! `KafkaSink`: epochs as transactions, with the sink's progress in the same transaction. It must not know how rows are
//! written.
//!
//! A producer whose last call did not plainly succeed is thrown away: what became of that call is then read back from
//! the progress topic when the sink is opened again, and never guessed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};

use super::client::{ANSWER, Complaints, explain_config};
use super::progress::{Progress, ProgressTopic, judged, key, topic_partitions};
use super::records::OutRecord;
use super::sink_options::SinkOptions;

/// A transaction that is not complete after this long is given up by the broker, unless the options say otherwise.
const TRANSACTION: Duration = Duration::from_secs(60);

/// Records that wait in the client, in KiB (64 MiB).
const QUEUED_KBYTES: &str = "65536";

/// The one shard of a sink: its number is part of the names at the target.
const SHARD: u32 = 0;

/// What a delivery has come to.
struct Delivery {
    complaints: Complaints,
    failed: Mutex<Option<KafkaError>>,
    delivered: AtomicU64,
}

impl Delivery {
    fn failure(&self) -> Option<KafkaError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Delivery {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// A topic as a sink.
pub(super) struct KafkaSink {
    name: String,
    id: String,
    cluster: String,
    options: SinkOptions,
    open: Option<Open>,
}

/// An open sink.
struct Open {
    producer: BaseProducer<Delivery>,
    incarnation: Incarnation,
}

impl KafkaSink {
    pub(super) fn new(name: String, id: String, cluster: String, options: SinkOptions) -> Self {
        Self { name, id, cluster, options, open: None }
    }

    fn progress(&self) -> ProgressTopic {
        ProgressTopic { client: self.options.client.clone(), topic: self.options.progress_topic.clone() }
    }

    fn timeout(&self) -> Duration {
        let given = self.options.client.property("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        given.map_or(TRANSACTION, Duration::from_millis)
    }

    fn producer(&self) -> Result<BaseProducer<Delivery>, SinkError> {
        let mut config = self.options.client.config();
        config.set("enable.idempotence", "true").set("acks", "all").set("partitioner", "murmur2_random");
        // A transaction is a chain of small questions: none of them is to wait for company. A new one is refused for the
        // few milliseconds in which the broker completes the one before it, and then tried again.
        for (name, value) in [
            ("linger.ms", "1"),
            ("socket.nagle.disable", "true"),
            ("retry.backoff.ms", "10"),
            ("queue.buffering.max.kbytes", QUEUED_KBYTES),
        ] {
            if self.options.client.property(name).is_none() {
                config.set(name, value);
            }
        }
        if self.options.client.property("message.timeout.ms").is_none() {
            config.set("message.timeout.ms", self.timeout().as_millis().to_string());
        }
        if self.options.exactly_once {
            config
                .set("transactional.id", format!("thalweg-{}-{}-{SHARD}", self.cluster, self.id))
                .set("transaction.timeout.ms", self.timeout().as_millis().to_string());
        }
        let delivery = Delivery {
            complaints: Complaints::new(self.name.clone()),
            failed: Mutex::default(),
            delivered: AtomicU64::new(0),
        };
        let created: KafkaResult<BaseProducer<Delivery>> = config.create_with_context(delivery);
        created.map_err(|e| SinkError::Fatal(Error::invalid(explain_config(&e))))
    }

    /// The topic is there.
    fn check_topic(&self) -> Result<(), SinkError> {
        let config = self.options.client.config();
        let consumer: KafkaResult<BaseConsumer<Complaints>> =
            config.create_with_context(Complaints::new(self.name.clone()));
        let consumer = consumer.map_err(|e| SinkError::Fatal(Error::invalid(explain_config(&e))))?;
        topic_partitions(&consumer, &self.options.client, &self.options.topic).map(|_| ())
    }

    /// The progress at the target, unless someone newer has written it.
    fn stored(&self, incarnation: Incarnation, decided: bool) -> Result<Option<Progress>, SinkError> {
        let stored = self.progress().read(&key(&self.cluster, &self.id, SHARD), decided)?;
        match stored {
            Some(stored) if stored.incarnation > incarnation => Err(SinkError::Fatal(Error::invalid_with_hint(
                format!(
                    "the target has seen incarnation {} of sink {}; this is only {}",
                    stored.incarnation.0, self.name, incarnation.0
                ),
                "Another server runs on a newer copy of the data directory: stop one of them.",
            ))),
            stored => Ok(stored),
        }
    }

    fn deliver_open(&self, open: &Open, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let producer = &open.producer;
        let again = |what: &str, error: &KafkaError| judged(error, format!("sink {}: {what}: {error}", self.name));
        let deadline = Instant::now() + self.timeout();
        let before = producer.context().delivered.load(Ordering::Relaxed);
        let mut sent = 0;
        if self.options.exactly_once {
            producer.begin_transaction().map_err(|e| again("a transaction cannot begin", &e))?;
        }
        for rows in epochs {
            let records = self.options.records.encode(&rows.deltas).map_err(SinkError::Fatal)?;
            for (seq, record) in records.iter().enumerate() {
                self.send(producer, rows.epoch, seq, record, deadline)?;
                sent += 1;
            }
        }
        if self.options.exactly_once {
            let progress = Progress { epoch: Some(upto), incarnation: open.incarnation };
            thalweg_core::failpoint!("kafka.records_handed");
            self.send_progress(producer, progress, deadline)?;
            thalweg_core::failpoint!("kafka.progress_handed");
            sent += 1;
        }
        self.settle(producer, deadline)?;
        let delivered = producer.context().delivered.load(Ordering::Relaxed) - before;
        thalweg_core::failpoint!("kafka.settled");
        if delivered != sent {
            return Err(SinkError::Again(Error::Internal(format!(
                "{delivered} of {sent} records were reported taken"
            ))));
        }
        if self.options.exactly_once {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
            producer.commit_transaction(left).map_err(|e| again("what became of the commit is not known", &e))?;
            thalweg_core::failpoint!("kafka.committed");
        }
        Ok(())
    }

    fn send(
        &self,
        producer: &BaseProducer<Delivery>,
        epoch: Epoch,
        seq: usize,
        record: &OutRecord,
        deadline: Instant,
    ) -> Result<(), SinkError> {
        let (epoch, seq) = (epoch.0.to_string(), seq.to_string());
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: "tw-epoch", value: Some(&epoch) })
            .insert(Header { key: "tw-seq", value: Some(&seq) });
        let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.options.topic).headers(headers);
        if let Some(key) = &record.key {
            out = out.key(key);
        }
        if let Some(value) = &record.value {
            out = out.payload(value);
        }
        self.enqueue(producer, out, deadline)
    }

    fn send_progress(
        &self,
        producer: &BaseProducer<Delivery>,
        progress: Progress,
        deadline: Instant,
    ) -> Result<(), SinkError> {
        let (key, value) = (key(&self.cluster, &self.id, SHARD), progress.encode());
        let out: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&self.options.progress_topic).key(&key[..]).payload(&value[..]);
        self.enqueue(producer, out, deadline)
    }

    /// Waits until there is a report of every record. The library's own flush looks only ten times a second.
    fn settle(&self, producer: &BaseProducer<Delivery>, deadline: Instant) -> Result<(), SinkError> {
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
            if Instant::now() > deadline {
                return Err(SinkError::Again(Error::invalid(format!(
                    "sink {}: {} records were not taken in time",
                    self.name,
                    producer.in_flight_count()
                ))));
            }
        }
        match producer.context().failure() {
            Some(error) => Err(judged(&error, format!("sink {}: a record was not taken: {error}", self.name))),
            None => Ok(()),
        }
    }

    /// Hands a record to the client, which keeps a bounded number of them.
    fn enqueue(
        &self,
        producer: &BaseProducer<Delivery>,
        mut record: BaseRecord<'_, [u8], [u8]>,
        deadline: Instant,
    ) -> Result<(), SinkError> {
        loop {
            let (error, back) = match producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || Instant::now() > deadline {
                return Err(judged(&error, format!("sink {}: a record was not taken: {error}", self.name)));
            }
            if let Some(error) = producer.context().failure() {
                return Err(judged(&error, format!("sink {}: a record was not taken: {error}", self.name)));
            }
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
}

impl EpochSink for KafkaSink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.open = None;
        self.check_topic()?;
        self.options.prepare()?;
        if !self.options.exactly_once {
            self.open = Some(Open { producer: self.producer()?, incarnation });
            return Ok(None);
        }
        self.progress().ensure()?;
        // One that is outdated is sent away before it can shut out the one that replaced it.
        self.stored(incarnation, false)?;
        let producer = self.producer()?;
        // From here on nobody before us can write; what they left open is aborted.
        producer
            .init_transactions(ANSWER * 3)
            .map_err(|e| judged(&e, format!("sink {}: transactions cannot be initialised: {e}", self.name)))?;
        thalweg_core::failpoint!("kafka.initialised");
        let stored = self.stored(incarnation, true)?;
        let epoch = stored.and_then(|s| s.epoch);
        let open = Open { producer, incarnation };
        if stored.is_none_or(|s| s.incarnation < incarnation) {
            self.claim(&open, epoch)?;
            thalweg_core::failpoint!("kafka.claimed");
        }
        self.open = Some(open);
        Ok(epoch)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else {
            return Err(SinkError::Again(Error::Internal(format!("sink {} is not open", self.name))));
        };
        self.deliver_open(&open, epochs, upto)?;
        self.open = Some(open);
        Ok(())
    }
}

impl KafkaSink {
    /// Writes who we are, so that anyone before us is known to be outdated.
    fn claim(&self, open: &Open, epoch: Option<Epoch>) -> Result<(), SinkError> {
        let again = |error: KafkaError| judged(&error, format!("sink {}: it cannot be claimed: {error}", self.name));
        let deadline = Instant::now() + self.timeout();
        open.producer.begin_transaction().map_err(again)?;
        self.send_progress(&open.producer, Progress { epoch, incarnation: open.incarnation }, deadline)?;
        self.settle(&open.producer, deadline)?;
        open.producer.commit_transaction(self.timeout()).map_err(again)
    }
}
