//! `QueryPool`: threads that queries compute on, so that a long one holds up neither the doors nor the engine. It must not
//! know what a query is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures_util::{Stream, StreamExt};
use thalweg_core::{Error, Result, SqlError};
use thalweg_serve::backend::RowStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Queries that compute at one time; more wait. A query that never pauses keeps its thread.
const THREADS: usize = 8;
/// Batches that are computed before they are wanted.
const AHEAD: usize = 2;

/// Threads for queries.
pub(crate) struct QueryPool(Option<Runtime>);

impl QueryPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// They cannot be started.
    pub fn start() -> Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("thalweg-query").enable_all().build();
        runtime.map(|r| Self(Some(r))).map_err(|e| Error::Internal(format!("cannot start threads for queries: {e}")))
    }

    /// Does `work` here, whoever asks and wherever: also where nothing async runs.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }

    /// The rows of `query`, computed here. Whoever drops them ends the query where it next pauses.
    pub fn rows<F>(&self, query: F) -> RowStream
    where
        F: Future<Output = Result<RowStream, SqlError>> + Send + 'static,
    {
        let (send, receive) = mpsc::channel(AHEAD);
        let Some(runtime) = &self.0 else { return Box::pin(futures_util::stream::empty()) };
        let task = runtime.spawn(async move {
            match query.await {
                Err(error) => drop(send.send(Err(error)).await),
                Ok(mut rows) => {
                    while let Some(batch) = rows.next().await {
                        if send.send(batch).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Box::pin(Rows { receive, task: Some(task) })
    }
}

impl Drop for QueryPool {
    fn drop(&mut self) {
        // A query that does not pause must not hold up the end of the process.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

struct Rows {
    receive: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    /// Until it is known how it has ended.
    task: Option<JoinHandle<()>>,
}

impl Stream for Rows {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.receive.poll_recv(context) {
            // The sender is gone: if by a panic, the rows are not all there were.
            Poll::Ready(None) => {
                let Some(task) = self.task.as_mut() else { return Poll::Ready(None) };
                let ended = std::task::ready!(Pin::new(task).poll(context));
                self.task = None;
                let panicked = ended.is_err_and(|e| e.is_panic());
                Poll::Ready(panicked.then(|| Err(Error::Internal("a query panicked".to_owned()).into())))
            }
            other => other,
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
