//! The file of the audit log: opened for appending, never truncated, made anew when it was moved away. It must not know
//! what a line says.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};

/// Whoever may read it knows who does what: nobody but its owner.
const MODE: u32 = 0o600;

/// An open file.
pub(super) struct Sink {
    path: PathBuf,
    file: File,
    /// Its last line has no end: a write or the machine was broken off in it.
    torn: bool,
}

impl Sink {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let is_new = !path.exists();
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path).map_err(io)?;
        if is_new {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))?;
        }
        let metadata = file.metadata().map_err(io)?;
        let torn = metadata.is_file() && metadata.len() > 0 && last_byte(path).map_err(io)? != b'\n';
        Ok(Self { path: path.to_owned(), file, torn })
    }

    /// Appends a line, which ends with `\n`; `durable`: it is on the disk when this returns.
    pub fn write(&mut self, line: &[u8], durable: bool) -> Result<()> {
        let metadata = self.file.metadata().map_err(|e| Error::io(&self.path, e))?;
        if metadata.is_file() && !self.is_there(&metadata) {
            *self = Self::open(&self.path)?;
        }
        let whole = if self.torn { [b"\n", line].concat() } else { line.to_vec() };
        // Until it is known to be whole.
        self.torn = true;
        self.file.write_all(&whole).map_err(|e| Error::io(&self.path, e))?;
        self.torn = false;
        thalweg_core::failpoint!("audit.written");
        if durable && metadata.is_file() {
            self.file.sync_data().map_err(|e| Error::io(&self.path, e))?;
            thalweg_core::failpoint!("audit.synced");
        }
        Ok(())
    }

    /// The path still names this file: it was not moved away to be kept, or removed.
    fn is_there(&self, own: &Metadata) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|at| (at.dev(), at.ino()) == (own.dev(), own.ino()))
    }

    /// From now on, writes fail until the file is made anew.
    #[cfg(test)]
    pub fn break_off(&mut self) {
        self.file = File::open(&self.path).expect("it is there");
    }
}

fn last_byte(path: &Path) -> std::io::Result<u8> {
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_appends_to_what_is_there_also_after_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        Sink::open(&path).and_then(|mut s| s.write(b"one\n", true)).expect("it is written");
        std::fs::OpenOptions::new().append(true).open(&path).and_then(|mut f| f.write_all(b"to")).expect("written");
        Sink::open(&path).and_then(|mut s| s.write(b"two\n", false)).expect("it is written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "one\nto\ntwo\n");
        let mode = std::fs::metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let mut sink = Sink::open(&path).expect("it opens");
        sink.write(b"one\n", false).expect("it is written");
        std::fs::rename(&path, &old).expect("it can be moved");
        sink.write(b"two\n", false).expect("it is written");
        let read = |path| std::fs::read_to_string(path).expect("readable");
        assert_eq!((read(&old), read(&path)), ("one\n".to_owned(), "two\n".to_owned()));
    }
}
