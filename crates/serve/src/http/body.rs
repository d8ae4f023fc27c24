//! `Held`: a request's body in memory, within the limits of size, time and all bodies together. It must not know what
//! is in it.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use thalweg_core::SqlState;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::door::Door;
use super::failure::Failure;
use crate::backend::Backend;

/// Room for bodies is reserved in steps of this many KiB.
const STEP_KIBIBYTES: u32 = 64;

/// A complete body; its share of the memory for bodies is given back when it is dropped.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Reads a body that the decompression layer has opened: what is counted is what is decoded. A compressed body that
    /// yields nothing is bounded by the time.
    pub(crate) async fn read<B: Backend>(door: &Door<B>, headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        let limit = door.config.body_limit_bytes;
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        match timeout(door.config.body_read_timeout, collect(door, body, limit)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                SqlState::QUERY_CANCELED,
                format!("the body did not arrive within {} s", door.config.body_read_timeout.as_secs()),
            )),
        }
    }
}

async fn collect<B: Backend>(door: &Door<B>, body: Body, limit: usize) -> Result<Held, Failure> {
    let mut chunks = body.into_data_stream();
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| Failure::bad_request(format!("the body cannot be read: {}", innermost(&e))))?;
        let total = first.len().max(rest.len()) + chunk.len();
        if total > limit {
            return Err(too_large(limit));
        }
        reserve(door, &mut room, total)?;
        if rest.is_empty() && first.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    let bytes = if rest.is_empty() { first } else { Bytes::from(rest) };
    Ok(Held { bytes, _room: room })
}

/// Makes `room` at least `total` bytes. It never waits: two bodies that wait for each other's room would wait for ever.
fn reserve<B: Backend>(door: &Door<B>, room: &mut Option<OwnedSemaphorePermit>, total: usize) -> Result<(), Failure> {
    let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let wanted = total.div_ceil(1024);
    if wanted <= held {
        return Ok(());
    }
    let missing = u32::try_from(wanted - held).unwrap_or(u32::MAX).next_multiple_of(STEP_KIBIBYTES);
    let more = std::sync::Arc::clone(&door.body_kibibytes).try_acquire_many_owned(missing).map_err(|_| {
        Failure::busy(StatusCode::TOO_MANY_REQUESTS, "too many request bodies at once for the memory they may use", 1)
    })?;
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
    Ok(())
}

fn too_large(limit: usize) -> Failure {
    Failure::too_large(format!("the body is larger than {limit} bytes")).hint("Send it in several requests.")
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
