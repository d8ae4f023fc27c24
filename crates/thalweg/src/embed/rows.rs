//! `Rows`: the answer of a query as it comes. It must not know what was asked.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use futures_util::{Stream, StreamExt};
use thalweg_core::SqlError;
use thalweg_serve::backend::RowStream;

/// Batches of rows, computed a little ahead of their reader. Dropping it ends the query.
pub struct Rows {
    schema: SchemaRef,
    rows: RowStream,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Rows {
    pub(super) fn new(schema: SchemaRef, rows: RowStream) -> Self {
        Self { schema, rows }
    }

    pub(super) fn none() -> Self {
        Self::new(Arc::new(Schema::empty()), Box::pin(futures_util::stream::empty()))
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next batch; `None` after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        self.rows.next().await
    }

    /// All batches that are left.
    ///
    /// # Errors
    /// The query fails.
    pub async fn all(mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await {
            all.push(batch?);
        }
        Ok(all)
    }

    pub(super) async fn count(mut self) -> Result<usize, SqlError> {
        let mut count = 0;
        while let Some(batch) = self.next().await {
            count += batch?.num_rows();
        }
        Ok(count)
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(context)
    }
}
