//! Which version of a file is there: what a source that takes up whole files names its splits by. It must not know what
//! is in them.

use std::fmt;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thalweg_core::{Error, Result};

/// A version of a file: writing to it changes this, moving or copying a folder with its times does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) length: u64,
    /// Of a file when it was written, in nanoseconds since 1970; of an object its entity tag. Letters, digits and `-`.
    pub(crate) mark: String,
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos())
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let written = metadata.modified().map_or(0, nanos);
        Self { length: metadata.len(), mark: written.to_string() }
    }

    /// That of the file at `path` now; `None` if there is none.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| Self::of(&metadata))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(path, e)),
        }
    }

    /// Nobody has written to the file for `quiet`.
    pub(crate) fn is_settled(&self, quiet: Duration) -> bool {
        let written = self.mark.parse::<u128>().unwrap_or(u128::MAX);
        written.saturating_add(quiet.as_nanos()) <= nanos(SystemTime::now())
    }
}

/// A version of the file at a path, as a split is named: `path#length@mark`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.path.display(), self.stamp.length, self.stamp.mark)
    }
}

impl Version {
    /// From the name of a split.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (path, stamp) = id.rsplit_once('#')?;
        let (length, mark) = stamp.split_once('@')?;
        let is_mark = !mark.is_empty() && mark.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let stamp = Stamp { length: length.parse().ok()?, mark: is_mark.then(|| mark.to_owned())? };
        Some(Self { path: PathBuf::from(path), stamp })
    }

    /// The file has become `now`.
    pub(crate) fn changed(&self, now: &Stamp) -> Error {
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
        for mark in ["12", "d41d8cd98f00b204e9800998ecf8427e-3"] {
            let version = Version { path: "a#b/c@d.json".into(), stamp: Stamp { length: 7, mark: mark.to_owned() } };
            assert_eq!(version.to_string(), format!("a#b/c@d.json#7@{mark}"));
            assert_eq!(Version::parse(&version.to_string()), Some(version));
        }
        for id in ["a", "a#1", "a#x@1", "a#1@", "a#1@x y"] {
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
        let future = Stamp { mark: u128::MAX.to_string(), ..stamp };
        assert!(!future.is_settled(Duration::ZERO), "from the future");
    }
}
