//! The words that every room of Thalweg speaks: batches of change, epochs, watermarks, sources, sinks, errors.
//!
//! Owns the vocabulary and nothing else. It must not know SQL, plans, operators, Timely, files or sockets.
//!
//! The way of the data in these words: a [`Source`] offers [`Split`]s; a [`SplitReader`] yields Arrow rows;
//! they travel as [`DeltaBatch`]es stamped with an [`Epoch`]; an [`EpochHeader`] seals each epoch; a [`Sink`]
//! takes what comes out.

mod delta;
mod epoch;
mod error;
pub mod failpoint;
mod hash;
mod options;
pub mod planted;
mod secret;
mod sink;
mod source;
mod sqlstate;
mod watermark;

pub use delta::DeltaBatch;
pub use epoch::{Epoch, EpochHeader, SourceId, SourceProgress};
pub use error::{Error, Result};
pub use hash::{VNODES, hash_bytes, hash_columns, vnode};
pub use options::{OptionValue, Options, nearest};
pub use secret::Secret;
pub use sink::{EpochRows, EpochSink, Incarnation, Sink, SinkError};
pub use source::{DeadLetter, Offset, Polled, Source, Split, SplitReader, WRITE_COLUMN, dead_schema, writes_schema};
pub use sqlstate::{SqlError, SqlState};
pub use watermark::Watermark;

/// The key of a field's metadata that names its PostgreSQL type where the Arrow type alone does not tell: `oid`, `name`,
/// `jsonb`, `regclass`, `int2vector`, …
pub const PG_TYPE: &str = "pg_type";
