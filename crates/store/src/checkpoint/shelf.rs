//! `Shelf`: where checkpoints lie: files that are made once, as a whole, and never change. It must not know what is in
//! them.

use std::fmt::Debug;
use std::sync::Arc;

use thalweg_core::{Error, Result};
use thalweg_disk::{Disk, DiskErrorKind, NewFile, durable_folder, durable_publish};

use super::Packing;

/// Incarnations that one start has for itself: more than compactions that it makes.
pub(super) const INCARNATIONS_PER_START: u64 = 1 << 20;

/// Files by name, in one folder or under one prefix.
pub trait Shelf: Debug + Send + Sync {
    /// Makes `files` durable, then `manifest`: after a crash the manifest is whole or not there, and where it is there,
    /// so are the files. Nothing is overwritten.
    ///
    /// # Errors
    /// A name is taken, there is no room, or the disk refuses.
    fn publish(&self, files: &[(String, Vec<u8>)], manifest: (&str, &[u8])) -> Result<()>;

    /// All of a file.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// `length` bytes of a file from `offset`; fewer where it ends.
    ///
    /// # Errors
    /// As [`Shelf::read`].
    fn read_range(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>>;

    /// The names.
    ///
    /// # Errors
    /// They cannot be listed.
    fn list(&self) -> Result<Vec<String>>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// The disk refuses.
    fn remove(&self, name: &str) -> Result<()>;

    /// What suits the changes that are put here.
    fn packing(&self) -> Packing;

    /// The lowest incarnation for whoever has opened it: above all that others had before, also those that wrote nothing.
    fn first_incarnation(&self) -> u64;
}

/// A folder of a disk.
#[derive(Debug)]
pub struct DiskShelf {
    disk: Arc<dyn Disk>,
    folder: String,
    start: u64,
}

impl DiskShelf {
    /// The folder is made if need be. What it lists from then on is durable. `start` numbers the starts of a server: each
    /// has a higher one than those before; 0 is for whoever only looks.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(disk: Arc<dyn Disk>, folder: &str, start: u64) -> Result<Self> {
        durable_folder(disk.as_ref(), folder)?;
        // Whoever named the last file may have been killed before the name was durable: nothing may go on from a
        // checkpoint that a power loss takes away again.
        disk.sync_folder(folder)?;
        Ok(Self { disk, folder: folder.to_owned(), start })
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

impl Shelf for DiskShelf {
    fn publish(&self, files: &[(String, Vec<u8>)], (name, content): (&str, &[u8])) -> Result<()> {
        let paths: Vec<String> = files.iter().map(|(name, _)| self.path(name)).collect();
        let files: Vec<NewFile<'_>> =
            paths.iter().zip(files).map(|(path, (_, bytes))| NewFile { path, bytes }).collect();
        let manifest = self.path(name);
        durable_publish(self.disk.as_ref(), &files, NewFile { path: &manifest, bytes: content })?;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.disk.read(&self.path(name))?)
    }

    fn read_range(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(self.disk.read_range(&self.path(name), offset, length)?)
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.disk.list(&self.folder)?.into_iter().map(|entry| entry.name).collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.disk.remove(&self.path(name)) {
            Err(e) if e.kind == DiskErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    fn packing(&self) -> Packing {
        Packing::Plain
    }

    fn first_incarnation(&self) -> u64 {
        self.start.saturating_mul(INCARNATIONS_PER_START)
    }
}
