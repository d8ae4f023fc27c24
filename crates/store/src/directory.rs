//! `DataDirectory`: one process at a time. It must not know what is kept in it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};
use thalweg_disk::{Disk, DiskErrorKind, LocalDisk, NewFile, durable_publish};

/// A data directory that this process alone uses.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    disk: LocalDisk,
    /// Held for as long as the process lives.
    _lock: File,
}

impl DataDirectory {
    /// Opens `path`, making it if need be.
    ///
    /// # Errors
    /// It cannot be made, or another process uses it.
    pub fn open(path: &Path) -> Result<Self> {
        let disk = LocalDisk::open(path)?.private();
        let lock_path = path.join("LOCK");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|e| Error::io(&lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), disk, _lock: lock }),
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

    /// What the file `name` holds, which is made once, of what `make` gives: whole and durable before this returns, readable
    /// by its owner alone, and never changed.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn once(&self, name: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        match self.disk.read(name) {
            Err(e) if e.kind == DiskErrorKind::NotFound => {}
            found => {
                let found = found?;
                // Whoever made it may have been killed before its name was durable.
                self.disk.sync_folder("")?;
                return Ok(found);
            }
        }
        let bytes = make()?;
        durable_publish(&self.disk, &[], NewFile { path: name, bytes: &bytes })?;
        Ok(bytes)
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

    #[test]
    fn a_file_is_made_once_and_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataDirectory::open(&folder.path().join("new/data")).expect("it is made");
        // Left behind by one that was killed while it made it.
        std::fs::write(data.file("name.tmp"), "").expect("written");
        assert_eq!(data.once("name", || Ok(b"one".to_vec())).expect("made"), b"one");
        assert_eq!(data.once("name", || Ok(b"two".to_vec())).expect("read"), b"one");
        let mode = std::fs::metadata(data.file("name")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!data.file("name.tmp").exists());
    }
}
