//! Queries that only the engine can answer: over windows in FROM, or over sources that are read from outside. Their core
//! runs as a job; what is left of them (sorting, cutting) runs over its answer. It must not know the engine.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;
use thalweg_core::SqlError;

use super::database::{Database, named, no_parameters, shown};
use super::errors::sql_error;
use super::jobs::{self, JobPlan};
use super::query::Query;
use super::scope::{Scope, Used};
use crate::catalog::PlannedTable;
use crate::lower::presentable;

/// A query whose core is a job.
pub struct EngineQuery {
    /// The core.
    pub job: JobPlan,
    /// The query's columns.
    pub schema: SchemaRef,
    whole: LogicalPlan,
}

/// Whether `plan` reads what DataFusion cannot.
pub(crate) fn is_needed(plan: &LogicalPlan) -> Result<bool> {
    let mut needed = false;
    plan.apply_with_subqueries(|node| {
        needed |= match node {
            LogicalPlan::Extension(_) => true,
            LogicalPlan::TableScan(scan) => scan.source.downcast_ref::<PlannedTable>().is_some(),
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(needed)
}

/// The part below sorting, cutting and what is selected from them.
fn core(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Sort(sort) => core(&sort.input),
        LogicalPlan::Limit(limit) => core(&limit.input),
        LogicalPlan::Projection(projection) if is_presentation(&projection.input) => core(&projection.input),
        other => other,
    }
}

fn is_presentation(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => true,
        LogicalPlan::Projection(projection) => is_presentation(&projection.input),
        _ => false,
    }
}

/// `plan` over `answer` in the place of its core.
fn over(plan: &LogicalPlan, answer: LogicalPlan) -> Result<LogicalPlan> {
    if std::ptr::eq(core(plan), plan) {
        return Ok(answer);
    }
    let input = plan.inputs()[0];
    let inner = over(input, answer)?;
    plan.with_new_exprs(plan.expressions(), vec![inner])
}

impl Database {
    /// Plans a query for the engine.
    ///
    /// # Errors
    /// The query is wrong.
    pub fn engine_query(&self, scope: &Scope<'_>, query: &ast::Query) -> Result<EngineQuery, SqlError> {
        let used = Used::new(scope, &self.planner);
        let failed = |e| sql_error(&e);
        let bound = self.planner.bind(&used, &named(query)).map_err(failed)?;
        no_parameters(&bound)?;
        let schema = shown(&presentable(bound.schema().inner()));
        let optimized = self.planner.optimize(core(&bound).clone()).map_err(failed)?;
        let job = jobs::view(&self.planner, &optimized, false, "query").map_err(failed)?;
        Ok(EngineQuery { job, schema, whole: bound })
    }

    /// What is left of a query once its core has answered.
    ///
    /// # Errors
    /// The answer does not fit: a defect.
    pub fn rest(&self, query: &EngineQuery, answer: Vec<RecordBatch>) -> Result<Query, SqlError> {
        let failed = |e| sql_error(&e);
        let core = core(&query.whole);
        let table = MemTable::try_new(Arc::clone(&query.job.schema), vec![answer]).map_err(failed)?;
        let scan = LogicalPlanBuilder::scan("answer", provider_as_source(Arc::new(table)), None).map_err(failed)?;
        let columns = scan.schema().columns();
        let items = columns.into_iter().zip(core.schema().iter()).map(|(column, (qualifier, field))| {
            let cell = datafusion::logical_expr::cast(Expr::Column(column), field.data_type().clone());
            cell.alias_qualified(qualifier.cloned(), field.name())
        });
        let items: Vec<Expr> = items.collect();
        let answer = scan.project(items).and_then(LogicalPlanBuilder::build).map_err(failed)?;
        let plan = over(&query.whole, answer).map_err(failed)?;
        let (schema, memory_bytes) = (Arc::clone(&query.schema), self.query_memory_bytes());
        Ok(Query { plan, parameters: Vec::new(), schema, by_engine: false, memory_bytes })
    }
}
