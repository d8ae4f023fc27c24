//! Topics, written with the bare client library and read with the server's own Java consumer.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::Broker;

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub struct Put {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp: Option<i64>,
    pub headers: Vec<(String, String)>,
}

/// A record as a consumer has seen it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub partition: i32,
    pub offset: u64,
    pub headers: String,
    pub key: String,
    pub value: String,
}

impl Broker {
    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: u32) {
        let partitions = partitions.to_string();
        self.tool("org.apache.kafka.tools.TopicCommand", &["--create", "--topic", topic, "--partitions", &partitions]);
    }

    /// Gives a topic more partitions.
    pub fn alter(&self, topic: &str, partitions: u32) {
        let partitions = partitions.to_string();
        self.tool("org.apache.kafka.tools.TopicCommand", &["--alter", "--topic", topic, "--partitions", &partitions]);
    }

    /// Deletes the records of partition 0 before `offset`.
    pub fn delete_records(&self, topic: &str, offset: u64) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":{offset}}}],"version":1}}"#);
        std::fs::write(file.path(), text).expect("written");
        let path = file.path().to_str().expect("a plain path");
        self.tool("org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", path]);
    }

    /// Writes records, each acknowledged.
    pub fn put(&self, topic: &str, records: &[Put]) {
        let producer = producer(self.bootstrap(), &[]);
        send(&producer, topic, records);
        producer.flush(Duration::from_secs(60)).expect("all are taken");
    }

    /// Every record of a topic at `read_committed`, by the Java consumer, in order of partition and offset. A mark is put
    /// at the end of each partition, and everything before the marks is what there is.
    pub fn read_committed(&self, topic: &str) -> Vec<Seen> {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        let mark = format!("mark {}", MARKS.fetch_add(1, Ordering::SeqCst));
        let partitions = self.partitions(topic);
        let put = |partition| Put { partition, value: Some(mark.clone().into_bytes()), ..Put::default() };
        self.put(topic, &(0..partitions).map(put).collect::<Vec<_>>());
        let mut arguments = vec!["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"];
        for property in
            ["print.partition=true", "print.offset=true", "print.headers=true", "print.key=true", "key.separator=\u{1}"]
        {
            arguments.extend(["--formatter-property", property]);
        }
        let mut command = self.tool_command("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (mut seen, mut marked) = (Vec::new(), 0);
        for line in lines {
            let record = parse(&line.expect("text"));
            marked += i32::from(record.value == mark);
            if !record.value.starts_with("mark ") {
                seen.push(record);
            }
            if marked == partitions {
                break;
            }
        }
        assert_eq!(marked, partitions, "the consumer has ended before the end");
        child.kill().expect("stopped");
        child.wait().expect("gone");
        seen.sort();
        seen
    }

    fn partitions(&self, topic: &str) -> i32 {
        let config = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create();
        let client: BaseConsumer = config.expect("a client");
        let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(60)).expect("an answer");
        metadata.topics()[0].partitions().len() as i32
    }
}

/// `Partition:0|Offset:1|h:v|key|value`, parts between the byte 1.
fn parse(line: &str) -> Seen {
    let parts: Vec<&str> = line.split('\u{1}').collect();
    let [partition, offset, headers, key, value] = parts[..] else { panic!("not a record: {line:?}") };
    let number = |text: &str, name: &str| text.strip_prefix(name).expect("named").to_owned();
    Seen {
        partition: number(partition, "Partition:").parse().expect("a number"),
        offset: number(offset, "Offset:").parse().expect("a number"),
        headers: headers.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// A producer with the given settings.
pub fn producer(bootstrap: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("acks", "all").set("enable.idempotence", "true");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// Hands records to the producer.
pub fn send(producer: &BaseProducer, topic: &str, records: &[Put]) {
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(record.partition).headers(headers);
        if let Some(key) = &record.key {
            out = out.key(key);
        }
        if let Some(value) = &record.value {
            out = out.payload(value);
        }
        if let Some(timestamp) = record.timestamp {
            out = out.timestamp(timestamp);
        }
        while let Err((error, back)) = producer.send(out) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
            producer.poll(Duration::from_millis(10));
            out = back;
        }
        producer.poll(Duration::ZERO);
    }
}

/// `{"id": n}` for each number, to one partition.
pub fn numbers(partition: i32, numbers: impl IntoIterator<Item = u64>) -> Vec<Put> {
    let put = |n| Put { partition, value: Some(format!("{{\"id\":{n}}}").into_bytes()), ..Put::default() };
    numbers.into_iter().map(put).collect()
}
