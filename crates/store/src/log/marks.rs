//! `Marks`: how much of a log was durable, in a file beside it. They must not be needed: without a mark the log is read as
//! far as it is whole, and only the certainty is lost that nothing is missing.
//!
//! The file is a sequence of marks of 16 bytes, one appended behind each record: where the log ends (8 bytes, little
//! endian), the CRC-32C of all of it up to there (4 bytes), and the CRC-32C of these 12 bytes (4 bytes). The highest
//! counts: one that is torn or damaged leaves what those before it say.

use thalweg_disk::{Disk, DiskFile, Result};

const MARK_BYTES: usize = 16;

/// The beginning of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its bytes.
    pub end: u64,
    /// Their checksum.
    pub crc: u32,
}

impl Mark {
    /// Of a log that consists of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { end: bytes.len() as u64, crc: crc32c::crc32c(bytes) }
    }

    /// Of the log with `record` behind it.
    pub fn after(self, record: &[u8]) -> Self {
        Self { end: self.end + record.len() as u64, crc: crc32c::crc32c_append(self.crc, record) }
    }

    /// That of as many of `bytes`, if there are so many.
    pub fn of_the_same(self, bytes: &[u8]) -> Option<Self> {
        usize::try_from(self.end).ok().and_then(|end| bytes.get(..end)).map(Self::of)
    }

    fn encode(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.end.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; MARK_BYTES]>::try_from(bytes).ok()?;
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let end = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        (word(12) == crc32c::crc32c(&bytes[..12])).then_some(Self { end, crc: word(8) })
    }
}

/// The file of marks that is written to.
#[derive(Debug)]
pub(super) struct Marks {
    file: Box<dyn DiskFile>,
    bytes: u64,
}

fn file_of(log: &str) -> String {
    format!("{log}.marks")
}

impl Marks {
    /// The highest mark of a log, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(disk: &dyn Disk, log: &str) -> Result<Option<Mark>> {
        let path = file_of(log);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        let bytes = disk.read(&path)?;
        Ok(bytes.chunks(MARK_BYTES).filter_map(Mark::decode).max_by_key(|mark| mark.end))
    }

    /// Opens or makes the file; what is torn at its end is cut off.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(disk: &dyn Disk, log: &str) -> Result<Self> {
        let path = file_of(log);
        let file = if disk.exists(&path)? { disk.open(&path)? } else { disk.create(&path)? };
        // Whoever made it may have been killed before its name was durable.
        disk.sync_folder("")?;
        let length = file.len()?;
        let bytes = length - length % MARK_BYTES as u64;
        if bytes < length {
            file.truncate(bytes)?;
            file.sync()?;
        }
        Ok(Self { file, bytes })
    }

    /// Writes a mark; it is durable when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, mark: Mark) -> Result<()> {
        self.file.append(&mark.encode())?;
        self.file.sync()?;
        self.bytes += MARK_BYTES as u64;
        Ok(())
    }

    /// Takes back what is left of a mark that could not be written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn undo(&mut self) -> Result<()> {
        if self.file.len()? > self.bytes {
            self.file.truncate(self.bytes)?;
            self.file.sync()?;
        }
        Ok(())
    }
}
