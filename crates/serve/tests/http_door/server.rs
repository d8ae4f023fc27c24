//! Connections: protocols, TLS, slow peers, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::pki_types::ServerName;
use thalweg_serve::http::HttpConfig;
use thalweg_serve::tls::server_config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::{DEADLINE, Reply, eventually, start};

#[tokio::test]
async fn http2_without_tls() {
    let served = start(HttpConfig::default()).await;
    let socket = TcpStream::connect(served.address).await.expect("connects");
    let (client, connection) = h2::client::handshake(socket).await.expect("shakes hands");
    tokio::spawn(connection);
    let answers = (0..10).map(|_| async {
        let mut client = client.clone().ready().await.expect("open");
        let url = format!("http://{}/v1/sql", served.address);
        let request = axum::http::Request::post(url).body(()).expect("a request");
        let (response, mut body) = client.send_request(request, false).expect("sends");
        body.send_data("numbers 2".into(), true).expect("sends");
        let response = response.await.expect("answers");
        assert_eq!(response.status().as_u16(), 200);
        let body = response.into_body().data().await.expect("a body").expect("reads");
        assert!(body.ends_with(b"\"row_count\":2,\"command\":\"SELECT 2\"}"), "{body:?}");
    });
    timeout(DEADLINE, futures_util::future::join_all(answers)).await.expect("all answer");
    let text = served.get("/metrics", &[]).await.text();
    assert!(text.contains("thalweg_http_connections_total 2"), "one for all of HTTP/2, one for this: {text}");
}

#[tokio::test]
async fn tls_with_either_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, certified.cert.pem()).expect("writes");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("writes");
    let tls = server_config(&certificate, &key, &["h2", "http/1.1"]).expect("sound files");
    let served = start(HttpConfig { tls: Some(tls), ..HttpConfig::default() }).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for protocol in ["h2", "http/1.1"] {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpStream::connect(served.address).await.expect("connects");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("shakes hands");
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        if protocol == "http/1.1" {
            let origin = format!("https://{}", served.address);
            let request = served.encode("POST", "/v1/sql", &[("origin", &origin)], b"numbers 1");
            socket.write_all(&request).await.expect("writes");
            assert_eq!(timeout(DEADLINE, Reply::read(&mut socket)).await.expect("answers").status, 200);
        } else {
            socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("writes");
            let mut settings = [0; 9];
            timeout(DEADLINE, socket.read_exact(&mut settings)).await.expect("answers").expect("reads");
            assert_eq!(settings[3], 4, "a SETTINGS frame");
        }
    }
    // Plain text at the TLS door is no request.
    let mut plain = served.open("GET", "/healthz", &[], b"").await;
    let mut bytes = Vec::new();
    let _ = timeout(DEADLINE, plain.read_to_end(&mut bytes)).await.expect("is cut");
    assert!(!bytes.starts_with(b"HTTP/"));
}

#[tokio::test]
async fn peers_that_write_slowly_are_cut() {
    let config = HttpConfig {
        header_read_timeout: Duration::from_millis(200),
        body_read_timeout: Duration::from_millis(200),
        ..HttpConfig::default()
    };
    let served = start(config).await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nx-drip: "] {
        let mut socket = TcpStream::connect(served.address).await.expect("connects");
        socket.write_all(start.as_bytes()).await.expect("writes");
        let (mut reading, mut writing) = socket.split();
        let drip = async {
            if start.contains("x-drip") {
                while writing.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            std::future::pending::<()>().await;
        };
        let mut bytes = Vec::new();
        tokio::select! {
            cut = timeout(DEADLINE, reading.read_to_end(&mut bytes)) => { let _ = cut.expect("is cut"); }
            () = drip => {}
        }
    }
    let mut socket = served.open("POST", "/v1/ingest/events", &[("content-length", "100")], b"{").await;
    let reply = timeout(DEADLINE, Reply::read(&mut socket)).await.expect("answers");
    assert_eq!(reply.status, 408);
    assert_eq!(served.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let served = start(HttpConfig { max_connections: 1, ..HttpConfig::default() }).await;
    let held = TcpStream::connect(served.address).await.expect("connects");
    let connects = || served.seen.connects.load(Ordering::SeqCst);
    let waiting = served.sql("numbers 1");
    tokio::pin!(waiting);
    let early = timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err() && connects() == 0, "the place is taken");
    drop(held);
    assert_eq!(timeout(DEADLINE, waiting).await.expect("answers").status, 200);
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_takes_no_new_ones() {
    let served = start(HttpConfig::default()).await;
    let body = b"{\"id\":1}\n";
    let length = body.len().to_string();
    let mut slow = served.open("POST", "/v1/ingest/events", &[("content-length", &length)], &body[..4]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop.send(()).expect("serves");
    let refused = async { while TcpStream::connect(served.address).await.is_ok() {} };
    timeout(DEADLINE, refused).await.expect("nobody listens");
    slow.write_all(&body[4..]).await.expect("writes");
    assert_eq!(timeout(DEADLINE, Reply::read(&mut slow)).await.expect("answers").status, 200);
    timeout(DEADLINE, served.ended).await.expect("ends").expect("no panic").expect("no error");
}

#[tokio::test]
async fn shutdown_does_not_wait_beyond_its_grace() {
    let served = start(HttpConfig { shutdown_grace: Duration::from_millis(100), ..HttpConfig::default() }).await;
    let socket = served.open("POST", "/v1/sql", &[], b"forever").await;
    eventually("the statement runs", || served.seen.connects.load(Ordering::SeqCst) == 1).await;
    served.stop.send(()).expect("serves");
    timeout(DEADLINE, served.ended).await.expect("ends").expect("no panic").expect("no error");
    eventually("the statement is cancelled", || served.seen.cancelled.load(Ordering::SeqCst)).await;
    drop(socket);
}

#[tokio::test]
async fn a_wrong_configuration_is_an_error_at_once() {
    let served = start(HttpConfig { allowed_origins: vec!["*".to_owned()], ..HttpConfig::default() }).await;
    let error = timeout(DEADLINE, served.ended).await.expect("ends").expect("no panic").expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
