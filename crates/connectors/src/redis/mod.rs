//! `redis`: keys of a Redis or Valkey as a sink. It must not know who reads them.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `redis.url` | `redis://host:port/db`, `rediss://…` for TLS, `redis+unix:///path?db=0` | required |
//! | `username`, `password` | the login | |
//! | `ssl.ca.pem` | the authorities that `rediss` trusts, as PEM text | the system's |
//! | `ssl.certificate.pem`, `ssl.private.key.pem` | the client's own certificate | |
//! | `data_type` | `hash`, `string`, `stream` | `hash` |
//! | `primary_key` | columns that name a row's key | the query's key |
//! | `key_prefix`, `key_format` | how a key is written | one of them is required, but for streams |
//! | `value_format` | how a string, or the field `value` of an entry, is written | JSON; the columns as fields |
//! | `ttl.seconds` | a row's key is gone so long after its last change | never |
//! | `stream`, `stream.maxlen` | the key of the stream; about how many entries it keeps | required; all |
//! | `type`, `force_append_only` | of a stream: `append-only`, `upsert`; leaves out what is taken back | by the query; `false` |
//! | `wait_aof` | a delivery is confirmed when the append-only file holds it | `true` |
//! | `timeout.millis` | how long the server may take to connect, and for one answer | `60000` |
//!
//! A delivery is one `MULTI … EXEC`, which also writes how far the sink is into a hash of its own. It watches that hash,
//! so that a server which was replaced cannot deliver any more. So each epoch is there once, as far as Redis itself
//! keeps what it has confirmed.

mod commands;
mod connect;
mod health;
mod key;
mod options;
mod progress;
mod rows;
mod sink;
mod stream;
mod transaction;

use thalweg_core::{EpochSink, Result};

use crate::registry::EpochSinkRequest;
use options::SinkOptions;
use sink::RedisSink;

/// The sink that `request` describes.
pub(crate) fn epoch_sink(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    let options = SinkOptions::parse(&request)?;
    Ok(Box::new(RedisSink::new(request.name, &request.cluster, &request.id, options)))
}
