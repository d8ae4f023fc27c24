//! `Folder`: where the files are that a source takes up as a whole, each once. It must not know what is in them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg_core::{Error, Result};

use super::list::list;
use super::options::FileOptions;
use super::stamp::{Stamp, Version};

/// A file that is there.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) version: Version,
    /// Nobody is writing to it any more.
    pub(crate) complete: bool,
}

/// A place of files. What it is asked for does not wait longer than a disk does.
pub(crate) trait Folder: Send + Sync {
    /// The files that are there, in name order. The first call may wait.
    fn list(&self) -> Result<Vec<Listed>>;

    /// Begins to bring a version of a file to where it can be opened.
    ///
    /// # Errors
    /// It is gone, or another version is there.
    fn fetch(&self, version: &Version) -> Result<Box<dyn Fetch>>;

    /// Called when a version has been read to its end.
    ///
    /// # Errors
    /// It was written to meanwhile.
    fn check(&self, version: &Version) -> Result<()>;

    /// Files that a worker has open at one time.
    fn side_by_side(&self) -> usize {
        1
    }
}

/// A file on its way.
pub(crate) trait Fetch: Send {
    /// Where it is, once it is there: for as long as this is kept.
    fn poll(&mut self) -> Result<Option<&Path>>;
}

/// A folder of this machine.
pub(crate) struct LocalFolder {
    options: FileOptions,
    /// A file is complete when nobody has written to it for so long.
    settle: Duration,
}

impl LocalFolder {
    pub(crate) fn new(options: FileOptions) -> Self {
        let settle = options.watch.map_or(Duration::ZERO, |watch| watch.settle);
        Self { options, settle }
    }
}

impl Folder for LocalFolder {
    fn list(&self) -> Result<Vec<Listed>> {
        let mut files = Vec::new();
        for path in list(&self.options)? {
            let Some(stamp) = Stamp::at(&path)? else { continue };
            let complete = stamp.is_settled(self.settle);
            files.push(Listed { version: Version { path, stamp }, complete });
        }
        Ok(files)
    }

    fn fetch(&self, version: &Version) -> Result<Box<dyn Fetch>> {
        match Stamp::at(&version.path)? {
            Some(now) if now == version.stamp => Ok(Box::new(Here(version.path.clone()))),
            Some(now) => Err(version.changed(&now)),
            None => Err(gone(&version.path)),
        }
    }

    fn check(&self, version: &Version) -> Result<()> {
        match Stamp::at(&version.path)? {
            Some(now) if now != version.stamp => Err(version.changed(&now)),
            _ => Ok(()),
        }
    }
}

/// A file that need not be fetched.
struct Here(PathBuf);

impl Fetch for Here {
    fn poll(&mut self) -> Result<Option<&Path>> {
        Ok(Some(&self.0))
    }
}

/// The file at `path` is no longer there.
pub(crate) fn gone(path: &Path) -> Error {
    Error::invalid_with_hint(
        format!("{} is gone, and has not been read to its end", path.display()),
        "Put it back; a file may be taken away when its rows are there.",
    )
}
