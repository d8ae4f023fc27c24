//! The columns by which a target finds a row again: given by option `primary_key`, or the key of the stream.
//! It must not know targets.

use thalweg_core::{Error, Result};

use crate::registry::EpochSinkRequest;

/// The columns of the key: those that `named` lists, or the stream's own. `upserts`: the target replaces the row that a
/// key has, so that there must be a key, and no two rows of the stream may share it.
///
/// # Errors
/// A name that is no column, or an upsert without a key that is unique.
pub(crate) fn key_columns(
    named: Option<&str>,
    request: &EpochSinkRequest,
    upserts: bool,
) -> Result<Option<Vec<usize>>> {
    let Some(named) = named else {
        return match &request.key {
            _ if !upserts => Ok(None),
            Some(key) if !key.is_empty() => Ok(Some(key.clone())),
            _ => Err(Error::invalid_with_hint(
                "an upsert sink needs a key, and the query has none",
                "Add primary_key = 'column, …'.",
            )),
        };
    };
    let mut columns = Vec::new();
    for name in named.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let column = request.schema.index_of(name).map_err(|_| {
            let names = request.schema.fields().iter().map(|f| f.name().as_str());
            let hint = match thalweg_core::nearest(name, names) {
                Some(near) => format!("Did you mean {near}?"),
                None => "Name columns of the query.".to_owned(),
            };
            Error::invalid_with_hint(format!("option primary_key names column {name}, which there is not"), hint)
        })?;
        columns.push(column);
    }
    if columns.is_empty() {
        return Err(Error::invalid("option primary_key is empty"));
    }
    let unique = request.key.as_ref().is_some_and(|key| key.iter().all(|k| columns.contains(k)));
    if upserts && !unique {
        let names = |key: &Vec<usize>| {
            let names: Vec<&str> = key.iter().map(|k| request.schema.field(*k).name().as_str()).collect();
            format!("Use primary_key = '{}', or more columns beside them.", names.join(", "))
        };
        let hint = request
            .key
            .as_ref()
            .map_or_else(|| "Make it so in the query: GROUP BY these columns, or DISTINCT ON.".to_owned(), names);
        return Err(Error::invalid_with_hint(
            "the columns of primary_key are not known to be unique: two rows could have the same key",
            hint,
        ));
    }
    Ok(Some(columns))
}
