//! `FROM a, LATERAL (SELECT … a.x …)`: for each row of the left side, the rows of the query as a list, which is made
//! rows again. It must not know scalar queries.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, TableReference, UnnestOptions, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::get_field;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use super::{Engine, Wants, ask, outer_columns};

/// The column of lists.
const ROWS: &str = "__lateral";

pub(super) fn evaluated(plan: LogicalPlan, engine: &Arc<Engine>) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Join(join) = plan else { return Ok(Transformed::no(plan)) };
    let Some((query, alias)) = lateral(&join.right) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Err(DataFusionError::NotImplemented("a LATERAL query on the left side of a join".to_owned()));
    }
    expanded(&join, &query, alias.as_ref(), engine).map(Transformed::yes)
}

fn lateral(plan: &LogicalPlan) -> Option<(Subquery, Option<TableReference>)> {
    match plan {
        LogicalPlan::Subquery(query) => Some((query.clone(), None)),
        LogicalPlan::SubqueryAlias(alias) => {
            let (query, _) = lateral(&alias.input)?;
            Some((query, Some(alias.alias.clone())))
        }
        _ => None,
    }
}

fn expanded(
    join: &Join,
    query: &Subquery,
    alias: Option<&TableReference>,
    engine: &Arc<Engine>,
) -> Result<LogicalPlan> {
    let plan = query.subquery.as_ref().clone();
    let columns = outer_columns(&plan);
    // Fields are named by position: a query's names need not be unique.
    let fields = plan.schema().fields().iter().enumerate();
    let fields: Vec<FieldRef> = fields
        .map(|(at, field)| Arc::new(field.as_ref().clone().with_name(format!("c{at}")).with_nullable(true)))
        .collect();
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields.into()), true));
    let returns = Arc::new(Field::new(ROWS, DataType::List(item), true));
    let names: Vec<(Option<TableReference>, String)> = join
        .right
        .schema()
        .iter()
        .map(|(qualifier, field)| (alias.cloned().or_else(|| qualifier.cloned()), field.name().clone()))
        .collect();
    let args: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
    let rows = ask(plan, columns, Wants::Rows, returns, engine).call(args).alias(ROWS);
    let left: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let outer = join.join_type == JoinType::Left;
    let options = UnnestOptions::new().with_preserve_nulls(outer);
    let made = LogicalPlanBuilder::from(join.left.as_ref().clone())
        .project(left.iter().cloned().chain([rows]))?
        .unnest_column_with_options(Column::from_name(ROWS), options)?;
    let right = names.into_iter().enumerate().map(|(at, (qualifier, name))| {
        let value = get_field().call(vec![Expr::Column(Column::from_name(ROWS)), lit(format!("c{at}"))]);
        value.alias_qualified(qualifier, name)
    });
    let made = made.project(left.into_iter().chain(right))?;
    let conditions = join.on.iter().map(|(left, right)| left.clone().eq(right.clone())).chain(join.filter.clone());
    let condition = conditions.reduce(Expr::and);
    match condition {
        Some(Expr::Literal(value, _)) if value == true.into() => made.build(),
        None => made.build(),
        Some(_) if outer => {
            Err(DataFusionError::NotImplemented("a condition other than true on LEFT JOIN LATERAL".to_owned()))
        }
        Some(condition) => made.filter(condition)?.build(),
    }
}

/// The rows as one list; none at all as null, which makes no row, or one of nulls.
pub(super) fn list(returns: &FieldRef, batches: &[RecordBatch]) -> Result<ArrayRef> {
    let DataType::List(item) = returns.data_type() else { return internal_err!("rows make a list") };
    let DataType::Struct(fields) = item.data_type() else { return internal_err!("rows are structs") };
    let given = batches.first().map(RecordBatch::schema);
    let batch = match given {
        Some(schema) => concat_batches(&schema, batches)?,
        None => RecordBatch::new_empty(Arc::new(Schema::new(fields.clone()))),
    };
    if batch.num_rows() == 0 {
        return Ok(arrow::array::new_null_array(returns.data_type(), 1));
    }
    let columns = batch.columns().iter().zip(fields);
    let columns: Vec<ArrayRef> =
        columns.map(|(column, field)| cast(column, field.data_type())).collect::<std::result::Result<_, _>>()?;
    let rows = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths([rows.len()]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(rows), None)?))
}
