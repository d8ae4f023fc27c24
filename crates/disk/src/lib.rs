//! The few file operations that durability is made of, so that whatever must survive a crash can run on a twin that
//! forgets.
//!
//! Owns the traits [`Disk`] and [`DiskFile`], the real [`LocalDisk`], the simulated [`SimDisk`], the one order of
//! fsyncs, [`durable_publish`], and the smallest file that is made with it, a note. It must not know what the files
//! hold.

mod disk;
mod error;
mod local;
mod note;
mod publish;
mod sim;

pub use disk::{Disk, DiskFile, Entry};
pub use error::{DiskError, DiskErrorKind, Operation, Result};
pub use local::LocalDisk;
pub use note::{make_note, read_note};
pub use publish::{NewFile, durable_folder, durable_publish};
pub use sim::{CrashState, CrashStates, Fault, Rng, SimDisk};
