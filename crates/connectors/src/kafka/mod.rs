//! `kafka`: topics of Apache Kafka, and of what speaks its protocol, as sources and as sinks.
//! It must not know who reads or writes them.
//!
//! Options of both:
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `topic` | the topic, which must exist | required |
//! | `properties.bootstrap.server` | `host:port`, several separated by commas | required |
//! | `properties.*` | security and tuning of the client; see `client.rs` for what is allowed | |
//! | `schema.registry`, `.username`, `.password` | a registry with Confluent's routes | |
//! | `message`, `schema.location` | type and compiled descriptors of Protobuf; a file with an Avro schema | |
//!
//! Of a source:
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `scan.startup.mode` | `earliest`, `latest`, `timestamp`, `offset` | `earliest` |
//! | `scan.startup.timestamp.millis`, `scan.startup.offsets` | for the last two; `0:42,1:7` | |
//! | `scan.bounded.mode` | `latest`: it ends at what is there when it is opened | `unbounded` |
//! | `isolation.level` | `read_committed` or `read_uncommitted` | `read_committed` |
//! | `group.id.prefix` | the group that monitoring sees is `PREFIX-SOURCE` | `thalweg` |
//! | `format` | `plain`, `upsert`, `debezium` | `plain` |
//! | `encode` | `json`, `csv`, `bytes`, `avro`, `protobuf`; `format = 'json'` is short for plain JSON | `json` |
//! | `include` | columns beside the value: `key as k, partition as p, header 'x' as y` | |
//! | `key.columns`, `key.encode` | columns that the key fills | those that a JSON key names |
//! | `timestamptz.handling.mode` | what numbers count: `milli`, `micro`, `guess` | `milli`, Debezium `guess` |
//!
//! Rows of `upsert` and `debezium` end with a column `$write` (Int8): 0 puts a row in the place of the one with its
//! key, 1 takes it away, and then only the key's columns mean something.
//!
//! Of a sink:
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `type` or `format` | `append-only`/`plain`, `upsert`, `debezium` | by the query |
//! | `encode` | `json`, `avro`, `protobuf` | `json` |
//! | `primary_key` | columns of the record's key | the query's key |
//! | `key.encode` | `json` or `text` | `json`, with Avro also Avro |
//! | `force_append_only` | leaves out what is taken back | `false` |
//! | `delivery` | `exactly_once` or `at_least_once` | `exactly_once` |
//! | `progress.topic` | where transactions keep the sink's progress | `thalweg-progress` |
//!
//! What an exactly-once sink sends is complete only to readers at `read_committed`.

mod client;
mod layout;
mod options;
mod progress;
mod pump;
mod records;
mod registry;
mod sink;
mod sink_options;
mod source;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{EpochSink, Options, Result, Source};
use thalweg_formats::record::Envelope;

use crate::registry::{EpochSinkRequest, SourceRequest};
use options::SourceOptions;
use sink::KafkaSink;
use sink_options::SinkOptions;
use source::KafkaSource;

/// The source that `request` describes.
pub(crate) fn source(request: SourceRequest) -> Result<Arc<dyn Source>> {
    let options = SourceOptions::parse(request.options)?;
    Ok(Arc::new(KafkaSource::new(request.name, options, request.declared, request.projection)?))
}

/// Whether the format has records that replace and remove rows.
pub(crate) fn writes(options: Options) -> Result<bool> {
    Ok(SourceOptions::parse(options)?.layout.envelope != Envelope::Plain)
}

/// The columns that the schema of the values has.
pub(crate) fn infer(options: Options) -> Result<SchemaRef> {
    SourceOptions::parse(options)?.layout.infer()
}

/// The sink that `request` describes.
pub(crate) fn epoch_sink(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    let options = SinkOptions::parse(&request)?;
    Ok(Box::new(KafkaSink::new(request.name, request.id, request.cluster, options)))
}
