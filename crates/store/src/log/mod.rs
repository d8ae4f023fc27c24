//! `Log`: records appended to one file, each with its length and checksum. It must not know what a record means.
//!
//! The file begins with [`MAGIC`]. A record is its length (4 bytes, little endian), the CRC-32C of length and content
//! (4 bytes), and the content.
//!
//! A crash may leave anything behind the last fsync: a part of a record, zeros, rubbish, or the whole of it. The same
//! bytes within what was acknowledged are damage. The file alone cannot tell the two apart, for its end may be cut off:
//! beside it are [`marks`], and a record is acknowledged when it and a mark behind it are durable. An opening
//!
//! - refuses what is not as the last mark says, and names the place;
//! - cuts off what is broken behind it, and keeps what is whole.
//!
//! A log that has no marks yet, of an older version, is cut at a broken record only if no whole one is found behind it.

mod marks;
mod records;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use thalweg_core::{Error, Result};
use thalweg_disk::{Disk, DiskFile, NewFile, durable_publish};

use marks::{Mark, Marks};
use records::Records;

const MAGIC: &[u8; 8] = b"thlwglg1";

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    marks: Marks,
    /// Where it ends, and the checksum of all before that.
    end: Mark,
    /// What was refused could not be taken back, so what is on disk is not known: nothing more is taken.
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
    /// Opens or makes the log `name`, a file in the root of `disk`, and reads all of it.
    ///
    /// # Errors
    /// The file cannot be read or made; or it is damaged: then nothing is changed, and the error names the place.
    pub fn open(disk: &dyn Disk, name: &str) -> Result<(Self, Replayed)> {
        let path = disk.locate(name);
        let damaged = |at: u64, what: &str| {
            let message = format!("{}: damaged at byte {at}: {what}", path.display());
            Error::invalid_with_hint(message, "Put the file back from a copy of the data directory.")
        };
        let marked = Marks::read(disk, name)?;
        if !disk.exists(name)? {
            if let Some(mark) = marked {
                return Err(damaged(0, &format!("the file is missing; {} bytes of it were durable", mark.end)));
            }
            durable_publish(disk, &[], NewFile { path: name, bytes: MAGIC })?;
            thalweg_core::failpoint!("log.created");
        }
        let file = disk.open(name)?;
        // Whoever wrote last may have been killed before it was durable. After an fsync that failed, what is in memory
        // may be what the device does not hold.
        file.sync()?;
        disk.uncache(name)?;
        let mut bytes = disk.read(name)?;
        if !bytes.starts_with(MAGIC) {
            // An older version was broken off when it made the file: nothing was ever in it.
            if marked.is_some() || bytes.len() >= MAGIC.len() || !MAGIC.starts_with(&bytes) {
                return Err(damaged(0, "it does not begin as a log of this program does"));
            }
            file.truncate(0)?;
            file.append(MAGIC)?;
            file.sync()?;
            bytes = MAGIC.to_vec();
        }
        let Records { records, end, broken } = Records::of(&bytes, MAGIC.len());
        let found = Mark::of(&bytes[..end]);
        let expected = marked.and_then(|mark| Some((mark, mark.of_the_same(&bytes)?)));
        match (marked, expected, &broken) {
            // More than it says may be there: it became durable, or is at least whole.
            (_, Some((mark, same)), _) if same == mark => {}
            (Some(mark), _, Some(what)) if found.end < mark.end => return Err(damaged(found.end, what)),
            (_, Some((Mark { end, crc }, same)), _) => {
                let what = format!("of {end} bytes: expected checksum {crc:08x}, found {:08x}", same.crc);
                return Err(damaged(0, &what));
            }
            (Some(mark), ..) => {
                return Err(damaged(found.end, &format!("the file ends, and {} bytes were durable", mark.end)));
            }
            (None, _, Some(what)) if records::is_followed(&bytes[end..]) => return Err(damaged(found.end, what)),
            _ => {}
        }
        let cut_bytes = bytes.len() as u64 - found.end;
        if cut_bytes > 0 {
            file.truncate(found.end)?;
            file.sync()?;
        }
        let mut marks = Marks::open(disk, name)?;
        thalweg_core::failpoint!("log.begun");
        if marked != Some(found) {
            marks.write(found)?;
        }
        Ok((Self { path, file, marks, end: found, failed: false }, Replayed { records, cut_bytes }))
    }

    /// Appends a record; it is durable when this returns.
    ///
    /// # Errors
    /// The disk refuses. On a full disk nothing has happened, and the log goes on when there is room; after any other
    /// failure it may take nothing more, for what is on disk is not known.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        if self.failed {
            let error = "an earlier write failed; restart to read back what is there";
            return Err(Error::io(&self.path, std::io::Error::other(error)));
        }
        let record = records::encode(content)?;
        let end = self.end.after(&record);
        if let Err(error) = self.put(&record, end) {
            // The mark went first: without it, what is left of the record is a torn end.
            let undone = self.marks.undo().and_then(|()| self.file.truncate(self.end.end));
            self.failed = undone.and_then(|()| self.file.sync()).is_err();
            return Err(error.into());
        }
        self.end = end;
        Ok(())
    }

    fn put(&mut self, record: &[u8], end: Mark) -> thalweg_disk::Result<()> {
        self.file.append(record)?;
        thalweg_core::failpoint!("log.appended");
        self.file.sync()?;
        thalweg_core::failpoint!("log.synced");
        self.marks.write(end)?;
        thalweg_core::failpoint!("log.marked");
        Ok(())
    }
}
