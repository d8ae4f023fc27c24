//! `Lanes`: sessions kept for the next ingest request of the same user, with decoders that know the last schema.
//! Only ingest runs on them, so no setting or transaction of one request reaches another. It must not know bodies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use thalweg_core::SqlError;
use thalweg_formats::{Decoder, JsonDecoder};

use super::door::{Caller, Door};
use crate::backend::{Backend, Session};

/// Idle sessions kept over all users.
const MAX_IDLE: usize = 64;

/// An idle session is kept this long.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);

/// Decoders kept in a lane.
const MAX_DECODERS: usize = 16;

/// A session for ingest and the decoders it has used.
pub(crate) struct Lane<S> {
    pub(crate) session: S,
    decoders: HashMap<String, JsonDecoder>,
}

/// Idle lanes by user.
pub(crate) struct Lanes<S>(Mutex<ByUser<S>>);

type ByUser<S> = HashMap<Arc<str>, Vec<Idle<S>>>;

/// A lane and when it was last used.
struct Idle<S> {
    since: Instant,
    lane: Lane<S>,
}

impl<S> Idle<S> {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.since) < MAX_IDLE_TIME
    }
}

impl<S> Default for Lanes<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Session> Lane<S> {
    /// The decoder for `relation`, to be given back by [`Lane::keep_decoder`].
    pub(crate) fn decoder(&mut self, relation: &str, schema: &SchemaRef) -> thalweg_core::Result<JsonDecoder> {
        match self.decoders.remove(relation) {
            Some(decoder) if same_schema(&decoder.schema(), schema) => Ok(decoder),
            _ => JsonDecoder::new(Arc::clone(schema)),
        }
    }

    pub(crate) fn keep_decoder(&mut self, relation: &str, decoder: JsonDecoder) {
        if self.decoders.len() < MAX_DECODERS {
            self.decoders.insert(relation.to_owned(), decoder);
        }
    }
}

impl<S: Session> Lanes<S> {
    /// An idle lane of the caller's, or a new one.
    pub(crate) fn take<B: Backend<Session = S>>(door: &Door<B>, caller: &Caller) -> Result<Lane<S>, SqlError> {
        let idle = door.lanes.lock().get_mut(&caller.user).and_then(Vec::pop);
        match idle {
            Some(idle) if idle.is_fresh(Instant::now()) => Ok(idle.lane),
            _ => Ok(Lane { session: door.connect(caller)?.0, decoders: HashMap::new() }),
        }
    }

    /// Keeps a lane whose request has come to its end. One that is dropped instead is not used again.
    pub(crate) fn put_back(&self, caller: &Caller, lane: Lane<S>) {
        let since = Instant::now();
        let mut lanes = self.lock();
        lanes.retain(|_, idle| {
            idle.retain(|idle| idle.is_fresh(since));
            !idle.is_empty()
        });
        if lanes.values().map(Vec::len).sum::<usize>() < MAX_IDLE {
            lanes.entry(Arc::clone(&caller.user)).or_default().push(Idle { since, lane });
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByUser<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_schema(a: &SchemaRef, b: &SchemaRef) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
