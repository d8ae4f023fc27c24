//! `Attempt`: a statement that is to change the catalog, from before it is run until its outcome is written. It must not
//! know what the statement does.

use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::Statement;

use super::{Event, Kind, Who, statement};
use crate::server::Server;

/// What is written when it ends; when it is dropped, that it was broken off.
pub(crate) struct Attempt {
    server: Arc<Server>,
    /// Taken when it is written.
    event: Option<Event>,
}

impl Attempt {
    /// Before the statement is run.
    ///
    /// # Errors
    /// The audit log cannot be written: the statement is not to be run.
    pub fn begin(server: &Arc<Server>, who: &Who, of: &Statement) -> Result<Self, SqlError> {
        server.audit.ensure()?;
        let (kind, object) = statement::change(of);
        let event = Event::of(kind, who).object(object).statement(&statement::masked(of));
        Ok(Self { server: Arc::clone(server), event: Some(event) })
    }

    /// Writes what has become of it, before its client learns it.
    ///
    /// # Errors
    /// It could not be written: the error that the client gets instead of the answer.
    pub fn end<T>(mut self, outcome: &Result<T, SqlError>) -> Result<(), SqlError> {
        let Some(event) = self.event.take() else { return Ok(()) };
        match outcome {
            Ok(_) => self.server.audit.record(&event).map_err(|e| e.detail("The statement has taken effect.")),
            Err(error) => {
                // The refusal of a privilege is an event of its own.
                let is_refusal = error.state == SqlState::INSUFFICIENT_PRIVILEGE;
                let event = if is_refusal { event.kind(Kind::PrivilegeRefused) } else { event };
                self.server.audit.note(&event.failed(error.state));
                Ok(())
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            let event = event.failed(SqlState::QUERY_CANCELED).detail("broken off: its client went away");
            self.server.audit.note(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Surface;
    use super::*;
    use crate::server::ServerConfig;

    #[tokio::test]
    async fn one_that_is_broken_off_is_told_when_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let config = ServerConfig { audit_log: Some(path.clone()), ..ServerConfig::default() };
        let server = Server::open(config).await.expect("it opens");
        let who = Who { user: "ann".to_owned(), peer: None, surface: Surface::Postgres };
        let parsed = thalweg_sql::server::parse("CREATE VIEW v AS SELECT 1; DROP VIEW v").expect("it parses");
        drop(Attempt::begin(&server, &who, &parsed[0]).expect("the log can be written"));
        let ended = Attempt::begin(&server, &who, &parsed[1]).expect("the log can be written");
        ended.end(&Ok(())).expect("it is written");
        server.stop().await;
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[1].contains("CREATE VIEW") && lines[1].contains("57014") && lines[1].contains("broken off"),
            "{text}"
        );
        assert!(lines[2].contains("DROP VIEW") && lines[2].contains(r#""outcome":"ok""#), "{text}");
    }
}
