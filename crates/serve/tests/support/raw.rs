//! A bare socket that speaks the protocol byte by byte, so that tests can break it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SOON;

pub struct Raw(pub TcpStream);

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub kind: char,
    pub body: Vec<u8>,
}

impl Reply {
    /// A field of an error or notice.
    pub fn field(&self, code: char) -> String {
        let fields = self.body.split(|b| *b == 0).filter(|f| !f.is_empty());
        let mut own = fields.filter(|f| f[0] == code as u8).map(|f| String::from_utf8_lossy(&f[1..]).into_owned());
        own.next().unwrap_or_default()
    }
}

pub fn startup(version: u32, pairs: &[&str]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for text in pairs {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    untyped(&body)
}

pub fn untyped(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], untyped(body).as_slice()].concat()
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

pub fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0], &max_rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the door is open"))
    }

    /// Logged in as `dev`.
    pub async fn dev(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&startup(196_608, &["user", "dev"])).await;
        assert_eq!(raw.until_ready().await.last().map(|r| r.body.clone()), Some(b"I".to_vec()));
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the server listens");
    }

    /// One byte, or `None` at the end.
    pub async fn byte(&mut self) -> Option<u8> {
        timeout(SOON, self.0.read_u8()).await.expect("an answer in time").ok()
    }

    /// The next message, or `None` at the end.
    pub async fn reply(&mut self) -> Option<Reply> {
        let kind = self.byte().await?;
        let read = async {
            let length = self.0.read_i32().await.ok()?;
            let mut body = vec![0; usize::try_from(length).expect("a length") - 4];
            self.0.read_exact(&mut body).await.ok()?;
            Some(Reply { kind: kind as char, body })
        };
        timeout(SOON, read).await.expect("an answer in time")
    }

    pub async fn until_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply().await {
            let last = reply.kind == 'Z';
            replies.push(reply);
            if last {
                break;
            }
        }
        replies
    }

    /// The kinds of the messages up to ReadyForQuery.
    pub async fn kinds(&mut self) -> String {
        self.until_ready().await.iter().map(|r| r.kind).collect()
    }

    /// Whether the server has hung up.
    pub async fn ended(&mut self) -> bool {
        timeout(SOON, self.0.read(&mut [0; 64])).await.expect("an end in time").map_or(true, |n| n == 0)
    }
}
