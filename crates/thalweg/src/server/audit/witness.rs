//! What a session tells the audit log. It must not know what its statements do.

use std::net::SocketAddr;

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::Statement;

use super::{Attempt, Event, Kind, Who};
use crate::server::Session;

impl Session {
    /// Who the audit log is to name.
    pub(crate) fn who(&self) -> Who {
        Who { user: self.login.user.clone(), peer: self.login.peer, surface: self.surface }
    }

    /// `statement` is about to change the catalog; its outcome is written when it is known.
    ///
    /// # Errors
    /// The audit log cannot be written.
    pub(crate) fn attempt(&mut self, statement: &Statement) -> Result<(), SqlError> {
        self.attempt = Some(Attempt::begin(&self.server, &self.who(), statement)?);
        Ok(())
    }

    /// Notes that a privilege was refused, if that is what `outcome` says.
    pub(in crate::server) fn refusal<T>(
        &self,
        outcome: Result<T, SqlError>,
        of: impl FnOnce() -> String,
    ) -> Result<T, SqlError> {
        outcome.inspect_err(|error| {
            if error.state == SqlState::INSUFFICIENT_PRIVILEGE {
                let event = Event::of(Kind::PrivilegeRefused, &self.who());
                self.server.audit.note(&event.statement(&of()).failed(error.state));
            }
        })
    }

    /// As [`Session::refusal`], of rows for `relation`.
    pub(in crate::server) fn denial<T>(
        &self,
        outcome: Result<T, SqlError>,
        relation: &str,
        peer: Option<SocketAddr>,
    ) -> Result<T, SqlError> {
        outcome.inspect_err(|error| {
            if error.state == SqlState::INSUFFICIENT_PRIVILEGE {
                let event = Event::of(Kind::IngestDenied, &Who { peer, ..self.who() });
                self.server.audit.note(&event.object(Some(relation.to_owned())).failed(error.state));
            }
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.logs_out {
            self.server.audit.note(&Event::of(Kind::Logout, &self.who()));
        }
    }
}
