//! How far an error reaches: a statement, or the whole connection. It must not know messages.

use std::io;

use thalweg_core::{SqlError, SqlState};
use thiserror::Error;

/// Why a message could not be answered.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The statement has failed; the session goes on.
    #[error(transparent)]
    Statement(#[from] SqlError),
    /// The client is told, then the connection ends.
    #[error("{0}")]
    Fatal(SqlError),
    /// The connection has ended: nobody is left to be told.
    #[error(transparent)]
    Gone(#[from] io::Error),
}

impl Failure {
    /// The client has broken the protocol in a way that leaves no common ground.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Fatal(violation(message))
    }
}

/// A message that breaks the protocol (`08P01`).
pub(crate) fn violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// A statement that was cancelled (`57014`).
pub(crate) fn cancelled() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

/// The server goes down (`57P01`).
pub(crate) fn going_down() -> SqlError {
    SqlError::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
