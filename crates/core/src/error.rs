//! The error that crosses rooms. Each variant says who is at fault; it must not carry secrets.

use std::path::PathBuf;

use arrow::error::ArrowError;

/// Result of any fallible call in Thalweg's libraries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and whose it is to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement or an option is wrong: the user mends it. `hint` says how.
    #[error("{message}{}", hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default())]
    Invalid {
        /// What is wrong, lower case, no full stop.
        message: String,
        /// How to mend it, a sentence.
        hint: Option<String>,
    },
    /// An expression failed on a row (division by zero, overflow): the data or the query is at fault.
    #[error("{0}")]
    Data(String),
    /// A file, pipe or socket failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An Arrow kernel failed on a row.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
    /// Known, valid, and not supported: the message says what to use instead.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A defect of Thalweg.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl Error {
    /// A user's mistake without a hint.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: None }
    }

    /// A user's mistake and the way out.
    pub fn invalid_with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: Some(hint.into()) }
    }

    /// A failed call on `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
