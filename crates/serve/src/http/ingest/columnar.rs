//! Arrow IPC bodies: columns matched by name and cast. It must not know text formats.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use thalweg_core::{DeadLetter, SqlError, SqlState};

use super::super::failure::Failure;
use super::super::rows::RowWriter;
use super::harvest::{BATCH_ROWS, Harvest};
use super::text::ORIGIN;
use crate::backend::IngestTarget;

/// A dictionary with more values than fit in this (16 MiB) is refused.
const MAX_DICTIONARY_BYTES: usize = 16 * 1024 * 1024;

/// The batches of an IPC stream.
pub(super) fn batches(body: &[u8], target: &IngestTarget, mut harvest: Harvest) -> Result<Harvest, Failure> {
    check_frames(body)?;
    let mut decoder = StreamDecoder::new();
    let mut rest = Buffer::from(body);
    let mut first_row = 1;
    while !rest.is_empty() {
        let before = rest.len();
        let Some(batch) = decoder.decode(&mut rest).map_err(not_ipc)? else { break };
        let offset = (body.len() - before) as u64;
        // A column of nulls is as long as it says it is, for free; what it becomes takes at least a byte a row.
        let rows = batch.num_rows();
        harvest.ensure_room(rows.saturating_mul(target.schema.fields().len()))?;
        let step = rows_at_once(&batch, target, harvest.limits.rows_bytes)?;
        for start in (0..rows).step_by(step) {
            let slice = batch.slice(start, step.min(rows - start));
            conform(&slice, target, first_row + start as u64, offset, &mut harvest)?;
        }
        first_row += rows as u64;
    }
    decoder.finish().map_err(not_ipc)?;
    Ok(harvest)
}

/// Walks the messages before anything is decoded. Compressed buffers are refused: they say themselves how much memory
/// they want.
fn check_frames(body: &[u8]) -> Result<(), Failure> {
    let word = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let cut = || Failure::bad_request("the Arrow stream is cut off or not one");
    let mut at = 0;
    while at < body.len() {
        let mut size = word(at).ok_or_else(cut)?;
        at += 4;
        if size == u32::MAX {
            size = word(at).ok_or_else(cut)?;
            at += 4;
        }
        if size == 0 {
            return Ok(());
        }
        let end = at.checked_add(size as usize).filter(|end| *end <= body.len()).ok_or_else(cut)?;
        let message = root_as_message(&body[at..end]).map_err(|_| cut())?;
        let length = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
        let dictionary = message.header_as_dictionary_batch().and_then(|d| d.data());
        let batch = message.header_as_record_batch().or(dictionary);
        if batch.is_some_and(|b| b.compression().is_some()) {
            return Err(Failure::bad_request("compressed Arrow buffers are not read")
                .hint("Compress the body instead: Content-Encoding: zstd."));
        }
        at = end.checked_add(length).filter(|at| *at <= body.len()).ok_or_else(cut)?;
    }
    Ok(())
}

/// How many rows are cast together. A few keys may stand for large values of a dictionary, so the larger those are, the
/// fewer rows.
fn rows_at_once(batch: &RecordBatch, target: &IngestTarget, room: usize) -> Result<usize, Failure> {
    let mut shared = 0;
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let Ok(Some(to)) = column_named(field.name(), target.schema.fields().iter().map(|f| f.name().as_str())) else {
            continue;
        };
        let to = target.schema.field(to).data_type();
        shared += match column.data_type() {
            DataType::Dictionary(..) => match column.as_any_dictionary().values().get_buffer_memory_size() {
                bytes if bytes > MAX_DICTIONARY_BYTES => {
                    return Err(Failure::too_large(format!("the dictionary of column {} is too large", field.name())));
                }
                bytes => bytes,
            },
            DataType::Utf8View | DataType::BinaryView if column.data_type() != to => column.get_buffer_memory_size(),
            _ => 0,
        };
    }
    Ok((room / shared.max(1)).clamp(1, BATCH_ROWS))
}

/// Adds the rows of `batch` in the target's types. A value that the cast cannot keep rejects its row.
fn conform(
    batch: &RecordBatch,
    target: &IngestTarget,
    first_row: u64,
    offset: u64,
    harvest: &mut Harvest,
) -> Result<(), Failure> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(target.schema.fields().len());
    let mut faults: Vec<Option<String>> = vec![None; batch.num_rows()];
    for field in target.schema.fields() {
        let names = schema.fields().iter().map(|f| f.name().as_str());
        let given = column_named(field.name(), names)
            .map_err(|()| Failure::bad_request(format!("column {} is there twice", field.name())))?
            .map(|i| batch.column(i));
        let column = match given {
            Some(given) => cast_column(given, field)?,
            None => null_column(field, batch.num_rows()),
        };
        let given_nulls = given.and_then(|given| given.logical_nulls());
        let made_nulls = column.logical_nulls();
        for (row, fault) in faults.iter_mut().enumerate() {
            if made_nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                continue;
            }
            if given.is_some() && given_nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                fault.get_or_insert_with(|| format!("column {}: not a value of its type", field.name()));
            } else if !field.is_nullable() {
                fault.get_or_insert_with(|| format!("column {}: null in a NOT NULL column", field.name()));
            }
        }
        columns.push(column);
    }
    let loose: Vec<Field> = target.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let all = RecordBatch::try_new(Arc::new(Schema::new(loose)), columns).map_err(not_ipc)?;
    let good = BooleanArray::new(BooleanBuffer::from_iter(faults.iter().map(Option::is_none)), None);
    let kept = filter_record_batch(&all, &good).map_err(not_ipc)?;
    harvest.add(RecordBatch::try_new(Arc::clone(&target.schema), kept.columns().to_vec()).map_err(not_ipc)?)?;
    reject(batch, faults, first_row, offset, harvest)
}

/// The faulty rows of `batch` as dead letters, their values as JSON.
fn reject(
    batch: &RecordBatch,
    faults: Vec<Option<String>>,
    first_row: u64,
    offset: u64,
    harvest: &mut Harvest,
) -> Result<(), Failure> {
    if faults.iter().all(Option::is_none) {
        return Ok(());
    }
    let writer = RowWriter::new(&batch.schema());
    let rows = writer.rows(batch).ok();
    for (row, reason) in faults.into_iter().enumerate() {
        let Some(reason) = reason else { continue };
        let mut raw = Vec::new();
        if let Some(rows) = &rows {
            rows.object(row, &mut raw);
        }
        raw.truncate(DeadLetter::MAX_RAW_BYTES);
        let letter = DeadLetter { raw, origin: Arc::clone(&ORIGIN), offset, reason };
        harvest.reject(first_row + row as u64, letter)?;
    }
    Ok(())
}

/// `column` in the type of `field`; what cannot be cast is NULL.
fn cast_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef, Failure> {
    let (from, to) = (column.data_type(), field.data_type());
    if from == to {
        return Ok(Arc::clone(column));
    }
    if !is_plain(from) || !can_cast_types(from, to) {
        let message = format!("column {} is {from}, which does not become {to}", field.name());
        return Err(Failure::bad_request(message).hint("Send it in another type, e.g. as text."));
    }
    cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() }).map_err(not_ipc)
}

/// A type whose cast takes memory in proportion to the rows.
fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => !value.is_nested() && !matches!(**value, DataType::Dictionary(..)),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let item = item.data_type();
            !item.is_nested() && !matches!(item, DataType::Dictionary(..) | DataType::Utf8View | DataType::BinaryView)
        }
        other => !other.is_nested(),
    }
}

/// Which of `names` is `column`'s: exactly, or else without regard to case. An error if two are.
pub(super) fn column_named<'a>(
    column: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<Option<usize>, ()> {
    let one = |same: &dyn Fn(&str) -> bool| {
        let mut found = names.clone().enumerate().filter(|(_, name)| same(name)).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(()),
            (found, _) => Ok(found),
        }
    };
    match one(&|name| name == column)? {
        Some(found) => Ok(Some(found)),
        None => one(&|name| name.eq_ignore_ascii_case(column)),
    }
}

/// A column of `rows` nulls, whether the field allows them or not.
pub(super) fn null_column(field: &Field, rows: usize) -> ArrayRef {
    new_null_array(field.data_type(), rows)
}

fn not_ipc(error: ArrowError) -> Failure {
    SqlError::new(SqlState::DATA_EXCEPTION, format!("the body is not a sound Arrow stream: {error}")).into()
}
