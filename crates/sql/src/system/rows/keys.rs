//! Rows of indexes, keys and views' rules. It must not know columns' types.

use super::classes::{BTREE, CLASSES};
use super::{Row, row};
use crate::system::cell::Cell;
use crate::system::definition;
use crate::system::picture::{Kind, Oid, Relation};
use crate::system::scope::{IndexEntry, Scope, key_oid, rule_oid};
use crate::system::types;

/// The numbers of columns, which begin with 1.
fn numbers(positions: &[usize]) -> Cell {
    Cell::List(positions.iter().map(|at| Cell::from(at + 1)).collect())
}

pub(super) fn pg_index(scope: &Scope) -> Vec<Row> {
    scope.indexes.iter().map(|index| index_row(scope, index)).collect()
}

fn index_row(scope: &Scope, index: &IndexEntry) -> Row {
    let count = index.of.columns.len();
    let kinds = scope.index_columns(index).map(|c| types::of_column(&c.data_type, c.pg_type.as_deref()).0);
    let (collations, classes): (Vec<Oid>, Vec<Oid>) = kinds.map(|of| (of.collation, operator_class(of.oid))).unzip();
    row! {
        "indexrelid" => index.oid, "indrelid" => index.of.table, "indnatts" => count, "indnkeyatts" => count,
        "indisunique" => index.of.unique, "indnullsnotdistinct" => false, "indisprimary" => index.of.primary,
        "indisexclusion" => false, "indimmediate" => true, "indisclustered" => false, "indisvalid" => true,
        "indcheckxmin" => false, "indisready" => true, "indislive" => true, "indisreplident" => false,
        "indkey" => numbers(&index.of.columns), "indcollation" => collations, "indclass" => classes,
        "indoption" => vec![0; count],
    }
}

/// How values of a type are ordered in an index: number, name, type.
const OPERATOR_CLASSES: [(Oid, &str, Oid); 20] = [
    (10003, "bool_ops", 16),
    (10004, "bpchar_ops", 1042),
    (10006, "bytea_ops", 17),
    (10007, "char_ops", 18),
    (3122, "date_ops", 1082),
    (10012, "float4_ops", 700),
    (3123, "float8_ops", 701),
    (1979, "int2_ops", 21),
    (1978, "int4_ops", 23),
    (3124, "int8_ops", 20),
    (10022, "interval_ops", 1186),
    (10028, "name_ops", 19),
    (3125, "numeric_ops", 1700),
    (1981, "oid_ops", 26),
    (3126, "text_ops", 25),
    (10038, "time_ops", 1083),
    (3128, "timestamp_ops", 1114),
    (3127, "timestamptz_ops", 1184),
    (10065, "uuid_ops", 2950),
    (10088, "jsonb_ops", 3802),
];

fn operator_class(of: Oid) -> Oid {
    const TEXT: Oid = 3126;
    OPERATOR_CLASSES.iter().find(|(_, _, known)| *known == of).map_or(TEXT, |(oid, _, _)| *oid)
}

pub(super) fn pg_opclass(_: &Scope) -> Vec<Row> {
    let row = |&(oid, name, of): &(Oid, &str, Oid)| {
        row! {
            "oid" => oid, "opcmethod" => BTREE, "opcname" => name, "opcnamespace" => 11, "opcowner" => 10,
            "opcfamily" => 0, "opcintype" => of, "opcdefault" => true, "opckeytype" => 0,
        }
    };
    OPERATOR_CLASSES.iter().map(row).collect()
}

pub(super) fn pg_indexes(scope: &Scope) -> Vec<Row> {
    let row = |index: &IndexEntry| {
        row! {
            "schemaname" => scope.schema_name(index.schema), "tablename" => scope.indexed(index).name.as_str(),
            "indexname" => index.name.as_str(), "indexdef" => definition::index(scope, index, false),
        }
    };
    scope.indexes.iter().map(row).collect()
}

/// Relations with a primary key, and its index.
pub(in crate::system) fn keys(scope: &Scope) -> impl Iterator<Item = (&Relation, &IndexEntry)> {
    let primary = scope.indexes.iter().filter(|index| index.of.primary);
    primary.map(|index| (scope.indexed(index), index)).filter(|(table, _)| table.kind != Kind::MaterializedView)
}

pub(super) fn pg_constraint(scope: &Scope) -> Vec<Row> {
    let row = |(table, index): (&Relation, &IndexEntry)| {
        row! {
            "oid" => key_oid(table.oid), "conname" => index.name.as_str(), "connamespace" => table.schema,
            "contype" => "p", "condeferrable" => false, "condeferred" => false, "convalidated" => true,
            "conrelid" => table.oid, "contypid" => 0, "conindid" => index.oid, "conparentid" => 0, "confrelid" => 0,
            "confupdtype" => " ", "confdeltype" => " ", "confmatchtype" => " ", "conislocal" => true,
            "coninhcount" => 0, "connoinherit" => true, "conkey" => numbers(&index.of.columns),
        }
    };
    keys(scope).map(row).collect()
}

fn views(scope: &Scope) -> impl Iterator<Item = &Relation> {
    scope.relations().filter(|relation| matches!(relation.kind, Kind::View | Kind::MaterializedView))
}

/// Each view has the rule that makes it one: what a view reads depends on it in `pg_depend`.
pub(super) fn pg_rewrite(scope: &Scope) -> Vec<Row> {
    let row = |view: &Relation| {
        row! {
            "oid" => rule_oid(view.oid), "rulename" => "_RETURN", "ev_class" => view.oid, "ev_type" => "1",
            "ev_enabled" => "O", "is_instead" => true,
        }
    };
    views(scope).map(row).collect()
}

pub(super) fn pg_depend(scope: &Scope) -> Vec<Row> {
    /// The number of `pg_rewrite` itself.
    const RULES: Oid = 2618;
    let is_view = |oid: Oid| views(scope).any(|view| view.oid == oid);
    let row = |classid: Oid, objid: Oid, refobjid: Oid, deptype: &str| {
        row! {
            "classid" => classid, "objid" => objid, "objsubid" => 0, "refclassid" => CLASSES, "refobjid" => refobjid,
            "refobjsubid" => 0, "deptype" => deptype,
        }
    };
    let of_views = views(scope).map(|view| row(RULES, rule_oid(view.oid), view.oid, "i"));
    let read = scope.picture.depends.iter().map(|depend| {
        if is_view(depend.oid) {
            row(RULES, rule_oid(depend.oid), depend.on, "n")
        } else {
            row(CLASSES, depend.oid, depend.on, "n")
        }
    });
    let indexes = scope.indexes.iter().map(|index| row(CLASSES, index.oid, index.of.table, "a"));
    of_views.chain(read).chain(indexes).collect()
}
