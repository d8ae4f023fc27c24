//! The embedded log behind every push input: what it has acknowledged is durable.
//!
//! Owns topics of record batches on a disk, their durability, order, retention and recovery. It must not know SQL,
//! engines or protocols.
//!
//! ```text
//! manifest-00000000000000000007      which topics there are, and what of them is certain
//! marks-00000000000000000007         what has become certain since
//! reserve                            space for a manifest on a full disk
//! topics/orders-3/0/                 topic "orders", number 3, partition 0
//!     00000000000000000000.log       a closed segment: record batches from offset 0 on
//!     00000000000000001234.log       the one that grows
//! ```
//!
//! [`Hub::append`] writes to the operating system and returns a [`Ticket`]; one thread syncs each file that has
//! something new, once for all who wait (`flush.rs`). Crashes are met in `recover.rs`.

mod append;
mod batch;
mod error;
mod flush;
mod hub;
mod index;
mod limits;
mod log;
mod manifest;
mod marks;
mod read;
mod record;
mod recover;
mod retain;
mod scan;
pub mod smoke;
mod state;
mod statistics;
#[cfg(test)]
mod tests;
mod topic;
mod topics;

pub use append::{Append, Appended};
pub use batch::{Batch, BatchError, BatchHeader, Compression, Encoding, Producer, encode, set_base_offset};
pub use error::{HubError, Result};
pub use hub::{Hub, Ticket};
pub use limits::{
    MAX_APPENDS, MAX_BATCH_BYTES, MAX_PENDING_APPENDS, MAX_PENDING_BYTES, MAX_TOPIC_NAME_BYTES, MAX_TOPICS,
    SEGMENT_BYTES,
};
pub use read::Visibility;
pub use record::{Header, Record};
pub use recover::{Cut, Recovered};
pub use retain::Removed;
pub use statistics::Statistics;
pub use topic::TopicOptions;
