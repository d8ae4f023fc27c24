//! Tables of state as bytes and back. It must not know what the tables mean.
//!
//! A blob is compressed as a whole (zstd). Within: the number of tables (u32, little endian); of each the length of its name
//! (u32) and the name, then the length (u64) and Arrow IPC stream of the upserts, then the same of the deletes (length 0:
//! none).

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use thalweg_core::{Error, Result};

/// Bytes that a blob may have when it is not compressed (16 GiB): more is damage.
const MAX_BYTES: u64 = 16 << 30;
/// Fast: the state is written once and read only after a crash.
const LEVEL: i32 = 1;

/// A change of one table of an operator's state.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedTable {
    /// Its name within the operator.
    pub name: String,
    /// Rows to insert or overwrite.
    pub upserts: RecordBatch,
    /// Keys to remove.
    pub deletes: Option<RecordBatch>,
}

pub(super) fn encode(tables: &[SavedTable]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    plain.extend(length32(tables.len())?.to_le_bytes());
    for table in tables {
        plain.extend(length32(table.name.len())?.to_le_bytes());
        plain.extend(table.name.as_bytes());
        put(&mut plain, Some(&table.upserts))?;
        put(&mut plain, table.deletes.as_ref())?;
    }
    zstd::bulk::compress(&plain, LEVEL).map_err(|e| Error::Internal(format!("state cannot be compressed: {e}")))
}

fn length32(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::Internal(format!("a length of {length} in a checkpoint")))
}

fn put(plain: &mut Vec<u8>, rows: Option<&RecordBatch>) -> Result<()> {
    let at = plain.len();
    plain.extend(0u64.to_le_bytes());
    if let Some(rows) = rows {
        let mut writer = StreamWriter::try_new(&mut *plain, &rows.schema())?;
        writer.write(rows)?;
        writer.finish()?;
        let length = (plain.len() - at - 8) as u64;
        plain[at..at + 8].copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<SavedTable>> {
    let damaged = |e: std::io::Error| Error::Data(format!("the state is damaged: {e}"));
    let mut plain = Vec::new();
    let reader = zstd::stream::read::Decoder::new(bytes).map_err(damaged)?;
    reader.take(MAX_BYTES).read_to_end(&mut plain).map_err(damaged)?;
    let mut rest = &plain[..];
    let count = u32::from_le_bytes(take(&mut rest, 4)?.try_into().expect("four bytes"));
    let mut tables = Vec::new();
    for _ in 0..count {
        let length = u32::from_le_bytes(take(&mut rest, 4)?.try_into().expect("four bytes"));
        let name = take(&mut rest, length as usize)?;
        let name = String::from_utf8(name.to_vec()).map_err(|e| Error::Data(e.to_string()))?;
        let upserts = batch(&mut rest)?.ok_or_else(|| Error::Data("a saved table without rows".to_owned()))?;
        tables.push(SavedTable { name, upserts, deletes: batch(&mut rest)? });
    }
    Ok(tables)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or_else(|| Error::Data(format!("the state ends early: {} of {length} bytes", rest.len())))?;
    *rest = left;
    Ok(taken)
}

fn batch(rest: &mut &[u8]) -> Result<Option<RecordBatch>> {
    let length = u64::from_le_bytes(take(rest, 8)?.try_into().expect("eight bytes"));
    if length == 0 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|e| Error::Data(e.to_string()))?;
    let mut reader = StreamReader::try_new(take(rest, length)?, None)?;
    let first = reader.next().transpose()?;
    Ok(Some(first.unwrap_or_else(|| RecordBatch::new_empty(reader.schema()))))
}
