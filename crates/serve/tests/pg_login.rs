//! Coming in: passwords, TLS, and everything that strangers try.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::raw::{self, Raw};
use support::{open, open_with, told};
use thalweg_serve::pg::{PgConfig, PgLimits};
use thalweg_serve::tls::server_config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const V3_0: u32 = 196_608;
const V3_2: u32 = 196_610;
const SSL: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

fn sasl_initial(mechanism: &str, first: &str) -> Vec<u8> {
    let length = (first.len() as u32).to_be_bytes();
    raw::message(b'p', &[mechanism.as_bytes(), &[0], &length, first.as_bytes()].concat())
}

#[tokio::test]
async fn the_right_password_opens_and_a_wrong_one_does_not() {
    let door = open().await;
    let client = door.client_as("user=ann password=s3cret dbname=d").await.expect("the right one");
    assert_eq!(client.query("rows 2", &[]).await.expect("rows").len(), 2);
    for (user, password) in [("ann", "wrong"), ("ann", "\u{1}"), ("nobody", "s3cret")] {
        let error = door.client_as(&format!("user={user} password='{password}' dbname=d")).await.expect_err("refused");
        let message = format!("password authentication failed for user \"{user}\"");
        assert_eq!(told(&error), ("28P01".into(), message));
    }
    let audited = door.backend.audited.lock().expect("not poisoned").clone();
    assert_eq!(audited, ["login: ann", "login failed: ann", "login failed: ann", "login failed: nobody"]);
}

#[tokio::test]
async fn an_unknown_user_is_answered_like_a_known_one() {
    let door = open().await;
    let mut seen = Vec::new();
    for user in ["ann", "nobody", "nobody"] {
        let mut raw = Raw::connect(door.address).await;
        raw.send(&raw::startup(V3_0, &["user", user])).await;
        let offer = raw.reply().await.expect("an offer");
        raw.send(&sasl_initial("SCRAM-SHA-256", "n,,n=,r=abcdef")).await;
        let challenge = raw.reply().await.expect("a challenge");
        let text = String::from_utf8(challenge.body[4..].to_vec()).expect("text");
        let (salt, nonce) =
            (text.split(',').nth(1).expect("a salt").to_owned(), text.split(',').next().expect("r").len());
        seen.push((offer, challenge.body.len(), nonce, salt));
    }
    assert_eq!((&seen[0].0, seen[0].1, seen[0].2), (&seen[1].0, seen[1].1, seen[1].2));
    assert_eq!(seen[0].0.body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    assert_eq!(seen[1].3, seen[2].3, "the salt of an unknown user must not change");
    assert_ne!(seen[0].3, seen[1].3);
}

#[tokio::test]
async fn malformed_exchanges_are_refused() {
    let door = open().await;
    let refused = async |messages: &[Vec<u8>]| {
        let mut raw = Raw::connect(door.address).await;
        raw.send(&raw::startup(V3_0, &["user", "ann"])).await;
        for message in messages {
            assert_eq!(raw.reply().await.expect("a question").kind, 'R');
            raw.send(message).await;
        }
        let reply = raw.reply().await.expect("an error");
        assert!(raw.ended().await);
        (reply.field('S'), reply.field('C'))
    };
    let protocol = || ("FATAL".to_owned(), "08P01".to_owned());
    // Five failures are free of delay.
    assert_eq!(refused(&[sasl_initial("PLAIN", "")]).await, protocol());
    assert_eq!(refused(&[sasl_initial("SCRAM-SHA-256", "p=tls-unique,,n=,r=a")]).await, protocol());
    let first = || sasl_initial("SCRAM-SHA-256", "n,,n=,r=abcdef");
    let replay = "c=biws,r=abcdefOLD,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(refused(&[first(), raw::message(b'p', replay.as_bytes())]).await, protocol());
    // These break the protocol before a password is shown.
    assert_eq!(refused(&[raw::query("rows 1")]).await, protocol());
    assert_eq!(refused(&[first(), raw::query("rows 1")]).await, protocol());
    assert_eq!(refused(&[raw::message(b'p', b"")]).await, protocol());
    assert_eq!(refused(&[raw::message(b'p', &[b'x'; 10_000])]).await, protocol());
    assert_eq!(refused(&[raw::startup(V3_0, &["user", "ann"])]).await, protocol());
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let door = open().await;
    for _ in 0..5 {
        door.client_as("user=ann password=no").await.expect_err("refused");
    }
    let started = std::time::Instant::now();
    let client = door.client_as("user=ann password=s3cret").await;
    assert!(client.is_ok() && started.elapsed() >= Duration::from_millis(900), "the sixth attempt waits");
    let started = std::time::Instant::now();
    door.client_as("user=ann password=no").await.expect_err("refused");
    assert!(started.elapsed() < Duration::from_millis(900), "a right password forgives");
}

#[tokio::test]
async fn start_up_is_refused_in_words() {
    let door = open().await;
    let refused = async |bytes: &[u8]| {
        let mut raw = Raw::connect(door.address).await;
        raw.send(bytes).await;
        let reply = raw.reply().await.expect("an error");
        assert!(raw.ended().await);
        (reply.field('S'), reply.field('C'))
    };
    let fatal = |state: &str| ("FATAL".to_owned(), state.to_owned());
    assert_eq!(refused(&raw::startup(V3_0, &["user", "dev", "replication", "database"])).await, fatal("0A000"));
    assert_eq!(refused(&raw::startup(V3_0, &["database", "d"])).await, fatal("28000"));
    assert_eq!(refused(&raw::startup(131_072, &["user", "dev"])).await, fatal("0A000"));
    assert_eq!(refused(&raw::untyped(b"\0\x03\0\0user\0thalweg\xff\0\0")).await, fatal("28000"));
    assert_eq!(refused(&raw::startup(V3_0, &["user", "dev", "x", &"y".repeat(10_000)])).await, fatal("08P01"));
    for length in [0_i32, 4, 7, -1, i32::MIN, i32::MAX] {
        assert_eq!(refused(&[&length.to_be_bytes()[..], &[0, 3, 0, 0]].concat()).await, fatal("08P01"), "{length}");
    }
    assert_eq!(refused(&raw::query("rows 1")).await, fatal("08P01"));
}

#[tokio::test]
async fn lengths_that_cannot_be_end_the_session() {
    let door = open().await;
    for bytes in [
        vec![b'Q', 0, 0, 0, 3],
        vec![b'Q', 0xff, 0xff, 0xff, 0xff],
        vec![b'Q', 0x7f, 0xff, 0xff, 0xff],
        vec![b'E', 0, 1, 0, 0],
        vec![b'!', 0, 0, 0, 4],
    ] {
        let mut raw = Raw::dev(door.address).await;
        raw.send(&bytes).await;
        let reply = raw.reply().await.expect("an error");
        assert_eq!((reply.field('S'), reply.field('C')), ("FATAL".into(), "08P01".into()), "{bytes:?}");
        assert!(raw.ended().await);
    }
}

#[tokio::test]
async fn newer_versions_are_negotiated_and_have_long_secrets() {
    let door = open().await;
    let secret = async |version: u32, pairs: &[&str]| {
        let mut raw = Raw::connect(door.address).await;
        raw.send(&raw::startup(version, pairs)).await;
        let replies = raw.until_ready().await;
        let find = |kind| replies.iter().find(|r| r.kind == kind).map(|r| r.body.clone());
        (find('v'), find('K').expect("key data").len() - 4)
    };
    assert_eq!(secret(V3_0, &["user", "dev"]).await, (None, 4));
    assert_eq!(secret(V3_2, &["user", "dev"]).await, (None, 32));
    let newest = Some([&V3_2.to_be_bytes()[..], &[0, 0, 0, 1], b"_pq_.x\0"].concat());
    assert_eq!(secret(V3_0 + 9999, &["user", "dev", "_pq_.x", "1"]).await, (newest, 32));
}

#[tokio::test]
async fn a_silent_client_is_cut_off() {
    let limits = PgLimits { authentication_timeout: Duration::from_millis(200), ..PgLimits::default() };
    let door = open_with(PgConfig { limits, ..PgConfig::default() }).await;
    let mut silent = Raw::connect(door.address).await;
    let mut slow = Raw::connect(door.address).await;
    slow.send(&raw::startup(V3_0, &["user", "ann"])[..9]).await;
    assert!(silent.ended().await && slow.ended().await);
    let mut undecided = Raw::connect(door.address).await;
    undecided.send(&raw::startup(V3_0, &["user", "ann"])).await;
    assert_eq!(undecided.reply().await.expect("an offer").kind, 'R');
    assert_eq!(undecided.reply().await.expect("an error").field('C'), "57014");
    assert!(undecided.ended().await);
}

#[tokio::test]
async fn there_are_only_so_many_seats() {
    let limits = PgLimits { max_connections: 1, ..PgLimits::default() };
    let door = open_with(PgConfig { limits, ..PgConfig::default() }).await;
    let first = Raw::dev(door.address).await;
    let error = door.client_as("user=dev").await.expect_err("full");
    assert_eq!(told(&error).0, "53300");
    drop(first);
    tokio::time::timeout(support::SOON, async {
        while door.client_as("user=dev").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the seat becomes free");
}

/// A door with a certificate of its own, and a client that trusts it.
async fn secured(require_tls: bool) -> (support::Open, ClientConfig) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, own.cert.pem()).expect("written");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("written");
    let tls = Some(server_config(&certificate, &key, &["postgresql"]).expect("a good certificate"));
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (open_with(PgConfig { tls, require_tls, ..PgConfig::default() }).await, client)
}

async fn shake(
    raw: Raw,
    client: ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(client)).connect(name, raw.0).await
}

/// Logs in as `dev` and reads the first message.
async fn greeted(mut stream: tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> Option<u8> {
    stream.write_all(&raw::startup(V3_0, &["user", "dev"])).await.ok()?;
    tokio::time::timeout(support::SOON, stream.read_u8()).await.expect("in time").ok()
}

#[tokio::test]
async fn tls_after_asking_and_from_the_first_byte() {
    let (door, client) = secured(true).await;
    let mut raw = Raw::connect(door.address).await;
    raw.send(&GSS).await;
    assert_eq!(raw.byte().await, Some(b'N'));
    raw.send(&SSL).await;
    assert_eq!(raw.byte().await, Some(b'S'));
    assert_eq!(greeted(shake(raw, client.clone()).await.expect("shaken")).await, Some(b'R'));
    let mut direct = client.clone();
    direct.alpn_protocols = vec![b"postgresql".to_vec()];
    let stream = shake(Raw::connect(door.address).await, direct).await.expect("shaken");
    assert_eq!(greeted(stream).await, Some(b'R'));
    // Without ALPN the other end may have meant another protocol.
    if let Ok(stream) = shake(Raw::connect(door.address).await, client).await {
        assert_eq!(greeted(stream).await, None);
    }
}

#[tokio::test]
async fn plain_text_is_refused_where_tls_is_required() {
    let (door, _) = secured(true).await;
    let error = door.client_as("user=dev").await.expect_err("refused");
    assert_eq!(told(&error).0, "28000");
}

#[tokio::test]
async fn bytes_behind_a_request_for_tls_end_the_connection() {
    let (door, _) = secured(false).await;
    for request in [SSL, GSS] {
        let mut raw = Raw::connect(door.address).await;
        raw.send(&[&request[..], &raw::startup(V3_0, &["user", "dev"])].concat()).await;
        assert_eq!(raw.byte().await, None);
    }
    let mut twice = Raw::connect(door.address).await;
    twice.send(&GSS).await;
    assert_eq!(twice.byte().await, Some(b'N'));
    twice.send(&GSS).await;
    assert_eq!(twice.reply().await.expect("an error").field('C'), "08P01");
}

#[tokio::test]
async fn without_a_certificate_tls_is_declined() {
    let door = open().await;
    let mut raw = Raw::connect(door.address).await;
    raw.send(&SSL).await;
    assert_eq!(raw.byte().await, Some(b'N'));
    raw.send(&raw::startup(V3_0, &["user", "dev"])).await;
    assert_eq!(raw.until_ready().await.last().map(|r| r.kind), Some('Z'));
    let mut direct = Raw::connect(door.address).await;
    direct.send(&[0x16, 3, 1, 0, 5]).await;
    assert!(direct.ended().await);
}

#[tokio::test]
async fn guesses_made_at_once_are_no_more_than_guesses_made_in_turn() {
    let door = open().await;
    let attempts = (0..40).map(|_| door.client_as("user=ann password=no"));
    let refused = futures_util::future::join_all(attempts).await;
    let states: Vec<String> = refused.iter().map(|r| told(r.as_ref().expect_err("refused")).0).collect();
    let looked_at = states.iter().filter(|state| *state == "28P01").count();
    assert!(looked_at <= 10, "{looked_at} passwords were looked at");
    assert!(states.iter().all(|state| state == "28P01" || state == "28000"), "{states:?}");
}
