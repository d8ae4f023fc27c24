//! The server as the doors see it. It must not know protocols.

use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Backend, Credential, Login, ScramVerifier};

use super::audit::{Event, Kind, Surface, Who};
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

    fn session(&self, login: Login, surface: Surface) -> Result<Session, SqlError> {
        if !matches!(login.database.as_str(), "dev" | "") && login.database != login.user {
            let error = SqlError::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", login.database),
            );
            return Err(error.hint("There is one database: dev."));
        }
        Session::new(Arc::clone(&self.server), Login { database: "dev".to_owned(), ..login }, surface)
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
        let who = Who { user: login.user.clone(), peer: login.peer, surface: login.surface.into() };
        let surface = who.surface;
        let mut session = self.session(login, surface).inspect_err(|error| {
            let event = Event::of(Kind::LoginRefused, &who).failed(error.state).detail(error.message.clone());
            self.server.audit.note(&event);
        })?;
        // Over HTTP, a session is one request.
        session.logs_out = surface == Surface::Postgres;
        Ok(session)
    }

    fn audit(&self, event: &str, user: &str, peer: Option<SocketAddr>) {
        let (surface, what) = match event.strip_prefix("http ") {
            Some(what) => (Surface::Http, what),
            None => (Surface::Postgres, event),
        };
        let who = Who { user: user.to_owned(), peer, surface };
        let event = match what {
            "login" => Event::of(Kind::Login, &who),
            "token issued" => Event::of(Kind::TokenIssued, &who),
            // It is written where the reason is known: see `connect`.
            "session refused" => return,
            "login failed" | "login refused" => Event::of(Kind::LoginRefused, &who).failed(SqlState::INVALID_PASSWORD),
            why => Event::of(Kind::LoginRefused, &who).failed(SqlState::INVALID_AUTHORIZATION).detail(why),
        };
        self.server.audit.note(&event);
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
