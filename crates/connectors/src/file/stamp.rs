//! Which files are there, and which version of each: what a watched folder names its splits by. It must not know what is
//! in them.

use std::fmt;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thalweg_core::{Error, Result};

/// A version of a file: writing to it changes this, moving or copying the folder with its times does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) length: u64,
    /// When it was written, in nanoseconds since 1970.
    pub(crate) written: u128,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Self { length: metadata.len(), written: since.map_or(0, |d| d.as_nanos()) }
    }

    /// That of the file at `path` now; `None` if there is none.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| Self::of(&metadata))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(path, e)),
        }
    }

    /// Nobody has written to it for `quiet`.
    pub(crate) fn is_settled(&self, quiet: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        self.written.saturating_add(quiet.as_nanos()) <= now
    }
}

/// A version of the file at a path, as a split is named: `path#length@written`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.path.display(), self.stamp.length, self.stamp.written)
    }
}

impl Version {
    /// From the name of a split.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (path, stamp) = id.rsplit_once('#')?;
        let (length, written) = stamp.split_once('@')?;
        let stamp = Stamp { length: length.parse().ok()?, written: written.parse().ok()? };
        Some(Self { path: PathBuf::from(path), stamp })
    }

    /// The file is still this version of it, or gone.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn check(&self) -> Result<()> {
        match Stamp::at(&self.path)? {
            Some(stamp) if stamp != self.stamp => Err(self.changed(stamp)),
            _ => Ok(()),
        }
    }

    /// The file has become `now`.
    pub(crate) fn changed(&self, now: Stamp) -> Error {
        let what = match now.length.cmp(&self.stamp.length) {
            std::cmp::Ordering::Less => "has shrunk",
            std::cmp::Ordering::Equal => "was written again",
            std::cmp::Ordering::Greater => "has grown",
        };
        Error::invalid_with_hint(
            format!("{} {what} after it was taken up: which of its rows are new is not known", self.path.display()),
            "Put the file back as it was, or take it away, and give what is new a name of its own. Files are written \
             elsewhere, or under a name with a dot in front, and renamed when they are complete; growing ones are for \
             mode = 'follow'.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_and_read_back() {
        let version = Version { path: "a#b/c@d.json".into(), stamp: Stamp { length: 7, written: 12 } };
        assert_eq!(version.to_string(), "a#b/c@d.json#7@12");
        assert_eq!(Version::parse(&version.to_string()), Some(version));
        for id in ["a", "a#1", "a#x@1", "a#1@x"] {
            assert_eq!(Version::parse(id), None);
        }
    }

    #[test]
    fn what_was_just_written_is_not_settled() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        assert_eq!(Stamp::at(&path).expect("looked"), None);
        fs::write(&path, "x").expect("written");
        let stamp = Stamp::at(&path).expect("looked").expect("there");
        assert!(stamp.is_settled(Duration::ZERO) && !stamp.is_settled(Duration::from_secs(60)));
        assert!(!Stamp { written: u128::MAX, ..stamp }.is_settled(Duration::ZERO), "from the future");
    }
}
