//! `ObjectName`: a name with or without its schema. It must not know what it names.

use std::fmt;

use datafusion::sql::sqlparser::ast;
use thalweg_core::{SqlError, SqlState};

use crate::parse::normalized;

/// `schema.name` or `name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The schema, if given.
    pub schema: Option<String>,
    /// The name, as PostgreSQL folds it.
    pub name: String,
}

impl ObjectName {
    /// A name without a schema.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// The last two parts of a parsed name.
    pub fn of(name: &ast::ObjectName) -> Self {
        let mut parts: Vec<String> =
            name.0.iter().filter_map(|part| part.as_ident()).cloned().map(normalized).collect();
        let name = parts.pop().unwrap_or_default();
        Self { schema: parts.pop(), name }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

/// `name` is none of `columns`; the hint names the nearest.
pub(super) fn missing_column(name: &str, columns: &[String]) -> SqlError {
    let error = SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column {} does not exist", quoted(name)));
    match thalweg_core::nearest(name, columns.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("Did you mean {near}?")),
        None => error,
    }
}

/// `name` as it must be written to be read back.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
