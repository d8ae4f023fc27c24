//! `GET /v1/subscribe`: the changes of a query's answer, as server-sent events or over a WebSocket. It must not know SQL.
//!
//! The events, the same on both ways; each is a JSON object:
//!
//! | event | object | meaning |
//! | --- | --- | --- |
//! | `begin` | `{"snapshot":true,"columns":[…]}` | what follows up to `commit` belongs together; with `snapshot` it replaces everything; `columns` in the first one |
//! | `changes` | `{"rows":[{"w":1,"row":{…}},…]}` | rows with weights: 1 is added, -1 is taken away |
//! | `commit` | `{"epoch":7,"time":"…"}` | all of the epoch was sent; resume with `after=7` |
//! | `lost` | `{"after":7}` | the retention no longer reaches back: subscribe without `after` (a browser does by itself) |
//! | `resume` | `{"after":7,"reason":"…"}` | the server ends the subscription: subscribe again with `after` |
//! | `error` | `{"error":{…}}` | the query has failed |
//!
//! Server-sent events carry the name as `event:` and the epoch of a commit as `id:`, so that a browser resumes by itself
//! with `Last-Event-ID`. A WebSocket message is the object with its name in front: `{"event":"commit","epoch":7,…}`.

mod event;
mod feed;
mod sse;
mod websocket;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;

use self::feed::Feed;
use super::door::{Caller, Connection, Door};
use super::failure::{ErrorBody, Failure};
use super::sql::CancelOnDrop;
use crate::backend::{Backend, Session};

/// What to subscribe to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SubscribeOptions {
    /// A query.
    #[param(example = "SELECT * FROM totals")]
    query: String,
    /// Go on after this epoch instead of beginning with a snapshot. `Last-Event-ID` goes before it.
    after: Option<u64>,
}

/// Follows a query's answer.
///
/// The events are `begin`, `changes`, `commit`, `lost`, `resume` and `error`. Everything between `begin` and `commit`
/// belongs together. The `id` of a commit is its epoch; it is what `Last-Event-ID` or `after` resumes from. A subscriber
/// that does not read is ended: a WebSocket with close code 4408 and the epoch to resume after as its reason.
#[utoipa::path(
    get, path = "/v1/subscribe", tag = "data", params(SubscribeOptions),
    responses(
        (status = 200, description = "Server-sent events.", body = String, content_type = "text/event-stream"),
        (status = 101, description = "A WebSocket with one event in each text message."),
        (status = 400, description = "The query is wrong.", body = ErrorBody),
        (status = 503, description = "Too many subscribers, or not ready.", body = ErrorBody),
    ),
)]
pub(crate) async fn subscribe<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    options: Result<Query<SubscribeOptions>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let Query(options) = options.map_err(|e| Failure::bad_request(e.body_text()))?;
    let after = match headers.get("last-event-id").filter(|id| !id.is_empty()) {
        None => options.after,
        Some(id) => {
            let epoch = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(epoch.ok_or_else(|| Failure::bad_request("Last-Event-ID is not an epoch"))?)
        }
    };
    let upgrade = match upgrade {
        Ok(upgrade) => Some(upgrade),
        Err(rejection) if headers.contains_key(header::UPGRADE) => {
            return Err(Failure::bad_request(rejection.body_text()));
        }
        Err(_) => None,
    };
    door.ensure_ready()?;
    let place = Arc::clone(&door.subscribers).try_acquire_owned().map_err(|_| {
        Failure::busy(StatusCode::SERVICE_UNAVAILABLE, "the server has as many subscribers as it may", 5)
    })?;
    let (mut session, cancel) = door.connect(&caller)?;
    let cancel = CancelOnDrop(cancel);
    let subscription = timeout(door.config.request_timeout, session.subscribe(&options.query, after))
        .await
        .map_err(|_| Failure::busy(StatusCode::SERVICE_UNAVAILABLE, "the subscription did not begin in time", 1))??;
    let counted = (place, door.meters.subscriber(), cancel, connection);
    let feed = Feed::new(session, subscription, after, door.config.subscriber_queue_bytes, counted);
    Ok(match upgrade {
        None => sse::respond(&door, feed).into_response(),
        Some(upgrade) => websocket::respond(door, feed, upgrade),
    })
}
