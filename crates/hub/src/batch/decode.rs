//! A batch to records. It must not trust a byte.

use bytes::Bytes;

use super::varint::Cursor;
use super::{
    Batch, BatchError, BatchHeader, CRC_AT, CRC_FROM, Compression, HEADER_BYTES, LENGTH_END, MAX_BATCH_BYTES, Producer,
};
use crate::Record;
use crate::record::Header;

/// Bytes of the smallest record.
const MIN_RECORD_BYTES: usize = 7;

/// `N` bytes at `at`, which the caller knows are there.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// Bytes of the whole batch, from its first ones.
///
/// # Errors
/// The first ones are too few or wrong.
pub(crate) fn batch_bytes(bytes: &[u8]) -> Result<usize, BatchError> {
    if bytes.len() < LENGTH_END {
        return Err(BatchError::Short { have: bytes.len(), need: HEADER_BYTES });
    }
    let length = i32::from_be_bytes(field(bytes, LENGTH_END - 4));
    let total = usize::try_from(length).ok().and_then(|n| n.checked_add(LENGTH_END));
    total
        .filter(|n| (HEADER_BYTES..=MAX_BATCH_BYTES).contains(n))
        .ok_or(BatchError::Field { field: "length", value: length.into() })
}

impl Batch {
    /// The batch at the beginning of `bytes`; more may follow it.
    ///
    /// # Errors
    /// The bytes are no whole batch, or not as they were written.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let total = batch_bytes(bytes)?;
        if bytes.len() < total {
            return Err(BatchError::Short { have: bytes.len(), need: total });
        }
        let bytes = bytes.slice(..total);
        let magic = bytes[CRC_AT - 1];
        if magic != 2 {
            return Err(BatchError::Field { field: "magic", value: magic.into() });
        }
        let expected = u32::from_be_bytes(field(&bytes, CRC_AT));
        let found = crc32c::crc32c(&bytes[CRC_FROM..]);
        if expected != found {
            return Err(BatchError::Checksum { expected, found });
        }
        let base_offset = i64::from_be_bytes(field(&bytes, 0));
        let last_offset_delta = i32::from_be_bytes(field(&bytes, 23));
        let records = i32::from_be_bytes(field(&bytes, 57));
        let wrong = |field, value: i64| BatchError::Field { field, value };
        if base_offset < 0 || base_offset.checked_add(i64::from(last_offset_delta) + 1).is_none() {
            return Err(wrong("base offset", base_offset));
        }
        if last_offset_delta < 0 {
            return Err(wrong("last offset delta", last_offset_delta.into()));
        }
        // A compacted batch has fewer records than offsets.
        if records < 0 || i64::from(records) > i64::from(last_offset_delta) + 1 {
            return Err(wrong("number of records", records.into()));
        }
        let header = BatchHeader {
            base_offset: base_offset.unsigned_abs(),
            bytes: total,
            leader_epoch: i32::from_be_bytes(field(&bytes, 12)),
            attributes: i16::from_be_bytes(field(&bytes, 21)),
            last_offset_delta: last_offset_delta.unsigned_abs(),
            base_timestamp_ms: i64::from_be_bytes(field(&bytes, 27)),
            max_timestamp_ms: i64::from_be_bytes(field(&bytes, 35)),
            producer: Producer {
                id: i64::from_be_bytes(field(&bytes, 43)),
                epoch: i16::from_be_bytes(field(&bytes, 51)),
                sequence: i32::from_be_bytes(field(&bytes, 53)),
            },
            records: records.unsigned_abs(),
        };
        Ok(Self { header, bytes })
    }

    /// Its records and their offsets, in order.
    ///
    /// # Errors
    /// The codec is not supported, or whoever made the batch made it wrong: its checksum was right.
    pub fn records(&self) -> Result<Vec<(u64, Record)>, BatchError> {
        let block = self.bytes.slice(HEADER_BYTES..);
        let block = match Compression::of(self.header.attributes)? {
            Compression::None => block,
            codec => codec.decompress(&block)?.into(),
        };
        let count = self.header.records as usize;
        let mut records: Vec<(u64, Record)> = Vec::with_capacity(count.min(block.len() / MIN_RECORD_BYTES));
        let mut cursor = Cursor::new(block);
        let mut next_delta = 0;
        for index in 0..count {
            let wrong = |what| BatchError::Record { index, what };
            let (delta, record) = self.record(&mut cursor).map_err(wrong)?;
            if delta < next_delta || delta > self.header.last_offset_delta {
                return Err(wrong("its offset is not between its neighbours'"));
            }
            next_delta = delta + 1;
            records.push((self.header.base_offset + u64::from(delta), record));
        }
        match cursor.left() {
            0 => Ok(records),
            _ => Err(BatchError::Record { index: count, what: "bytes follow the last record" }),
        }
    }

    fn record(&self, cursor: &mut Cursor) -> Result<(u32, Record), &'static str> {
        let length = cursor.int().and_then(|n| usize::try_from(n).ok()).ok_or("its length")?;
        let mut fields = Cursor::new(cursor.take(length).ok_or("its length")?);
        fields.byte().ok_or("its attributes")?;
        let timestamp_delta = fields.long().ok_or("its timestamp")?;
        let offset_delta = fields.int().and_then(|n| u32::try_from(n).ok()).ok_or("its offset")?;
        let key = fields.sized().ok_or("its key")?;
        let value = fields.sized().ok_or("its value")?;
        let count = fields.int().and_then(|n| usize::try_from(n).ok()).ok_or("its number of headers")?;
        // A header is two bytes at least.
        let mut headers = Vec::with_capacity(count.min(fields.left() / 2));
        for _ in 0..count {
            let name = fields.sized().flatten().ok_or("the name of a header")?;
            headers.push(Header { name, value: fields.sized().ok_or("the value of a header")? });
        }
        if fields.left() > 0 {
            return Err("its length");
        }
        let timestamp_ms = if self.header.is_append_time() {
            self.header.max_timestamp_ms
        } else {
            self.header.base_timestamp_ms.wrapping_add(timestamp_delta)
        };
        Ok((offset_delta, Record { timestamp_ms, key, value, headers }))
    }
}
