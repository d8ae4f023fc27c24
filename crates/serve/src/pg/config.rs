//! What an operator can set of the PostgreSQL door, each limit with a name and a unit. It must not know sockets.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// The settings of the PostgreSQL door.
#[derive(Clone, Debug, Default)]
pub struct PgConfig {
    /// Certificate and key; with `postgresql` among its ALPN protocols, TLS may also begin with the first byte.
    pub tls: Option<Arc<ServerConfig>>,
    /// Refuse whoever does not turn TLS on.
    pub require_tls: bool,
    /// Limits.
    pub limits: PgLimits,
}

/// The limits of the PostgreSQL door.
#[derive(Clone, Debug)]
pub struct PgLimits {
    /// Connections at a time, those that have not logged in yet included.
    pub max_connections: usize,
    /// From the first byte to the end of authentication.
    pub authentication_timeout: Duration,
    /// Bytes of one message before authentication has ended.
    pub max_login_message_bytes: usize,
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// Bytes of a statement's text.
    pub max_statement_bytes: usize,
    /// Prepared statements of one session.
    pub max_prepared_statements: usize,
    /// Portals of one session.
    pub max_portals: usize,
    /// Bytes of the statement texts and parameters that one session keeps.
    pub max_session_bytes: usize,
    /// Bytes of one line of COPY.
    pub max_copy_line_bytes: usize,
    /// How long a running statement may go on after shutdown has begun before it is cancelled.
    pub shutdown_grace: Duration,
    /// How long a cancelled statement may take to end before it is dropped.
    pub cancel_patience: Duration,
}

impl Default for PgLimits {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            authentication_timeout: Duration::from_secs(10),
            max_login_message_bytes: 10_000,
            max_message_bytes: 64 << 20,
            max_statement_bytes: 16 << 20,
            max_prepared_statements: 10_000,
            max_portals: 10_000,
            max_session_bytes: 256 << 20,
            max_copy_line_bytes: 16 << 20,
            shutdown_grace: Duration::from_secs(10),
            cancel_patience: Duration::from_secs(5),
        }
    }
}
