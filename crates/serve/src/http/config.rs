//! `HttpConfig`: what an operator may set, and every limit of the door with its unit. It must not know how they are
//! kept.

use std::sync::Arc;
use std::time::Duration;

use super::Console;

/// Settings and limits of the HTTP door. Start from [`HttpConfig::default`].
#[derive(Clone)]
pub struct HttpConfig {
    /// Speak TLS with this certificate; offer `h2` and `http/1.1` by ALPN. `None`: plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What `/` shows. `None`: the status page, which is at `/status` in any case.
    pub console: Option<Console>,
    /// The database that sessions are opened in.
    pub database: String,
    /// Who a request without `Authorization` is, if that user needs no password.
    pub default_user: String,
    /// Origins besides the server's own whose pages may call, as `https://console.example:8443`.
    pub allowed_origins: Vec<String>,
    /// Host names besides loopback and the bound address that requests may be addressed to, without ports.
    pub allowed_hosts: Vec<String>,
    /// Connections at once, WebSockets included; further ones wait in the listener's queue.
    pub max_connections: usize,
    /// Until a connection's TLS handshake is done, and again until a request's head is complete. A kept-alive
    /// HTTP/1.1 connection is closed after being idle for as long.
    pub header_read_timeout: Duration,
    /// Until a request's body is complete.
    pub body_read_timeout: Duration,
    /// Bytes of one request's body, both as sent and decompressed.
    pub body_limit_bytes: usize,
    /// Bytes of all bodies being read or decoded at once.
    pub bodies_limit_bytes: usize,
    /// Bytes of one request's decoded rows.
    pub ingest_rows_limit_bytes: usize,
    /// Rejected rows of one request beyond which it is refused as a whole.
    pub ingest_max_rejects: usize,
    /// Until the answer to a statement that is not streamed is complete.
    pub request_timeout: Duration,
    /// Rows of one JSON answer; streamed formats have no such limit.
    pub sql_json_max_rows: usize,
    /// Bytes of one JSON answer.
    pub sql_json_limit_bytes: usize,
    /// Subscriptions at once.
    pub max_subscribers: usize,
    /// Bytes of encoded events that may wait for one subscriber's socket.
    pub subscriber_queue_bytes: usize,
    /// A subscriber hears something at least this often.
    pub heartbeat: Duration,
    /// A subscriber whose socket takes nothing for this long is closed.
    pub stall_timeout: Duration,
    /// How long a bearer token is good for.
    pub token_lifetime: Duration,
    /// How long running requests may go on after shutdown begins.
    pub shutdown_grace: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            tls: None,
            console: None,
            database: "dev".to_owned(),
            default_user: "root".to_owned(),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            max_connections: 20_000,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            body_limit_bytes: 64 * MIB,
            bodies_limit_bytes: 512 * MIB,
            ingest_rows_limit_bytes: 256 * MIB,
            ingest_max_rejects: 10_000,
            request_timeout: Duration::from_secs(60),
            sql_json_max_rows: 1_000_000,
            sql_json_limit_bytes: 256 * MIB,
            max_subscribers: 10_000,
            subscriber_queue_bytes: 8 * MIB,
            heartbeat: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(10),
            token_lifetime: Duration::from_secs(3600),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
