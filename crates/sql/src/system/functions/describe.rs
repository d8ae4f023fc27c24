//! Functions that describe objects: their types, definitions, comments. They must not know sessions.

use datafusion::error::Result;

use super::call::{Call, Entry, entry};
use crate::system::cell::Cell;
use crate::system::definition;
use crate::system::picture::Oid;
use crate::system::rows::{procs, signature};
use crate::system::scope::rule_view;
use crate::system::types;

pub(super) static ENTRIES: &[Entry] = &[
    entry("format_type", 2..=2, "text", |call| Ok(call.oid(0).map(|oid| format_type(oid, call.int(1))).into())),
    entry("pg_typeof", 1..=1, "text", |call| {
        let named = call.types.first().cloned().flatten();
        Ok(named.unwrap_or_else(|| kind_of(call.arg(0)).to_owned()).into())
    }),
    // What is kept of expressions is their text already.
    entry("pg_get_expr", 2..=3, "text", |call| Ok(call.arg(0).clone())),
    entry("pg_get_indexdef", 1..=3, "text", pg_get_indexdef),
    entry("pg_get_constraintdef", 1..=2, "text", |call| {
        Ok(call.oid(0).and_then(|oid| definition::constraint(call.scope, oid)).into())
    }),
    entry("pg_get_viewdef", 1..=2, "text", |call| {
        let oid = call.oid(0).or_else(|| call.scope.relation_named(call.text(0)?));
        Ok(oid.and_then(|oid| definition::view(call.scope, oid)).into())
    }),
    entry("pg_get_ruledef", 1..=2, "text", |call| {
        let view = call.oid(0).and_then(rule_view);
        Ok(view.and_then(|view| definition::view(call.scope, view)).into())
    }),
    entry("pg_get_userbyid", 1..=1, "name", |call| {
        let name = |oid: Oid| match call.scope.user(oid) {
            Some(user) => user.name.clone(),
            None => format!("unknown (OID={oid})"),
        };
        Ok(call.oid(0).map(name).into())
    }),
    entry("pg_get_function_result", 1..=1, "text", |call| Ok(of_function(call, Told::Returns))),
    entry("pg_get_function_arguments", 1..=1, "text", |call| Ok(of_function(call, Told::Arguments))),
    entry("pg_get_function_identity_arguments", 1..=1, "text", |call| Ok(of_function(call, Told::Arguments))),
    entry("pg_get_functiondef", 1..=1, "text", |call| Ok(of_function(call, Told::Source))),
    entry("pg_get_function_sqlbody", 1..=1, "text", nothing),
    entry("pg_get_function_arg_default", 2..=2, "text", nothing),
    entry("pg_get_serial_sequence", 2..=2, "text", nothing),
    entry("pg_get_partkeydef", 1..=1, "text", nothing),
    entry("pg_get_partition_constraintdef", 1..=1, "text", nothing),
    entry("pg_get_statisticsobjdef", 1..=1, "text", nothing),
    entry("pg_get_statisticsobjdef_columns", 1..=1, "text", nothing),
    entry("pg_get_statisticsobjdef_expressions", 1..=1, "_text", nothing),
    entry("pg_get_triggerdef", 1..=2, "text", nothing),
    entry("pg_describe_object", 3..=3, "text", nothing),
    entry("pg_sequence_last_value", 1..=1, "int8", nothing),
    entry("obj_description", 1..=2, "text", |call| Ok(comment(call, call.oid(0), 0))),
    entry("col_description", 2..=2, "text", |call| Ok(comment(call, call.oid(0), call.int(1).unwrap_or(-1)))),
    entry("shobj_description", 2..=2, "text", nothing),
    entry("pg_index_column_has_property", 3..=3, "bool", |call| {
        Ok(call.text(2).map(|name| matches!(name, "asc" | "nulls_last" | "orderable" | "returnable")).into())
    }),
    entry("pg_index_has_property", 2..=2, "bool", |_| Ok(false.into())),
    entry("pg_indexam_has_property", 2..=2, "bool", |call| {
        Ok(call.text(1).map(|name| matches!(name, "can_order" | "can_unique" | "can_multi_col")).into())
    }),
];

fn nothing(_: &Call<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

fn kind_of(value: &Cell) -> &'static str {
    match value {
        Cell::Bool(_) => "boolean",
        Cell::Int(_) => "bigint",
        Cell::Float(_) => "double precision",
        Cell::List(_) => "text[]",
        Cell::Text(_) => "text",
        Cell::Null => "unknown",
    }
}

/// A type as SQL writes it, with its modifier.
pub(super) fn format_type(oid: Oid, modifier: Option<i64>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(of) = types::by_oid(oid) else { return "???".to_owned() };
    if of.category == "A" && of.element != 0 && of.name.starts_with('_') {
        return format!("{}[]", format_type(of.element, modifier));
    }
    let modifier = modifier.filter(|modifier| *modifier >= 0);
    match (of.name, modifier) {
        ("bpchar", None) => "character".to_owned(),
        ("numeric", Some(modifier)) if modifier >= 4 => {
            format!("numeric({},{})", ((modifier - 4) >> 16) & 0xffff, (modifier - 4) & 0x7ff)
        }
        ("varchar" | "bpchar", Some(modifier)) if modifier >= 4 => {
            format!("{}({})", types::spelled(of.name), modifier - 4)
        }
        ("timestamp" | "timestamptz" | "time" | "timetz", Some(precision)) => {
            let (word, zone) = types::spelled(of.name).split_once(' ').unwrap_or((of.name, ""));
            format!("{word}({precision}) {zone}")
        }
        (name, _) => types::spelled(name).to_owned(),
    }
}

fn pg_get_indexdef(call: &Call<'_>) -> Result<Cell> {
    let Some(index) = call.oid(0).and_then(|oid| call.scope.index(oid)) else { return Ok(Cell::Null) };
    Ok(match call.int(1) {
        None | Some(0) => definition::index(call.scope, index, call.arg(2).bool() == Some(true)).into(),
        Some(number) => definition::index_column(call.scope, index, number).unwrap_or_default().into(),
    })
}

enum Told {
    Returns,
    Arguments,
    Source,
}

fn of_function(call: &Call<'_>, told: Told) -> Cell {
    let Some(oid) = call.oid(0) else { return Cell::Null };
    let found = procs(call.scope).find(|proc| proc.oid == oid);
    let text = found.map(|proc| match told {
        Told::Returns => format_type(proc.returns, None),
        Told::Arguments => signature(&proc),
        Told::Source => proc.source,
    });
    text.into()
}

/// The comment of a relation, or of its column by number.
fn comment(call: &Call<'_>, oid: Option<Oid>, number: i64) -> Cell {
    let Some(oid) = oid else { return Cell::Null };
    // Other kinds of objects have numbers of their own, which may be those of relations too.
    if call.text(1).is_some_and(|catalog| catalog != "pg_class" && catalog.parse::<i64>().is_err()) {
        return Cell::Null;
    }
    if let Some(index) = call.scope.index(oid) {
        return if number == 0 { index.comment.clone().into() } else { Cell::Null };
    }
    let Some(relation) = call.scope.relations().find(|relation| relation.oid == oid) else { return Cell::Null };
    match usize::try_from(number) {
        Ok(0) => relation.comment.clone().into(),
        Ok(number) => relation.columns.get(number - 1).and_then(|column| column.comment.clone()).into(),
        Err(_) => Cell::Null,
    }
}
