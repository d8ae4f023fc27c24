//! A door that is served and a client of plain HTTP/1.1, so that nothing between hides what is sent. It must not know
//! the door's insides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thalweg_serve::http::{HttpConfig, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::backend::{Canned, Seen};

/// Nothing here takes nearly as long.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A door on a port of its own.
pub struct Served {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    pub stop: oneshot::Sender<()>,
    pub ended: JoinHandle<std::io::Result<()>>,
}

/// A response as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body came to its end.
    pub whole: bool,
}

pub async fn start(config: HttpConfig) -> Served {
    start_with(Canned::new(), config).await
}

pub async fn start_with(backend: Canned, config: HttpConfig) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::clone(&backend.0);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let ended = tokio::spawn(serve(listener, Arc::new(backend), config, shutdown));
    Served { address, seen, stop, ended }
}

impl Served {
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", path, headers, b"").await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.request("POST", path, headers, body.as_ref()).await
    }

    pub async fn sql(&self, sql: &str) -> Reply {
        self.post("/v1/sql", &[("content-type", "text/plain")], sql).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut socket = self.open(method, path, headers, body).await;
        timeout(DEADLINE, Reply::read(&mut socket)).await.expect("answers")
    }

    /// A socket on which the request has been sent.
    pub async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        // The server may refuse, and close, before it has read all of a large body.
        let _ = socket.write_all(&self.encode(method, path, headers, body)).await;
        socket
    }

    pub fn encode(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            text += &format!("host: {}\r\n", self.address);
        }
        if !has("content-length") && !has("transfer-encoding") {
            text += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

impl Reply {
    pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Self {
        let mut bytes = Vec::new();
        let mut whole = socket.read_to_end(&mut bytes).await.is_ok();
        let end =
            find(&bytes, b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(&bytes)));
        let (status, headers) = parse_head(&bytes[..end]);
        let rest = &bytes[end + 4..];
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let body = if header("transfer-encoding") == Some("chunked") {
            let (body, ended) = dechunk(rest);
            whole &= ended;
            body
        } else {
            whole = header("content-length").is_none_or(|length| length == rest.len().to_string());
            rest.to_vec()
        };
        Self { status, headers, body, whole }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().expect("an error").to_owned()
    }
}

pub fn parse_head(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
    let headers = lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    (status, headers.collect())
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

/// The content of the chunks so far, and whether the last one is there.
pub fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).expect("a chunk's size");
        if size == 0 {
            return (out, true);
        }
        let rest = &bytes[end + 2..];
        out.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            break;
        }
        bytes = &rest[size + 2..];
    }
    (out, false)
}

/// Until `done`, or the test fails.
pub async fn eventually(what: &str, done: impl Fn() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, poll).await.unwrap_or_else(|_| panic!("{what}"));
}
