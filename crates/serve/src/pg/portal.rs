//! Prepared statements and portals. It must not know messages.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use postgres_types::Type;
use thalweg_core::{SqlError, SqlState};

use super::frontend::Format;
use super::rows::Cursor;
use super::types::type_of;
use crate::backend::Description;

/// A statement that has been parsed and described.
pub(crate) struct Prepared<T> {
    /// `None`: an empty text.
    pub(crate) statement: Option<T>,
    pub(crate) description: Description,
    /// Bytes of its text.
    pub(crate) bytes: usize,
    /// The types of the parameters on the wire.
    pub(crate) parameter_types: Vec<Type>,
}

/// A statement with its parameters, ready to run, running or run.
pub(crate) struct Portal<T> {
    pub(crate) prepared: Arc<Prepared<T>>,
    pub(crate) parameters: Vec<ArrayRef>,
    /// Bytes of its parameters as they were sent.
    pub(crate) bytes: usize,
    pub(crate) formats: Vec<Format>,
    pub(crate) state: PortalState,
}

/// How far a portal is.
pub(crate) enum PortalState {
    Ready,
    /// Boxed: most portals never suspend.
    Running(Box<Cursor>),
    /// All rows have been sent.
    Exhausted {
        tag: &'static str,
    },
    /// It ran and yields no rows: it cannot run again.
    Done,
}

impl<T> Prepared<T> {
    /// Checks that a running statement yields what the client was told.
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), SqlError> {
        let same = self.description.columns.as_ref().is_some_and(|told| {
            told.fields().len() == schema.fields().len()
                && told.fields().iter().zip(schema.fields()).all(|(told, now)| type_of(told) == type_of(now))
        });
        if same {
            return Ok(());
        }
        let message = "cached plan must not change result type";
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("Prepare the statement again."))
    }
}
