//! Records to a batch. It must not know where the batch goes: its base offset is set last, outside the checksum.

use super::varint::{put, put_bytes, size};
use super::{BatchError, CRC_AT, CRC_FROM, Compression, HEADER_BYTES, LENGTH_END, TRANSACTIONAL};
use crate::{MAX_BATCH_BYTES, Record};

const MAGIC: u8 = 2;

/// Who wrote a batch, for those who look for duplicates; all -1 for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The producer's number.
    pub id: i64,
    /// Its incarnation.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub sequence: i32,
}

impl Default for Producer {
    fn default() -> Self {
        Self { id: -1, epoch: -1, sequence: -1 }
    }
}

/// How a batch is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoding {
    /// The codec of its records. A batch that it does not make smaller is stored plain.
    pub compression: Compression,
    /// Who writes it.
    pub producer: Producer,
    /// It is part of a transaction.
    pub is_transactional: bool,
}

/// The batch of `records`, with base offset 0: see [`set_base_offset`].
///
/// # Errors
/// There are no records, or more than [`MAX_BATCH_BYTES`] of them.
pub fn encode(records: &[Record], encoding: &Encoding) -> Result<Vec<u8>, BatchError> {
    let Some(first) = records.first() else {
        return Err(BatchError::Field { field: "number of records", value: 0 });
    };
    let count = i32::try_from(records.len());
    let count = count.map_err(|_| BatchError::TooLarge { bytes: records.len(), max: MAX_BATCH_BYTES })?;
    let mut batch = vec![0; HEADER_BYTES];
    for (delta, record) in (0_i64..).zip(records) {
        put_record(&mut batch, record, record.timestamp_ms.wrapping_sub(first.timestamp_ms), delta)?;
    }
    let mut attributes = if encoding.is_transactional { TRANSACTIONAL } else { 0 };
    if encoding.compression != Compression::None {
        let packed = encoding.compression.compress(&batch[HEADER_BYTES..]);
        let packed = packed.map_err(|e| BatchError::Compressed(e.to_string()))?;
        if packed.len() < batch.len() - HEADER_BYTES {
            attributes |= encoding.compression.code();
            batch.truncate(HEADER_BYTES);
            batch.extend_from_slice(&packed);
        }
    }
    let max_timestamp = records.iter().map(|r| r.timestamp_ms).max().unwrap_or(first.timestamp_ms);
    let Producer { id, epoch, sequence } = encoding.producer;
    let mut fields = Vec::with_capacity(HEADER_BYTES - CRC_FROM);
    fields.extend(attributes.to_be_bytes());
    fields.extend((count - 1).to_be_bytes());
    fields.extend(first.timestamp_ms.to_be_bytes());
    fields.extend(max_timestamp.to_be_bytes());
    fields.extend(id.to_be_bytes());
    fields.extend(epoch.to_be_bytes());
    fields.extend(sequence.to_be_bytes());
    fields.extend(count.to_be_bytes());
    batch[CRC_FROM..HEADER_BYTES].copy_from_slice(&fields);
    let length = i32::try_from(batch.len() - LENGTH_END).expect("no more than MAX_BATCH_BYTES");
    batch[LENGTH_END - 4..LENGTH_END].copy_from_slice(&length.to_be_bytes());
    batch[CRC_AT - 1] = MAGIC;
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    Ok(batch)
}

/// Gives a batch its place in a log.
pub fn set_base_offset(batch: &mut [u8], offset: u64) {
    batch[..8].copy_from_slice(&offset.to_be_bytes());
}

/// Says of which topic a batch is; see [`topic_mark`].
pub(crate) fn set_topic(batch: &mut [u8], topic: u64) {
    batch[LENGTH_END..CRC_AT - 1].copy_from_slice(&topic_mark(topic).to_be_bytes());
}

/// What stands for the number of a topic in its batches, where a log of several brokers has its leader's epoch: whoever
/// reads a segment sees that it is not another topic's.
pub(crate) fn topic_mark(topic: u64) -> i32 {
    i32::try_from(topic % (1 << 31)).expect("31 bits")
}

fn put_record(out: &mut Vec<u8>, record: &Record, timestamp_delta: i64, offset_delta: i64) -> Result<(), BatchError> {
    let sized = |bytes: Option<usize>| bytes.map_or(1, |n| size(n as i64) + n);
    let headers = record.headers.iter().map(|h| sized(Some(h.name.len())) + sized(h.value.as_ref().map(|v| v.len())));
    let length = 1
        + size(timestamp_delta)
        + size(offset_delta)
        + sized(record.key.as_ref().map(|k| k.len()))
        + sized(record.value.as_ref().map(|v| v.len()))
        + size(record.headers.len() as i64)
        + headers.sum::<usize>();
    let bytes = out.len() + size(length as i64) + length;
    if bytes > MAX_BATCH_BYTES {
        return Err(BatchError::TooLarge { bytes, max: MAX_BATCH_BYTES });
    }
    put(out, length as i64);
    out.push(0);
    put(out, timestamp_delta);
    put(out, offset_delta);
    put_bytes(out, record.key.as_ref());
    put_bytes(out, record.value.as_ref());
    put(out, record.headers.len() as i64);
    for header in &record.headers {
        put_bytes(out, Some(&header.name));
        put_bytes(out, header.value.as_ref());
    }
    Ok(())
}
