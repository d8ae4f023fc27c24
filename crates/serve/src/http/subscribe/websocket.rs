//! A feed over a WebSocket. It must not know queries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::timeout;

use super::super::door::{Door, shutdown_begins};
use super::super::gate::TOKEN_PROTOCOL;
use super::event::Event;
use super::feed::Feed;
use super::sse::heartbeat;
use crate::backend::{Backend, Session};

/// The subscriber did not read in time; the reason says where to resume.
const STALLED: u16 = 4408;

/// Bytes of a client's message.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Written to the socket at once; smaller pieces wait for each other only until the flush after each message.
const WRITE_BYTES: usize = 64 * 1024;

/// A closing handshake may take this long.
const FAREWELL: Duration = Duration::from_secs(5);

/// A client that has answered none of this many pings is gone.
const MISSED_PINGS: u32 = 3;

/// What a client may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientMessage {
    /// All up to this epoch was processed. Nothing depends on it: retention is the backend's.
    #[serde(rename = "ack")]
    _ack: u64,
}

/// Why a socket is closed.
struct Goodbye {
    code: u16,
    reason: String,
}

/// Answers the upgrade and serves the feed.
pub(super) fn respond<B: Backend>(door: Arc<Door<B>>, feed: Feed<B::Session>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols([TOKEN_PROTOCOL])
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .write_buffer_size(WRITE_BYTES)
        // A message is as long as the queue at most; it is written before the next one is made.
        .max_write_buffer_size(door.config.subscriber_queue_bytes.saturating_add(2 * WRITE_BYTES))
        .on_upgrade(move |mut socket| async move {
            let mut feed = feed;
            let goodbye = serve(&door, &mut feed, &mut socket).await;
            let farewell = async {
                if let Some(Goodbye { code, reason }) = goodbye {
                    let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
                }
                // Until the other's close frame, or until ours has answered it: what was sent is not lost to a reset.
                while let Some(Ok(_)) = socket.recv().await {}
            };
            let _ = timeout(FAREWELL, farewell).await;
        })
}

/// Until the feed, the client or the server ends; `None` when nobody is left to say goodbye to.
async fn serve<B: Backend>(door: &Door<B>, feed: &mut Feed<B::Session>, socket: &mut WebSocket) -> Option<Goodbye> {
    let config = &door.config;
    let mut closing = door.closing.clone();
    let mut ticks = heartbeat(config.heartbeat);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            biased;
            () = shutdown_begins(&mut closing) => return Some(Goodbye::new(close_code::AWAY, "the server is going down", feed)),
            message = socket.recv() => {
                heard = Instant::now();
                match judge(message, feed) {
                    Heard::Fine => continue,
                    Heard::Gone => return None,
                    Heard::Wrong(goodbye) => return Some(goodbye),
                }
            }
            event = feed.next() => match event {
                None => return Some(Goodbye::new(close_code::NORMAL, "the subscription has ended", feed)),
                Some(event) => Message::text(Event::into_message(event)),
            },
            _ = ticks.tick() => {
                if heard.elapsed() > config.heartbeat * MISSED_PINGS {
                    return None;
                }
                Message::Ping(Default::default())
            }
        };
        match timeout(config.stall_timeout, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => {
                door.meters.subscriber_stalled();
                tracing::warn!(after = feed.after(), "a subscriber does not read and is closed");
                return Some(Goodbye::new(STALLED, "the subscriber did not read", feed));
            }
        }
    }
}

impl Goodbye {
    /// The reason ends with where to resume: `after=7`, or `after=` for a new snapshot.
    fn new<S>(code: u16, reason: &str, feed: &Feed<S>) -> Self {
        let after = feed.after().map(|epoch| epoch.to_string()).unwrap_or_default();
        Self { code, reason: format!("{reason}; after={after}") }
    }
}

/// What to make of what a client has said.
enum Heard {
    Fine,
    Gone,
    Wrong(Goodbye),
}

fn judge<S: Session>(message: Option<Result<Message, axum::Error>>, feed: &Feed<S>) -> Heard {
    match message {
        None | Some(Ok(Message::Close(_))) => Heard::Gone,
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Heard::Fine,
        Some(Ok(Message::Binary(_))) => {
            Heard::Wrong(Goodbye::new(close_code::UNSUPPORTED, "binary messages are not understood", feed))
        }
        Some(Ok(Message::Text(text))) => match serde_json::from_str::<ClientMessage>(&text) {
            Ok(_) => Heard::Fine,
            Err(_) => Heard::Wrong(Goodbye::new(close_code::POLICY, "only {\"ack\":epoch} is understood", feed)),
        },
        Some(Err(error)) => match is_too_long(&error) {
            true => Heard::Wrong(Goodbye::new(close_code::SIZE, "messages are at most 64 KiB", feed)),
            false => Heard::Gone,
        },
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    // The library's error type is another version's than the one that could be named here.
    std::error::Error::source(error).is_some_and(|e| e.to_string().contains("too long"))
}
