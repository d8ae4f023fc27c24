//! `DiskError`: which operation failed, where, and of what kind. It must not carry the content of a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_core::Error;

/// Result of an operation on a disk.
pub type Result<T, E = DiskError> = std::result::Result<T, E>;

/// An operation of a [`Disk`](crate::Disk) that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried.
    pub operation: Operation,
    /// What a caller may want to tell apart.
    pub kind: DiskErrorKind,
    /// What the operating system said.
    pub source: Arc<io::Error>,
}

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskErrorKind {
    /// There is no such file or folder.
    NotFound,
    /// There is one of that name already.
    AlreadyExists,
    /// The disk or the quota is full: the operation may succeed later.
    NoSpace,
    /// An earlier fsync failed: nothing more is written through this disk.
    Poisoned,
    /// Any other failure.
    Other,
}

/// An operation of a [`Disk`](crate::Disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A file was to be made.
    Create,
    /// A file was to be opened.
    Open,
    /// A file was to be read, sized or looked up.
    Read,
    /// Bytes were to be appended.
    Append,
    /// A file was to be shortened.
    Truncate,
    /// A file was to be made durable.
    Sync,
    /// A folder was to be listed.
    List,
    /// A folder was to be made.
    CreateFolder,
    /// A file or folder was to be removed.
    Remove,
    /// A file was to get its final name.
    Publish,
    /// A folder's entries were to be made durable.
    SyncFolder,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Append => "append to",
            Self::Truncate => "truncate",
            Self::Sync => "fsync",
            Self::List => "list",
            Self::CreateFolder => "create the folder",
            Self::Remove => "remove",
            Self::Publish => "publish",
            Self::SyncFolder => "fsync the folder",
        })
    }
}

impl DiskError {
    /// `source` at `path`; the kind follows from it.
    pub fn new(operation: Operation, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => DiskErrorKind::AlreadyExists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
            _ => DiskErrorKind::Other,
        };
        Self { path: path.into(), operation, kind, source: Arc::new(source) }
    }

    /// A write after `first` failed.
    pub(crate) fn poisoned(operation: Operation, path: &Path, first: &Self) -> Self {
        let source = io::Error::other(format!(
            "an earlier fsync failed ({first}), so what is on the disk is not known: nothing more is written until a \
             restart has read it back"
        ));
        Self { kind: DiskErrorKind::Poisoned, ..Self::new(operation, path, source) }
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        let source = io::Error::new(error.source.kind(), format!("cannot {}: {}", error.operation, error.source));
        Self::io(error.path, source)
    }
}
