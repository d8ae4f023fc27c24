//! `DataDirectory`: one process at a time, and one format. It must not know what is kept in it.
//!
//! `FORMAT` is a note that names the format. It is made when all files are there that a directory always has: from then
//! on one that is missing is damage. A directory without it is new, or of a version that made none.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};
use thalweg_disk::{Disk, DiskErrorKind, LocalDisk, NewFile, durable_publish, make_note, read_note};

const FORMAT: &str = "FORMAT";
/// What this version writes, and the only format that it reads.
const WRITTEN: &str = "thalweg data directory, format 1";

/// A data directory that this process alone uses.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    disk: LocalDisk,
    /// It has all that it always has.
    is_made: bool,
    /// Held for as long as the process lives.
    _lock: File,
}

impl DataDirectory {
    /// Opens `path`, making it if need be.
    ///
    /// # Errors
    /// It cannot be made, another process uses it, or it is of a format that this version does not know: then nothing
    /// is written.
    pub fn open(path: &Path) -> Result<Self> {
        let disk = LocalDisk::open(path)?.private();
        let lock_path = path.join("LOCK");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|e| Error::io(&lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::invalid_with_hint(
                    format!("{} is used by another process", path.display()),
                    "Stop that server, or give this one a directory of its own with --data.",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(lock_path, e)),
        }
        let format = read_note(&disk, FORMAT)?;
        if let Some(format) = format.as_ref().filter(|format| *format != WRITTEN) {
            let message = format!("{}: \"{format}\" is not known to this version", path.join(FORMAT).display());
            return Err(Error::invalid_with_hint(message, "Start the version that wrote it, or a later one."));
        }
        Ok(Self { path: path.to_owned(), disk, is_made: format.is_some(), _lock: lock })
    }

    /// The path of `name` within.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The files within.
    pub fn disk(&self) -> &LocalDisk {
        &self.disk
    }

    /// Sees that `name` is there, if the directory always has it.
    ///
    /// # Errors
    /// It is missing.
    pub fn expect(&self, name: &str) -> Result<()> {
        if !self.is_made || self.disk.exists(name)? {
            return Ok(());
        }
        let message = format!("{}: damaged at byte 0: the file is missing", self.file(name).display());
        Err(Error::invalid_with_hint(message, "Put the file back from a copy of the data directory."))
    }

    /// All that the directory always has is there and durable, but for names in its root.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn made(&mut self) -> Result<()> {
        if !self.is_made {
            self.disk.sync_folder("")?;
            make_note(&self.disk, FORMAT, WRITTEN)?;
            self.is_made = true;
        }
        Ok(())
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
    use std::time::{Duration, Instant};

    use super::*;

    /// Opens a directory that was just let go of. A process that another test starts holds the lock, too, from its fork
    /// until it runs its own program.
    fn reopened(path: &Path) -> DataDirectory {
        let begin = Instant::now();
        loop {
            match DataDirectory::open(path) {
                Ok(directory) => return directory,
                Err(error) if begin.elapsed() > Duration::from_secs(10) => panic!("it was let go of: {error}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_directory_serves_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataDirectory::open(folder.path()).expect("free");
        let message = DataDirectory::open(folder.path()).expect_err("taken").to_string();
        assert!(message.contains("another process") && message.contains("--data"), "{message}");
        drop(first);
        reopened(folder.path());
    }

    #[test]
    fn what_is_missing_from_a_directory_that_was_made_is_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = DataDirectory::open(folder.path()).expect("new");
        first.expect("log").expect("it is still to be made");
        first.made().expect("room");
        drop(first);
        let again = reopened(folder.path());
        let message = again.expect("log").expect_err("it is gone").to_string();
        assert!(message.contains("log: damaged at byte 0: the file is missing"), "{message}");
    }

    #[test]
    fn a_format_that_is_not_known_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = LocalDisk::open(folder.path()).expect("a folder");
        make_note(&disk, FORMAT, "thalweg data directory, format 2").expect("room");
        let message = DataDirectory::open(folder.path()).expect_err("newer").to_string();
        assert!(message.contains("format 2\" is not known") && message.contains("hint"), "{message}");
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
