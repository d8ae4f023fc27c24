//! What survives a restart: append-only logs of checksummed records, checkpoints, notes, and the lock on a data
//! directory.
//!
//! Owns files under the data directory and the order in which they are made durable. It must not know what a record
//! means.

pub mod checkpoint;
mod directory;
mod log;
pub mod smoke;

pub use directory::DataDirectory;
pub use log::{Log, Replayed};
pub use thalweg_disk::{make_note, read_note};
