//! `postgres`: a table of PostgreSQL as a sink. It must not know who reads it.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `host`, `port` | the server | `localhost`, `5432` |
//! | `user`, `password`, `database` | the login | `user` is required; the database of its name |
//! | `schema`, `table` | the table | `public`; `table` is required |
//! | `create_table` | makes the table if it is not there | `true` |
//! | `type` | `append-only`, `upsert` | by the query |
//! | `primary_key` | columns by which a row is replaced | the query's key |
//! | `force_append_only` | leaves out what is taken back | `false` |
//! | `sslmode` | `disable`, `prefer`, `require`, `verify-full` | `prefer` |
//! | `ssl.ca.pem` | the authorities that `verify-full` trusts, as PEM text | |
//! | `timeout.millis` | how long the server may take to connect, and for one statement | `60000` |
//!
//! A delivery is one transaction, which also writes how far the sink is into the table `thalweg_progress` beside the
//! target. So each epoch is there once, whatever fails.

mod connect;
mod options;
mod progress;
mod sink;
mod table;
mod tls;
mod types;
mod values;

use thalweg_core::{EpochSink, Result};

use crate::registry::EpochSinkRequest;
use options::SinkOptions;
use sink::PostgresSink;

/// The sink that `request` describes.
pub(crate) fn epoch_sink(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    let options = SinkOptions::parse(&request)?;
    Ok(Box::new(PostgresSink::new(request.name, request.cluster, request.id, options)))
}
