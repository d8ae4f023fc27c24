//! The server as the doors see it. It must not know protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Backend, Credential, Login, ScramVerifier};

use super::{Server, Session, metrics};

/// Answers the doors for a [`Server`].
pub struct ServerBackend {
    server: Arc<Server>,
    /// Every door is on loopback: a user without a password may come in.
    trusted: bool,
}

impl ServerBackend {
    /// `trusted`: every listener is on loopback, so users without a password need none.
    pub fn new(server: Arc<Server>, trusted: bool) -> Self {
        Self { server, trusted }
    }
}

impl Backend for ServerBackend {
    type Session = Session;

    fn credential(&self, user: &str) -> Option<Credential> {
        let objects = self.server.objects.load();
        let user = objects.user(user).filter(|u| u.login)?;
        match &user.password {
            Some(text) => ScramVerifier::parse(text).map(Credential::Scram),
            None if self.trusted => Some(Credential::Trust),
            None => None,
        }
    }

    fn connect(&self, login: Login) -> Result<Session, SqlError> {
        if !matches!(login.database.as_str(), "dev" | "") && login.database != login.user {
            let error = SqlError::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", login.database),
            );
            return Err(error.hint("There is one database: dev."));
        }
        Session::new(Arc::clone(&self.server), Login { database: "dev".to_owned(), ..login })
    }

    fn audit(&self, event: &str, user: &str, peer: Option<SocketAddr>) {
        let peer = peer.map_or_else(String::new, |p| p.to_string());
        tracing::info!(target: "audit", event, user, peer);
    }

    fn metrics(&self) -> String {
        metrics::text(&self.server)
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(fault) = self.server.fault() {
            return Err(fault);
        }
        if self.server.is_stopping() { Err("shutting down".to_owned()) } else { Ok(()) }
    }

    fn status(&self) -> Vec<(String, String)> {
        let server = &self.server;
        let (rows_in, rows_out) = server.engine.jobs().iter().fold((0, 0), |(i, o), job| {
            let stats = job.stats.snapshot();
            (i + stats.rows_in, o + stats.rows_out)
        });
        let objects = server.objects.load();
        let line = |name: &str, value: String| (name.to_owned(), value);
        vec![
            line("Version", env!("CARGO_PKG_VERSION").to_owned()),
            line("Up for", format!("{} s", server.started.elapsed().as_secs())),
            line("Relations", objects.all().count().to_string()),
            line("Jobs", server.engine.jobs().len().to_string()),
            line("Epoch", server.engine.epoch().to_string()),
            line("Rows in", rows_in.to_string()),
            line("Changes out", rows_out.to_string()),
            line("State", format!("{} KiB", server.engine.state_bytes() / 1024)),
            line("Sessions", server.sessions.count().to_string()),
        ]
    }
}
