//! Cancelling, leaving, panicking, shutting down.

mod support;

use std::time::Duration;

use support::raw::{self, Raw};
use support::{Open, SOON, open, open_with, told};
use thalweg_serve::pg::{PgConfig, PgLimits};
use tokio::time::timeout;
use tokio_postgres::NoTls;

async fn impatient() -> Open {
    let limits = PgLimits {
        cancel_patience: Duration::from_millis(100),
        shutdown_grace: Duration::from_millis(100),
        ..PgLimits::default()
    };
    open_with(PgConfig { limits, ..PgConfig::default() }).await
}

#[tokio::test]
async fn a_statement_is_cancelled_and_the_session_goes_on() {
    let door = impatient().await;
    for text in ["wait", "stuck", "drip"] {
        let client = door.client().await;
        let token = client.cancel_token();
        let running = async { client.simple_query(text).await.expect_err("cancelled") };
        let cancelling = async {
            // A cancel that comes too early is forgotten, so it is repeated.
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                token.cancel_query(NoTls).await.expect("sent");
            }
        };
        let error = tokio::select! {
            error = timeout(SOON, running) => error.expect("in time"),
            () = cancelling => unreachable!("it never ends"),
        };
        let expected = ("57014".to_owned(), "canceling statement due to user request".to_owned());
        assert_eq!(told(&error), expected, "{text}");
        assert_eq!(client.query("rows 2", &[]).await.expect("it goes on").len(), 2);
    }
}

#[tokio::test]
async fn a_guessed_secret_cancels_nothing() {
    let door = open().await;
    let mut raw = Raw::connect(door.address).await;
    raw.send(&raw::startup(196_610, &["user", "dev"])).await;
    let key = raw.until_ready().await.into_iter().find(|r| r.kind == 'K').expect("key data").body;
    raw.send(&raw::query("wait")).await;
    let request = |key: &[u8]| raw::untyped(&[&80_877_102_u32.to_be_bytes()[..], key].concat());
    let mut guess = key.clone();
    guess[20] ^= 1;
    for wrong in [&guess[..], &key[..35], &[&key[..], &[0]].concat()] {
        let mut other = Raw::connect(door.address).await;
        other.send(&request(wrong)).await;
        assert!(other.ended().await);
    }
    assert!(timeout(Duration::from_millis(200), raw.0.peek(&mut [0])).await.is_err(), "it still waits");
    Raw::connect(door.address).await.send(&request(&key)).await;
    assert_eq!(raw.kinds().await, "EZ");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_statement_with_it() {
    let door = impatient().await;
    for text in ["wait", "stuck", "drip"] {
        let mut raw = Raw::dev(door.address).await;
        raw.send(&raw::query(text)).await;
        drop(raw);
        let token = door.backend.logins.lock().expect("not poisoned").last().expect("a login").cancel.clone();
        timeout(SOON, token.cancelled()).await.expect("noticed");
    }
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_nothing_else() {
    let door = open().await;
    let other = door.client().await;
    let error = door.client().await.simple_query("panic").await.expect_err("it panics");
    assert_eq!(told(&error).0, "XX000");
    assert_eq!(error.as_db_error().map(|e| e.severity()), Some("FATAL"));
    assert_eq!(other.query("rows 1", &[]).await.expect("rows").len(), 1);
    assert_eq!(door.client().await.query("rows 1", &[]).await.expect("rows").len(), 1);
}

#[tokio::test]
async fn shutdown_ends_idle_sessions_and_lets_a_statement_finish_or_cancels_it() {
    let door = impatient().await;
    let (mut idle, mut busy, mut half) =
        (Raw::dev(door.address).await, Raw::dev(door.address).await, Raw::dev(door.address).await);
    let silent = Raw::connect(door.address).await;
    busy.send(&raw::query("wait")).await;
    half.send(&[raw::parse("", "rows 1"), raw::message(b'H', b"")].concat()).await;
    assert_eq!(half.reply().await.map(|r| r.kind), Some('1'));
    door.shutdown.send(true).expect("it listens");
    let last = idle.reply().await.expect("a farewell");
    assert_eq!((last.field('S'), last.field('C')), ("FATAL".into(), "57P01".into()));
    assert!(idle.ended().await);
    half.send(&[raw::bind("", ""), raw::execute("", 0), raw::sync()].concat()).await;
    assert_eq!(half.kinds().await, "2DCZ");
    assert_eq!(half.reply().await.expect("a farewell").field('C'), "57P01");
    assert_eq!(busy.kinds().await, "EZ");
    assert_eq!(busy.reply().await.expect("a farewell").field('C'), "57P01");
    drop(silent);
    timeout(SOON, door.served).await.expect("in time").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_session_that_never_ends_is_cut_off_at_shutdown() {
    let door = impatient().await;
    let mut half = Raw::dev(door.address).await;
    half.send(&[raw::parse("", "rows 1"), raw::message(b'H', b"")].concat()).await;
    assert_eq!(half.reply().await.map(|r| r.kind), Some('1'));
    door.shutdown.send(true).expect("it listens");
    timeout(SOON, door.served).await.expect("in time").expect("no panic").expect("no error");
    assert!(half.ended().await);
}

#[tokio::test]
async fn limits_of_a_session() {
    let limits = PgLimits {
        max_prepared_statements: 2,
        max_portals: 2,
        max_statement_bytes: 100,
        max_message_bytes: 1000,
        max_session_bytes: 130,
        ..PgLimits::default()
    };
    let door = open_with(PgConfig { limits, ..PgConfig::default() }).await;
    let mut raw = Raw::dev(door.address).await;
    raw.send(&raw::query(&"x".repeat(101))).await;
    assert_eq!(raw.until_ready().await[0].field('C'), "54000");
    let three = ["a", "b", "c"].map(|name| raw::parse(name, "rows 1")).concat();
    raw.send(&[three, raw::sync()].concat()).await;
    assert_eq!(raw.until_ready().await[2].field('C'), "53400");
    let three = ["a", "b", "c"].map(|name| raw::bind(name, "a")).concat();
    raw.send(&[three, raw::sync()].concat()).await;
    assert_eq!(raw.until_ready().await[2].field('C'), "53400");
    let closed = ["Sa\0", "Sb\0"].map(|target| raw::message(b'C', target.as_bytes())).concat();
    let two = ["p", "q"].map(|name| raw::parse(name, &"y".repeat(99))).concat();
    raw.send(&[closed, two, raw::sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "331EZ");
    assert!(replies[3].field('M').contains("130 bytes"), "{replies:?}");
    raw.send(&raw::query(&"x".repeat(1000))).await;
    assert_eq!(raw.reply().await.expect("an error").field('S'), "FATAL");
}
