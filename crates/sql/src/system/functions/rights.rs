//! `has_…_privilege`: of the current user or another, on an object by name or number. They must not know where the
//! answer is used.

use datafusion::error::Result;
use thalweg_core::SqlState;

use super::call::{Call, Entry, entry, error};
use crate::system::cell::Cell;
use crate::system::picture::{OWNER, Oid};
use crate::system::privileges::{is_superuser, may, roles};
use crate::system::scope::Class;

pub(super) static ENTRIES: &[Entry] = &[
    entry("has_table_privilege", 2..=3, "bool", |call| on_relation(call, 0)),
    entry("has_sequence_privilege", 2..=3, "bool", |call| on_relation(call, 0)),
    entry("has_any_column_privilege", 2..=3, "bool", |call| on_relation(call, 0)),
    entry("has_column_privilege", 3..=4, "bool", |call| on_relation(call, 1)),
    entry("has_schema_privilege", 2..=3, "bool", on_schema),
    entry("has_database_privilege", 2..=3, "bool", |call| everyone(call, &["CONNECT", "TEMPORARY", "TEMP"])),
    entry("has_function_privilege", 2..=3, "bool", |call| everyone(call, &["EXECUTE"])),
    entry("has_language_privilege", 2..=3, "bool", |call| everyone(call, &["USAGE"])),
    entry("has_type_privilege", 2..=3, "bool", |call| everyone(call, &["USAGE"])),
    entry("has_server_privilege", 2..=3, "bool", |call| everyone(call, &[])),
    entry("has_foreign_data_wrapper_privilege", 2..=3, "bool", |call| everyone(call, &[])),
    entry("has_tablespace_privilege", 2..=3, "bool", |call| everyone(call, &[])),
    entry("has_parameter_privilege", 2..=3, "bool", |call| everyone(call, &["SET"])),
    entry("pg_has_role", 2..=3, "bool", pg_has_role),
    entry("row_security_active", 1..=1, "bool", |_| Ok(false.into())),
];

/// Who is asked about, and where the arguments go on. `more` arguments stand between object and privilege.
fn subject(call: &Call<'_>, more: usize) -> Result<(Option<Oid>, usize)> {
    if call.args.len() == 2 + more {
        let user = call.scope.user_named(&call.scope.session.user).map_or(OWNER, |user| user.oid);
        return Ok((Some(user), 0));
    }
    Ok((role(call, 0)?, 1))
}

/// The role that an argument names or numbers.
fn role(call: &Call<'_>, at: usize) -> Result<Option<Oid>> {
    match call.arg(at) {
        Cell::Text(name) if name == "public" => Ok(Some(0)),
        Cell::Text(name) => match call.scope.user_named(name) {
            Some(user) => Ok(Some(user.oid)),
            None => Err(error(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))),
        },
        other => Ok(other.int().and_then(|oid| oid.try_into().ok())),
    }
}

/// Whether any of the rights in a list is had.
fn any(rights: &str, has: impl Fn(&str) -> bool) -> Cell {
    rights.split(',').any(|right| has(right.trim())).into()
}

fn on_relation(call: &Call<'_>, more: usize) -> Result<Cell> {
    let (user, at) = subject(call, more)?;
    let class = match call.arg(at) {
        Cell::Text(name) if name.parse::<Oid>().is_err() => match call.scope.relation_named(name) {
            Some(oid) => call.scope.class(oid),
            None => {
                return Err(error(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")));
            }
        },
        other => other.int().and_then(|oid| oid.try_into().ok()).and_then(|oid| call.scope.class(oid)),
    };
    let (Some(user), Some(class), Some(rights)) = (user, class, call.text(at + 1 + more)) else {
        return Ok(Cell::Null);
    };
    let class: Class<'_> = class;
    Ok(any(rights, |right| may(call.scope, user, class, right)))
}

fn on_schema(call: &Call<'_>) -> Result<Cell> {
    let (user, at) = subject(call, 0)?;
    let schema = match call.arg(at) {
        Cell::Text(name) if name.parse::<Oid>().is_err() => match call.scope.schema_named(name) {
            Some(oid) => Some(oid),
            None => {
                return Err(error(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist")));
            }
        },
        other => other.int().and_then(|oid| oid.try_into().ok()),
    };
    let found = call.scope.schemas().find(|(oid, _, _)| Some(*oid) == schema);
    let (Some(user), Some((_, _, owner)), Some(rights)) = (user, found, call.text(at + 1)) else {
        return Ok(Cell::Null);
    };
    let all = is_superuser(call.scope, user) || roles(call.scope, user).contains(&owner);
    Ok(any(rights, |right| all || right.to_uppercase().starts_with("USAGE")))
}

/// Objects on which everybody has some rights and superusers have all.
fn everyone(call: &Call<'_>, rights: &[&str]) -> Result<Cell> {
    let (user, at) = subject(call, 0)?;
    let (Some(user), Some(asked)) = (user, call.text(at + 1)) else { return Ok(Cell::Null) };
    if call.arg(at).is_null() {
        return Ok(Cell::Null);
    }
    let all = is_superuser(call.scope, user);
    Ok(any(asked, |right| all || rights.contains(&right.to_uppercase().as_str())))
}

fn pg_has_role(call: &Call<'_>) -> Result<Cell> {
    let (user, at) = subject(call, 0)?;
    let (Some(user), Some(role)) = (user, role(call, at)?) else { return Ok(Cell::Null) };
    Ok((is_superuser(call.scope, user) || roles(call.scope, user).contains(&role)).into())
}
