//! The target's table: whether it fits the stream, and the statements that change it. It must not know transactions.

use std::fmt;

use thalweg_core::{Error, Result, SinkError};
use tokio_postgres::Statement;

use super::connect::Session;
use super::options::{SinkOptions, Style};
use super::types::Column;
use super::values::nothing;

/// Longer names (bytes) are cut off by PostgreSQL.
const MAX_NAME_BYTES: usize = 63;

/// A table of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) schema: String,
    pub(super) table: String,
}

impl TableName {
    /// # Errors
    /// A name that PostgreSQL does not take.
    pub(super) fn new(schema: String, table: String) -> Result<Self> {
        check_name("schema", &schema)?;
        check_name("table", &table)?;
        Ok(Self { schema, table })
    }

    /// As it is written in a statement.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// `name` can be the name of a `what`.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return Err(Error::invalid_with_hint(
            format!("the name '{name}' cannot be that of a {what} of PostgreSQL"),
            format!("Names have 1 to {MAX_NAME_BYTES} bytes."),
        ));
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// There is such a table.
pub(super) fn exists(session: &Session, table: &TableName) -> Result<bool, SinkError> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let rows = session.query("the table cannot be looked up", sql, vec![Box::new(table.quoted())])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Makes the table.
pub(super) fn create(session: &Session, options: &SinkOptions) -> Result<(), SinkError> {
    let mut parts: Vec<String> =
        options.columns.iter().map(|c| format!("{} {}", quoted(&c.name), c.declared)).collect();
    if !options.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", names(options)));
    }
    let sql = format!("CREATE TABLE IF NOT EXISTS {} ({})", options.table.quoted(), parts.join(", "));
    session.run("the table cannot be made", sql)
}

/// The key's columns, as in a statement.
fn names(options: &SinkOptions) -> String {
    options.key.iter().map(|k| quoted(&options.columns[*k].name)).collect::<Vec<_>>().join(", ")
}

/// The statements that change the table.
pub(super) struct Statements {
    /// Takes all columns.
    pub(super) put: Statement,
    /// Takes the key's columns.
    pub(super) delete: Option<Statement>,
}

impl Statements {
    /// Prepares them, for a table that fits.
    pub(super) fn prepare(session: &Session, options: &SinkOptions) -> Result<Self, SinkError> {
        let found = describe(session, options)?;
        let what = format!("table {} does not take the rows", options.table);
        // Without a row: the server looks at rights and keys only when it executes them.
        let put = session.prepare(&what, &put(options, &found))?;
        session.execute(&what, &put, nothing(&options.columns))?;
        let delete = match options.style {
            Style::Append { .. } => None,
            Style::Upsert => {
                let delete = session.prepare(&what, &delete(options, &found))?;
                session.execute(&what, &delete, nothing(options.key.iter().map(|k| &options.columns[*k])))?;
                Some(delete)
            }
        };
        Ok(Self { put, delete })
    }
}

/// A column of the table.
struct Found {
    /// Its type, as in a statement.
    declared: String,
    /// The type below, if that is a domain.
    base: String,
}

/// The table's columns for those of the stream, each of which fits.
fn describe(session: &Session, options: &SinkOptions) -> Result<Vec<Found>, SinkError> {
    let sql = "SELECT a.attname::text, format_type(a.atttypid, NULL), \
               format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL), \
               CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END \
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
               WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = session.query("the table cannot be looked at", sql, vec![Box::new(options.table.quoted())])?;
    let table = &options.table;
    let refuse = |message: String, hint: String| SinkError::Fatal(Error::invalid_with_hint(message, hint));
    let find = |(at, column): (usize, &Column)| {
        let Some(row) = rows.iter().find(|row| row.get::<_, &str>(0) == column.name) else {
            return Err(refuse(
                format!("table {table} has no column {}", column.name),
                format!("ALTER TABLE … ADD COLUMN {} {}.", quoted(&column.name), column.declared),
            ));
        };
        let found = Found { declared: row.get(1), base: row.get(2) };
        if !column.fits(&found.base, row.get(3), options.key.contains(&at)) {
            return Err(refuse(
                format!(
                    "column {} of table {table} is of type {}, which does not hold every {}",
                    column.name, found.declared, column.declared
                ),
                format!("CAST the column in the query, or make it {} in the table.", column.declared),
            ));
        }
        Ok(found)
    };
    options.columns.iter().enumerate().map(find).collect()
}

/// `unnest(…)` of arrays of `columns`, whose values are `s.c0`, `s.c1`, ….
fn rows_of(columns: &[&Column]) -> String {
    let arrays = (1..).zip(columns).map(|(n, c)| format!("${n}::{}[]", c.sent().name())).collect::<Vec<_>>();
    let names = (0..columns.len()).map(|n| format!("c{n}")).collect::<Vec<_>>();
    format!("unnest({}) AS s ({})", arrays.join(", "), names.join(", "))
}

fn put(options: &SinkOptions, found: &[Found]) -> String {
    let columns: Vec<&Column> = options.columns.iter().collect();
    let names: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
    let value = |(n, (column, found)): (usize, (&&Column, &Found))| {
        if column.is_read_as(&found.base) { format!("s.c{n}::{}", found.declared) } else { format!("s.c{n}") }
    };
    let values: Vec<String> = columns.iter().zip(found).enumerate().map(value).collect();
    let mut sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM {}",
        options.table.quoted(),
        names.join(", "),
        values.join(", "),
        rows_of(&columns)
    );
    if options.style == Style::Upsert {
        let others = (0..columns.len()).filter(|n| !options.key.contains(n));
        let set: Vec<String> = others.map(|n| format!("{0} = excluded.{0}", names[n])).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        sql += &format!(" ON CONFLICT ({}) DO {action}", self::names(options));
    }
    sql
}

fn delete(options: &SinkOptions, found: &[Found]) -> String {
    let columns: Vec<&Column> = options.key.iter().map(|k| &options.columns[*k]).collect();
    // Compared as the table's type, so that its index serves.
    let equal =
        |(n, k): (usize, &usize)| format!("t.{} = s.c{n}::{}", quoted(&options.columns[*k].name), found[*k].declared);
    let equal: Vec<String> = options.key.iter().enumerate().map(equal).collect();
    format!("DELETE FROM {} AS t USING {} WHERE {}", options.table.quoted(), rows_of(&columns), equal.join(" AND "))
}
