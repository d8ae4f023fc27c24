//! `DataDirectory`: one process at a time. It must not know what is kept in it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};

/// A data directory that this process alone uses.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Held for as long as the process lives.
    _lock: File,
}

impl DataDirectory {
    /// Opens `path`, making it if need be.
    ///
    /// # Errors
    /// It cannot be made, or another process uses it.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let lock_path = path.join("LOCK");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|e| Error::io(&lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::invalid_with_hint(
                format!("{} is used by another process", path.display()),
                "Stop that server, or give this one a directory of its own with --data.",
            )),
            Err(TryLockError::Error(e)) => Err(Error::io(lock_path, e)),
        }
    }

    /// The path of `name` within.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_serves_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataDirectory::open(folder.path()).expect("free");
        let message = DataDirectory::open(folder.path()).expect_err("taken").to_string();
        assert!(message.contains("another process") && message.contains("--data"), "{message}");
        drop(first);
        DataDirectory::open(folder.path()).expect("free again");
    }
}
