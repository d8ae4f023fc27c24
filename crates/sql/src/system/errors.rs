//! The planner's errors as PostgreSQL would tell them. It must not know queries.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use thalweg_core::{SqlError, SqlState};

/// The error that a client gets.
pub(super) fn told(error: DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<SqlError>() {
            Ok(error) => *error,
            Err(other) => SqlError::new(SqlState::INTERNAL_ERROR, other.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => told(*inner),
        DataFusionError::Shared(inner) => match inner.as_ref() {
            DataFusionError::External(error) => match error.downcast_ref::<SqlError>() {
                Some(error) => error.clone(),
                None => SqlError::new(SqlState::INTERNAL_ERROR, error.to_string()),
            },
            other => SqlError::new(state(other), message(other)),
        },
        DataFusionError::Collection(mut errors) if !errors.is_empty() => told(errors.remove(0)),
        other => SqlError::new(state(&other), message(&other)),
    }
}

fn state(error: &DataFusionError) -> SqlState {
    match error {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { .. } => SqlState::UNDEFINED_COLUMN,
            SchemaError::AmbiguousReference { .. } => SqlState::AMBIGUOUS_COLUMN,
            _ => SqlState::SEMANTIC_ERROR,
        },
        DataFusionError::Plan(message) if message.contains("Invalid function") => SqlState::UNDEFINED_FUNCTION,
        DataFusionError::Plan(_) => SqlState::SEMANTIC_ERROR,
        DataFusionError::SQL(_, _) => SqlState::SYNTAX_ERROR,
        DataFusionError::NotImplemented(_) => SqlState::FEATURE_NOT_SUPPORTED,
        DataFusionError::ArrowError(_, _) | DataFusionError::Execution(_) => SqlState::DATA_EXCEPTION,
        DataFusionError::ResourcesExhausted(_) => SqlState::OUT_OF_MEMORY,
        _ => SqlState::INTERNAL_ERROR,
    }
}

fn message(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, .. } => match &field.relation {
                Some(relation) => format!("column {}.{} does not exist", relation.table(), field.name),
                None => format!("column \"{}\" does not exist", field.name),
            },
            SchemaError::AmbiguousReference { field } => format!("column reference \"{}\" is ambiguous", field.name),
            _ => error.strip_backtrace(),
        },
        DataFusionError::Plan(message) => message.clone(),
        DataFusionError::Execution(message) | DataFusionError::NotImplemented(message) => message.clone(),
        _ => error.strip_backtrace(),
    }
}
