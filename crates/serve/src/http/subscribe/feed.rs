//! `Feed`: the backend's events cut into messages of bounded size, one at a time: none is made before the one before it
//! has been taken. It must not know sockets.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use thalweg_core::{DeltaBatch, SqlError, SqlState};
use tokio::sync::OwnedSemaphorePermit;

use super::super::door::Connection;
use super::super::meters::Gauge;
use super::super::rows::{Column, RowWriter, columns};
use super::super::sql::CancelOnDrop;
use super::event::Event;
use crate::backend::{Change, Subscription};

/// A message of rows ends when it is this long, so that one epoch does not have to fit into memory twice.
const MESSAGE_BYTES: usize = 256 * 1024;

/// What counts a subscription as one as long as it lives.
pub(super) type Counted = (OwnedSemaphorePermit, Gauge, CancelOnDrop, Arc<Connection>);

/// See the module.
pub(super) struct Feed<S> {
    events: Pin<Box<dyn Stream<Item = Result<Change, SqlError>> + Send>>,
    writer: RowWriter,
    /// To be sent with the first `begin`.
    columns: Option<Vec<Column>>,
    /// Rows that are being sent, and how many of them have been.
    rows: Option<(DeltaBatch, usize)>,
    /// The last epoch that was sent whole.
    after: Option<u64>,
    queue_bytes: usize,
    ended: bool,
    _session: S,
    _counted: Counted,
}

impl<S> Feed<S> {
    pub(super) fn new(
        session: S,
        subscription: Subscription,
        after: Option<u64>,
        queue_bytes: usize,
        counted: Counted,
    ) -> Self {
        let Subscription { schema, events } = subscription;
        Self {
            events,
            writer: RowWriter::new(&schema),
            columns: Some(columns(&schema)),
            rows: None,
            after,
            queue_bytes,
            ended: false,
            _session: session,
            _counted: counted,
        }
    }

    /// Where a new subscription is to go on.
    pub(super) fn after(&self) -> Option<u64> {
        self.after
    }

    /// The next event; `None` after the last. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let event = match self.rows.take() {
            Some((batch, sent)) => self.changes(batch, sent),
            None => self.next_change().await,
        };
        let event = event.unwrap_or_else(Event::error);
        self.ended = event.last;
        Some(event)
    }

    async fn next_change(&mut self) -> Result<Event, SqlError> {
        loop {
            match self.events.next().await.transpose()? {
                Some(Change::Begin { snapshot }) => return Ok(Event::begin(snapshot, self.columns.take())),
                Some(Change::Rows(batch)) if batch.is_empty() => {}
                Some(Change::Rows(batch)) => return self.changes(batch, 0),
                Some(Change::Commit { epoch, wall_clock }) => {
                    self.after = Some(epoch);
                    return Ok(Event::commit(epoch, wall_clock));
                }
                Some(Change::Lost) => return Ok(Event::lost(self.after)),
                None => return Ok(Event::resume(self.after, "the subscription has ended")),
            }
        }
    }

    /// As many rows of `batch` from `sent` on as a message takes; the others wait.
    fn changes(&mut self, batch: DeltaBatch, mut sent: usize) -> Result<Event, SqlError> {
        let mut out = b"{\"rows\":[".to_vec();
        let first = sent;
        // Slices keep what is looked at for a message small, too.
        while sent < batch.num_rows() && out.len() < MESSAGE_BYTES.min(self.queue_bytes / 2) {
            let slice = batch.slice(sent, 256.min(batch.num_rows() - sent));
            let rows = self.writer.rows(&slice.rows)?;
            for row in 0..slice.num_rows() {
                if out.len() >= MESSAGE_BYTES.min(self.queue_bytes / 2) {
                    break;
                }
                let before = if sent > first { "," } else { "" };
                out.extend_from_slice(format!("{before}{{\"w\":{},\"row\":", slice.weight(row)).as_bytes());
                rows.object(row, &mut out);
                out.push(b'}');
                sent += 1;
            }
        }
        if out.len() > self.queue_bytes {
            let message = format!("a row is longer than the {} bytes that may wait for a subscriber", self.queue_bytes);
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT, message));
        }
        out.extend_from_slice(b"]}");
        if sent < batch.num_rows() {
            self.rows = Some((batch, sent));
        }
        // Every encoder writes UTF-8.
        Ok(Event::changes(String::from_utf8_lossy(&out).into_owned()))
    }
}
