//! Files that grow: which file is which through rotation, and reading one as it grows. It must not know lines.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use thalweg_core::{Error, Result};

use super::bytes::Got;

/// A file that was deleted, or renamed to where nobody looks for it, is given up when it has not grown for this
/// long: its writer may not have noticed yet.
const ROTATE_WAIT: Duration = Duration::from_secs(5);

/// What stays the same when a file is renamed: device, inode, and the birth time where the file system keeps it, since
/// an inode is used again after a file is deleted.
pub(crate) fn identity(metadata: &Metadata) -> String {
    let birth = metadata.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    format!("{:x}:{:x}:{:x}", metadata.dev(), metadata.ino(), birth.map_or(0, |d| d.as_nanos()))
}

/// The identity of the file at `path`, if it is there.
pub(crate) fn identity_of(path: &Path) -> Option<String> {
    fs::metadata(path).ok().filter(Metadata::is_file).map(|m| identity(&m))
}

/// The file with this identity: among `candidates`, or else beside one of them, where a rotation renames it to.
pub(crate) fn find(wanted: &str, candidates: &[PathBuf]) -> Option<PathBuf> {
    let is = |path: &PathBuf| identity_of(path).as_deref() == Some(wanted);
    if let Some(path) = candidates.iter().find(|p| is(p)) {
        return Some(path.clone());
    }
    let mut folders: Vec<PathBuf> = candidates.iter().filter_map(|p| p.parent().map(Path::to_path_buf)).collect();
    folders.sort();
    folders.dedup();
    folders
        .into_iter()
        .map(|f| if f.as_os_str().is_empty() { PathBuf::from(".") } else { f })
        .filter_map(|f| fs::read_dir(f).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .find(is)
}

/// A growing file, open: renaming or deleting it does not take it away.
pub(crate) struct FollowedFile {
    path: PathBuf,
    file: File,
    identity: String,
    at: u64,
    quiet_since: Option<Instant>,
}

impl FollowedFile {
    /// Opens the file at `path` at byte `from`; from the start when it is shorter than that by now.
    pub(crate) fn open(path: &Path, from: u64) -> Result<(Self, u64)> {
        let failed = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let at = if from > metadata.len() { 0 } else { from };
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let identity = identity(&metadata);
        Ok((Self { path: path.to_path_buf(), file, identity, at, quiet_since: None }, at))
    }

    /// Reads what has been added.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let bytes = self.file.read(buffer)?;
        if bytes > 0 {
            self.at += bytes as u64;
            self.quiet_since = None;
            return Ok(Got::Bytes(bytes));
        }
        let metadata = self.file.metadata()?;
        if metadata.len() < self.at {
            self.at = self.file.seek(SeekFrom::Start(0))?;
            return Ok(Got::Restart);
        }
        let gone = metadata.nlink() == 0 || identity_of(&self.path).as_ref() != Some(&self.identity);
        if !gone {
            self.quiet_since = None;
            return Ok(Got::Nothing);
        }
        let since = *self.quiet_since.get_or_insert_with(Instant::now);
        Ok(if since.elapsed() >= ROTATE_WAIT { Got::End } else { Got::Nothing })
    }
}
