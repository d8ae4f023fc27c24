//! Subscriptions over a WebSocket.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use thalweg_serve::http::HttpConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::access::token;
use crate::backend::Canned;
use crate::client::{DEADLINE, Served, start, start_with};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(served: &Served, query: &str) -> Socket {
    let url = format!("ws://{}/v1/subscribe?query={query}", served.address);
    connect_async(url).await.expect("upgrades").0
}

async fn next(socket: &mut Socket) -> Message {
    timeout(DEADLINE, socket.next()).await.expect("comes").expect("open").expect("reads")
}

async fn next_json(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().expect("text")).expect("JSON")
}

/// The close frame, whatever comes before it, and how many messages came before it.
async fn closed(socket: &mut Socket) -> (CloseFrame, usize) {
    let mut messages = 0;
    loop {
        match next(socket).await {
            Message::Close(frame) => return (frame.expect("a code"), messages),
            _ => messages += 1,
        }
    }
}

#[tokio::test]
async fn messages_are_the_events_with_their_names() {
    let served = start(HttpConfig::default()).await;
    let mut socket = connect(&served, "quiet&after=41").await;
    let begin = next_json(&mut socket).await;
    assert_eq!((&begin["event"], &begin["snapshot"]), (&json!("begin"), &json!(false)));
    let row = |w: i64, n: i64| json!({"w": w, "row": {"n": n, "t": format!("row {n}")}});
    assert_eq!(next_json(&mut socket).await, json!({"event": "changes", "rows": [row(-1, 41), row(1, 42)]}));
    assert_eq!(next_json(&mut socket).await, json!({"event": "commit", "epoch": 42, "time": "1970-01-01T00:00:42Z"}));
    socket.send(Message::text("{\"ack\":42}")).await.expect("sends");
    assert_eq!(next_json(&mut socket).await["event"], "begin");
}

#[tokio::test]
async fn a_page_shows_its_token_as_a_protocol() {
    let served = start_with(Canned::without_trust(), HttpConfig::default()).await;
    let token = token(&served).await;
    let connect = |offers: Option<String>| {
        let url = format!("ws://{}/v1/subscribe?query=quiet&after=41", served.address);
        let mut request = url.into_client_request().expect("a request");
        if let Some(offers) = offers {
            request.headers_mut().insert("sec-websocket-protocol", offers.parse().expect("a header"));
        }
        connect_async(request)
    };
    let (mut socket, response) =
        connect(Some(format!("thalweg.token, thalweg.token.{token}"))).await.expect("it is let in");
    assert_eq!(response.headers()["sec-websocket-protocol"], "thalweg.token", "the token is not echoed");
    assert_eq!(next_json(&mut socket).await["event"], "begin");
    for offers in [None, Some("thalweg.token, thalweg.token.wrong".to_owned()), Some("thalweg.token".to_owned())] {
        let Err(Error::Http(refused)) = connect(offers).await else { panic!("it is refused") };
        assert_eq!(refused.status(), 401);
        assert!(!refused.headers().contains_key("www-authenticate"), "no window of the browser's own");
    }
}

#[tokio::test]
async fn the_end_has_a_code_and_where_to_resume() {
    let served = start(HttpConfig::default()).await;
    let mut socket = connect(&served, "ends").await;
    let (frame, messages) = closed(&mut socket).await;
    assert_eq!((u16::from(frame.code), messages), (1000, 7), "six events and resume");
    assert!(frame.reason.ends_with("; after=11"), "{}", frame.reason);
}

#[tokio::test]
async fn a_large_epoch_comes_in_messages_of_bounded_size() {
    let served = start(HttpConfig::default()).await;
    let mut socket = connect(&served, "flood").await;
    let (mut rows, mut parts) = (0, 0);
    loop {
        let message = next(&mut socket).await.into_text().expect("text");
        assert!(message.len() < 300 * 1024);
        let event: Value = serde_json::from_str(&message).expect("JSON");
        match event["event"].as_str() {
            Some("changes") => {
                parts += 1;
                rows += event["rows"].as_array().map_or(0, Vec::len);
            }
            Some("commit") => break,
            _ => {}
        }
    }
    assert_eq!(rows, 20_000);
    assert!(parts > 1);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_politely() {
    let served = start(HttpConfig::default()).await;
    for (message, code) in [
        (Message::binary(vec![1]), 1003),
        (Message::text("hello"), 1008),
        (Message::text("{\"ack\":-1}"), 1008),
        (Message::text("x".repeat(65 * 1024)), 1009),
    ] {
        let mut socket = connect(&served, "quiet").await;
        socket.send(message).await.expect("sends");
        assert_eq!(u16::from(closed(&mut socket).await.0.code), code);
    }
}

#[tokio::test]
async fn errors_before_the_upgrade_are_plain_answers() {
    let served = start(HttpConfig::default()).await;
    let url = format!("ws://{}/v1/subscribe?query=nothing", served.address);
    let Err(Error::Http(response)) = connect_async(url).await else { panic!("not upgraded") };
    assert_eq!(response.status(), 400);
    let mut request = format!("ws://{}/v1/subscribe?query=quiet", served.address).into_client_request().expect("a URL");
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("a header"));
    let Err(Error::Http(response)) = connect_async(request).await else { panic!("not upgraded") };
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn pings_come_and_a_client_that_answers_none_is_dropped() {
    let config = HttpConfig { heartbeat: Duration::from_millis(50), ..HttpConfig::default() };
    let served = start(config).await;
    let mut socket = connect(&served, "quiet").await;
    loop {
        if let Message::Ping(_) = next(&mut socket).await {
            break;
        }
    }
    // From here on nobody answers.
    let gone = || async { served.get("/metrics", &[]).await.text().contains("thalweg_http_subscribers 0") };
    timeout(DEADLINE, async { while !gone().await {} }).await.expect("it is no subscriber any more");
}

#[tokio::test]
async fn shutdown_closes_with_1001() {
    let served = start(HttpConfig::default()).await;
    let mut socket = connect(&served, "quiet").await;
    for _ in 0..6 {
        next(&mut socket).await;
    }
    served.stop.send(()).expect("serves");
    let (frame, _) = closed(&mut socket).await;
    assert_eq!(u16::from(frame.code), 1001);
    assert!(frame.reason.ends_with("; after=11"), "{}", frame.reason);
    drop(socket);
    timeout(DEADLINE, served.ended).await.expect("ends").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_stalled_subscriber_is_closed_with_4408_and_bounded_memory() {
    let config = HttpConfig { stall_timeout: Duration::from_millis(200), ..HttpConfig::default() };
    let served = start(config).await;
    let mut socket = connect(&served, "flood").await;
    let stalled =
        || async { served.get("/metrics", &[]).await.text().contains("thalweg_http_subscribers_stalled_total 1") };
    timeout(DEADLINE, async { while !stalled().await {} }).await.expect("the server notices");
    // Each event of an epoch is at most a megabyte: what was asked of the backend is what the two sockets hold.
    assert!(served.seen.events.load(Ordering::SeqCst) < 3 * 64);
    let (frame, messages) = closed(&mut socket).await;
    assert_eq!(u16::from(frame.code), 4408);
    assert!(messages > 0);
    let after = frame.reason.rsplit_once("; after=").expect("a token").1;
    assert!(after.parse::<u64>().is_ok_and(|epoch| epoch > 0), "{after}");
}
