//! `Weathered`: the simulated disk with what can happen to it at any change: an error, no room, the power gone. It must not
//! know what is written.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_disk::{Disk, DiskFile, Entry, Fault, Result, SimDisk};

/// What is going to happen, counted in changes from now on.
#[derive(Debug, Default)]
struct Forecast {
    /// The power goes before this change.
    power: Option<u64>,
    /// This change fails.
    fault: Option<(u64, Fault)>,
    /// The power is gone: nothing is done any more.
    is_dark: bool,
    /// Something has failed.
    has_failed: bool,
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

    /// The power goes after so many more changes.
    pub fn cut_power_after(&self, changes: u64) {
        let mut forecast = self.lock();
        forecast.power = Some(forecast.changes + changes);
    }

    /// One of the next changes fails, after so many.
    pub fn fail_after(&self, changes: u64, fault: Fault) {
        let mut forecast = self.lock();
        forecast.fault = Some((forecast.changes + changes, fault));
    }

    /// Nothing is going to happen any more.
    pub fn calm(&self) {
        let mut forecast = self.lock();
        (forecast.power, forecast.fault) = (None, None);
    }

    /// The power is gone.
    pub fn is_dark(&self) -> bool {
        self.lock().is_dark
    }

    /// Something has failed, or there was no room, since it was made.
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// There was no room for something.
    pub fn note_full(&self) {
        self.lock().has_failed = true;
    }

    /// What is to become of the next call.
    fn meet(&self, is_change: bool) {
        let mut forecast = self.lock();
        forecast.changes += u64::from(is_change);
        if forecast.power.is_some_and(|at| forecast.changes > at) {
            forecast.is_dark = true;
        }
        let fault = match forecast.fault {
            _ if forecast.is_dark => Some(Fault::Io),
            Some((at, fault)) if is_change && forecast.changes > at => {
                forecast.fault = None;
                Some(fault)
            }
            _ => None,
        };
        if let Some(fault) = fault {
            forecast.has_failed = true;
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
