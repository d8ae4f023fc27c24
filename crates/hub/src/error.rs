//! `HubError`: what a call on the hub can fail with. It must not carry records.

use std::path::PathBuf;

use thalweg_core::Error;
use thalweg_disk::{DiskError, DiskErrorKind};

use crate::batch::BatchError;

/// Result of a call on the hub.
pub type Result<T, E = HubError> = std::result::Result<T, E>;

/// Why a call on the hub failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HubError {
    /// There is no such topic.
    #[error("there is no topic {0:?}")]
    NoTopic(String),
    /// There is a topic of that name.
    #[error("topic {0:?} exists")]
    TopicExists(String),
    /// The call is wrong: the caller mends it.
    #[error("{0}")]
    Invalid(String),
    /// A batch is larger than [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES).
    #[error("a batch of {bytes} bytes is larger than {max}: send fewer records at a time")]
    TooLarge {
        /// Its bytes, or a lower bound.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// An offset that the topic no longer or not yet has.
    #[error("topic {topic:?} has the offsets {start} to {end} (exclusive), not {offset}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// What was asked for.
        offset: u64,
        /// The first offset that is there.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// A file is not as it was written. Nothing was changed.
    #[error("{}: damaged at byte {at}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        at: u64,
        /// What was expected and what was found.
        what: String,
    },
    /// The disk refused and nothing was changed; after [`DiskErrorKind::NoSpace`] the call may succeed later.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An fsync failed, so it is not known what is durable, and nothing more is taken. A restart reads back what is
    /// there: what was appended before may be among it, or not.
    #[error("the log takes nothing more until a restart, and what was not yet acknowledged may be lost: {0}")]
    Poisoned(DiskError),
    /// The hub was closed.
    #[error("the log is closed")]
    Closed,
}

impl HubError {
    /// The disk is full: the call may succeed later.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Disk(e) if e.kind == DiskErrorKind::NoSpace)
    }
}

impl From<BatchError> for HubError {
    /// A batch that could not be made.
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::TooLarge { bytes, max } => Self::TooLarge { bytes, max },
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Disk(e) | HubError::Poisoned(e) => e.into(),
            HubError::Damaged { ref file, .. } => {
                Self::io(file.clone(), std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()))
            }
            HubError::TooLarge { .. } | HubError::OutOfRange { .. } => Self::invalid(error.to_string()),
            other => Self::invalid(other.to_string()),
        }
    }
}
