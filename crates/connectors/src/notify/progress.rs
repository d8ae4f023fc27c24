//! `Progress`: how far a sink is whose target does not keep it, as notes in the data directory. It must not know what is
//! delivered.
//!
//! The notes of a sink are files `notify/SINK/NUMBER.progress`, of which the highest number counts: nothing on a
//! [`Disk`] is ever overwritten, so each note is a file of its own, and the one before it is removed when it is durable.

use std::sync::Arc;

use thalweg_core::{Epoch, Error, Incarnation, Result};
use thalweg_disk::{Disk, durable_folder, make_note, read_note};

/// The folder of all sinks' notes.
const FOLDER: &str = "notify";
/// The end of a note's name.
const END: &str = ".progress";
/// What a note's line begins with: its format.
const FORMAT: &str = "notify 1";

/// How far a sink is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Who wrote it.
    pub(super) incarnation: Incarnation,
    /// Everything up to it was delivered.
    pub(super) epoch: Option<Epoch>,
    /// The first message that is not known to be confirmed.
    pub(super) next: Next,
    /// Messages that were refused and left out since the sink was made.
    pub(super) skipped: u64,
}

/// A message: by its epoch and its number therein, in the order in which they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Next {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
}

impl Progress {
    /// It knows of more messages than `other`.
    pub(super) fn is_ahead_of(&self, other: &Self) -> bool {
        (self.epoch, self.next) > (other.epoch, other.next)
    }

    fn encode(&self) -> String {
        let epoch = self.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.0.to_string());
        let Self { incarnation, next, skipped, .. } = self;
        format!("{FORMAT} {} {epoch} {} {} {skipped}", incarnation.0, next.epoch, next.sequence)
    }

    fn decode(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(FORMAT)?.strip_prefix(' ')?.split(' ');
        let incarnation = Incarnation(words.next()?.parse().ok()?);
        let epoch = match words.next()? {
            "-" => None,
            digits => Some(Epoch(digits.parse().ok()?)),
        };
        let next = Next { epoch: words.next()?.parse().ok()?, sequence: words.next()?.parse().ok()? };
        let skipped = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { incarnation, epoch, next, skipped })
    }
}

/// The notes of one sink.
#[derive(Debug)]
pub(super) struct Notes {
    disk: Arc<dyn Disk>,
    folder: String,
    /// The highest number, if there is a note.
    last: Option<u64>,
}

impl Notes {
    /// Those of sink `id`, whose letters may be in the name of a file.
    pub(super) fn new(disk: Arc<dyn Disk>, id: &str) -> Self {
        Self { disk, folder: format!("{FOLDER}/{id}"), last: None }
    }

    /// The newest note, if there is one; the others are removed.
    ///
    /// # Errors
    /// It is damaged, or the disk refuses.
    pub(super) fn open(&mut self) -> Result<Option<Progress>> {
        durable_folder(self.disk.as_ref(), &self.folder)?;
        let names = self.disk.list(&self.folder)?.into_iter().map(|entry| entry.name);
        let mut numbers: Vec<u64> = names.filter_map(|name| name.strip_suffix(END)?.parse().ok()).collect();
        numbers.sort_unstable();
        self.last = numbers.pop();
        let Some(last) = self.last else { return Ok(None) };
        let progress = self.read(last)?;
        numbers.into_iter().for_each(|number| self.remove(number));
        Ok(Some(progress))
    }

    /// Makes `progress` the newest note.
    ///
    /// # Errors
    /// The disk refuses; whether it is there is known after [`Notes::open`].
    pub(super) fn write(&mut self, progress: &Progress) -> Result<()> {
        let before = self.last;
        let number = before.map_or(0, |last| last + 1);
        make_note(self.disk.as_ref(), &self.path(number), &progress.encode())?;
        self.last = Some(number);
        before.into_iter().for_each(|number| self.remove(number));
        Ok(())
    }

    fn path(&self, number: u64) -> String {
        format!("{}/{number:020}{END}", self.folder)
    }

    fn read(&self, number: u64) -> Result<Progress> {
        let path = self.path(number);
        let hint = "Put the file back from a copy of the data directory: what was confirmed since is sent again. Or drop \
                    the sink and create it anew.";
        let damaged = |message: String| Error::invalid_with_hint(message, hint);
        let line = read_note(self.disk.as_ref(), &path).map_err(|error| match error {
            Error::Invalid { message, .. } => damaged(message),
            other => other,
        })?;
        line.as_deref()
            .and_then(Progress::decode)
            .ok_or_else(|| damaged(format!("{}: not a note of this version", self.disk.locate(&path).display())))
    }

    /// An older note is in nobody's way: where it cannot be removed now, the next [`Notes::open`] does it.
    fn remove(&self, number: u64) {
        if let Err(error) = self.disk.remove(&self.path(number)) {
            tracing::debug!(%error, "an old note stays");
        }
    }
}
