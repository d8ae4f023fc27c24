//! How much room things take, which is not told by relation: everything is of size 0. They must not know storage.

use datafusion::error::Result;

use super::call::{Call, Entry, entry};
use crate::system::cell::Cell;
use crate::system::picture::Kind;

pub(super) static ENTRIES: &[Entry] = &[
    entry("pg_relation_size", 1..=2, "int8", zero),
    entry("pg_total_relation_size", 1..=1, "int8", zero),
    entry("pg_table_size", 1..=1, "int8", zero),
    entry("pg_indexes_size", 1..=1, "int8", zero),
    entry("pg_database_size", 1..=1, "int8", zero),
    entry("pg_tablespace_size", 1..=1, "int8", zero),
    entry("pg_column_size", 1..=1, "int4", zero),
    entry("pg_size_pretty", 1..=1, "text", |call| Ok(call.int(0).map(pretty).into())),
    entry("pg_size_bytes", 1..=1, "int8", |call| Ok(call.text(0).and_then(bytes).into())),
    entry("pg_relation_filenode", 1..=1, "oid", |_| Ok(Cell::Null)),
    entry("pg_relation_filepath", 1..=1, "text", |_| Ok(Cell::Null)),
    entry("pg_tablespace_location", 1..=1, "text", |_| Ok("".into())),
    entry("pg_relation_is_publishable", 1..=1, "bool", |call| {
        let oid = call.oid(0).or_else(|| call.scope.relation_named(call.text(0)?));
        Ok(oid.and_then(|oid| call.scope.relation(oid)).map(|relation| relation.kind == Kind::Table).into())
    }),
    entry("pg_relation_is_updatable", 2..=2, "int4", |call| {
        /// The bits for INSERT, UPDATE and DELETE.
        const CHANGES: i32 = 8 | 4 | 16;
        let relation = call.oid(0).and_then(|oid| call.scope.relation(oid));
        Ok(relation.map_or(0, |relation| if relation.kind == Kind::Table { CHANGES } else { 0 }).into())
    }),
    entry("pg_column_is_updatable", 3..=3, "bool", |call| {
        let relation = call.oid(0).and_then(|oid| call.scope.relation(oid));
        Ok(relation.is_some_and(|relation| relation.kind == Kind::Table).into())
    }),
    entry("age", 1..=1, "int4", zero),
    entry("mxid_age", 1..=1, "int4", zero),
];

fn zero(call: &Call<'_>) -> Result<Cell> {
    Ok((!call.arg(0).is_null()).then_some(0).into())
}

fn pretty(size: i64) -> String {
    const LIMIT: i64 = 10 * 1024;
    if size.abs() < LIMIT {
        return format!("{size} bytes");
    }
    let mut size = size;
    for unit in ["kB", "MB", "GB", "TB"] {
        // Half a unit rounds up.
        size = (size + size.signum() * 512) / 1024;
        if size.abs() < LIMIT {
            return format!("{size} {unit}");
        }
    }
    format!("{} PB", (size + size.signum() * 512) / 1024)
}

fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor: i64 = match text[end..].to_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        "tb" => 1 << 40,
        _ => return None,
    };
    text[..end].trim().parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_units() {
        assert_eq!(pretty(8192), "8192 bytes");
        assert_eq!(pretty(10 * 1024), "10 kB");
        assert_eq!(pretty(7_791_616), "7609 kB");
        assert_eq!(pretty(1 << 40), "1024 GB");
        assert_eq!(bytes("8 kB"), Some(8192));
        assert_eq!(bytes("8 x"), None);
    }
}
