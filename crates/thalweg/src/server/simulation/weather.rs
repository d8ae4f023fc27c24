//! `Weathered`: the simulated disk with what can happen at any change: an error, no room, the power gone, the process
//! killed. It must not know what is written.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_disk::{Disk, DiskFile, Entry, Fault, Result, SimDisk};

/// How a life ends in the middle of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// What is not synced may be lost.
    PowerLoss,
    /// The disk stays as it is.
    Kill,
}

/// What is going to happen, counted in changes from now on.
#[derive(Debug, Default)]
struct Forecast {
    /// The life ends before this change.
    end: Option<(u64, End)>,
    /// This change fails.
    fault: Option<(u64, Fault)>,
    /// It has ended: nothing is done any more.
    ended: Option<End>,
    /// Something has failed.
    has_failed: bool,
    /// And that was not for want of room.
    has_broken: bool,
    changes: u64,
}

/// A disk, or a folder of it, under the weather.
#[derive(Clone, Debug)]
pub(super) struct Weathered {
    disk: SimDisk,
    /// The folder that is its root, with a slash behind; empty for all.
    root: &'static str,
    forecast: Arc<Mutex<Forecast>>,
}

#[derive(Debug)]
struct File {
    file: Box<dyn DiskFile>,
    disk: Weathered,
}

impl Weathered {
    pub fn new(disk: SimDisk) -> Self {
        Self { disk, root: "", forecast: Arc::default() }
    }

    /// The folder `root`, which ends with a slash.
    pub fn folder(&self, root: &'static str) -> Self {
        Self { root, ..self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Forecast> {
        self.forecast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life ends after so many more changes.
    pub fn end_after(&self, changes: u64, end: End) {
        let mut forecast = self.lock();
        forecast.end = Some((forecast.changes + changes, end));
    }

    /// One of the next changes fails, after so many.
    pub fn fail_after(&self, changes: u64, fault: Fault) {
        let mut forecast = self.lock();
        forecast.fault = Some((forecast.changes + changes, fault));
    }

    /// Nothing is going to happen any more.
    pub fn calm(&self) {
        let mut forecast = self.lock();
        (forecast.end, forecast.fault) = (None, None);
    }

    /// How the life has ended, if it has.
    pub fn ended(&self) -> Option<End> {
        self.lock().ended
    }

    /// Something has failed, or there was no room, since it was made.
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Something has failed, and not for want of room: who goes on must read again what is there.
    pub fn has_broken(&self) -> bool {
        self.lock().has_broken
    }

    /// There was no room for something.
    pub fn note_full(&self) {
        self.lock().has_failed = true;
    }

    /// What is to become of the next call.
    fn meet(&self, is_change: bool) {
        let mut forecast = self.lock();
        forecast.changes += u64::from(is_change);
        if let Some((_, end)) = forecast.end.filter(|(at, _)| forecast.changes > *at) {
            forecast.ended = Some(end);
        }
        let fault = match forecast.fault {
            _ if forecast.ended.is_some() => Some(Fault::Io),
            Some((at, fault)) if is_change && forecast.changes > at => {
                forecast.fault = None;
                Some(fault)
            }
            _ => None,
        };
        if let Some(fault) = fault {
            forecast.has_failed = true;
            forecast.has_broken |= fault != Fault::NoSpace;
            self.disk.fail(self.disk.calls(), fault);
        }
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.root).trim_end_matches('/').to_owned()
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(File { file, disk: self.clone() })
    }
}

impl Disk for Weathered {
    fn create(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        self.meet(true);
        self.disk.create(&self.path(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        self.meet(false);
        self.disk.open(&self.path(path)).map(|file| self.file(file))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.meet(false);
        self.disk.read(&self.path(path))
    }

    fn read_range(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.meet(false);
        self.disk.read_range(&self.path(path), offset, length)
    }

    fn size(&self, path: &str) -> Result<u64> {
        self.meet(false);
        self.disk.size(&self.path(path))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        self.meet(false);
        self.disk.exists(&self.path(path))
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.meet(false);
        self.disk.list(&self.path(folder))
    }

    fn create_folder(&self, path: &str) -> Result<()> {
        self.meet(true);
        self.disk.create_folder(&self.path(path))
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.meet(true);
        self.disk.remove(&self.path(path))
    }

    fn remove_folder(&self, path: &str) -> Result<()> {
        self.meet(true);
        self.disk.remove_folder(&self.path(path))
    }

    fn publish(&self, from: &str, to: &str) -> Result<()> {
        self.meet(true);
        self.disk.publish(&self.path(from), &self.path(to))
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        self.meet(true);
        self.disk.sync_folder(&self.path(folder))
    }

    fn uncache(&self, path: &str) -> Result<()> {
        self.meet(false);
        self.disk.uncache(&self.path(path))
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.path(path).into()
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.disk.meet(true);
        self.file.append(bytes)
    }

    fn sync(&self) -> Result<()> {
        self.disk.meet(true);
        self.file.sync()
    }

    fn len(&self) -> Result<u64> {
        self.disk.meet(false);
        self.file.len()
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.disk.meet(true);
        self.file.truncate(length)
    }
}
