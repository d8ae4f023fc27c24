//! `Query`: a planned query over what is readable, ready to run. It must not know sessions or protocols.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray, RecordBatch};
use arrow::datatypes::{DataType, DurationMicrosecondType, FieldRef, IntervalMonthDayNanoType, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures_util::{Stream, StreamExt};
use thalweg_core::SqlError;

use super::errors::sql_error;
use super::integers::cast_exactly;
use super::memory::within;
use super::parameters::bound;
use crate::context::Planner;
use crate::lower::checked_arithmetic;

/// Rows as they come.
pub type QueryRows = Pin<Box<dyn Stream<Item = Result<RecordBatch, SqlError>> + Send>>;

/// A planned query.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) plan: LogicalPlan,
    /// The types of `$1`, `$2`, ….
    pub parameters: Vec<FieldRef>,
    /// Its columns.
    pub schema: SchemaRef,
    /// It reads what only the engine can: see [`super::EngineQuery`].
    pub by_engine: bool,
    /// Bytes of memory that it may use.
    pub memory_bytes: usize,
}

impl Query {
    /// Runs it with values for its parameters, in `runtime`'s memory and no more of it than is its own.
    ///
    /// # Errors
    /// A value does not read as its parameter's type; the query cannot be planned to run.
    pub(crate) async fn run(
        &self,
        planner: &Planner,
        runtime: Arc<RuntimeEnv>,
        values: &[ArrayRef],
        now: i64,
    ) -> Result<QueryRows, SqlError> {
        let plan = bound(self.plan.clone(), &self.parameters, values)?;
        let plan = planner.at(plan, now).map_err(|e| sql_error(&e))?;
        let plan = planner.coerced(plan).and_then(checked_sums).map_err(|e| sql_error(&e))?;
        let plan = planner.optimize(plan).map_err(|e| sql_error(&e))?;
        let physical = planner.physical(&plan).await.and_then(checked).map_err(|e| sql_error(&e))?;
        let rows =
            execute_stream(physical, planner.task(within(&runtime, self.memory_bytes))).map_err(|e| sql_error(&e))?;
        let schema = Arc::clone(&self.schema);
        Ok(Box::pin(rows.map(move |batch| {
            let batch = batch.map_err(|e| sql_error(&e))?;
            as_promised(batch, &schema)
        })))
    }
}

impl super::Database {
    /// How a query would run.
    ///
    /// # Errors
    /// It cannot be planned to run.
    pub async fn explain(&self, query: &Query) -> Result<String, SqlError> {
        let plan = self.planner.optimize(query.plan.clone()).map_err(|e| sql_error(&e))?;
        let physical = self.planner.physical(&plan).await.map_err(|e| sql_error(&e))?;
        Ok(displayable(physical.as_ref()).indent(false).to_string())
    }
}

/// The difference of two timestamps as PostgreSQL has it: days, and a time within one.
fn days_and_time(column: &ArrayRef) -> Result<ArrayRef, thalweg_core::Error> {
    const DAY: i64 = 86_400_000_000;
    let micros = arrow::compute::cast(column, &DataType::Duration(TimeUnit::Microsecond))?;
    let micros = micros.as_primitive::<DurationMicrosecondType>();
    let interval =
        |t: i64| IntervalMonthDayNanoType::make_value(0, i32::try_from(t / DAY).unwrap_or(i32::MAX), t % DAY * 1_000);
    Ok(Arc::new(micros.iter().map(|t| t.map(interval)).collect::<IntervalMonthDayNanoArray>()))
}

/// `plan` with arithmetic that overflows as an error.
fn checked(plan: Arc<dyn ExecutionPlan>) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    let arithmetic = |e: Arc<dyn PhysicalExpr>| e.transform_up(|e| Ok(checked_arithmetic(e))).data();
    plan.transform_up(|node| {
        if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            let items =
                projection.expr().iter().map(|item| Ok((arithmetic(Arc::clone(&item.expr))?, item.alias.clone())));
            let items = items.collect::<datafusion::error::Result<Vec<_>>>()?;
            let node = ProjectionExec::try_new(items, Arc::clone(projection.input()))?;
            return Ok(Transformed::yes(Arc::new(node) as _));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

/// `plan` with sums of integers that are added up where they cannot overflow: one that does not fit is an error.
fn checked_sums(plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    let is_sum = |e: &Expr, schema: &DFSchema| match e {
        Expr::AggregateFunction(call) => {
            call.func.name() == "sum"
                && call.params.args.iter().all(|a| a.get_type(schema).is_ok_and(|t| t.is_signed_integer()))
        }
        _ => false,
    };
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        let input = aggregate.input.schema();
        if !aggregate.aggr_expr.iter().any(|e| is_sum(e, input)) {
            return Ok(Transformed::no(node));
        }
        let wide = aggregate.aggr_expr.iter().enumerate().map(|(i, e)| match e {
            Expr::AggregateFunction(call) if is_sum(e, input) => {
                let mut call = call.clone();
                call.params.args = call.params.args.into_iter().map(|a| cast(a, DataType::Decimal128(38, 0))).collect();
                Expr::AggregateFunction(call).alias(format!("wide sum {i}"))
            }
            other => other.clone(),
        });
        let inner = Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), wide.collect())?;
        let items = inner.schema.columns().into_iter().zip(node.schema().iter()).map(|(column, (qualifier, field))| {
            let cell = if column.name.starts_with("wide sum ") {
                cast(Expr::Column(column), field.data_type().clone())
            } else {
                Expr::Column(column)
            };
            cell.alias_qualified(qualifier.cloned(), field.name())
        });
        let items: Vec<Expr> = items.collect();
        LogicalPlanBuilder::from(LogicalPlan::Aggregate(inner)).project(items)?.build().map(Transformed::yes)
    })
    .data()
}

/// The batch with the columns' names and types that were told before it ran.
fn as_promised(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        if let DataType::Duration(_) = column.data_type() {
            return Ok(days_and_time(column)?);
        }
        cast_exactly(column, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, SqlError>>()?;
    // A column that the planner thought never null may be null all the same (outer joins, aggregates).
    let fields: Vec<FieldRef> =
        schema.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(|e| thalweg_core::Error::from(e).into())
}
