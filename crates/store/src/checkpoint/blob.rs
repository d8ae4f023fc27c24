//! Tables of state as bytes and back. It must not know what the tables mean.
//!
//! A blob is compressed as a whole (zstd), or begins with [`PLAIN`]. Within: the number of tables (u32, little endian, with
//! [`STREAMS`]); of each the length of its name (u32) and the name, then twice, for upserts and deletes, a byte that says
//! whether there are any and, if so, an Arrow IPC stream, which says itself where it ends. Without [`STREAMS`], as it was
//! written first, there is the stream's length (u64) instead of that byte.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{ByteViewType, DataType, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use thalweg_core::{Error, Result};

/// Bytes that a blob may have when it is not compressed (16 GiB): more is damage.
const MAX_BYTES: u64 = 16 << 30;
/// Fast: the state is written once and read only after a crash, and what compression takes is taken from the stream.
const LEVEL: i32 = -4;
/// What a blob that is not compressed begins with; nothing that is compressed does.
const PLAIN: &[u8; 4] = b"rows";
/// Set in the number of tables when streams stand without their lengths.
const STREAMS: u32 = 1 << 31;
/// Rows that are put in at a time: what is copied for them stays in the processor's caches.
const CHUNK_ROWS: usize = 16 << 10;

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

/// Whether a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As it is: where writing is quicker than compressing.
    Plain,
    /// Compressed: where room or the way is dear.
    Zstd,
}

/// Puts `tables` behind what is in `out`.
pub(super) fn encode(tables: &[SavedTable], packing: Packing, out: &mut Vec<u8>) -> Result<()> {
    match packing {
        Packing::Plain => {
            out.extend_from_slice(PLAIN);
            write(tables, out)
        }
        Packing::Zstd => {
            let mut packed = zstd::stream::write::Encoder::new(out, LEVEL).map_err(failed)?;
            write(tables, &mut packed)?;
            packed.finish().map(drop).map_err(failed)
        }
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::Internal(format!("state cannot be encoded: {e}"))
}

fn write(tables: &[SavedTable], plain: &mut impl Write) -> Result<()> {
    plain.write_all(&(length32(tables.len())? | STREAMS).to_le_bytes()).map_err(failed)?;
    for table in tables {
        plain.write_all(&length32(table.name.len())?.to_le_bytes()).map_err(failed)?;
        plain.write_all(table.name.as_bytes()).map_err(failed)?;
        for rows in [Some(&table.upserts), table.deletes.as_ref()] {
            plain.write_all(&[u8::from(rows.is_some())]).map_err(failed)?;
            rows.map_or(Ok(()), |rows| put(plain, rows))?;
        }
    }
    Ok(())
}

fn length32(length: usize) -> Result<u32> {
    u32::try_from(length)
        .ok()
        .filter(|length| length & STREAMS == 0)
        .ok_or_else(|| Error::Internal(format!("a length of {length} in a checkpoint")))
}

fn put(plain: &mut impl Write, rows: &RecordBatch) -> Result<()> {
    let mut writer = StreamWriter::try_new(plain, &rows.schema())?;
    let step = if can_be_cut(&rows.schema()) { CHUNK_ROWS } else { rows.num_rows().max(1) };
    for from in (0..rows.num_rows()).step_by(step) {
        writer.write(&cut(rows, from, step.min(rows.num_rows() - from))?)?;
    }
    Ok(writer.finish()?)
}

/// Of what is nested, a part may be written with all that it is a part of.
fn can_be_cut(schema: &Schema) -> bool {
    schema.fields().iter().all(|f| !f.data_type().is_nested() && !matches!(f.data_type(), DataType::Dictionary(..)))
}

/// `length` rows from `from`, with no more of their texts than they have.
fn cut(rows: &RecordBatch, from: usize, length: usize) -> Result<RecordBatch> {
    let compact = |column: &ArrayRef| -> ArrayRef {
        let column = column.slice(from, length);
        match column.data_type() {
            DataType::Utf8View => tight(column.as_string_view()),
            DataType::BinaryView => tight(column.as_binary_view()),
            _ => column,
        }
    };
    Ok(RecordBatch::try_new(rows.schema(), rows.columns().iter().map(compact).collect())?)
}

/// The texts without the rest of the buffers that they share with others, where that is much.
fn tight<T: ByteViewType>(texts: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = texts.data_buffers().iter().map(|buffer| buffer.len()).sum();
    if held > texts.total_buffer_bytes_used() * 5 / 4 { Arc::new(texts.gc()) } else { Arc::new(texts.clone()) }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<SavedTable>> {
    match bytes.strip_prefix(PLAIN) {
        Some(plain) => read(plain),
        None => read(zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?.take(MAX_BYTES)),
    }
}

fn read(mut rest: impl Read) -> Result<Vec<SavedTable>> {
    let count = u32::from_le_bytes(take(&mut rest)?);
    let (count, streams) = (count & !STREAMS, count & STREAMS != 0);
    let mut tables = Vec::new();
    for _ in 0..count {
        let length = u64::from(u32::from_le_bytes(take(&mut rest)?));
        let mut name = String::new();
        rest.by_ref().take(length).read_to_string(&mut name).map_err(damaged)?;
        let mut next = || if streams { streamed(&mut rest) } else { measured(&mut rest) };
        let upserts = next()?.ok_or_else(|| Error::Data("a saved table without rows".to_owned()))?;
        tables.push(SavedTable { name, upserts, deletes: next()? });
    }
    Ok(tables)
}

fn damaged(e: std::io::Error) -> Error {
    Error::Data(format!("the state is damaged: {e}"))
}

fn take<const N: usize>(rest: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rest.read_exact(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

/// Rows, if there are any, as a stream that says where it ends.
fn streamed(rest: &mut impl Read) -> Result<Option<RecordBatch>> {
    let [is_there] = take(rest)?;
    if is_there == 0 { Ok(None) } else { batch(rest).map(Some) }
}

/// Rows, if there are any, as a stream behind its length.
fn measured(rest: &mut impl Read) -> Result<Option<RecordBatch>> {
    let length = u64::from_le_bytes(take(rest)?);
    if length == 0 {
        return Ok(None);
    }
    let mut stream = rest.take(length);
    let rows = batch(&mut stream)?;
    std::io::copy(&mut stream, &mut std::io::sink()).map_err(damaged)?;
    Ok(Some(rows))
}

fn batch(stream: &mut impl Read) -> Result<RecordBatch> {
    // The reader of Arrow's streams panics at a type that it does not know.
    let read = catch_unwind(AssertUnwindSafe(|| read_stream(stream)));
    read.unwrap_or_else(|_| Err(Error::Data("the state is damaged: its columns are of no known type".to_owned())))
}

fn read_stream(stream: &mut impl Read) -> Result<RecordBatch> {
    let reader = StreamReader::try_new(stream, None)?;
    let schema = reader.schema();
    let mut batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    match batches.len() {
        1 => Ok(batches.swap_remove(0)),
        _ => Ok(concat_batches(&schema, &batches)?),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringViewArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    fn rows(count: usize, nested: bool) -> RecordBatch {
        let numbers: ArrayRef = Arc::new((0..count as i64).map(|i| (i % 7 != 0).then_some(i)).collect::<Int64Array>());
        // Longer than what a view holds itself, and shorter.
        let text = |i: usize| (!i.is_multiple_of(5)).then(|| format!("{i}-{}", "x".repeat(i % 40)));
        let texts: ArrayRef = Arc::new((0..count).map(text).collect::<StringViewArray>());
        let mut columns = vec![("n", numbers), ("t", Arc::clone(&texts))];
        if nested {
            let lists = (0..count).map(|i| Some(vec![Some(i as i64); i % 3]));
            let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
            let field = Arc::new(Field::new("t", DataType::Utf8View, true));
            columns.extend([("l", list), ("s", Arc::new(StructArray::from(vec![(field, texts)])))]);
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).expect("columns")
    }

    fn table(name: &str, upserts: RecordBatch, deletes: Option<RecordBatch>) -> SavedTable {
        SavedTable { name: name.to_owned(), upserts, deletes }
    }

    #[test]
    fn tables_of_any_size_come_back() {
        let slice = rows(5 * CHUNK_ROWS, false).slice(77, 2 * CHUNK_ROWS + 1);
        let tables = [
            table("small", rows(3, true), Some(rows(2, false))),
            table("none", rows(0, true), None),
            table("cut", slice, Some(rows(CHUNK_ROWS, false))),
            table("whole", rows(3 * CHUNK_ROWS, true), None),
        ];
        for packing in [Packing::Plain, Packing::Zstd] {
            let mut bytes = b"before".to_vec();
            encode(&tables, packing, &mut bytes).expect("encoded");
            assert!(bytes.starts_with(b"before"));
            assert_eq!(decode(&bytes[6..]).expect("decoded"), tables);
            for end in (6..bytes.len()).step_by(bytes.len() / 50) {
                assert!(decode(&bytes[6..end]).is_err(), "{packing:?}, cut at {end}");
            }
        }
    }

    #[test]
    fn what_was_written_with_lengths_is_read() {
        let mut plain = 1u32.to_le_bytes().to_vec();
        plain.extend(4u32.to_le_bytes());
        plain.extend(b"name");
        let mut stream = StreamWriter::try_new(Vec::new(), &rows(9, true).schema()).expect("a writer");
        stream.write(&rows(9, true)).expect("written");
        let stream = stream.into_inner().expect("finished");
        plain.extend((stream.len() as u64).to_le_bytes());
        plain.extend(stream);
        plain.extend(0u64.to_le_bytes());
        let bytes = zstd::bulk::compress(&plain, 1).expect("compressed");
        assert_eq!(decode(&bytes).expect("decoded"), [table("name", rows(9, true), None)]);
    }
}
