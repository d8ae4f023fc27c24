//! The catalog queries behind `\d` and the lists. It must not run them.

use super::command::List;

/// Title and query of a list.
pub(super) fn list(list: List, pattern: Option<&str>) -> (&'static str, String) {
    let relations = |kinds: &str, extra: &str, tables: &str| {
        format!(
            "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' \
             WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'f' THEN 'source' WHEN 'S' THEN 'sequence' \
             ELSE 'other' END AS \"Type\", pg_catalog.pg_get_userbyid(c.relowner) AS \"Owner\"{extra} \
             FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{tables} \
             WHERE c.relkind IN ({kinds}){} ORDER BY 1, 2",
            matching(Some(pattern.unwrap_or("*")), Some("n.nspname"), "c.relname")
        )
    };
    match list {
        List::Relations => ("List of relations", relations("'r', 'v', 'm', 'f', 'S'", "", "")),
        List::Tables => ("List of tables", relations("'r'", "", "")),
        List::Views => ("List of views", relations("'v'", "", "")),
        List::MaterializedViews => ("List of materialized views", relations("'m'", "", "")),
        List::Sources => ("List of sources", relations("'f'", "", "")),
        List::Indexes => {
            let tables = " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
                          LEFT JOIN pg_catalog.pg_class t ON i.indrelid = t.oid";
            ("List of indexes", relations("'i'", ", t.relname AS \"Table\"", tables))
        }
        List::Users => (
            "List of users",
            format!(
                "SELECT rolname AS \"Name\", CASE WHEN rolsuper THEN 'yes' ELSE 'no' END AS \"Superuser\", \
                 CASE WHEN rolcanlogin THEN 'yes' ELSE 'no' END AS \"Login\", \
                 CASE WHEN rolcreaterole THEN 'yes' ELSE 'no' END AS \"Create role\", \
                 CASE WHEN rolcreatedb THEN 'yes' ELSE 'no' END AS \"Create DB\" \
                 FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg!_%' ESCAPE '!'{} ORDER BY 1",
                matching(pattern, None, "rolname")
            ),
        ),
        List::Schemas => (
            "List of schemas",
            format!(
                "SELECT nspname AS \"Name\", pg_catalog.pg_get_userbyid(nspowner) AS \"Owner\" \
                 FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg!_%' ESCAPE '!' \
                 AND nspname <> 'information_schema'{} ORDER BY 1",
                matching(pattern, None, "nspname")
            ),
        ),
        List::Databases => (
            "List of databases",
            format!(
                "SELECT datname AS \"Name\", pg_catalog.pg_get_userbyid(datdba) AS \"Owner\", \
                 pg_catalog.pg_encoding_to_char(encoding) AS \"Encoding\" FROM pg_catalog.pg_database WHERE true{} ORDER BY 1",
                matching(pattern, None, "datname")
            ),
        ),
    }
}

/// The relations that a pattern names: oid, schema, name, kind.
pub(super) fn relations(pattern: &str) -> String {
    format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE true{} ORDER BY 2, 3",
        matching(Some(pattern), Some("n.nspname"), "c.relname")
    )
}

/// Columns of the relation with this oid.
pub(super) fn columns(oid: u32) -> String {
    format!(
        "SELECT a.attname AS \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"Type\", \
         CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\" FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    )
}

/// Indexes of the relation with this oid: name, primary, unique, definition.
pub(super) fn indexes(oid: u32) -> String {
    format!(
        "SELECT c2.relname, i.indisprimary, i.indisunique, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true) \
         FROM pg_catalog.pg_index i, pg_catalog.pg_class c2 WHERE i.indrelid = {oid} AND i.indexrelid = c2.oid \
         ORDER BY i.indisprimary DESC, c2.relname"
    )
}

/// The statement that made the relation with this oid.
pub(super) fn definition(oid: u32) -> String {
    format!("SELECT definition FROM thalweg_catalog.relations WHERE id = {oid}")
}

/// Names of all columns with their relations, for completion.
pub(super) const ALL_COLUMNS: &str = "SELECT table_schema, table_name, column_name FROM information_schema.columns";

/// `LIKE` conditions for a pattern as `orders`, `ord*` or `public.ord?`; quoted parts keep their case. Without a schema
/// only relations are meant that need none to be named.
fn matching(pattern: Option<&str>, schema: Option<&str>, name: &str) -> String {
    let Some(pattern) = pattern else { return String::new() };
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in pattern.chars() {
        let part = parts.last_mut().expect("there is always one");
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted && schema.is_some() => parts.push(String::new()),
            '*' if !quoted => part.push('%'),
            '?' if !quoted => part.push('_'),
            '%' | '_' | '!' => part.extend(['!', c]),
            '\'' => part.push_str("''"),
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    let like = |column: &str, part: &str| format!(" AND {column} LIKE '{part}' ESCAPE '!'");
    match (parts.as_slice(), schema) {
        ([.., s, n], Some(schema)) => like(schema, s) + &like(name, n),
        ([.., n], Some(schema)) => {
            let system = format!(" AND {schema} NOT IN ('pg_catalog', 'information_schema')");
            let visible = " AND pg_catalog.pg_table_is_visible(c.oid)";
            system + visible + &like(name, n)
        }
        ([.., n], None) => like(name, n),
        ([], _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_conditions() {
        let conditions = |p| matching(Some(p), Some("s"), "n");
        assert_eq!(matching(Some("Orders"), None, "n"), " AND n LIKE 'orders' ESCAPE '!'");
        assert!(conditions("Orders").ends_with("pg_table_is_visible(c.oid) AND n LIKE 'orders' ESCAPE '!'"));
        assert_eq!(conditions("public.a_*"), " AND s LIKE 'public' ESCAPE '!' AND n LIKE 'a!_%' ESCAPE '!'");
        assert_eq!(matching(Some("\"A.b'\""), None, "n"), " AND n LIKE 'A.b''' ESCAPE '!'");
        assert_eq!(matching(None, None, "n"), "");
    }
}
