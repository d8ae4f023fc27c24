//! The statements of the dialect as data. It must not know how they are parsed or planned.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, Query};
use thalweg_core::Options;
use thalweg_plan::OnViolation;

/// A statement and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub statement: Statement,
    pub line: u64,
    pub column: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    CreateSource(CreateSource),
    CreateTable(CreateSource),
    CreateView(CreateView),
    CreateSink(CreateSink),
    Insert {
        table: String,
        columns: Vec<String>,
        rows: Box<Query>,
    },
    Query(Box<Query>),
    /// `SET name = value`: accepted for compatibility.
    Set,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateSource {
    pub schema: Option<String>,
    pub name: String,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    pub watermark: Option<(Ident, Expr)>,
    pub primary_key: Vec<String>,
    pub expectations: Vec<ExpectationDef>,
    pub options: Options,
}

/// `name CHECK (check) ON VIOLATION on`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ExpectationDef {
    pub name: String,
    pub check: Expr,
    pub on: OnViolation,
}

#[derive(Clone, Debug)]
pub struct ColumnDef {
    pub name: String,
    /// `None` for `name AS expr` without a type.
    pub data_type: Option<DataType>,
    pub not_null: bool,
    pub generated: Option<Expr>,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct CreateView {
    pub schema: Option<String>,
    pub name: String,
    pub if_not_exists: bool,
    pub materialized: bool,
    pub columns: Vec<String>,
    pub query: Box<Query>,
    pub emit_on_close: bool,
}

#[derive(Clone, Debug)]
pub struct CreateSink {
    pub schema: Option<String>,
    pub name: String,
    pub if_not_exists: bool,
    pub from: SinkInput,
    pub emit_on_close: bool,
    pub options: Options,
}

#[derive(Clone, Debug)]
pub enum SinkInput {
    Relation(String),
    Query(Box<Query>),
}
