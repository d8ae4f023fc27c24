//! Files that are taken up as a whole: each is read once, as it is when it is complete. It must not know formats, nor
//! where files are.
//!
//! A file is a split, named by its path, length and mark, so that how far it was read is known after a restart, and a
//! file that is written again is noticed. Files that are gone are remembered while there is room: a folder may be out of
//! sight for a while, and what comes back with it has been read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Offset, Polled, Result, Source, Split, SplitReader};

use super::folder::{Fetch, Folder, Listed, gone};
use super::options::{FileFormat, FileOptions};
use super::stamp::{Stamp, Version};

/// A reader of one file, and where it ends, if that is known before it is there.
pub(crate) struct Whole {
    pub(crate) reader: Box<dyn SplitReader>,
    pub(crate) end: Option<Offset>,
}

/// Opens what was fetched to a path, of a version, at an offset.
pub(crate) type OpenFile = Arc<dyn Fn(&Path, &Version, Offset) -> Result<Whole> + Send + Sync>;

/// The files of a folder as they come, or those that are there.
pub(crate) struct WatchSource {
    folder: Arc<dyn Folder>,
    options: FileOptions,
    format: FileFormat,
    files_max: usize,
    bounded: bool,
    schema: SchemaRef,
    open: OpenFile,
    taken: Mutex<Taken>,
}

/// The files that have been taken up.
#[derive(Default)]
struct Taken {
    /// Those that were there at the last look.
    there: HashMap<PathBuf, Stamp>,
    /// Those that were gone, the longest gone first.
    gone: VecDeque<Version>,
}

impl Taken {
    /// `there` is what is there now, each of which was taken up or is. Keeps `room` files at most, as long as it can.
    fn update(&mut self, there: HashMap<PathBuf, Stamp>, room: usize) {
        let gone = self.there.drain().filter(|(path, _)| !there.contains_key(path));
        let mut gone: Vec<Version> = gone.map(|(path, stamp)| Version { path, stamp }).collect();
        gone.sort_by(|a, b| a.path.cmp(&b.path));
        self.gone.retain(|version| there.get(&version.path) != Some(&version.stamp));
        self.gone.extend(gone);
        let room = room.saturating_sub(there.len());
        self.gone.drain(..self.gone.len().saturating_sub(room));
        self.there = there;
    }
}

impl WatchSource {
    /// Of files of `format`, which `open` opens.
    pub(crate) fn new(
        folder: Arc<dyn Folder>,
        options: FileOptions,
        format: FileFormat,
        schema: SchemaRef,
        open: OpenFile,
    ) -> Self {
        let (bounded, files_max) = (!options.awaits(), options.watch.map_or(usize::MAX, |watch| watch.files_max));
        Self { folder, options, format, files_max, bounded, schema, open, taken: Mutex::default() }
    }

    /// Looks for files. Returns the versions that have been taken up: first those that are there, by name.
    fn look(&self) -> Result<Vec<Version>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = HashMap::new();
        let mut versions = Vec::new();
        for Listed { version, complete } in self.folder.list()? {
            match taken.there.get(&version.path) {
                Some(before) if *before != version.stamp => {
                    let before = Version { stamp: before.clone(), path: version.path };
                    return Err(before.changed(&version.stamp));
                }
                Some(_) => {}
                None if taken.gone.contains(&version) => {}
                None if !complete => continue,
                None => self.check_format(&version.path)?,
            }
            there.insert(version.path.clone(), version.stamp.clone());
            versions.push(version);
        }
        if versions.len() > self.files_max {
            return Err(too_many(self.files_max));
        }
        taken.update(there, self.files_max);
        versions.extend(taken.gone.iter().cloned());
        Ok(versions)
    }

    fn check_format(&self, path: &Path) -> Result<()> {
        let format = self.options.format_of(path)?;
        if format == self.format {
            return Ok(());
        }
        Err(Error::invalid_with_hint(
            format!("{} has another format than the files before it", path.display()),
            "Keep files of other formats elsewhere, or say format = '…'.",
        ))
    }
}

impl Source for WatchSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |version: &Version| Split { id: version.to_string().into(), lower_bound: None };
        Ok(self.look()?.iter().map(split).collect())
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let version = Version::parse(&split.id)
            .ok_or_else(|| Error::Internal(format!("{} does not name a version of a file", split.id)))?;
        let (folder, open, schema) = (Arc::clone(&self.folder), Arc::clone(&self.open), self.schema());
        let state = match from {
            Offset::END => State::Ended,
            from => State::Fetched { file: folder.fetch(&version)?, from },
        };
        Ok(Box::new(WatchReader { version, state, folder, open, schema }))
    }

    fn bounded(&self) -> bool {
        self.bounded
    }

    fn resume(&self, offsets: &BTreeMap<Arc<str>, Offset>) -> Result<()> {
        let listed = self.folder.list()?;
        let there: HashMap<&Path, &Stamp> =
            listed.iter().map(|l| (l.version.path.as_path(), &l.version.stamp)).collect();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = Taken::default();
        for (id, offset) in offsets {
            let Some(version) = Version::parse(id) else { continue };
            match there.get(version.path.as_path()) {
                Some(now) if **now == version.stamp => {
                    taken.there.insert(version.path, version.stamp);
                }
                None if *offset != Offset::END => return Err(gone(&version.path)),
                _ => taken.gone.push_back(version),
            }
        }
        // A name may have been used again, but not while nobody looked.
        for version in taken.gone.iter().filter(|v| !taken.there.contains_key(&v.path)) {
            if let Some(now) = there.get(version.path.as_path()) {
                return Err(version.changed(now));
            }
        }
        Ok(())
    }

    fn side_by_side(&self) -> usize {
        self.folder.side_by_side()
    }

    fn forgets(&self) -> bool {
        !self.bounded
    }
}

fn too_many(files_max: usize) -> Error {
    Error::invalid_with_hint(
        format!("more than {files_max} files are there, files.max"),
        "Take away those that have been read, or allow more: how far each was read is in every checkpoint.",
    )
}

/// An error of a file that was fetched to `at`, which speaks of `name`.
pub(super) fn named(name: &Path, at: &Path, error: Error) -> Error {
    let (name, at) = (name.display().to_string(), at.display().to_string());
    match error {
        Error::Invalid { message, hint } if message.contains(&at) => {
            Error::Invalid { message: message.replace(&at, &name), hint }
        }
        Error::Invalid { message, hint } => Error::Invalid { message: format!("{name}: {message}"), hint },
        Error::Data(message) => Error::Data(message.replace(&at, &name)),
        Error::Io { path, source } if path.display().to_string() == at => Error::Io { path: name.into(), source },
        other => other,
    }
}

/// How far a file is.
enum State {
    /// It is on its way, or there.
    Fetched { file: Box<dyn Fetch>, from: Offset },
    /// It is open. What was fetched must be kept.
    Open { file: Box<dyn Fetch>, whole: Whole },
    /// There is nothing more to read.
    Ended,
}

/// Reads one version of a file. Its last rows come with the offset behind the end.
struct WatchReader {
    version: Version,
    state: State,
    folder: Arc<dyn Folder>,
    open: OpenFile,
    schema: SchemaRef,
}

impl WatchReader {
    /// Opens the file if it has come.
    fn begin(&mut self) -> Result<()> {
        let State::Fetched { file, from } = &mut self.state else { return Ok(()) };
        let Some(at) = file.poll()? else { return Ok(()) };
        let whole = (self.open)(at, &self.version, *from).map_err(|e| named(&self.version.path, at, e))?;
        if let State::Fetched { file, .. } = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Open { file, whole };
        }
        Ok(())
    }
}

impl SplitReader for WatchReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        self.begin()?;
        let (file, whole) = match &mut self.state {
            State::Fetched { .. } => return Ok(Polled::Idle),
            State::Open { file, whole } => (file, whole),
            State::Ended => return Ok(Polled::End),
        };
        let polled = match whole.reader.poll(max_rows) {
            Ok(polled) => polled,
            Err(e) => {
                let at = file.poll()?.unwrap_or(&self.version.path);
                return Err(named(&self.version.path, at, e));
            }
        };
        let at = whole.reader.offset();
        match (&polled, whole.end) {
            (Polled::Rows { .. }, Some(end)) if at >= end => {}
            (Polled::End, Some(end)) if at < end => {
                self.folder.check(&self.version)?;
                return Err(Error::Data(format!("{} ends before its end", self.version.path.display())));
            }
            (Polled::End, _) => {}
            _ => return Ok(polled),
        }
        self.folder.check(&self.version)?;
        self.state = State::Ended;
        Ok(match polled {
            // That it has ended is told as rows are.
            Polled::End => {
                Polled::Rows { rows: RecordBatch::new_empty(Arc::clone(&self.schema)), dead: Vec::new(), bytes: 0 }
            }
            rows => rows,
        })
    }

    fn offset(&self) -> Offset {
        match &self.state {
            State::Fetched { from, .. } => *from,
            State::Open { whole, .. } => whole.reader.offset(),
            State::Ended => Offset::END,
        }
    }

    fn is_awaited(&self) -> bool {
        matches!(self.state, State::Fetched { .. })
    }
}
