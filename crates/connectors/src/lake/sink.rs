//! `LakeSink`: deliveries as commits. It must not know how files are written.

use std::path::Path;
use std::sync::Arc;

use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};
use thalweg_disk::{Disk, DiskError, DiskErrorKind, LocalDisk, NewFile, durable_folder, durable_publish};

use super::commits::{Commit, CommitError, FOLDER, Part, numbers, read};
use super::options::LakeOptions;
use super::parts::parts;

/// Opens the disk at a path.
pub(super) type MakeDisk = Box<dyn Fn(&Path) -> Result<Arc<dyn Disk>, DiskError> + Send>;

/// A folder as a sink.
pub(super) struct LakeSink {
    name: String,
    owner: (String, String),
    options: LakeOptions,
    make_disk: MakeDisk,
    /// The last epoch that the lake was seen to hold: it never holds less.
    held: Option<Epoch>,
    open: Option<Open>,
}

/// An open sink.
struct Open {
    disk: Arc<dyn Disk>,
    incarnation: Incarnation,
    /// The number and the epoch of the last commit.
    number: u64,
    epoch: Option<Epoch>,
}

impl LakeSink {
    pub(super) fn new(name: String, cluster: String, id: String, options: LakeOptions) -> Self {
        let local = |path: &Path| -> Result<Arc<dyn Disk>, DiskError> { Ok(Arc::new(LocalDisk::open(path)?)) };
        Self::over(name, (cluster, id), options, Box::new(local))
    }

    /// On the disk that `make_disk` makes of the path at every opening.
    pub(super) fn over(name: String, owner: (String, String), options: LakeOptions, make_disk: MakeDisk) -> Self {
        Self { name, owner, options, make_disk, held: None, open: None }
    }

    /// The last commit, unless someone newer has made it, it is another sink's, or it is older than it was.
    fn last(&self, disk: &dyn Disk, incarnation: Incarnation) -> Result<Option<Commit>, SinkError> {
        let last = numbers(disk).map_err(|e| self.failed(e))?.last().copied();
        let last = match last.map(|number| read(disk, number)).transpose() {
            Ok(last) => last,
            Err(CommitError::Disk(error)) => return Err(self.failed(error)),
            Err(CommitError::Damaged(error)) => return Err(SinkError::Fatal(error)),
        };
        let refuse = |message: String, hint: &str| Err(SinkError::Fatal(Error::invalid_with_hint(message, hint)));
        let path = self.options.path.display();
        match &last {
            Some(last) if last.owner != self.owner => refuse(
                format!("the files of {path} are those of sink {} of cluster {}", last.owner.1, last.owner.0),
                "Give this sink a folder of its own.",
            ),
            Some(last) if last.incarnation > incarnation => refuse(
                format!(
                    "the target has seen incarnation {} of sink {}; this is only {}",
                    last.incarnation.0, self.name, incarnation.0
                ),
                "Another server runs on a newer copy of the data directory: stop one of them.",
            ),
            _ if last.as_ref().and_then(|l| l.epoch) < self.held => refuse(
                format!("SINK_REWOUND: {path} of sink {} is older than it was", self.name),
                "The folder was restored or emptied. Drop the sink and create it anew, for a new folder.",
            ),
            _ => Ok(last),
        }
    }

    fn deliver_open(&self, open: &Open, epochs: &[EpochRows], upto: Epoch) -> Result<Open, SinkError> {
        let disk = &*open.disk;
        let news: Vec<&EpochRows> = epochs.iter().filter(|e| Some(e.epoch) > open.epoch).collect();
        let files = parts(&self.options, &news, upto).map_err(|e| self.fatal(e))?;
        for (part, _) in &files {
            if let Some((folder, _)) = part.path.rsplit_once('/') {
                durable_folder(disk, folder).map_err(|e| self.failed(e))?;
            }
            // Left behind by a delivery that was cut off: no commit names it, and it may be torn.
            match disk.remove(&part.path) {
                Err(e) if e.kind != DiskErrorKind::NotFound => return Err(self.failed(e)),
                _ => {}
            }
        }
        let commit = Commit {
            number: open.number + 1,
            owner: self.owner.clone(),
            incarnation: open.incarnation,
            epoch: open.epoch.max(Some(upto)),
            parts: files.iter().map(|(part, _)| part.clone()).collect(),
        };
        thalweg_core::failpoint!("lake.encoded");
        self.publish(disk, &files, &commit)?;
        thalweg_core::failpoint!("lake.committed");
        Ok(Open { disk: open.disk.clone(), number: commit.number, epoch: commit.epoch, incarnation: open.incarnation })
    }

    fn publish(&self, disk: &dyn Disk, files: &[(Part, Vec<u8>)], commit: &Commit) -> Result<(), SinkError> {
        let files: Vec<NewFile<'_>> = files.iter().map(|(part, bytes)| NewFile { path: &part.path, bytes }).collect();
        let (path, bytes) = (commit.path(), commit.encode());
        durable_publish(disk, &files, NewFile { path: &path, bytes: &bytes }).map_err(|e| self.failed(e))
    }

    /// Whether a person must act, or it is to be tried again. A number that is taken is seen when it is opened again.
    fn failed(&self, error: DiskError) -> SinkError {
        let lasting = error.kind == DiskErrorKind::Poisoned
            || error.source.kind() == std::io::ErrorKind::PermissionDenied
            || error.source.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
        let message = format!("sink {}: {error}", self.name);
        if lasting {
            SinkError::Fatal(Error::invalid_with_hint(message, "Mend the disk or the rights, then restart the server."))
        } else {
            SinkError::Again(Error::invalid(message))
        }
    }

    /// No second try would end differently.
    fn fatal(&self, error: Error) -> SinkError {
        let named = |message: String| format!("sink {}: {message}", self.name);
        SinkError::Fatal(match error {
            Error::Invalid { message, hint } => Error::Invalid { message: named(message), hint },
            Error::Data(message) => Error::Data(named(message)),
            other => other,
        })
    }
}

impl EpochSink for LakeSink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.open = None;
        let disk = (self.make_disk)(&self.options.path).map_err(|e| self.failed(e))?;
        durable_folder(&*disk, FOLDER).map_err(|e| self.failed(e))?;
        // A commit whose maker was killed before it was durable is seen, and must not be lost after it was answered for.
        disk.sync_folder(FOLDER).map_err(|e| self.failed(e))?;
        let last = self.last(&*disk, incarnation)?;
        let epoch = last.as_ref().and_then(|l| l.epoch);
        let mut number = last.as_ref().map(|l| l.number);
        // Shuts out whoever was there before: the number that it would take next is taken.
        if last.is_none_or(|l| l.incarnation < incarnation) {
            let next = number.map_or(0, |n| n + 1);
            let claim = Commit { number: next, owner: self.owner.clone(), incarnation, epoch, parts: Vec::new() };
            self.publish(&*disk, &[], &claim)?;
            thalweg_core::failpoint!("lake.claimed");
            number = Some(next);
        }
        self.held = self.held.max(epoch);
        self.open = Some(Open { disk, incarnation, number: number.unwrap_or(0), epoch });
        Ok(epoch)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else {
            return Err(SinkError::Again(Error::Internal(format!("sink {} is not open", self.name))));
        };
        let open = self.deliver_open(&open, epochs, upto)?;
        self.held = open.epoch;
        self.open = Some(open);
        Ok(())
    }
}
