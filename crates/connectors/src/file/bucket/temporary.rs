//! `Temporary`: a file for an object while it is read. It goes with the process, also when that is killed, where the
//! system has files without a name.

use std::fs::File;
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};

/// A file that goes when this does.
pub(super) struct Temporary {
    /// Keeps it.
    _file: File,
    path: PathBuf,
    #[cfg(not(target_os = "linux"))]
    _name: tempfile::TempPath,
}

impl Temporary {
    /// An empty one, and an end to write to.
    #[cfg(target_os = "linux")]
    pub(super) fn new() -> Result<(Self, File)> {
        use std::os::fd::AsRawFd;
        let failed = |e| Error::io(std::env::temp_dir(), e);
        let file = tempfile::tempfile().map_err(failed)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let into = file.try_clone().map_err(failed)?;
        Ok((Self { _file: file, path }, into))
    }

    /// An empty one, and an end to write to.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn new() -> Result<(Self, File)> {
        let failed = |e| Error::io(std::env::temp_dir(), e);
        let (file, name) = tempfile::NamedTempFile::with_prefix("thalweg-object-").map_err(failed)?.into_parts();
        let into = file.try_clone().map_err(failed)?;
        Ok((Self { _file: file, path: name.to_path_buf(), _name: name }, into))
    }

    /// Where it can be opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
