//! The SQL that would make an index, a key or a view. It must not know the rows of system relations.

use super::picture::{Kind, Oid};
use super::quote;
use super::scope::{IndexEntry, Scope, key_table};

/// With the table's schema, or `pretty` where it can be found without.
pub(super) fn index(scope: &Scope, index: &IndexEntry, pretty: bool) -> String {
    let unique = if index.of.unique { "UNIQUE " } else { "" };
    let table = match scope.shown(index.of.table).filter(|_| pretty) {
        Some(shown) => shown,
        None => {
            let schema = scope.schema_name(index.schema).map(quote::identifier).unwrap_or_default();
            format!("{schema}.{}", quote::identifier(&scope.indexed(index).name))
        }
    };
    let name = quote::identifier(&index.name);
    format!("CREATE {unique}INDEX {name} ON {table} USING btree ({})", columns(scope, index))
}

fn columns(scope: &Scope, index: &IndexEntry) -> String {
    let names: Vec<String> = scope.index_columns(index).map(|column| quote::identifier(&column.name)).collect();
    names.join(", ")
}

/// One column of an index, by its number.
pub(super) fn index_column(scope: &Scope, index: &IndexEntry, number: i64) -> Option<String> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    scope.index_columns(index).nth(at).map(|column| quote::identifier(&column.name))
}

pub(super) fn constraint(scope: &Scope, constraint: Oid) -> Option<String> {
    let table = key_table(constraint)?;
    let index = scope.indexes.iter().find(|index| index.of.table == table && index.of.primary)?;
    Some(format!("PRIMARY KEY ({})", columns(scope, index)))
}

/// A view's query, as `pg_get_viewdef` shows it.
pub(super) fn view(scope: &Scope, oid: Oid) -> Option<String> {
    let relation = scope.relation(oid)?;
    if !matches!(relation.kind, Kind::View | Kind::MaterializedView) {
        return None;
    }
    let query = relation.definition.trim().trim_end_matches(';');
    Some(format!(" {query};"))
}
