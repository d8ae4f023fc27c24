//! The rows of an answer on their way out: described, encoded batch by batch, counted. It must not know statements or
//! portals.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use futures_util::StreamExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::RowDescription;
use pgwire::messages::response::CommandComplete;
use std::time::Duration;
use thalweg_core::{SqlError, SqlState};

use super::encode::{ColumnWriter, sized};
use super::failure::{Failure, cancelled};
use super::frontend::Format;
use super::types::describe;
use super::wire::{FLUSH_BYTES, Wire};
use crate::backend::{CancelToken, RowStream};

/// PostgreSQL's own limit; the protocol counts columns in 16 bits.
const MAX_COLUMNS: usize = 1664;

/// The names and types of the columns.
pub(crate) fn row_description(schema: &Schema, formats: &[Format]) -> Result<Backend, SqlError> {
    if schema.fields().len() > MAX_COLUMNS {
        let message = format!("target lists can have at most {MAX_COLUMNS} entries");
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT, message));
    }
    let columns = schema.fields().iter().enumerate();
    let fields = columns.map(|(n, field)| describe(field, Format::of(formats, n))).collect();
    Ok(Backend::RowDescription(RowDescription::new(fields)))
}

/// The end of a statement. The number of rows follows the words of commands that move rows; PostgreSQL leaves it out
/// after the others, such as `SHOW` and `EXPLAIN`.
pub(crate) fn complete(tag: &str, rows: u64) -> Backend {
    let counted = ["SELECT", "FETCH", "MOVE", "COPY", "INSERT 0", "UPDATE", "DELETE", "MERGE"].contains(&tag);
    Backend::CommandComplete(CommandComplete::new(if counted { format!("{tag} {rows}") } else { tag.to_owned() }))
}

/// The columns of a batch, ready to be written row by row.
pub(crate) struct BatchWriter {
    columns: Vec<ColumnWriter>,
}

impl BatchWriter {
    pub(crate) fn new(schema: &Schema, batch: &RecordBatch, formats: &[Format]) -> Result<Self, SqlError> {
        let columns = batch.columns().iter().zip(schema.fields()).enumerate();
        let columns = columns.map(|(n, (column, field))| ColumnWriter::new(column, field, Format::of(formats, n)));
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[ColumnWriter] {
        &self.columns
    }

    /// Writes row `row` as the fields of a row: their number, then each with its length.
    pub(crate) fn write_fields(&self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.columns.len() as u16).to_be_bytes());
        self.columns.iter().for_each(|column| column.write_sized(row, out));
    }

    /// Writes row `row` as a `DataRow` message.
    fn write_message(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'D');
        framed(out, |out| self.write_fields(row, out));
    }
}

/// Runs `write` with room before it for the length of a message, which counts itself.
pub(crate) fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    sized(out, write);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Waits for the next batch; what has been written so far leaves first if there is nothing yet.
pub(crate) async fn next_batch(
    rows: &mut RowStream,
    wire: &mut Wire,
    cancel: &CancelToken,
) -> Result<Option<RecordBatch>, Failure> {
    if cancel.is_cancelled() {
        return Err(cancelled().into());
    }
    let next = wire.watch(cancel, Duration::ZERO, rows.next()).await.ok_or_else(cancelled)?;
    Ok(next.transpose()?)
}

/// Rows of an answer that may be fetched in several steps.
pub(crate) struct Cursor {
    schema: SchemaRef,
    rows: RowStream,
    tag: &'static str,
    formats: Vec<Format>,
    /// The batch at hand, and its next row.
    batch: Option<(BatchWriter, std::ops::Range<usize>)>,
}

/// Where a cursor stands after a step.
pub(crate) enum Step {
    /// All rows are sent; the message that ends the statement.
    Ended(Backend),
    /// As many rows are sent as were asked for.
    Suspended,
}

impl Cursor {
    pub(crate) fn new(schema: SchemaRef, rows: RowStream, tag: &'static str, formats: Vec<Format>) -> Self {
        Self { schema, rows, tag, formats, batch: None }
    }

    /// The word of the command.
    pub(crate) fn tag(&self) -> &'static str {
        self.tag
    }

    /// Sends up to `max_rows` rows; 0: all.
    pub(crate) async fn send(
        &mut self,
        wire: &mut Wire,
        cancel: &CancelToken,
        max_rows: usize,
    ) -> Result<Step, Failure> {
        let mut sent = 0;
        let mut chunk = Vec::new();
        loop {
            let Some((writer, left)) = &mut self.batch else {
                let Some(batch) = next_batch(&mut self.rows, wire, cancel).await? else {
                    return Ok(Step::Ended(complete(self.tag, sent as u64)));
                };
                self.batch = Some((BatchWriter::new(&self.schema, &batch, &self.formats)?, 0..batch.num_rows()));
                continue;
            };
            while max_rows == 0 || sent < max_rows {
                let Some(row) = left.next() else { break };
                writer.write_message(row, &mut chunk);
                sent += 1;
                if chunk.len() >= FLUSH_BYTES {
                    wire.send_encoded(&chunk).await?;
                    chunk.clear();
                    if cancel.is_cancelled() {
                        return Err(cancelled().into());
                    }
                }
            }
            wire.send_encoded(&chunk).await?;
            chunk.clear();
            if left.start >= left.end {
                self.batch = None;
            }
            if max_rows != 0 && sent == max_rows {
                return Ok(Step::Suspended);
            }
        }
    }
}
