//! `Changes`: a subscription, one epoch at a time. It must not know what is followed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use futures_util::{Stream, StreamExt};
use thalweg_core::{DeltaBatch, SqlError, SqlState};
use thalweg_serve::backend::{Change, Subscription};

/// What an epoch has changed, whole: what it takes away and what it brings belong together.
#[derive(Clone, Debug)]
pub struct Update {
    /// The epoch. Whoever has dealt with this update goes on with [`subscribe_after`](super::Thalweg::subscribe_after) it.
    pub epoch: u64,
    /// Microseconds since 1970-01-01 UTC when it was handed out.
    pub wall_clock: i64,
    /// These are all rows there are, not changes: forget what there was.
    pub snapshot: bool,
    /// Rows and their weights: a row of weight 1 has come, one of weight -1 has gone.
    pub deltas: Vec<DeltaBatch>,
}

impl Update {
    /// Rows in all, those that have gone included.
    pub fn num_rows(&self) -> usize {
        self.deltas.iter().map(DeltaBatch::num_rows).sum()
    }
}

/// The changes of a relation or a query. It does not end by itself; after an error it has ended.
///
/// Nothing waits in a queue of its own: a reader that is slow gets what several epochs did together, consolidated, and
/// one that is too slow for the 64 MiB of changes that are kept gets SQLSTATE 53400 and subscribes again.
pub struct Changes {
    subscription: Subscription,
    /// What has begun and has not been committed.
    open: Option<(bool, Vec<DeltaBatch>)>,
    ended: bool,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("schema", &self.subscription.schema).finish_non_exhaustive()
    }
}

impl Changes {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self { subscription, open: None, ended: false }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.subscription.schema)
    }

    /// The next update; `None` after an error. A call that is broken off loses nothing.
    pub async fn next(&mut self) -> Option<Result<Update, SqlError>> {
        StreamExt::next(self).await
    }

    /// The update that `change` completes.
    fn absorb(&mut self, change: Change) -> Result<Option<Update>, SqlError> {
        match change {
            Change::Begin { snapshot } => self.open = Some((snapshot, Vec::new())),
            Change::Rows(delta) => self.open.get_or_insert_default().1.push(delta),
            Change::Commit { epoch, wall_clock } => {
                let (snapshot, deltas) = self.open.take().unwrap_or_default();
                return Ok(Some(Update { epoch, wall_clock, snapshot, deltas }));
            }
            Change::Lost => {
                let message = "the changes after that epoch are not kept any more";
                let hint = "Subscribe without an epoch: it begins with a snapshot.";
                return Err(SqlError::new(SqlState::CONFIGURATION_LIMIT, message).hint(hint));
            }
        }
        Ok(None)
    }
}

impl Stream for Changes {
    type Item = Result<Update, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let change = match std::task::ready!(self.subscription.events.poll_next_unpin(context)) {
                None => break,
                Some(change) => change,
            };
            match change.and_then(|change| self.absorb(change)) {
                Ok(None) => {}
                Ok(Some(update)) => return Poll::Ready(Some(Ok(update))),
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        self.ended = true;
        Poll::Ready(None)
    }
}
