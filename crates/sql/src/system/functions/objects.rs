//! Names to numbers and back, as the `reg…` types do it, and what a name without a schema finds. They must not know
//! what objects are made of.

use datafusion::error::Result;
use thalweg_core::SqlState;

use super::call::{Call, Entry, entry, error};
use crate::system::cell::Cell;
use crate::system::picture::Oid;
use crate::system::quote;
use crate::system::rows::procs;
use crate::system::scope::Scope;
use crate::system::types;

/// A kind of objects that a `reg…` type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::system) enum Named {
    Class,
    Type,
    Proc,
    Namespace,
    Role,
}

impl Named {
    /// By the type's name, `regclass`.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "regclass" => Self::Class,
            "regtype" => Self::Type,
            "regproc" | "regprocedure" => Self::Proc,
            "regnamespace" => Self::Namespace,
            "regrole" => Self::Role,
            _ => return None,
        })
    }

    /// The function that makes numbers of names.
    pub fn number(self) -> &'static str {
        match self {
            Self::Class => "__regclass",
            Self::Type => "__regtype",
            Self::Proc => "__regproc",
            Self::Namespace => "__regnamespace",
            Self::Role => "__regrole",
        }
    }

    /// The function that makes names of numbers, and of names that mean the same.
    pub fn text(self) -> &'static str {
        match self {
            Self::Class => "__regclass_text",
            Self::Type => "__regtype_text",
            Self::Proc => "__regproc_text",
            Self::Namespace => "__regnamespace_text",
            Self::Role => "__regrole_text",
        }
    }

    fn find(self, scope: &Scope, name: &str) -> Option<Oid> {
        match self {
            Self::Class => scope.relation_named(name),
            Self::Type => types::written(name).map(|of| of.oid),
            Self::Proc => {
                let bare = name.split('(').next().unwrap_or(name).trim();
                let parts = quote::split(bare).ok()?;
                let last = parts.last()?;
                procs(scope).find(|proc| proc.name == *last).map(|proc| proc.oid)
            }
            Self::Namespace => scope.schema_named(&single(name)?),
            Self::Role => scope.user_named(&single(name)?).map(|user| user.oid),
        }
    }

    fn show(self, scope: &Scope, oid: Oid) -> Option<String> {
        match self {
            Self::Class => scope.shown(oid),
            Self::Type => types::by_oid(oid).map(|_| super::describe::format_type(oid, None)),
            Self::Proc => procs(scope).find(|proc| proc.oid == oid).map(|proc| quote::identifier(&proc.name)),
            Self::Namespace => scope.schema_name(oid).map(quote::identifier),
            Self::Role => scope.user(oid).map(|user| quote::identifier(&user.name)),
        }
    }

    fn unknown(self, name: &str) -> datafusion::error::DataFusionError {
        let (state, what) = match self {
            Self::Class => (SqlState::UNDEFINED_TABLE, "relation"),
            Self::Type => (SqlState::UNDEFINED_OBJECT, "type"),
            Self::Proc => (SqlState::UNDEFINED_FUNCTION, "function"),
            Self::Namespace => (SqlState::INVALID_SCHEMA_NAME, "schema"),
            Self::Role => (SqlState::UNDEFINED_OBJECT, "role"),
        };
        error(state, format!("{what} \"{name}\" does not exist"))
    }
}

fn single(name: &str) -> Option<String> {
    quote::split(name).ok()?.pop()
}

/// The number: of a name, or the number itself. `-` is 0.
fn number(call: &Call<'_>, named: Named) -> Result<Cell> {
    match call.arg(0) {
        Cell::Text(text) if text.trim() == "-" => Ok(0.into()),
        Cell::Text(text) => match text.trim().parse::<Oid>() {
            Ok(oid) => Ok(oid.into()),
            Err(_) => named.find(call.scope, text).map(Cell::from).ok_or_else(|| named.unknown(text)),
        },
        other => Ok(other.int().into()),
    }
}

/// The name of a number; a number without an object shows as itself.
fn text(call: &Call<'_>, named: Named) -> Result<Cell> {
    let Some(oid) = number(call, named)?.int() else { return Ok(Cell::Null) };
    if oid == 0 {
        return Ok("-".into());
    }
    let shown = Oid::try_from(oid).ok().and_then(|oid| named.show(call.scope, oid));
    Ok(shown.unwrap_or_else(|| oid.to_string()).into())
}

/// `to_reg…`: null instead of an error.
fn try_number(call: &Call<'_>, named: Named) -> Result<Cell> {
    Ok(call.text(0).and_then(|name| named.find(call.scope, name)).into())
}

pub(super) static ENTRIES: &[Entry] = &[
    entry("__regclass", 1..=1, "regclass", |call| number(call, Named::Class)),
    entry("__regtype", 1..=1, "regtype", |call| number(call, Named::Type)),
    entry("__regproc", 1..=1, "regproc", |call| number(call, Named::Proc)),
    entry("__regnamespace", 1..=1, "regnamespace", |call| number(call, Named::Namespace)),
    entry("__regrole", 1..=1, "regrole", |call| number(call, Named::Role)),
    entry("__regclass_text", 1..=1, "text", |call| text(call, Named::Class)),
    entry("__regtype_text", 1..=1, "text", |call| text(call, Named::Type)),
    entry("__regproc_text", 1..=1, "text", |call| text(call, Named::Proc)),
    entry("__regnamespace_text", 1..=1, "text", |call| text(call, Named::Namespace)),
    entry("__regrole_text", 1..=1, "text", |call| text(call, Named::Role)),
    entry("__oid", 1..=1, "oid", |call| match call.arg(0) {
        Cell::Text(text) if text.trim().parse::<Oid>().is_err() => {
            Err(error(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type oid: \"{text}\"")))
        }
        other => Ok(other.int().into()),
    }),
    entry("__char", 1..=1, "char", |call| Ok(call.text(0).map(|text| text.chars().take(1).collect::<String>()).into())),
    entry("__name", 1..=1, "name", |call| {
        Ok(call.text(0).map(|text| text.chars().take(63).collect::<String>()).into())
    }),
    entry("to_regclass", 1..=1, "regclass", |call| try_number(call, Named::Class)),
    entry("to_regtype", 1..=1, "regtype", |call| try_number(call, Named::Type)),
    entry("to_regproc", 1..=1, "regproc", |call| try_number(call, Named::Proc)),
    entry("to_regprocedure", 1..=1, "regproc", |call| try_number(call, Named::Proc)),
    entry("to_regnamespace", 1..=1, "regnamespace", |call| try_number(call, Named::Namespace)),
    entry("to_regrole", 1..=1, "regrole", |call| try_number(call, Named::Role)),
    entry("pg_table_is_visible", 1..=1, "bool", |call| Ok(call.oid(0).and_then(|oid| call.scope.visible(oid)).into())),
    entry("pg_type_is_visible", 1..=1, "bool", |call| Ok(call.oid(0).map(|oid| types::by_oid(oid).is_some()).into())),
    entry("pg_function_is_visible", 1..=1, "bool", function_is_visible),
    entry("pg_collation_is_visible", 1..=1, "bool", visible),
    entry("pg_opclass_is_visible", 1..=1, "bool", visible),
    entry("pg_opfamily_is_visible", 1..=1, "bool", visible),
    entry("pg_operator_is_visible", 1..=1, "bool", visible),
    entry("pg_conversion_is_visible", 1..=1, "bool", visible),
    entry("pg_statistics_obj_is_visible", 1..=1, "bool", visible),
    entry("pg_ts_config_is_visible", 1..=1, "bool", visible),
    entry("pg_ts_dict_is_visible", 1..=1, "bool", visible),
    entry("pg_ts_parser_is_visible", 1..=1, "bool", visible),
    entry("pg_ts_template_is_visible", 1..=1, "bool", visible),
];

/// What is in `pg_catalog` only.
fn visible(call: &Call<'_>) -> Result<Cell> {
    Ok(call.oid(0).map(|_| true).into())
}

fn function_is_visible(call: &Call<'_>) -> Result<Cell> {
    let Some(oid) = call.oid(0) else { return Ok(Cell::Null) };
    let path = call.scope.path();
    let found = procs(call.scope).find(|proc| proc.oid == oid);
    let in_path = |schema: Oid| call.scope.schema_name(schema).is_some_and(|name| path.contains(&name));
    Ok(found.map(|proc| in_path(proc.schema)).into())
}
