//! `SqlError`: an error as SQL clients get it, with its SQLSTATE. It must not know any protocol.

use std::fmt;

use crate::Error;

/// A five-character SQLSTATE, as PostgreSQL's Appendix A lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

impl SqlState {
    /// `00000`: notices.
    pub const SUCCESS: Self = Self("00000");
    /// A feature that we do not have.
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// A message that the protocol does not allow here.
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// A value out of range.
    pub const NUMERIC_OUT_OF_RANGE: Self = Self("22003");
    /// `x / 0`.
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    /// A value that does not read as its type.
    pub const INVALID_TEXT_REPRESENTATION: Self = Self("22P02");
    /// A binary value of the wrong length or content.
    pub const INVALID_BINARY_REPRESENTATION: Self = Self("22P03");
    /// Bad bytes in COPY.
    pub const BAD_COPY_FILE_FORMAT: Self = Self("22P04");
    /// Any other wrong value.
    pub const DATA_EXCEPTION: Self = Self("22000");
    /// Bytes that are not UTF-8.
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    /// NULL in a NOT NULL column.
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    /// A key that is there already.
    pub const UNIQUE_VIOLATION: Self = Self("23505");
    /// `EXPECT … ON VIOLATION FAIL`.
    pub const CHECK_VIOLATION: Self = Self("23514");
    /// `BEGIN` inside a transaction.
    pub const ACTIVE_TRANSACTION: Self = Self("25001");
    /// A write in a read-only transaction.
    pub const READ_ONLY_TRANSACTION: Self = Self("25006");
    /// `COMMIT` outside a transaction.
    pub const NO_ACTIVE_TRANSACTION: Self = Self("25P01");
    /// Any statement but ROLLBACK after an error in a transaction.
    pub const FAILED_TRANSACTION: Self = Self("25P02");
    /// No such prepared statement.
    pub const INVALID_STATEMENT_NAME: Self = Self("26000");
    /// Wrong user or password.
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// Wrong password.
    pub const INVALID_PASSWORD: Self = Self("28P01");
    /// Other objects depend on this one.
    pub const DEPENDENT_OBJECTS: Self = Self("2BP01");
    /// No such savepoint.
    pub const INVALID_SAVEPOINT: Self = Self("3B001");
    /// No such portal or cursor.
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    /// No such database.
    pub const INVALID_CATALOG_NAME: Self = Self("3D000");
    /// No such schema.
    pub const INVALID_SCHEMA_NAME: Self = Self("3F000");
    /// The user lacks the privilege.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    /// The statement does not parse.
    pub const SYNTAX_ERROR: Self = Self("42601");
    /// A name that is reserved or too long.
    pub const INVALID_NAME: Self = Self("42602");
    /// No such column.
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    /// A name that could mean several columns.
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    /// No such setting or other object.
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    /// The object exists.
    pub const DUPLICATE_OBJECT: Self = Self("42710");
    /// The cursor exists.
    pub const DUPLICATE_CURSOR: Self = Self("42P03");
    /// The database exists.
    pub const DUPLICATE_DATABASE: Self = Self("42P04");
    /// The prepared statement exists.
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    /// The schema exists.
    pub const DUPLICATE_SCHEMA: Self = Self("42P06");
    /// The relation exists.
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    /// No such relation.
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    /// A parameter that is not there.
    pub const UNDEFINED_PARAMETER: Self = Self("42P02");
    /// No such function.
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    /// A parameter whose type cannot be told.
    pub const INDETERMINATE_DATATYPE: Self = Self("42P18");
    /// Types that do not go together.
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    /// An object of another kind than the statement needs.
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    /// Any other semantic error.
    pub const SEMANTIC_ERROR: Self = Self("42P10");
    /// The query needs more memory than it may have.
    pub const OUT_OF_MEMORY: Self = Self("53200");
    /// The disk is full.
    pub const DISK_FULL: Self = Self("53100");
    /// The server has as many connections as it may.
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    /// A limit of ours with a name.
    pub const CONFIGURATION_LIMIT: Self = Self("53400");
    /// A message or statement larger than a limit.
    pub const PROGRAM_LIMIT: Self = Self("54000");
    /// The object is not in a state that allows this.
    pub const NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    /// Cancelled by the user or by `statement_timeout`.
    pub const QUERY_CANCELED: Self = Self("57014");
    /// The server is going down.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// A file or socket failed.
    pub const IO_ERROR: Self = Self("58030");
    /// A defect of Thalweg.
    pub const INTERNAL_ERROR: Self = Self("XX000");
}

/// An error of a statement: what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Its class.
    pub state: SqlState,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// How to mend it, a sentence.
    pub hint: Option<String>,
    /// Where in the statement's text: characters from 1.
    pub position: Option<u32>,
}

impl SqlError {
    /// An error without detail or hint.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), detail: None, hint: None, position: None }
    }

    /// With a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With detail.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a place in the statement's text, in characters from 1.
    pub fn at(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        let state = match &error {
            Error::Invalid { .. } => SqlState::SEMANTIC_ERROR,
            Error::Data(message) if message.contains("division by zero") => SqlState::DIVISION_BY_ZERO,
            Error::Data(_) => SqlState::DATA_EXCEPTION,
            Error::Io { source, .. } if is_full(source) => SqlState::DISK_FULL,
            Error::Io { .. } => SqlState::IO_ERROR,
            Error::Arrow(arrow::error::ArrowError::DivideByZero) => SqlState::DIVISION_BY_ZERO,
            Error::Arrow(arrow::error::ArrowError::ArithmeticOverflow(_)) => SqlState::NUMERIC_OUT_OF_RANGE,
            Error::Arrow(_) => SqlState::DATA_EXCEPTION,
            Error::Unsupported(_) => SqlState::FEATURE_NOT_SUPPORTED,
            Error::Internal(_) => SqlState::INTERNAL_ERROR,
        };
        match error {
            Error::Invalid { message, hint } => Self { hint, ..Self::new(state, message) },
            other => Self::new(state, other.to_string()),
        }
    }
}

/// The disk or the quota is full: the statement may succeed later.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_a_broken_one() {
        let state = |kind: std::io::ErrorKind| SqlError::from(Error::io("f", kind.into())).state;
        assert_eq!(state(std::io::ErrorKind::StorageFull), SqlState::DISK_FULL);
        assert_eq!(state(std::io::ErrorKind::QuotaExceeded), SqlState::DISK_FULL);
        assert_eq!(state(std::io::ErrorKind::Other), SqlState::IO_ERROR);
    }
}
