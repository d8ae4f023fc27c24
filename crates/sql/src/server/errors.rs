//! Planner's and parser's errors as SQL errors with their SQLSTATE. It must not know how they are sent.

use datafusion::common::{Column, SchemaError};
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
            SchemaError::FieldNotFound { field, valid_fields } => return no_column(field, valid_fields),
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

/// A name that no column in reach has, in PostgreSQL's words.
fn no_column(field: &Column, valid: &[Column]) -> SqlError {
    if let Some(relation) = &field.relation
        && !valid.iter().any(|c| c.relation.as_ref().is_some_and(|r| r.resolved_eq(relation)))
    {
        let message = format!("missing FROM-clause entry for table \"{}\"", relation.table());
        return SqlError::new(SqlState::UNDEFINED_TABLE, message);
    }
    let message = match &field.relation {
        Some(relation) => format!("column {}.{} does not exist", relation.table(), field.name),
        None => format!("column \"{}\" does not exist", field.name),
    };
    let error = SqlError::new(SqlState::UNDEFINED_COLUMN, message);
    match thalweg_core::nearest(&field.name, valid.iter().map(|c| c.name.as_str())) {
        Some(near) => error.hint(format!("Did you mean {near}?")),
        None => error,
    }
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
    } else if has("Aggregate functions are not allowed") {
        SqlState("42803")
    } else if has("non-boolean predicate") {
        SqlState::DATATYPE_MISMATCH
    } else if has("Unsupported SQL type") {
        SqlState::UNDEFINED_OBJECT
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
        } else if message.contains("square root of a negative number") {
            self.state = SqlState("2201F");
        } else if let Some(error) = out_of_range(message) {
            return error;
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

/// A number that a kernel could not put into an integer type, in PostgreSQL's words.
fn out_of_range(message: &str) -> Option<SqlError> {
    let types = [("Int16", "smallint"), ("Int32", "integer"), ("Int64", "bigint")];
    let error = |message: String| SqlError::new(SqlState::NUMERIC_OUT_OF_RANGE, message);
    let name = |text: &str| types.iter().find(|(kernel, _)| text.trim_end().starts_with(kernel)).map(|(_, name)| *name);
    if let Some((_, rest)) = message.split_once("Can't cast value ") {
        let (_, to) = rest.split_once(" to type ")?;
        return Some(error(format!("{} out of range", name(to)?)));
    }
    let (text, to) = message.split_once("Cannot cast string '")?.1.split_once("' to value of ")?;
    let number = text.trim().parse::<i128>().is_ok();
    number.then_some(()).and_then(|()| Some(error(format!("value \"{text}\" is out of range for type {}", name(to)?))))
}

/// An error for DataFusion to carry.
pub(crate) fn carried(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_say_what_is_out_of_range() {
        let said = |message: &str| out_of_range(message).map(|e| e.message);
        assert_eq!(said("Can't cast value 99999 to type Int16").as_deref(), Some("smallint out of range"));
        assert_eq!(
            said("Cast error: Cannot cast string '99999999999' to value of Int32 type").as_deref(),
            Some("value \"99999999999\" is out of range for type integer")
        );
        assert_eq!(said("Cast error: Cannot cast string 'x' to value of Int32 type"), None);
        assert_eq!(said("something else"), None);
    }

    #[test]
    fn unknown_columns_are_named_as_postgres_does() {
        let valid = [Column::new(Some("city"), "name"), Column::new(Some("city"), "area")];
        let error = no_column(&Column::from_name("nmae"), &valid);
        assert_eq!(
            (error.state, error.message.as_str()),
            (SqlState::UNDEFINED_COLUMN, "column \"nmae\" does not exist")
        );
        assert_eq!(error.hint.as_deref(), Some("Did you mean name?"));
        let error = no_column(&Column::new(Some("town"), "name"), &valid);
        assert_eq!(error.state, SqlState::UNDEFINED_TABLE);
    }
}
