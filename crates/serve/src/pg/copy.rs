//! COPY: rows in from the client, rows out to it. It must not know what a relation is.

mod binary;
mod fields;
mod output;
mod text;
mod values;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use thalweg_core::{SqlError, SqlState};

use self::binary::BinaryReader;
use self::output::CopyWriter;
use self::text::TextReader;
use super::failure::{Failure, cancelled};
use super::frontend::Frontend;
use super::rows::{BatchWriter, complete, next_batch};
use super::session::Conversation;
use super::wire::FLUSH_BYTES;
use crate::backend::{CopyLayout, RowStream, Session};

/// Rows of one batch on their way in.
const BATCH_ROWS: usize = 8192;

/// Bytes of one batch on their way in: a batch of long rows is cut short.
const BATCH_BYTES: usize = 8 << 20;

/// Bytes to rows, however they are cut.
enum Reader {
    Text(Box<TextReader>),
    Binary(BinaryReader),
}

impl Reader {
    fn new(schema: SchemaRef, layout: &CopyLayout, max_line_bytes: usize) -> Self {
        match layout {
            CopyLayout::Binary => Self::Binary(BinaryReader::new(schema, max_line_bytes)),
            text => Self::Text(Box::new(TextReader::new(schema, text, max_line_bytes))),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        match self {
            Self::Text(reader) => reader.push(&bytes),
            Self::Binary(reader) => reader.push(&bytes),
        }
    }

    /// A full batch, or with `last` all that is left; `None` when there is none.
    fn next(&mut self, last: bool) -> Result<Option<RecordBatch>, SqlError> {
        match self {
            Self::Text(reader) => reader.next(last),
            Self::Binary(reader) => reader.next(last),
        }
    }
}

impl<S: Session> Conversation<'_, S> {
    /// Takes rows until the client says that there are no more. Returns the end of the statement.
    pub(crate) async fn copy_in(&mut self, schema: SchemaRef, layout: CopyLayout) -> Result<Backend, Failure> {
        let (code, columns) = formats(&schema, &layout);
        let count = columns.len() as i16;
        self.wire.send(&Backend::CopyInResponse(CopyInResponse::new(code, count, columns)));
        self.wire.flush().await?;
        let taken = self.take_rows(Reader::new(schema, &layout, self.limits.max_copy_line_bytes)).await;
        if taken.is_err() {
            self.session.copy_fail();
        }
        Ok(complete("COPY", taken?))
    }

    async fn take_rows(&mut self, mut reader: Reader) -> Result<u64, Failure> {
        loop {
            let frame = tokio::select! {
                () = self.cancel.cancelled() => return Err(cancelled().into()),
                frame = self.wire.frame() => frame?,
            };
            let gone = || Failure::Gone(std::io::ErrorKind::UnexpectedEof.into());
            let frame = frame.ok_or_else(gone)?;
            let kind = frame.kind;
            match Frontend::decode(kind, frame.body)? {
                Frontend::CopyData(bytes) => {
                    reader.push(bytes);
                    self.give_rows(&mut reader, false).await?;
                }
                Frontend::CopyDone => {
                    self.give_rows(&mut reader, true).await?;
                    let done = Box::pin(self.session.copy_done());
                    let done = self.wire.watch(&self.cancel, self.limits.cancel_patience, done).await;
                    return Ok(done.ok_or_else(cancelled)??);
                }
                Frontend::CopyFail(why) => {
                    let message = format!("COPY from stdin failed: {why}");
                    return Err(SqlError::new(SqlState::QUERY_CANCELED, message).into());
                }
                // Drivers that pipeline send them before they know that rows are wanted.
                Frontend::Flush | Frontend::Sync => {}
                Frontend::Terminate => return Err(gone()),
                _ => {
                    let message = format!("unexpected message type 0x{kind:02X} during COPY from stdin");
                    return Err(Failure::protocol(message));
                }
            }
        }
    }

    async fn give_rows(&mut self, reader: &mut Reader, last: bool) -> Result<(), Failure> {
        while let Some(rows) = reader.next(last)? {
            let given = Box::pin(self.session.copy_rows(rows));
            self.wire.watch(&self.cancel, self.limits.cancel_patience, given).await.ok_or_else(cancelled)??;
        }
        Ok(())
    }

    /// Sends rows, one `CopyData` message each. Returns the end of the statement.
    pub(crate) async fn copy_out(
        &mut self,
        schema: SchemaRef,
        mut rows: RowStream,
        layout: CopyLayout,
    ) -> Result<Backend, Failure> {
        let (code, columns) = formats(&schema, &layout);
        let count = columns.len() as i16;
        self.wire.send(&Backend::CopyOutResponse(CopyOutResponse::new(code, count, columns)));
        let mut writer = CopyWriter::new(layout);
        let mut chunk = Vec::new();
        let mut sent = 0;
        writer.begin(&schema, &mut chunk);
        while let Some(batch) = next_batch(&mut rows, self.wire, &self.cancel).await? {
            let columns = BatchWriter::new(&schema, &batch, &[writer.format()])?;
            for row in 0..batch.num_rows() {
                writer.write(&columns, row, &mut chunk);
                if chunk.len() >= FLUSH_BYTES {
                    self.wire.send_encoded(&chunk).await?;
                    chunk.clear();
                    if self.cancel.is_cancelled() {
                        return Err(cancelled().into());
                    }
                }
            }
            sent += batch.num_rows() as u64;
            self.wire.send_encoded(&chunk).await?;
            chunk.clear();
        }
        writer.end(&mut chunk);
        self.wire.send_encoded(&chunk).await?;
        self.wire.send(&Backend::CopyDone(CopyDone::new()));
        Ok(complete("COPY", sent))
    }
}

/// The format code of the whole and of each column.
fn formats(schema: &Schema, layout: &CopyLayout) -> (i8, Vec<i16>) {
    let code = i8::from(*layout == CopyLayout::Binary);
    (code, vec![i16::from(code); schema.fields().len()])
}

/// Bytes that are no COPY data of their kind.
fn malformed(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// A batch of typed columns.
fn batch(schema: &SchemaRef, columns: Vec<arrow::array::ArrayRef>, rows: usize) -> Result<RecordBatch, SqlError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| SqlError::new(SqlState::NOT_NULL_VIOLATION, error.to_string()))
}
