//! `generate_series(from, to [, step])` of integers in FROM: rows that are made as they are read, however many.
//! Other series are lists, which `system::rewrite` makes. It must not know what reads the rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::datasource::{TableProvider, TableType, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, TableFactor};
use futures_util::stream;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// Plans calls whose arguments are constant integers, and leaves everything else.
#[derive(Debug)]
pub(crate) struct SeriesPlanner;

impl RelationPlanner for SeriesPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let function = context.object_name_to_table_reference(name.clone())?;
        let Some(series) = (function.table() == "generate_series").then(|| series(&args.args, context)).flatten()
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        // One column, named after the alias if that does not name it itself.
        let named = alias.as_ref().map_or("generate_series".to_owned(), |a| context.normalize_ident(a.name.clone()));
        let series = Series { schema: schema(&named, series.schema.field(0).data_type()), ..series };
        let source = provider_as_source(Arc::new(series));
        let plan = LogicalPlanBuilder::scan(TableReference::bare(named), source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// The series of a call, if its arguments are constant integers.
fn series(args: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Option<Series> {
    let mut constant = |arg: &FunctionArg| {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return None };
        let bound = context.sql_to_expr(expr.clone(), &DFSchema::empty()).ok()?;
        let simplifier =
            ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(DFSchema::empty())).build());
        let bound = simplifier.coerce(bound, &DFSchema::empty()).ok()?;
        match simplifier.simplify(bound).ok()? {
            Expr::Literal(ScalarValue::Int32(Some(v)), _) => Some((i64::from(v), DataType::Int32)),
            Expr::Literal(ScalarValue::Int64(Some(v)), _) => Some((v, DataType::Int64)),
            _ => None,
        }
    };
    let values: Vec<(i64, DataType)> = args.iter().map(&mut constant).collect::<Option<_>>()?;
    let wide = values.iter().any(|(_, t)| *t == DataType::Int64);
    let (from, to, step) = match &values[..] {
        [(from, _), (to, _)] => (*from, *to, 1),
        // A step of zero is an error that the list knows.
        [(from, _), (to, _), (step, _)] if *step != 0 => (*from, *to, *step),
        _ => return None,
    };
    let schema = schema("generate_series", if wide { &DataType::Int64 } else { &DataType::Int32 });
    Some(Series { schema, from, to, step })
}

fn schema(column: &str, data_type: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(column, data_type.clone(), false)]))
}

/// The numbers `from`, `from + step`, … as far as `to`.
#[derive(Clone, Debug)]
struct Series {
    schema: SchemaRef,
    from: i64,
    to: i64,
    step: i64,
}

impl Series {
    /// All batches, in order.
    fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let Self { schema, from, to, step } = self.clone();
        let within = move |v: i64| if step > 0 { v <= to } else { v >= to };
        let mut next = Some(from).filter(|v| within(*v));
        std::iter::from_fn(move || {
            let mut values = Vec::with_capacity(BATCH_ROWS);
            while values.len() < BATCH_ROWS
                && let Some(value) = next
            {
                values.push(value);
                next = value.checked_add(step).filter(|v| within(*v));
            }
            (!values.is_empty()).then(|| batch(&schema, values))
        })
    }
}

fn batch(schema: &SchemaRef, values: Vec<i64>) -> Result<RecordBatch> {
    let out_of_range = || DataFusionError::Execution("integer out of range".to_owned());
    let column: ArrayRef = match schema.field(0).data_type() {
        DataType::Int32 => {
            let values = values.into_iter().map(|v| i32::try_from(v).map_err(|_| out_of_range()));
            Arc::new(Int32Array::from(values.collect::<Result<Vec<_>>>()?))
        }
        _ => Arc::new(Int64Array::from(values)),
    };
    Ok(RecordBatch::try_new(Arc::clone(schema), vec![column])?)
}

#[async_trait]
impl TableProvider for Series {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(self.clone())];
        let scan = StreamingTableExec::try_new(Arc::clone(&self.schema), parts, projection, Vec::new(), false, limit)?;
        Ok(Arc::new(scan))
    }
}

impl PartitionStream for Series {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(self.batches())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn numbers(from: i64, to: i64, step: i64) -> Vec<i64> {
        let series = Series { schema: schema("n", &DataType::Int64), from, to, step };
        let batches: Vec<RecordBatch> = series.batches().collect::<Result<_>>().expect("numbers");
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn series_go_up_and_down_and_end_at_the_edge() {
        assert_eq!(numbers(1, 5, 2), [1, 3, 5]);
        assert_eq!(numbers(5, 1, -2), [5, 3, 1]);
        assert_eq!(numbers(5, 1, 1), Vec::<i64>::new());
        assert_eq!(numbers(i64::MAX - 1, i64::MAX, 1), [i64::MAX - 1, i64::MAX]);
        assert_eq!(numbers(1, 20_000, 1).len(), 20_000);
    }
}
