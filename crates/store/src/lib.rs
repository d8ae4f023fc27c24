//! What survives a restart: append-only logs of checksummed records, checkpoints, and the lock on a data
//! directory.
//!
//! Owns files under the data directory and the order in which they are made durable. It must not know what a record
//! means.

pub mod checkpoint;
mod directory;
mod log;

pub use directory::DataDirectory;
pub use log::{Log, Replayed};
