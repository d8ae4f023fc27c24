//! Rows of `information_schema` about schemas, relations and keys. Materialized views are among its tables, which they
//! are not in PostgreSQL: tools list what they find there and nowhere else. It must not know grants or functions.

use super::{Row, keys, row};
use crate::system::cell::Cell;
use crate::system::columns::{self, SystemRelation};
use crate::system::picture::{Column, Kind, Relation};
use crate::system::scope::{Class, IndexEntry, Scope};
use crate::system::types::{self, PgType};

const fn yes(truth: bool) -> &'static str {
    if truth { "YES" } else { "NO" }
}

pub(super) fn schemata(scope: &Scope) -> Vec<Row> {
    let rows = scope.schemas().map(|(_, name, owner)| {
        row! {
            "catalog_name" => scope.picture.database.as_str(), "schema_name" => name,
            "schema_owner" => scope.user(owner).map(|user| user.name.as_str()),
        }
    });
    rows.collect()
}

pub(super) fn tables(scope: &Scope) -> Vec<Row> {
    let database = scope.picture.database.as_str();
    let table = |schema: Option<&str>, name: &str, kind: &str, insertable: bool| {
        row! {
            "table_catalog" => database, "table_schema" => schema, "table_name" => name, "table_type" => kind,
            "is_insertable_into" => yes(insertable), "is_typed" => "NO",
        }
    };
    let of_users = scope.readable().map(|relation| {
        let (kind, insertable) = match relation.kind {
            Kind::View => ("VIEW", false),
            Kind::MaterializedView => ("MATERIALIZED VIEW", false),
            Kind::Source => ("FOREIGN", false),
            _ => ("BASE TABLE", true),
        };
        table(scope.schema_name(relation.schema), &relation.name, kind, insertable)
    });
    let of_system = columns::all().iter().map(|system| {
        let kind = if system.kind == "r" { "BASE TABLE" } else { "VIEW" };
        table(Some(system.schema), system.name, kind, false)
    });
    of_users.chain(of_system).collect()
}

fn view_kinds(scope: &Scope) -> impl Iterator<Item = &Relation> {
    scope.relations().filter(|relation| matches!(relation.kind, Kind::View | Kind::MaterializedView))
}

pub(super) fn views(scope: &Scope) -> Vec<Row> {
    let database = scope.picture.database.as_str();
    let view = |schema: Option<&str>, name: &str, definition: Option<&str>| {
        row! {
            "table_catalog" => database, "table_schema" => schema, "table_name" => name,
            "view_definition" => definition, "check_option" => "NONE", "is_updatable" => "NO",
            "is_insertable_into" => "NO", "is_trigger_updatable" => "NO", "is_trigger_deletable" => "NO",
            "is_trigger_insertable_into" => "NO",
        }
    };
    let of_users = scope
        .relations()
        .filter(|relation| relation.kind == Kind::View)
        .map(|relation| view(scope.schema_name(relation.schema), &relation.name, Some(&relation.definition)));
    let of_system = columns::all()
        .iter()
        .filter(|system| system.kind == "v")
        .map(|system| view(Some(system.schema), system.name, None));
    of_users.chain(of_system).collect()
}

pub(super) fn view_table_usage(scope: &Scope) -> Vec<Row> {
    let database = scope.picture.database.as_str();
    let reads = scope.picture.depends.iter().filter_map(|depend| {
        let view = view_kinds(scope).find(|view| view.oid == depend.oid)?;
        let Some(Class::Relation(read)) = scope.class(depend.on) else { return None };
        Some(row! {
            "view_catalog" => database, "view_schema" => scope.schema_name(view.schema),
            "view_name" => view.name.as_str(), "table_catalog" => database,
            "table_schema" => scope.schema_name(read.schema), "table_name" => read.name.as_str(),
        })
    });
    reads.collect()
}

pub(super) fn columns(scope: &Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in scope.readable() {
        let schema = scope.schema_name(relation.schema).unwrap_or_default();
        for (at, column) in relation.columns.iter().enumerate() {
            rows.push(user_column(scope, schema, relation, at, column));
        }
    }
    for system in columns::all() {
        rows.extend(system_columns(scope, system));
    }
    rows
}

fn user_column(scope: &Scope, schema: &str, relation: &Relation, at: usize, column: &Column) -> Row {
    let (of, modifier) = types::of_column(&column.data_type, column.pg_type.as_deref());
    let mut row = typed_column(scope, [schema, &relation.name, &column.name], at, of, modifier);
    row.extend(row! {
        "column_default" => column.default.as_deref(), "is_nullable" => yes(!column.not_null),
        "is_generated" => if column.generated.is_some() { "ALWAYS" } else { "NEVER" },
        "generation_expression" => column.generated.as_deref(),
        "is_updatable" => yes(relation.kind == Kind::Table),
    });
    row
}

fn system_columns(scope: &Scope, system: &'static SystemRelation) -> impl Iterator<Item = Row> {
    system.columns.iter().enumerate().filter_map(|(at, (name, of))| {
        let mut row = typed_column(scope, [system.schema, system.name, name], at, types::by_name(of)?, -1);
        row.extend(row! { "is_nullable" => "YES", "is_generated" => "NEVER", "is_updatable" => "NO" });
        Some(row)
    })
}

fn typed_column(scope: &Scope, [schema, table, name]: [&str; 3], at: usize, of: &PgType, modifier: i32) -> Row {
    let database = scope.picture.database.as_str();
    let (precision, radix, scale) = numeric(of, modifier);
    row! {
        "table_catalog" => database, "table_schema" => schema, "table_name" => table, "column_name" => name,
        "ordinal_position" => at + 1,
        "data_type" => if of.category == "A" { "ARRAY" } else { types::spelled(of.name) },
        "character_octet_length" => matches!(of.name, "text" | "varchar" | "bpchar").then_some(1_073_741_824),
        "numeric_precision" => precision, "numeric_precision_radix" => radix, "numeric_scale" => scale,
        "datetime_precision" => datetime(of), "udt_catalog" => database, "udt_schema" => "pg_catalog",
        "udt_name" => of.name, "dtd_identifier" => (at + 1).to_string(), "is_self_referencing" => "NO",
        "is_identity" => "NO", "identity_cycle" => "NO",
    }
}

/// Precision, its base, and scale of a type of numbers.
fn numeric(of: &PgType, modifier: i32) -> (Cell, Cell, Cell) {
    let exact = |bits: i32| (Cell::from(bits), Cell::from(2), Cell::from(0));
    match of.name {
        "int2" => exact(16),
        "int4" => exact(32),
        "int8" => exact(64),
        "float4" => (Cell::from(24), Cell::from(2), Cell::Null),
        "float8" => (Cell::from(53), Cell::from(2), Cell::Null),
        "numeric" if modifier >= 4 => {
            (Cell::from(((modifier - 4) >> 16) & 0xffff), Cell::from(10), Cell::from((modifier - 4) & 0x7ff))
        }
        "numeric" => (Cell::Null, Cell::from(10), Cell::Null),
        _ => (Cell::Null, Cell::Null, Cell::Null),
    }
}

fn datetime(of: &PgType) -> Option<i32> {
    match of.name {
        "date" => Some(0),
        "time" | "timetz" | "timestamp" | "timestamptz" | "interval" => Some(6),
        _ => None,
    }
}

pub(super) fn table_constraints(scope: &Scope) -> Vec<Row> {
    let row = |(table, index): (&Relation, &IndexEntry)| {
        let mut row = constraint(scope, table, index);
        row.extend(row! {
            "constraint_type" => "PRIMARY KEY", "is_deferrable" => "NO", "initially_deferred" => "NO",
            "enforced" => "YES",
        });
        row
    };
    keys::keys(scope).map(row).collect()
}

/// The columns that name a constraint and its table.
fn constraint(scope: &Scope, table: &Relation, index: &IndexEntry) -> Row {
    let database = scope.picture.database.as_str();
    let schema = scope.schema_name(table.schema);
    row! {
        "constraint_catalog" => database, "constraint_schema" => schema, "constraint_name" => index.name.as_str(),
        "table_catalog" => database, "table_schema" => schema, "table_name" => table.name.as_str(),
    }
}

pub(super) fn key_column_usage(scope: &Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    for (table, index) in keys::keys(scope) {
        for (at, column) in scope.index_columns(index).enumerate() {
            let mut row = constraint(scope, table, index);
            row.extend(row! { "column_name" => column.name.as_str(), "ordinal_position" => at + 1 });
            rows.push(row);
        }
    }
    rows
}

pub(super) fn constraint_column_usage(scope: &Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    for (table, index) in keys::keys(scope) {
        for column in scope.index_columns(index) {
            let mut row = constraint(scope, table, index);
            row.extend(row! { "column_name" => column.name.as_str() });
            rows.push(row);
        }
    }
    rows
}

pub(super) fn constraint_table_usage(scope: &Scope) -> Vec<Row> {
    keys::keys(scope).map(|(table, index)| constraint(scope, table, index)).collect()
}
