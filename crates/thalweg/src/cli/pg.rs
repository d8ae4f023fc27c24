//! A connection over the PostgreSQL wire with errors that name the mend. It must not know statements.

use std::error::Error as _;
use std::future::poll_fn;

use anyhow::{Error, Result, anyhow};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use super::sql::fault;

/// What is done with notices of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notices {
    Print,
    Ignore,
}

/// Connects, and reads from the connection in a task of its own. A user who needs a password must have set one.
pub(crate) async fn connect(config: &Config, notices: Notices) -> Result<Client> {
    let (client, mut connection) = config.connect(NoTls).await.map_err(|e| explain(config, e))?;
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if notices == Notices::Print => eprint!("{}", fault::notice(&notice)),
                Ok(_) => {}
                // Whoever waits for an answer hears of it.
                Err(_) => return,
            }
        }
    });
    Ok(client)
}

/// The server wants a password and none was given.
pub(crate) fn wants_password(config: &Config, error: &Error) -> bool {
    let missing = error.chain().any(|e| e.to_string().contains("password missing"));
    config.get_password().is_none() && missing
}

/// `host:port` for messages.
pub(crate) fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "127.0.0.1".to_owned(),
    };
    format!("{host}:{}", config.get_ports().first().copied().unwrap_or(4566))
}

fn explain(config: &Config, error: tokio_postgres::Error) -> Error {
    const NO_TLS: &str = "TLS is not spoken here yet; connect over loopback, or use psql with sslmode=require";
    let place = place(config);
    if let Some(db) = error.as_db_error() {
        let wants_tls = ["TLS", "SSL"].iter().any(|w| db.message().contains(w));
        let hint = if wants_tls { format!("\nHINT:  {NO_TLS}.") } else { String::new() };
        return anyhow!("{place}: {}{hint}", fault::db_error(db, "").trim_end());
    }
    if config.get_ssl_mode() == SslMode::Require {
        return anyhow!("{place}: {NO_TLS}");
    }
    let source = error.source().map_or_else(String::new, |s| format!(": {s}"));
    if source.contains("password missing") {
        return anyhow!("{place}: password missing; set PGPASSWORD");
    }
    match source.contains("refused") {
        true => anyhow!("{place}: {error}{source}; is `thalweg serve` running?"),
        false => anyhow!("{place}: {error}{source}"),
    }
}
