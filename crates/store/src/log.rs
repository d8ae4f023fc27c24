//! `Log`: records appended to one file, each with its length and checksum. It must not know what a record means.
//!
//! The file begins with [`MAGIC`]. A record is its length (4 bytes, little endian), the CRC-32C of length and content
//! (4 bytes), and the content. A crash can leave only the last record torn: it was never acknowledged and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};

const MAGIC: &[u8; 8] = b"thlwglg1";
const HEADER_BYTES: usize = 8;
/// A record's content at most (1 GiB): a longer length is damage.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    end: u64,
    /// A write or fsync has failed: what is on disk is not known, so nothing more is taken.
    failed: bool,
}

/// What a log held when it was opened.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The records, oldest first.
    pub records: Vec<Vec<u8>>,
    /// Bytes of a torn last record that were cut off.
    pub cut_bytes: u64,
}

impl Log {
    /// Opens or makes the log at `path` and reads all of it.
    ///
    /// # Errors
    /// The file cannot be read or made; or it is damaged before its end: then nothing is changed, and the error names
    /// the place.
    pub fn open(path: &Path) -> Result<(Self, Replayed)> {
        let io = |e| Error::io(path, e);
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        if is_new {
            thalweg_core::failpoint!("log.created");
            file.write_all(MAGIC).and_then(|()| file.sync_all()).map_err(io)?;
            thalweg_core::failpoint!("log.begun");
            sync_folder(path)?;
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(io)?;
        if !bytes.starts_with(MAGIC) {
            // A crash while the file was made: nothing was ever in it.
            if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
                file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(MAGIC)).map_err(io)?;
                file.sync_all().map_err(io)?;
                bytes = MAGIC.to_vec();
            } else {
                return Err(Error::invalid(format!(
                    "{}: not a log of this program, or damaged at byte 0",
                    path.display()
                )));
            }
        }
        let (records, end) = read_records(path, &bytes)?;
        let cut_bytes = (bytes.len() - end) as u64;
        if cut_bytes > 0 {
            file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(io)?;
        }
        file.seek(SeekFrom::Start(end as u64)).map_err(io)?;
        Ok((Self { path: path.to_owned(), file, end: end as u64, failed: false }, Replayed { records, cut_bytes }))
    }

    /// Appends a record; it is durable after [`Log::sync`].
    ///
    /// # Errors
    /// The write fails, or one has failed before.
    pub fn append(&mut self, content: &[u8]) -> Result<()> {
        self.check()?;
        let length = u32::try_from(content.len()).ok().filter(|n| *n as usize <= MAX_RECORD_BYTES);
        let length = length.ok_or_else(|| Error::invalid("a record of more than 1 GiB"))?;
        let mut record = Vec::with_capacity(HEADER_BYTES + content.len());
        record.extend(length.to_le_bytes());
        record.extend(checksum(length, content).to_le_bytes());
        record.extend(content);
        if let Err(e) = self.file.write_all(&record) {
            // What was written of it must not be taken for a record's beginning by the next one.
            let undone = self.file.set_len(self.end).and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
            self.failed = undone.is_err();
            return Err(Error::io(&self.path, e));
        }
        self.end += record.len() as u64;
        thalweg_core::failpoint!("log.appended");
        Ok(())
    }

    /// Makes every appended record durable.
    ///
    /// # Errors
    /// The disk refuses; the log takes nothing more, for what is on disk is not known.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        self.file.sync_data().map_err(|e| {
            self.failed = true;
            Error::io(&self.path, e)
        })?;
        thalweg_core::failpoint!("log.synced");
        Ok(())
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    fn check(&self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        Err(Error::io(&self.path, std::io::Error::other("an earlier write failed; restart to read back what is there")))
    }
}

fn checksum(length: u32, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), content)
}

/// The whole records, and where they end.
fn read_records(path: &Path, bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize)> {
    let mut records = Vec::new();
    let mut at = MAGIC.len();
    while let Some(header) = bytes.get(at..at + HEADER_BYTES) {
        let word = |i: usize| u32::from_le_bytes(header[i..i + 4].try_into().expect("four bytes"));
        let (length, expected) = (word(0), word(4));
        let start = at + HEADER_BYTES;
        let content = bytes.get(start..start.saturating_add(length as usize));
        match content {
            Some(content) if checksum(length, content) == expected => {
                records.push(content.to_vec());
                at = start + content.len();
            }
            // The last record may be torn. Damage with whole records behind it is no crash of ours.
            Some(content) if start + content.len() < bytes.len() && follows(bytes, start + content.len()) => {
                return Err(Error::invalid(format!(
                    "{}: the record at byte {at} is damaged: expected checksum {expected:08x}, found {:08x}",
                    path.display(),
                    checksum(length, content)
                )));
            }
            _ => break,
        }
    }
    Ok((records, at))
}

/// A whole record begins at `at`.
fn follows(bytes: &[u8], at: usize) -> bool {
    let Some(header) = bytes.get(at..at + HEADER_BYTES) else { return false };
    let word = |i: usize| u32::from_le_bytes(header[i..i + 4].try_into().expect("four bytes"));
    let start = at + HEADER_BYTES;
    bytes.get(start..start.saturating_add(word(0) as usize)).is_some_and(|c| checksum(word(0), c) == word(4))
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, records: &[&[u8]]) {
        let (mut log, _) = Log::open(path).expect("it opens");
        records.iter().for_each(|r| log.append(r).expect("it takes records"));
        log.sync().expect("it is durable");
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        written(&path, &[b"one", b"", b"three"]);
        written(&path, &[b"four"]);
        let (_, replayed) = Log::open(&path).expect("it opens");
        assert_eq!(replayed.records, [&b"one"[..], b"", b"three", b"four"]);
    }

    #[test]
    fn every_torn_end_leaves_the_whole_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        written(&path, &[b"one", b"two two"]);
        let whole = std::fs::read(&path).expect("readable");
        let first_two = MAGIC.len() + HEADER_BYTES + 3;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("writable");
            let (_, replayed) = Log::open(&path).expect("a torn end is no error");
            let expected = usize::from(length >= first_two);
            assert_eq!(replayed.records.len(), expected, "cut at {length}");
            written(&path, &[b"next"]);
            assert_eq!(Log::open(&path).expect("it opens").1.records.len(), expected + 1);
        }
    }

    #[test]
    fn damage_in_the_middle_is_refused_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        written(&path, &[b"one", b"two"]);
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes[MAGIC.len() + HEADER_BYTES] ^= 1;
        std::fs::write(&path, &bytes).expect("writable");
        let message = Log::open(&path).expect_err("damaged").to_string();
        assert!(message.contains("byte 8") && message.contains("checksum"), "{message}");
        assert_eq!(std::fs::read(&path).expect("readable"), bytes, "nothing was changed");
    }
}
