//! A feed as server-sent events. It must not know queries.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::super::door::{Door, shutdown_begins};
use super::event::Event;
use super::feed::Feed;
use crate::backend::{Backend, Session};

/// What keeps proxies and dead sockets from going unnoticed.
const HEARTBEAT: &str = ":\n\n";

/// A response whose body is polled only when the socket takes more, so that nothing queues up here.
pub(super) fn respond<B: Backend>(door: &Door<B>, feed: Feed<B::Session>) -> Response {
    let state = Sse {
        feed,
        closing: door.closing.clone(),
        heartbeat: heartbeat(door.config.heartbeat),
        stall_timeout: door.config.stall_timeout,
        on_stall: {
            let meters = std::sync::Arc::clone(&door.meters);
            Box::new(move || meters.subscriber_stalled())
        },
        handed_over: Instant::now(),
        ended: false,
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(state, Sse::next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Ticks `every` so often, for the first time after that time.
pub(super) fn heartbeat(every: Duration) -> Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Sse<S> {
    feed: Feed<S>,
    closing: watch::Receiver<bool>,
    heartbeat: Interval,
    stall_timeout: Duration,
    on_stall: Box<dyn Fn() + Send>,
    /// When the last event was given to the connection.
    handed_over: Instant,
    ended: bool,
}

impl<S: Session> Sse<S> {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        // The connection asks for the next event as soon as its buffer has room: so long it had none. (If it never has,
        // the socket is cut.)
        let event = if self.handed_over.elapsed() > self.stall_timeout {
            (self.on_stall)();
            Some(Event::resume(self.feed.after(), "the subscriber did not read"))
        } else {
            tokio::select! {
                biased;
                () = shutdown_begins(&mut self.closing) => {
                    Some(Event::resume(self.feed.after(), "the server is going down"))
                }
                event = self.feed.next() => Some(event?),
                _ = self.heartbeat.tick() => None,
            }
        };
        self.handed_over = Instant::now();
        let text = match event {
            Some(event) => {
                self.ended = event.last;
                event.to_sse().into()
            }
            None => Bytes::from_static(HEARTBEAT.as_bytes()),
        };
        Some((Ok(text), self))
    }
}
