//! Rows of what `pg_class` has, and of its columns. It must not know constraints, users or types.

use super::{Row, row};
use crate::system::cell::Cell;
use crate::system::columns::{self, SystemRelation};
use crate::system::picture::{Column, Kind, OWNER, Oid, Relation};
use crate::system::privileges::acl;
use crate::system::scope::{IndexEntry, Scope, default_oid};
use crate::system::types::{self, PgType};

/// The access methods.
const HEAP: Oid = 2;
pub(super) const BTREE: Oid = 403;

pub(super) fn pg_class(scope: &Scope) -> Vec<Row> {
    let mut rows: Vec<Row> = scope.readable().map(|relation| relation_row(scope, relation)).collect();
    rows.extend(scope.indexes.iter().map(index_row));
    rows.extend(columns::all().iter().map(system_row));
    rows
}

/// What all of them have; the caller names the rest.
fn class(oid: Oid, name: &str, schema: Oid, owner: Oid, kind: &str, columns: usize) -> Row {
    row! {
        "oid" => oid, "relname" => name, "relnamespace" => schema, "reltype" => 0, "reloftype" => 0,
        "relowner" => owner, "relfilenode" => 0, "reltablespace" => 0, "relpages" => 0, "relallvisible" => 0,
        "reltoastrelid" => 0, "relisshared" => false, "relpersistence" => "p", "relkind" => kind,
        "relnatts" => columns, "relchecks" => 0, "relhastriggers" => false, "relhassubclass" => false,
        "relrowsecurity" => false, "relforcerowsecurity" => false, "relispopulated" => true,
        "relispartition" => false, "relrewrite" => 0, "relfrozenxid" => 0, "relminmxid" => 0,
    }
}

/// The letter of a relation's kind.
pub(super) fn kind_letter(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "r",
        Kind::Source => "f",
        Kind::View => "v",
        Kind::MaterializedView => "m",
        Kind::Index => "i",
        // Nothing reads a sink, so nothing looks at this.
        Kind::Sink => "s",
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn relation_row(scope: &Scope, relation: &Relation) -> Row {
    let indexed = scope.indexes.iter().any(|index| index.of.table == relation.oid);
    let stored = matches!(relation.kind, Kind::Table | Kind::MaterializedView);
    let is_view = matches!(relation.kind, Kind::View | Kind::MaterializedView);
    let kind = kind_letter(relation.kind);
    let mut row = class(relation.oid, &relation.name, relation.schema, relation.owner, kind, relation.columns.len());
    row.extend(row! {
        "relam" => if stored { HEAP } else { 0 },
        "reltuples" => relation.rows.map_or(if is_view && !stored { 0.0 } else { -1.0 }, |rows| rows as f64),
        "relhasindex" => indexed,
        "relhasrules" => is_view,
        "relreplident" => if stored { "d" } else { "n" },
        "relacl" => acl(scope, relation),
    });
    row
}

fn index_row(index: &IndexEntry) -> Row {
    let mut row = class(index.oid, &index.name, index.schema, index.owner, "i", index.of.columns.len());
    row.extend(row! {
        "relam" => BTREE, "reltuples" => 0.0, "relhasindex" => false, "relhasrules" => false, "relreplident" => "n",
    });
    row
}

fn system_row(system: &SystemRelation) -> Row {
    let is_table = system.kind == "r";
    let mut row = class(system.oid, system.name, system.schema_oid, OWNER, system.kind, system.columns.len());
    row.extend(row! {
        "relam" => if is_table { HEAP } else { 0 }, "reltuples" => 0.0, "relhasindex" => false,
        "relhasrules" => !is_table, "relreplident" => "n", "relacl" => vec![everyone_reads()],
    });
    row
}

fn everyone_reads() -> String {
    "=r/".to_owned() + "thalweg"
}

pub(super) fn pg_attribute(scope: &Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in scope.readable() {
        rows.extend(relation.columns.iter().enumerate().map(|(at, column)| column_row(relation.oid, at, column)));
    }
    for index in &scope.indexes {
        for (at, column) in scope.index_columns(index).enumerate() {
            let (of, modifier) = types::of_column(&column.data_type, column.pg_type.as_deref());
            let mut row = attribute(index.oid, &column.name, at, of, modifier);
            row.extend(row! { "attnotnull" => false, "atthasdef" => false, "attgenerated" => "" });
            rows.push(row);
        }
    }
    for system in columns::all() {
        for (at, (name, of)) in system.columns.iter().enumerate() {
            let Some(of) = types::by_name(of) else { continue };
            let mut row = attribute(system.oid, name, at, of, -1);
            row.extend(row! { "attnotnull" => false, "atthasdef" => false, "attgenerated" => "" });
            rows.push(row);
        }
    }
    rows
}

fn column_row(relation: Oid, at: usize, column: &Column) -> Row {
    let (of, modifier) = types::of_column(&column.data_type, column.pg_type.as_deref());
    let mut row = attribute(relation, &column.name, at, of, modifier);
    row.extend(row! {
        "attnotnull" => column.not_null,
        "atthasdef" => column.default.is_some() || column.generated.is_some(),
        "attgenerated" => if column.generated.is_some() { "s" } else { "" },
    });
    row
}

fn attribute(relation: Oid, name: &str, at: usize, of: &PgType, modifier: i32) -> Row {
    row! {
        "attrelid" => relation, "attname" => name, "atttypid" => of.oid, "attstattarget" => -1, "attlen" => of.len,
        "attnum" => at + 1, "attndims" => i32::from(of.category == "A"), "attcacheoff" => -1,
        "atttypmod" => modifier, "attbyval" => of.by_value, "attalign" => of.align, "attstorage" => of.storage,
        "attcompression" => "", "atthasmissing" => false, "attidentity" => "", "attisdropped" => false,
        "attislocal" => true, "attinhcount" => 0, "attcollation" => of.collation,
    }
}

/// Columns with a default or an expression: the relation, the position, the text.
pub(in crate::system) fn defaults(scope: &Scope) -> impl Iterator<Item = (&Relation, usize, &str)> {
    scope.readable().flat_map(|relation| {
        relation.columns.iter().enumerate().filter_map(move |(at, column)| {
            let text = column.default.as_deref().or(column.generated.as_deref())?;
            Some((relation, at, text))
        })
    })
}

pub(super) fn pg_attrdef(scope: &Scope) -> Vec<Row> {
    let row = |(number, (relation, at, text)): (usize, (&Relation, usize, &str))| {
        row! { "oid" => default_oid(number), "adrelid" => relation.oid, "adnum" => at + 1, "adbin" => text }
    };
    defaults(scope).enumerate().map(row).collect()
}

/// The number of `pg_class` itself, for `classoid`.
pub(super) const CLASSES: Oid = 1259;

pub(super) fn pg_description(scope: &Scope) -> Vec<Row> {
    let row = |oid: Oid, at: usize, text: &str| {
        row! { "objoid" => oid, "classoid" => CLASSES, "objsubid" => at, "description" => text }
    };
    let mut rows = Vec::new();
    for relation in scope.relations() {
        rows.extend(relation.comment.iter().map(|text| row(relation.oid, 0, text)));
        for (at, column) in relation.columns.iter().enumerate() {
            rows.extend(column.comment.iter().map(|text| row(relation.oid, at + 1, text)));
        }
    }
    for index in &scope.indexes {
        rows.extend(index.comment.iter().map(|text| row(index.oid, 0, text)));
    }
    rows
}

/// `pg_tables`, `pg_views`, `pg_matviews`: the columns they share.
fn listed<'a>(scope: &'a Scope, kind: Kind, name: &'static str, owner: &'static str) -> Vec<(&'a Relation, Row)> {
    let of_kind = scope.relations().filter(move |relation| relation.kind == kind);
    of_kind
        .map(|relation| {
            let schema = Cell::from(scope.schema_name(relation.schema));
            let by = Cell::from(scope.user(relation.owner).map(|user| user.name.as_str()));
            (relation, vec![("schemaname", schema), (name, Cell::from(relation.name.as_str())), (owner, by)])
        })
        .collect()
}

pub(super) fn pg_tables(scope: &Scope) -> Vec<Row> {
    let of_users = listed(scope, Kind::Table, "tablename", "tableowner").into_iter().map(|(relation, mut row)| {
        row.extend(row! {
            "hasindexes" => scope.indexes.iter().any(|index| index.of.table == relation.oid),
            "hasrules" => false, "hastriggers" => false, "rowsecurity" => false,
        });
        row
    });
    let of_system = columns::all().iter().filter(|system| system.kind == "r").map(|system| {
        row! {
            "schemaname" => system.schema, "tablename" => system.name,
            "tableowner" => scope.user(OWNER).map(|user| user.name.as_str()), "hasindexes" => false,
            "hasrules" => false, "hastriggers" => false, "rowsecurity" => false,
        }
    });
    of_users.chain(of_system).collect()
}

pub(super) fn pg_views(scope: &Scope) -> Vec<Row> {
    let of_users = listed(scope, Kind::View, "viewname", "viewowner").into_iter().map(|(relation, mut row)| {
        row.push(("definition", Cell::from(relation.definition.as_str())));
        row
    });
    let of_system = columns::all().iter().filter(|system| system.kind == "v").map(|system| {
        row! {
            "schemaname" => system.schema, "viewname" => system.name,
            "viewowner" => scope.user(OWNER).map(|user| user.name.as_str()),
        }
    });
    of_users.chain(of_system).collect()
}

pub(super) fn pg_matviews(scope: &Scope) -> Vec<Row> {
    let views = listed(scope, Kind::MaterializedView, "matviewname", "matviewowner");
    let full = views.into_iter().map(|(relation, mut row)| {
        row.extend(row! {
            "hasindexes" => scope.indexes.iter().any(|index| index.of.table == relation.oid),
            "ispopulated" => true, "definition" => relation.definition.as_str(),
        });
        row
    });
    full.collect()
}

/// What is known of how tables are used: how many rows they have.
pub(super) fn pg_stat_tables(scope: &Scope) -> Vec<Row> {
    let kept = scope.relations().filter(|relation| matches!(relation.kind, Kind::Table | Kind::MaterializedView));
    let row = |relation: &Relation| {
        row! {
            "relid" => relation.oid, "schemaname" => scope.schema_name(relation.schema),
            "relname" => relation.name.as_str(),
            "n_live_tup" => relation.rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX)),
            "n_dead_tup" => 0,
        }
    };
    kept.map(row).collect()
}
