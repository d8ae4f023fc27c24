//! A source as declared. It must not know connectors.

use arrow::datatypes::{FieldRef, SchemaRef};
use thalweg_core::Options;

use crate::Expr;

/// `WATERMARK FOR column AS column - delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatermarkSpec {
    /// Column of the source's full schema (read and generated columns).
    pub column: usize,
    /// Microseconds that rows may be late.
    pub delay: i64,
}

/// A source as the plan uses it, with only the columns that the plan reads.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Name in SQL.
    pub name: String,
    /// The connector's name (`file`, `nexmark`, …).
    pub connector: String,
    /// `WITH (…)`, without `connector`, and `FORMAT … ENCODE …(…)` as `format` and its options.
    pub options: Options,
    /// All columns that the connector can read, as declared. Strings are `Utf8View`, timestamps microseconds.
    pub declared: SchemaRef,
    /// Columns of `declared` that are read, ascending.
    pub projection: Vec<usize>,
    /// Generated columns, over the read columns; appended to them.
    pub generated: Vec<(FieldRef, Expr)>,
    /// The watermark, on a column of `schema` (read, then generated).
    pub watermark: Option<WatermarkSpec>,
    /// Read columns, then generated columns: what the scan yields.
    pub schema: SchemaRef,
    /// The rejects are read by the plan (`<name>$dead`).
    pub dead_used: bool,
    /// Set when the rows are another job's: they begin with what stands and may be taken back.
    pub relation: Option<RelationSpec>,
}

/// What is known of the rows of another job that a plan reads.
#[derive(Clone, Debug)]
pub struct RelationSpec {
    /// Never takes a row back.
    pub append_only: bool,
    /// Columns that are unique, as positions in `declared`.
    pub key: Option<Vec<usize>>,
    /// On which worker a row is, by positions in `declared`.
    pub distribution: crate::Distribution,
}

/// What a row handed to a table is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Write {
    /// It takes the place of the row with its key, if there is one.
    Upsert = 0,
    /// The row with its key goes; without a key, one row equal to it.
    Delete = 1,
    /// It stays out if a row with its key is there.
    InsertIfAbsent = 2,
}
