//! A folder to which files are added: each file is read once, as it is when it is complete. It must not know formats.
//!
//! A file is a split, named by its path, length and time of writing, so that how far it was read is known after a
//! restart, and a file that is written again is noticed. Files that are gone are remembered while there is room: a folder
//! may be out of sight for a while, and what comes back with it has been read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Offset, Polled, Result, Source, Split, SplitReader};

use super::list::list;
use super::options::{FileFormat, FileOptions, Watch};
use super::stamp::{Stamp, Version};

/// A reader of one file, and where it ends, if that is known before it is there.
pub(crate) struct Whole {
    pub(crate) reader: Box<dyn SplitReader>,
    pub(crate) end: Option<Offset>,
}

/// Opens a file of this stamp at an offset.
pub(crate) type OpenFile = Box<dyn Fn(&Path, Stamp, Offset) -> Result<Whole> + Send + Sync>;

/// The files of a folder as they come.
pub(crate) struct WatchSource {
    options: FileOptions,
    watch: Watch,
    format: FileFormat,
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
        options: FileOptions,
        watch: Watch,
        format: FileFormat,
        schema: SchemaRef,
        open: OpenFile,
    ) -> Self {
        Self { options, watch, format, schema, open, taken: Mutex::default() }
    }

    /// Looks for files. Returns the versions that have been taken up: first those that are there, by name.
    fn look(&self) -> Result<Vec<Version>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = HashMap::new();
        let mut versions = Vec::new();
        for path in list(&self.options)? {
            let Some(now) = Stamp::at(&path)? else { continue };
            let version = Version { path, stamp: now };
            match taken.there.get(&version.path) {
                Some(before) if *before != now => {
                    return Err(Version { stamp: *before, ..version }.changed(now));
                }
                Some(_) => {}
                None if taken.gone.contains(&version) => {}
                None if !now.is_settled(self.watch.settle) => continue,
                None => self.check_format(&version.path)?,
            }
            there.insert(version.path.clone(), now);
            versions.push(version);
        }
        if versions.len() > self.watch.files_max {
            return Err(Error::invalid_with_hint(
                format!("more than {} files are there, files.max", self.watch.files_max),
                "Take away those that have been read, or allow more: how far each was read is in every checkpoint.",
            ));
        }
        taken.update(there, self.watch.files_max);
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
        if from == Offset::END {
            return Ok(Box::new(WatchReader { version, whole: None, schema: self.schema() }));
        }
        match Stamp::at(&version.path)? {
            Some(now) if now == version.stamp => {}
            Some(now) => return Err(version.changed(now)),
            None => return Err(gone(&version.path)),
        }
        let whole = (self.open)(&version.path, version.stamp, from).map_err(|e| named(&version.path, e))?;
        Ok(Box::new(WatchReader { version, whole: Some(whole), schema: self.schema() }))
    }

    fn bounded(&self) -> bool {
        false
    }

    fn resume(&self, offsets: &BTreeMap<Arc<str>, Offset>) -> Result<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = Taken::default();
        for (id, offset) in offsets {
            let Some(version) = Version::parse(id) else { continue };
            match Stamp::at(&version.path)? {
                Some(now) if now == version.stamp => {
                    taken.there.insert(version.path, now);
                }
                None if *offset != Offset::END => return Err(gone(&version.path)),
                _ => taken.gone.push_back(version),
            }
        }
        // A name may have been used again, but not while nobody looked.
        for version in &taken.gone {
            if !taken.there.contains_key(&version.path) {
                version.check()?;
            }
        }
        Ok(())
    }

    fn side_by_side(&self) -> usize {
        1
    }

    fn forgets(&self) -> bool {
        true
    }
}

fn gone(path: &Path) -> Error {
    Error::invalid_with_hint(
        format!("{} is gone, and has not been read to its end", path.display()),
        "Put it back; a file may be taken away when its rows are there.",
    )
}

/// An error of the file at `path`, which names it.
fn named(path: &Path, error: Error) -> Error {
    let shown = path.display().to_string();
    match error {
        Error::Invalid { message, hint } if !message.contains(&shown) => {
            Error::Invalid { message: format!("{shown}: {message}"), hint }
        }
        other => other,
    }
}

/// Reads one version of a file. Its last rows come with the offset behind the end.
struct WatchReader {
    version: Version,
    /// `None`: there is nothing more to read.
    whole: Option<Whole>,
    schema: SchemaRef,
}

impl SplitReader for WatchReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let Some(whole) = &mut self.whole else { return Ok(Polled::End) };
        let polled = whole.reader.poll(max_rows).map_err(|e| named(&self.version.path, e))?;
        let at = whole.reader.offset();
        match (&polled, whole.end) {
            (Polled::Rows { .. }, Some(end)) if at >= end => {}
            (Polled::End, Some(end)) if at < end => {
                self.version.check()?;
                return Err(Error::Data(format!("{} ends before its end", self.version.path.display())));
            }
            (Polled::End, _) => {}
            _ => return Ok(polled),
        }
        // Nobody has written to it meanwhile.
        self.version.check()?;
        self.whole = None;
        Ok(match polled {
            // That it has ended is told as rows are.
            Polled::End => {
                Polled::Rows { rows: RecordBatch::new_empty(Arc::clone(&self.schema)), dead: Vec::new(), bytes: 0 }
            }
            rows => rows,
        })
    }

    fn offset(&self) -> Offset {
        self.whole.as_ref().map_or(Offset::END, |whole| whole.reader.offset())
    }
}
