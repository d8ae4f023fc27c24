//! The progress topic: how far each sink is, in records that are part of the sink's own transactions.
//! It must not know what a sink sends.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use thalweg_core::{Epoch, Error, Incarnation, SinkError};

use super::client::{ANSWER, Client, Complaints, no_answer, no_topic};
use crate::block::block_on;

/// How long open transactions of other sinks are waited for when the topic is read.
const PATIENCE: Duration = Duration::from_secs(70);

/// How far a sink is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last epoch that the target holds.
    pub(super) epoch: Option<Epoch>,
    /// Who was the last to write.
    pub(super) incarnation: Incarnation,
}

impl Progress {
    /// The value of its record.
    pub(super) fn encode(&self) -> Vec<u8> {
        let epoch = self.epoch.map(|e| e.0);
        json!({ "epoch": epoch, "incarnation": self.incarnation.0 }).to_string().into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let epoch = match value.get("epoch")? {
            Value::Null => None,
            number => Some(Epoch(number.as_u64()?)),
        };
        Some(Self { epoch, incarnation: Incarnation(value.get("incarnation")?.as_u64()?) })
    }
}

/// The key of the records of one shard of a sink.
pub(super) fn key(cluster: &str, sink: &str, shard: u32) -> Vec<u8> {
    json!({ "cluster": cluster, "sink": sink, "shard": shard }).to_string().into_bytes()
}

/// The progress topic of a broker.
#[derive(Clone, Debug)]
pub(super) struct ProgressTopic {
    pub(super) client: Client,
    pub(super) topic: String,
}

impl ProgressTopic {
    /// Makes the topic if it is not there.
    pub(super) fn ensure(&self) -> Result<(), SinkError> {
        let config = self.client.config();
        let topic = self.topic.clone();
        let made = block_on(async move {
            let admin: AdminClient<_> = config.create()?;
            let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1))
                .set("cleanup.policy", "compact")
                .set("segment.bytes", "16777216")
                .set("min.cleanable.dirty.ratio", "0.1");
            let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
            let results = admin.create_topics([&new], &options).await?;
            for result in results {
                match result {
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((_, code)) => return Err(KafkaError::AdminOp(code)),
                }
            }
            Ok(())
        });
        match made.unwrap_or(Err(KafkaError::Canceled)) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed("the progress topic cannot be made", &error)),
        }
    }

    /// The newest progress under `key` that is committed. `decided`: waits until every transaction that has written to
    /// the topic before now is either committed or aborted, so that none is overlooked.
    pub(super) fn read(&self, key: &[u8], decided: bool) -> Result<Option<Progress>, SinkError> {
        let failed = |error: KafkaError| self.failed("the progress topic cannot be read", &error);
        let committed = self.consumer("read_committed").map_err(failed)?;
        let partitions = topic_partitions(&committed, &self.client, &self.topic)?;
        if decided {
            let uncommitted = self.consumer("read_uncommitted").map_err(failed)?;
            let deadline = Instant::now() + PATIENCE;
            for partition in &partitions {
                let end = uncommitted.fetch_watermarks(&self.topic, *partition, ANSWER).map_err(failed)?.1;
                while committed.fetch_watermarks(&self.topic, *partition, ANSWER).map_err(failed)?.1 < end {
                    if Instant::now() > deadline {
                        return Err(SinkError::Again(Error::invalid(format!(
                            "another transaction in topic {} stays open",
                            self.topic
                        ))));
                    }
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        }
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            list.add_partition_offset(&self.topic, *partition, Offset::Beginning).map_err(failed)?;
        }
        committed.assign(&list).map_err(failed)?;
        self.newest(&committed, key, partitions.len())
    }

    /// Reads `consumer` to the end of all its partitions.
    fn newest(
        &self,
        consumer: &BaseConsumer<Complaints>,
        key: &[u8],
        mut open: usize,
    ) -> Result<Option<Progress>, SinkError> {
        let mut newest = None;
        let mut deadline = Instant::now() + ANSWER * 2;
        while open > 0 {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    deadline = Instant::now() + ANSWER * 2;
                    if message.key() == Some(key) {
                        let value = message.payload().unwrap_or_default();
                        let progress = Progress::decode(value).ok_or_else(|| {
                            SinkError::Fatal(Error::invalid(format!(
                                "record {} of topic {} is no progress of a sink: {}",
                                message.offset(),
                                self.topic,
                                String::from_utf8_lossy(&value[..value.len().min(200)])
                            )))
                        })?;
                        newest = Some(progress);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    return Err(self.failed("the progress topic cannot be read", &error));
                }
                Some(Err(_)) | None => {}
            }
            if Instant::now() > deadline {
                return Err(SinkError::Again(no_answer(&self.client.bootstrap, &"the progress topic does not come")));
            }
        }
        Ok(newest)
    }

    fn consumer(&self, isolation: &str) -> KafkaResult<BaseConsumer<Complaints>> {
        let mut config: ClientConfig = self.client.config();
        config
            .set("group.id", "thalweg-progress")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "earliest")
            // The end of the topic is waited for: the broker is to say at once that there is no more.
            .set("fetch.wait.max.ms", "10")
            .set("isolation.level", isolation);
        config.create_with_context(Complaints::new(self.topic.clone()))
    }

    fn failed(&self, what: &str, error: &KafkaError) -> SinkError {
        judged(error, format!("{what} ({}): {error}", self.topic))
    }
}

/// The partitions of a topic that must exist.
pub(super) fn topic_partitions(
    consumer: &BaseConsumer<Complaints>,
    client: &Client,
    topic: &str,
) -> Result<Vec<i32>, SinkError> {
    // A topic that has only just been made may not be known everywhere.
    let deadline = Instant::now() + ANSWER;
    loop {
        let metadata = match consumer.fetch_metadata(Some(topic), ANSWER) {
            Ok(metadata) => metadata,
            Err(error) => {
                if let Some(reason) = consumer.context().lasting() {
                    return Err(SinkError::Fatal(no_answer(&client.bootstrap, &reason)));
                }
                return Err(SinkError::Again(no_answer(&client.bootstrap, &error)));
            }
        };
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        let error = found.and_then(|t| t.error()).map(RDKafkaErrorCode::from);
        match (found, error) {
            (Some(topic), None) if !topic.partitions().is_empty() => {
                return Ok(topic.partitions().iter().map(|p| p.id()).collect());
            }
            (_, Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(SinkError::Fatal(Error::invalid(format!("topic '{topic}': {code}"))));
            }
            _ if Instant::now() > deadline => return Err(SinkError::Again(no_topic(topic, &client.bootstrap))),
            _ => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}

/// An error of the client: whether a person must act, or it is to be tried again.
pub(super) fn judged(error: &KafkaError, message: String) -> SinkError {
    use RDKafkaErrorCode as C;
    match error.rdkafka_error_code() {
        Some(
            C::TopicAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::PolicyViolation
            | C::InvalidReplicationFactor,
        ) => {
            SinkError::Fatal(Error::invalid_with_hint(message, "Grant the right on the broker, or change the options."))
        }
        Some(C::InvalidTransactionTimeout) => SinkError::Fatal(Error::invalid_with_hint(
            message,
            "Set properties.transaction.timeout.ms to at most the broker's transaction.max.timeout.ms.",
        )),
        Some(C::MessageSizeTooLarge) => SinkError::Fatal(Error::invalid_with_hint(
            message,
            "Raise properties.message.max.bytes and the topic's max.message.bytes, or make the rows smaller.",
        )),
        Some(C::UnsupportedFeature | C::UnsupportedVersion) => SinkError::Fatal(Error::invalid(message)),
        _ => SinkError::Again(Error::invalid(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_back_as_it_was_written() {
        for progress in [
            Progress { epoch: None, incarnation: Incarnation(1) },
            Progress { epoch: Some(Epoch(0)), incarnation: Incarnation(2) },
            Progress { epoch: Some(Epoch(u64::MAX)), incarnation: Incarnation(u64::MAX) },
        ] {
            assert_eq!(Progress::decode(&progress.encode()), Some(progress));
        }
        for bad in [&b""[..], b"{}", b"{\"epoch\":-1,\"incarnation\":1}", b"{\"epoch\":1}", b"\xff"] {
            assert_eq!(Progress::decode(bad), None);
        }
    }
}
