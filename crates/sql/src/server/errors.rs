//! Planner's and parser's errors as SQL errors with their SQLSTATE. It must not know how they are sent.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use thalweg_core::{SqlError, SqlState};

use crate::compile::{problem, root};

/// An error of planning or of running a query.
pub(crate) fn sql_error(error: &DataFusionError) -> SqlError {
    if let DataFusionError::External(external) = error.find_root()
        && let Some(own) = external.downcast_ref::<SqlError>()
    {
        return own.clone();
    }
    let found = problem(error, (0, 0));
    let state = match root(error) {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::AmbiguousReference { .. } => SqlState::AMBIGUOUS_COLUMN,
            SchemaError::FieldNotFound { .. } => SqlState::UNDEFINED_COLUMN,
            _ => SqlState::SEMANTIC_ERROR,
        },
        DataFusionError::NotImplemented(_) => SqlState::FEATURE_NOT_SUPPORTED,
        DataFusionError::ResourcesExhausted(_) => SqlState::OUT_OF_MEMORY,
        DataFusionError::SQL(..) => SqlState::SYNTAX_ERROR,
        DataFusionError::Internal(_) => SqlState::INTERNAL_ERROR,
        DataFusionError::ArrowError(arrow, _) => {
            return SqlError::from(thalweg_core::Error::Data(arrow.to_string())).named();
        }
        _ => by_words(&found.message),
    };
    let (message, hint) = match found.message.split_once("\n  hint: ") {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (found.message, None),
    };
    SqlError { hint, ..SqlError::new(state, message) }.named()
}

/// The planner says most things in words alone.
fn by_words(message: &str) -> SqlState {
    let has = |words: &str| message.contains(words);
    if has("relation") && has("does not exist") {
        SqlState::UNDEFINED_TABLE
    } else if has("column") && has("does not exist") || has("No field named") {
        SqlState::UNDEFINED_COLUMN
    } else if has("Invalid function") || has("function") && has("does not exist") {
        SqlState::UNDEFINED_FUNCTION
    } else if has("is declared twice") || has("duplicate unqualified field name") {
        SqlState("42701")
    } else if has("GROUP BY") && (has("must appear") || has("must be part") || has("could not be resolved")) {
        SqlState("42803")
    } else if has("more than one row") {
        SqlState("21000")
    } else if has("Cannot coerce") || has("Cannot infer common argument type") {
        SqlState::UNDEFINED_FUNCTION
    } else if has("UNION") && has("columns") {
        SqlState::SYNTAX_ERROR
    } else if has("type ") && has(" is not known") {
        SqlState::UNDEFINED_OBJECT
    } else if has("regex parse error") {
        SqlState("2201B")
    } else if has("not-null constraint") {
        SqlState::NOT_NULL_VIOLATION
    } else if has("division by zero") || has("Divide by zero") {
        SqlState::DIVISION_BY_ZERO
    } else {
        SqlState::SEMANTIC_ERROR
    }
}

trait Named {
    fn named(self) -> Self;
}

impl Named for SqlError {
    /// Kernels' errors in PostgreSQL's words and classes.
    fn named(mut self) -> Self {
        let message = &self.message;
        if message.contains("Divide by zero") || message.contains("division by zero") {
            self.state = SqlState::DIVISION_BY_ZERO;
            self.message = "division by zero".to_owned();
        } else if message.contains("Overflow") || message.contains("overflow") || message.contains("out of range") {
            self.state = SqlState::NUMERIC_OUT_OF_RANGE;
        } else if message.contains("value of Date32 type") || message.contains("Error parsing timestamp") {
            self.state = SqlState("22007");
        } else if message.contains("Can't cast value") {
            self.state = SqlState::NUMERIC_OUT_OF_RANGE;
        } else if message.contains("Cannot cast string")
            || message.contains("Error parsing")
            || message.contains("Cannot cast value") && message.contains("Boolean")
        {
            self.state = SqlState::INVALID_TEXT_REPRESENTATION;
        }
        self
    }
}

/// An error for DataFusion to carry.
pub(crate) fn carried(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
