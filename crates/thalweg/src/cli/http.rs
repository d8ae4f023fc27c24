//! `HttpAddress`: where a server's HTTP door is, who asks, and one plain GET. It must not know what pages mean.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Until a page is complete.
const PATIENCE: Duration = Duration::from_secs(10);

/// No page of ours is longer.
const MAX_PAGE_BYTES: u64 = 64 * 1024 * 1024;

/// A server's HTTP door.
#[derive(Clone, Debug)]
pub(crate) struct HttpAddress {
    /// `host:port`.
    pub(crate) authority: String,
    /// The line `Authorization: …\r\n`, or nothing.
    pub(crate) authorization: String,
}

impl HttpAddress {
    /// Reads `http://host:port` or `host:port`. With `user` the password is that of `PGPASSWORD`.
    pub(crate) fn parse(text: &str, user: Option<&str>) -> Result<Self> {
        if text.starts_with("https:") {
            bail!("{text}: TLS is not spoken here yet; give an http:// address on loopback");
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let authority = rest.split('/').next().unwrap_or(rest);
        ensure!(!authority.contains('@'), "{text}: give the user with --http-user and the password in PGPASSWORD");
        ensure!(!authority.is_empty(), "{text}: write it as http://127.0.0.1:4567");
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:4567") };
        let authorization = match user {
            None => String::new(),
            Some(user) => {
                let password = std::env::var("PGPASSWORD").unwrap_or_default();
                format!("Authorization: Basic {}\r\n", base64(format!("{user}:{password}").as_bytes()))
            }
        };
        Ok(Self { authority, authorization })
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let stream = timeout(PATIENCE, TcpStream::connect(&self.authority))
            .await
            .with_context(|| format!("{} does not answer", self.authority))?
            .with_context(|| format!("cannot connect to {}; is `thalweg serve` running?", self.authority))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The body of a page.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        let Self { authority, authorization } = self;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n{authorization}\r\n");
        let exchange = async {
            let mut stream = self.connect().await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(MAX_PAGE_BYTES).read_to_end(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(PATIENCE, exchange).await.with_context(|| format!("{authority} does not answer"))??;
        page(&answer).with_context(|| format!("http://{authority}{path}"))
    }
}

/// The body of a complete answer, if its status is 200.
fn page(answer: &[u8]) -> Result<String> {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").context("not an answer of HTTP/1.1")?;
    let status = std::str::from_utf8(&answer[..head]).ok().and_then(|h| h.split(' ').nth(1)).unwrap_or_default();
    match status {
        "200" => Ok(String::from_utf8_lossy(&answer[head + 4..]).into_owned()),
        "401" => bail!("the server wants a password; give --http-user and set PGPASSWORD"),
        other => bail!("status {other}: {}", String::from_utf8_lossy(&answer[head + 4..]).trim()),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |g, b| g << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let six = (group >> (18 - 6 * i) & 63) as usize;
            out.push(if i <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_scheme_and_port() {
        let read = |text: &str| HttpAddress::parse(text, None).map(|a| a.authority);
        assert_eq!(read("http://127.0.0.1:99/").expect("fine"), "127.0.0.1:99");
        assert_eq!(read("localhost").expect("fine"), "localhost:4567");
        assert!(read("https://x").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn base64_pads() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|s| base64(s.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn a_page_is_what_follows_the_head() {
        assert_eq!(page(b"HTTP/1.1 200 OK\r\na: b\r\n\r\nx").expect("fine"), "x");
        assert!(page(b"HTTP/1.1 503 No\r\n\r\nbusy").is_err());
        assert!(page(b"nonsense").is_err());
    }
}
