//! `Manifest`: which topics there are and what of them is certainly there. It must not open other files.
//!
//! A manifest is one file, `manifest-<number>`, published create-only; the highest number counts. It holds [`MAGIC`],
//! the fields as zigzag varints (text and lists with their length in front), and the CRC-32C of all before it, four
//! bytes big endian.

use bytes::Bytes;
use thalweg_disk::Disk;

use crate::batch::varint::{Cursor, put, put_bytes};
use crate::{Compression, HubError, Result, TopicOptions};

const MAGIC: &[u8; 8] = b"thlwghb1";
const PREFIX: &str = "manifest-";
const MARKS_PREFIX: &str = "marks-";

/// What is in a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Its number, also in its file's name.
    pub number: u64,
    /// The number of the next topic: none is used twice.
    pub next_topic: u64,
    /// The number of the next append to several topics.
    pub next_transaction: u64,
    pub topics: Vec<TopicEntry>,
}

/// A topic in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicEntry {
    pub id: u64,
    pub name: String,
    pub options: TopicOptions,
    /// Where it begins: segments before that are rubbish.
    pub start: u64,
    /// All before this offset was durable, and complete in all topics.
    pub durable: u64,
    /// Closed segments, oldest first.
    pub closed: Vec<ClosedEntry>,
}

/// A segment that takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedEntry {
    pub base: u64,
    /// One past its last offset.
    pub end: u64,
    pub bytes: u64,
    pub max_timestamp_ms: i64,
}

/// The file of manifest `number`.
pub(crate) fn file(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// The file of the marks that follow manifest `number`.
pub(crate) fn marks_file(number: u64) -> String {
    format!("{MARKS_PREFIX}{number:020}")
}

/// The number in the name of a manifest.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    number_behind(PREFIX, name)
}

/// The number in the name of a file of marks.
pub(crate) fn number_of_marks(name: &str) -> Option<u64> {
    number_behind(MARKS_PREFIX, name)
}

fn number_behind(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    digits.parse().ok().filter(|_| digits.len() == 20)
}

impl Manifest {
    /// Its file's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        [self.number, self.next_topic, self.next_transaction, self.topics.len() as u64]
            .into_iter()
            .for_each(|n| put(&mut out, n as i64));
        for topic in &self.topics {
            put(&mut out, topic.id as i64);
            put_bytes(&mut out, Some(&Bytes::copy_from_slice(topic.name.as_bytes())));
            put(&mut out, topic.options.compression.code().into());
            put(&mut out, topic.options.segment_bytes as i64);
            put(&mut out, topic.options.retention_ms.map_or(-1, |n| n as i64));
            put(&mut out, topic.options.retention_bytes.map_or(-1, |n| n as i64));
            put(&mut out, topic.start as i64);
            put(&mut out, topic.durable as i64);
            put(&mut out, topic.closed.len() as i64);
            topic.closed.iter().for_each(|c| c.encode(&mut out));
        }
        let crc = crc32c::crc32c(&out);
        out.extend(crc.to_be_bytes());
        out
    }

    /// Reads manifest `number`.
    ///
    /// # Errors
    /// It cannot be read, or is not as it was written: a manifest is published whole, so no crash does that.
    pub fn read(disk: &dyn Disk, number: u64) -> Result<Self> {
        let path = file(number);
        let bytes = disk.read(&path)?;
        let damaged = |at: usize, what: String| HubError::Damaged { file: disk.locate(&path), at: at as u64, what };
        if !bytes.starts_with(MAGIC) {
            return Err(damaged(0, "it does not begin as a manifest of this version does".to_owned()));
        }
        let body = bytes.len().checked_sub(4).filter(|n| *n >= MAGIC.len());
        let body = body.ok_or_else(|| damaged(bytes.len(), "it ends too early".to_owned()))?;
        let expected = u32::from_be_bytes(bytes[body..].try_into().expect("four bytes"));
        let found = crc32c::crc32c(&bytes[..body]);
        if expected != found {
            return Err(damaged(0, format!("expected checksum {expected:08x}, found {found:08x}")));
        }
        let mut cursor = Cursor::new(Bytes::from(bytes).slice(MAGIC.len()..body));
        let manifest = Self::decode(&mut cursor).filter(|_| cursor.left() == 0);
        let manifest = manifest.ok_or_else(|| damaged(body - cursor.left(), "it does not read".to_owned()))?;
        if manifest.number != number {
            return Err(damaged(MAGIC.len(), format!("it is number {}, under the name of {number}", manifest.number)));
        }
        Ok(manifest)
    }

    fn decode(cursor: &mut Cursor) -> Option<Self> {
        let (number, next_topic, next_transaction) = (cursor.unsigned()?, cursor.unsigned()?, cursor.unsigned()?);
        let mut topics = Vec::new();
        for _ in 0..cursor.unsigned()? {
            let id = cursor.unsigned()?;
            let name = String::from_utf8(cursor.sized()??.to_vec()).ok()?;
            let options = TopicOptions {
                compression: Compression::of(i16::try_from(cursor.int()?).ok()?).ok()?,
                segment_bytes: cursor.unsigned()?,
                retention_ms: u64::try_from(cursor.long()?).ok(),
                retention_bytes: u64::try_from(cursor.long()?).ok(),
            };
            let (start, durable) = (cursor.unsigned()?, cursor.unsigned()?);
            let mut closed = Vec::new();
            for _ in 0..cursor.unsigned()? {
                closed.push(ClosedEntry::decode(cursor)?);
            }
            topics.push(TopicEntry { id, name, options, start, durable, closed });
        }
        Some(Self { number, next_topic, next_transaction, topics })
    }
}

impl ClosedEntry {
    pub fn encode(&self, out: &mut Vec<u8>) {
        [self.base as i64, self.end as i64, self.bytes as i64, self.max_timestamp_ms]
            .into_iter()
            .for_each(|n| put(out, n));
    }

    pub fn decode(cursor: &mut Cursor) -> Option<Self> {
        Some(Self {
            base: cursor.unsigned()?,
            end: cursor.unsigned()?,
            bytes: cursor.unsigned()?,
            max_timestamp_ms: cursor.long()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_disk::{Disk, NewFile, SimDisk, durable_publish};

    use super::*;

    fn some() -> Manifest {
        let closed = ClosedEntry { base: 3, end: 9, bytes: 777, max_timestamp_ms: -5 };
        let options = TopicOptions { compression: Compression::Zstd, retention_ms: Some(7), ..TopicOptions::default() };
        let topic =
            TopicEntry { id: 4, name: "ä b".to_owned(), options, start: 3, durable: 12, closed: vec![closed; 2] };
        Manifest { number: 8, next_topic: 5, next_transaction: 99, topics: vec![topic.clone(), topic] }
    }

    #[test]
    fn it_reads_back_and_any_flipped_bit_or_lost_end_is_found() {
        let publish = |bytes: &[u8]| {
            let disk = SimDisk::new();
            durable_publish(&disk, &[], NewFile { path: &file(8), bytes }).expect("room");
            disk
        };
        let bytes = some().encode();
        assert_eq!(Manifest::read(&publish(&bytes), 8).expect("whole"), some());
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let message = Manifest::read(&publish(&bytes), 8).expect_err("damaged").to_string();
            assert!(message.contains("manifest-00000000000000000008: damaged at byte"), "{message}");
        }
        for length in 0..bytes.len() {
            Manifest::read(&publish(&bytes[..length]), 8).expect_err("damaged");
        }
    }

    #[test]
    fn an_old_one_under_a_new_name_is_found() {
        let disk = SimDisk::new();
        durable_publish(&disk, &[], NewFile { path: &file(9), bytes: &some().encode() }).expect("room");
        let message = Manifest::read(&disk, 9).expect_err("number 8").to_string();
        assert!(message.contains("it is number 8"), "{message}");
        assert!(disk.exists(&file(9)).expect("it can be told"));
    }
}
