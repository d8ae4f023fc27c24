//! Record batches in the layout of Kafka's message format v2 (<https://kafka.apache.org/documentation/#recordbatch>):
//! pure, bounded, and without a panic on any bytes. They must not know files or topics.
//!
//! ```text
//! byte  field
//!    0  base offset            i64   not covered by the checksum
//!    8  length                 i32   of what follows; not covered
//!   12  partition leader epoch i32   here the number of the topic; not covered
//!   16  magic                  i8    2
//!   17  crc                    u32   CRC-32C of all that follows
//!   21  attributes             i16   bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
//!   23  last offset delta      i32
//!   27  base timestamp         i64
//!   35  max timestamp          i64
//!   43  producer id            i64
//!   51  producer epoch         i16
//!   53  base sequence          i32
//!   57  records                i32   how many
//!   61  the records, as one compressed block if there is a codec
//! ```
//!
//! A record is its length, attributes (one byte, 0), timestamp delta, offset delta, key, value and headers, where all
//! numbers are zigzag varints and an absent key or value has length -1.

mod compression;
mod decode;
mod encode;
#[cfg(test)]
mod tests;
pub(crate) mod varint;

use bytes::Bytes;

use crate::MAX_BATCH_BYTES;

pub use compression::Compression;
pub(crate) use decode::batch_bytes;
pub use encode::{Encoding, Producer, encode, set_base_offset};
pub(crate) use encode::{set_topic, topic_mark};

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;
/// Bytes before those that the length counts.
const LENGTH_END: usize = 12;
pub(crate) const CRC_AT: usize = 17;
/// Where the bytes begin that the checksum covers.
const CRC_FROM: usize = 21;

const TIMESTAMP_TYPE: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// Why bytes are no batch, or records make none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end within the batch.
    #[error("the batch ends after {have} of {need} bytes")]
    Short {
        /// Bytes that are there.
        have: usize,
        /// Bytes that are needed, as far as is known.
        need: usize,
    },
    /// A field has a value that it cannot have.
    #[error("its {field} is {value}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        value: i64,
    },
    /// The content is not what was written.
    #[error("expected checksum {expected:08x}, found {found:08x}")]
    Checksum {
        /// What the batch says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
    /// The batch is compressed with a codec that is not supported here.
    #[error("the codec {0} is not supported: use none, lz4 or zstd")]
    Codec(&'static str),
    /// The block of records does not decompress.
    #[error("its records do not decompress: {0}")]
    Compressed(String),
    /// A record is not one.
    #[error("its record {index} is malformed: {what}")]
    Record {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than [`MAX_BATCH_BYTES`].
    #[error("a batch of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// Its bytes, or a lower bound.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// The fields of a batch before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: u64,
    /// Bytes of the whole batch.
    pub bytes: usize,
    /// The leader's epoch; in a file of the hub, what stands for the topic.
    pub leader_epoch: i32,
    /// Bits of codec and kind.
    pub attributes: i16,
    /// Offset of the last record, less the first one's.
    pub last_offset_delta: u32,
    /// Timestamp from which the records' count, in milliseconds.
    pub base_timestamp_ms: i64,
    /// The largest timestamp, in milliseconds.
    pub max_timestamp_ms: i64,
    /// Who wrote it.
    pub producer: Producer,
    /// How many records it holds.
    pub records: u32,
}

/// A whole batch whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Its fields.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All of it, as it is stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> u64 {
        self.header.base_offset
    }

    /// One past the offset of the last record.
    pub fn end_offset(&self) -> u64 {
        self.header.base_offset + u64::from(self.header.last_offset_delta) + 1
    }
}

impl BatchHeader {
    /// It is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// It holds no data but a marker of the log's.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// All records have the time at which they were appended: the largest timestamp.
    fn is_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }
}
