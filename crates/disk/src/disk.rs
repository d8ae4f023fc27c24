//! The traits `Disk` and `DiskFile`: what may be done to files, and what each call promises about a crash. They must
//! not know what a file holds.
//!
//! A path is relative to the disk's root, its parts divided by `/`; the root is `""`. Nothing is durable before a call
//! of this module says so: a file's content after [`DiskFile::sync`], its name after [`Disk::sync_folder`] of the
//! folder. Until then a crash may keep or lose each change on its own.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Result;

/// Files under one root. Shared as `Arc<dyn Disk>`.
///
/// After one failed fsync every change is refused with [`Poisoned`](crate::DiskErrorKind::Poisoned): a kernel may
/// drop what it could not write and call the next fsync a success, so it is never tried again.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes the file `path`, empty, for appending.
    ///
    /// # Errors
    /// It exists, its folder does not, or the disk refuses.
    fn create(&self, path: &str) -> Result<Box<dyn DiskFile>>;

    /// Opens the file `path` for appending.
    ///
    /// # Errors
    /// It does not exist or cannot be opened.
    fn open(&self, path: &str) -> Result<Box<dyn DiskFile>>;

    /// All bytes of `path`.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// `length` bytes of `path` from `offset`; fewer where the file ends.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    fn read_range(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>>;

    /// Bytes of the file `path`.
    ///
    /// # Errors
    /// There is no such file.
    fn size(&self, path: &str) -> Result<u64>;

    /// There is a file or folder `path`.
    ///
    /// # Errors
    /// That cannot be told.
    fn exists(&self, path: &str) -> Result<bool>;

    /// What is in a folder, by name.
    ///
    /// # Errors
    /// There is no such folder, or a name in it is not UTF-8.
    fn list(&self, folder: &str) -> Result<Vec<Entry>>;

    /// Makes a folder. See [`durable_folder`](crate::durable_folder).
    ///
    /// # Errors
    /// It exists, the folder around it does not, or the disk refuses.
    fn create_folder(&self, path: &str) -> Result<()>;

    /// Removes a file. A crash may bring it back until its folder is synced.
    ///
    /// # Errors
    /// There is no such file, or the disk refuses.
    fn remove(&self, path: &str) -> Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// There is no such folder, it is not empty, or the disk refuses.
    fn remove_folder(&self, path: &str) -> Result<()>;

    /// Gives the file `from` the name `to`, at once and only if nothing has that name. For
    /// [`durable_publish`](crate::durable_publish) alone, which owns the order around it.
    ///
    /// # Errors
    /// `to` exists, `from` does not, or the disk refuses.
    fn publish(&self, from: &str, to: &str) -> Result<()>;

    /// Makes the names in a folder durable, and that others were removed.
    ///
    /// # Errors
    /// The disk refuses: it is poisoned.
    fn sync_folder(&self, folder: &str) -> Result<()>;

    /// Forgets what the operating system holds of a synced file in memory, as far as it can, so that what is read next
    /// is what the device holds. After an fsync that failed in an earlier life of the process the two can differ.
    ///
    /// # Errors
    /// There is no such file.
    fn uncache(&self, path: &str) -> Result<()>;

    /// Where `path` is, for messages.
    fn locate(&self, path: &str) -> PathBuf;
}

/// A file open for appending. One caller appends and truncates at a time; another may sync meanwhile.
#[expect(clippy::len_without_is_empty, reason = "a length that can fail; nobody asks whether it is zero")]
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk refuses; a part of `bytes` may have been appended: [`DiskFile::truncate`] takes it back.
    fn append(&self, bytes: &[u8]) -> Result<()>;

    /// Makes durable all that was appended or truncated before the call.
    ///
    /// # Errors
    /// The disk refuses: it is poisoned.
    fn sync(&self) -> Result<()>;

    /// Bytes of the file.
    ///
    /// # Errors
    /// That cannot be told.
    fn len(&self) -> Result<u64>;

    /// Shortens the file to `length` bytes.
    ///
    /// # Errors
    /// It is shorter than that, or the disk refuses.
    fn truncate(&self, length: u64) -> Result<()>;
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name within the folder.
    pub name: String,
    /// It is a folder.
    pub is_folder: bool,
}

/// The parts of `path`.
///
/// # Errors
/// `path` could leave the root.
pub(crate) fn parts(path: &str) -> io::Result<Vec<&str>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = path.split('/').collect();
    if parts.iter().any(|p| p.is_empty() || *p == "." || *p == ".." || p.contains('\0')) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path within the disk"));
    }
    Ok(parts)
}

/// The folder of `path`.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
