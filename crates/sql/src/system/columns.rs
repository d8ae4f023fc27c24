//! Which system relations there are, and their columns. It must not know their rows.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Schema, SchemaRef};

use super::picture::Oid;
use super::types;

/// The number of the schema `pg_catalog`.
pub(super) const PG_CATALOG: Oid = 11;
/// The number of the schema `information_schema`.
pub(super) const INFORMATION_SCHEMA: Oid = 13000;
/// The number of the schema `thalweg_catalog`.
pub(super) const THALWEG_CATALOG: Oid = 13001;
/// The number of the schema `rw_catalog`.
pub(super) const RW_CATALOG: Oid = 13002;

/// The schemas of the system.
pub(super) const SCHEMAS: [(Oid, &str); 4] = [
    (PG_CATALOG, "pg_catalog"),
    (INFORMATION_SCHEMA, "information_schema"),
    (THALWEG_CATALOG, "thalweg_catalog"),
    (RW_CATALOG, "rw_catalog"),
];

/// A system relation.
#[derive(Debug)]
pub(super) struct SystemRelation {
    pub schema: &'static str,
    pub schema_oid: Oid,
    pub name: &'static str,
    pub oid: Oid,
    /// `r` or `v`.
    pub kind: &'static str,
    /// Names and types.
    pub columns: Vec<(&'static str, &'static str)>,
    pub arrow: SchemaRef,
}

static RELATIONS: LazyLock<Vec<SystemRelation>> = LazyLock::new(|| {
    let theirs = include_str!("data/relations.txt").lines();
    theirs.chain(include_str!("data/ours.txt").lines()).filter_map(parse).collect()
});

/// What is found by its name but not listed: functions whose rows are always the same.
static UNLISTED: LazyLock<Vec<SystemRelation>> =
    LazyLock::new(|| include_str!("data/unlisted.txt").lines().filter_map(parse).collect());

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static SystemRelation>> =
    LazyLock::new(|| RELATIONS.iter().chain(UNLISTED.iter()).map(|r| ((r.schema, r.name), r)).collect());

/// `schema.name|oid|kind|column type, column type, …`
fn parse(line: &'static str) -> Option<SystemRelation> {
    let mut parts = line.split('|');
    let (schema, name) = parts.next()?.split_once('.')?;
    let (oid, kind, columns) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let columns: Vec<_> = columns.split(", ").filter_map(|column| column.split_once(' ')).collect();
    let fields: Vec<_> = columns.iter().map(|(name, of)| types::field(name, of)).collect();
    let schema_oid = SCHEMAS.iter().find(|(_, known)| *known == schema)?.0;
    Some(SystemRelation { schema, schema_oid, name, oid, kind, columns, arrow: Arc::new(Schema::new(fields)) })
}

pub(super) fn all() -> &'static [SystemRelation] {
    &RELATIONS
}

/// The relation that a name means; without a schema, one of `pg_catalog`.
pub(super) fn find(schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
    BY_NAME.get(&(schema.unwrap_or("pg_catalog"), name)).copied()
}

pub(super) fn by_oid(oid: Oid) -> Option<&'static SystemRelation> {
    RELATIONS.iter().find(|r| r.oid == oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_a_relation() {
        let lines = include_str!("data/relations.txt").lines().chain(include_str!("data/ours.txt").lines()).count();
        assert_eq!(RELATIONS.len(), lines);
        assert_eq!(BY_NAME.len(), lines + UNLISTED.len(), "names are unique");
        let numbers: std::collections::HashSet<_> = RELATIONS.iter().map(|r| r.oid).collect();
        assert_eq!(numbers.len(), lines, "numbers are unique");
    }

    #[test]
    fn unqualified_names_are_pg_catalogs() {
        assert!(find(None, "pg_class").is_some_and(|r| r.oid == 1259));
        assert!(find(None, "tables").is_none());
        assert!(find(Some("information_schema"), "tables").is_some());
        assert!(find(Some("public"), "pg_class").is_none());
    }
}
