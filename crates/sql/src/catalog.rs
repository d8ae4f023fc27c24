//! The relations that a script has declared so far. It must not know how they are planned or run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF, TableSource};
use datafusion::sql::sqlparser::ast::Expr;
use thalweg_core::{Error, Options, Result};
use thalweg_plan::{Expectations, OnViolation, RelationSpec, WatermarkSpec};

/// A declared source or table.
#[derive(Clone, Debug)]
pub(crate) struct SourceEntry {
    pub name: String,
    pub connector: String,
    pub options: Options,
    /// Columns that are read.
    pub declared: SchemaRef,
    /// Columns that are computed from them.
    pub generated: Vec<(FieldRef, Expr)>,
    /// Over read, then generated columns.
    pub watermark: Option<WatermarkSpec>,
    /// Positions among read, then generated columns.
    pub primary_key: Vec<usize>,
    /// What its rows are expected to be.
    pub expectations: Vec<Expected>,
    /// Read, then generated columns.
    pub schema: SchemaRef,
    /// The connector's rows say what they do, in a column after the others.
    pub writes: bool,
}

/// An expectation of a declared source, over read, then generated columns.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub name: Arc<str>,
    pub check: Expr,
    pub on: OnViolation,
    /// Violations, wherever the rows are judged.
    pub counter: Arc<AtomicU64>,
}

/// A table, source or materialized view of a server, as a query over it is planned.
#[derive(Clone, Debug)]
pub(crate) struct LiveEntry {
    /// Names it in the plan: its number.
    pub name: String,
    pub schema: SchemaRef,
    pub known: RelationSpec,
    pub watermark: Option<WatermarkSpec>,
}

/// What a name in FROM stands for.
#[derive(Clone, Debug)]
pub(crate) enum Relation {
    Source(Arc<SourceEntry>),
    /// `<source>$dead`.
    Dead(Arc<SourceEntry>),
    /// `<source>$quarantine`.
    Quarantine(Arc<SourceEntry>),
    /// A view: its query takes its place.
    View(Arc<LogicalPlan>),
    /// What another job computes: what stands, then what changes.
    Live(Arc<LiveEntry>),
    /// A materialized view: computed once, whoever reads it.
    Materialized {
        name: String,
        schema: SchemaRef,
    },
}

/// Finds what stands in FROM.
pub(crate) trait Relations {
    /// The relation that `name` means.
    ///
    /// # Errors
    /// There is none.
    fn source(&self, name: &TableReference) -> Result<Arc<dyn TableSource>, DataFusionError>;

    /// Functions beside those that every query knows.
    fn function(&self, _name: &str) -> Option<Arc<ScalarUDF>> {
        None
    }
}

impl Relations for Catalog {
    fn source(&self, name: &TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let relation = self.get(name.table()).map_err(|e| DataFusionError::Plan(e.to_string()))?;
        Ok(Arc::new(PlannedTable::new(relation)))
    }
}

/// Relations by name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    relations: BTreeMap<String, Relation>,
}

impl Catalog {
    /// Declares `name`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn add(&mut self, name: &str, relation: Relation) -> Result<()> {
        if self.relations.contains_key(name) {
            return Err(Error::invalid(format!("relation {name} already exists")));
        }
        self.relations.insert(name.to_owned(), relation);
        Ok(())
    }

    /// What `name` stands for; `<source>$dead` and `<source>$quarantine` exist with every source.
    ///
    /// # Errors
    /// No such relation; the hint names the nearest.
    pub fn get(&self, name: &str) -> Result<Relation> {
        if let Some(relation) = self.relations.get(name) {
            return Ok(relation.clone());
        }
        if let Some(Relation::Source(source)) = name.strip_suffix("$quarantine").and_then(|s| self.relations.get(s)) {
            return Ok(Relation::Quarantine(Arc::clone(source)));
        }
        if let Some(Relation::Source(source)) = name.strip_suffix("$dead").and_then(|s| self.relations.get(s)) {
            return Ok(Relation::Dead(Arc::clone(source)));
        }
        let message = format!("relation {name} does not exist");
        match thalweg_core::nearest(name, self.relations.keys().map(String::as_str)) {
            Some(near) => Err(Error::invalid_with_hint(message, format!("Did you mean {near}?"))),
            None => Err(Error::invalid(message)),
        }
    }
}

/// A relation as DataFusion's planner sees it.
#[derive(Clone, Debug)]
pub(crate) struct PlannedTable {
    pub relation: Relation,
    pub schema: SchemaRef,
}

impl PlannedTable {
    pub fn new(relation: Relation) -> Self {
        let schema = match &relation {
            Relation::Source(source) => Arc::clone(&source.schema),
            Relation::Dead(_) => thalweg_core::dead_schema(),
            Relation::Quarantine(source) => Expectations::quarantine_schema(&source.schema),
            Relation::Live(live) => Arc::clone(&live.schema),
            Relation::Materialized { schema, .. } => Arc::clone(schema),
            Relation::View(plan) => Arc::clone(plan.schema().inner()),
        };
        Self { relation, schema }
    }
}

impl TableSource for PlannedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<std::borrow::Cow<'_, LogicalPlan>> {
        match &self.relation {
            Relation::View(plan) => Some(std::borrow::Cow::Borrowed(plan)),
            _ => None,
        }
    }
}
