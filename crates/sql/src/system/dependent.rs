//! Queries within a query that read its rows and that the planner cannot join: each is asked once for each different
//! row. What they read is small, so that they may. It must not know SQL's text.

mod lateral;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Subquery, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::plan::Engine;

/// Whether there is such a query anywhere in `plan`.
pub(super) fn asks_per_row(plan: &LogicalPlan) -> bool {
    let mut asks = false;
    let _ = plan.apply_with_subqueries(|node| {
        asks |= node.contains_outer_reference();
        Ok(if asks { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    asks
}

/// `plan` with functions in the place of the queries that read its rows.
pub(super) fn evaluated(plan: LogicalPlan, engine: &Arc<Engine>) -> Result<LogicalPlan> {
    plan.transform_up(|node| {
        let node = lateral::evaluated(node, engine)?;
        let names = NamePreserver::new(&node.data);
        let input = match node.data.inputs()[..] {
            [input] => Some(input.clone()),
            _ => None,
        };
        let expressions = node.data.map_expressions(|expr| {
            let name = names.save(&expr);
            let asked = expr.transform_up(|expr| match &input {
                Some(input) if engine.joins(&expr, input) => Ok(Transformed::no(expr)),
                _ => question(expr, engine),
            })?;
            Ok(asked.update_data(|expr| name.restore(expr)))
        })?;
        Ok(Transformed { transformed: node.transformed | expressions.transformed, ..expressions })
    })
    .data()
}

fn question(expr: Expr, engine: &Arc<Engine>) -> Result<Transformed<Expr>> {
    let (query, wants, operand) = match &expr {
        Expr::ScalarSubquery(query) => (query, Wants::Value, None),
        Expr::Exists(Exists { subquery, negated }) => (subquery, Wants::Any { negated: *negated }, None),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            (subquery, Wants::Member { negated: *negated }, Some(expr.as_ref().clone()))
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let columns = outer_columns(&query.subquery);
    if columns.is_empty() {
        return Ok(Transformed::no(expr));
    }
    let returns = match wants {
        Wants::Value => Arc::new(first_field(&query.subquery)?.with_nullable(true)),
        _ => Arc::new(Field::new("found", DataType::Boolean, true)),
    };
    let mut args: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
    args.extend(operand);
    Ok(Transformed::yes(ask(query.subquery.as_ref().clone(), columns, wants, returns, engine).call(args)))
}

fn first_field(plan: &LogicalPlan) -> Result<Field> {
    match plan.schema().fields().first() {
        Some(field) => Ok(field.as_ref().clone()),
        None => internal_err!("a query that stands for a value has a column"),
    }
}

/// The function that asks `plan` for each row.
fn ask(plan: LogicalPlan, columns: Vec<Column>, wants: Wants, returns: FieldRef, engine: &Arc<Engine>) -> ScalarUDF {
    let signature = Signature::variadic_any(Volatility::Stable);
    ScalarUDF::from(Asked { plan, columns, wants, returns, engine: Arc::clone(engine), signature })
}

/// The columns around it that a query reads, in the queries within it too.
fn outer_columns(plan: &LogicalPlan) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut own: Vec<Column> = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        own.extend(node.schema().columns());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr
                    && !columns.contains(column)
                {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // What a query within refers to may be this query's own.
    let of_query = plan.all_out_ref_exprs();
    let direct = |column: &Column| {
        of_query.iter().any(|expr| matches!(expr, Expr::OuterReferenceColumn(_, known) if known == column))
    };
    columns.retain(|column| direct(column) || !own.contains(column));
    columns
}

/// Whether `plan` reads nothing, so that no row around it makes a difference.
fn reads_nothing(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => !empty.produce_one_row,
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::SubqueryAlias(_) => plan.inputs().into_iter().all(reads_nothing),
        _ => false,
    }
}

/// `plan` with values in the place of the columns around it.
fn with_values(plan: LogicalPlan, values: &HashMap<Column, ScalarValue>) -> Result<LogicalPlan> {
    let known = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if values.contains_key(column));
    let inner = |mut query: Subquery| {
        query.outer_ref_columns.retain(|expr| !known(expr));
        query
    };
    plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Subquery(query) => {
                let query = inner(query);
                // With nothing left to refer to it is a query like any other.
                if query.outer_ref_columns.is_empty() {
                    Arc::unwrap_or_clone(query.subquery)
                } else {
                    LogicalPlan::Subquery(query)
                }
            }
            other => other,
        };
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_up(|expr| {
                Ok(match expr {
                    Expr::OuterReferenceColumn(_, ref column) => match values.get(column) {
                        Some(value) => Transformed::yes(lit(value.clone())),
                        None => Transformed::no(expr),
                    },
                    Expr::ScalarSubquery(query) => Transformed::yes(Expr::ScalarSubquery(inner(query))),
                    Expr::Exists(exists) => {
                        Transformed::yes(Expr::Exists(Exists { subquery: inner(exists.subquery), ..exists }))
                    }
                    Expr::InSubquery(member) => {
                        Transformed::yes(Expr::InSubquery(InSubquery { subquery: inner(member.subquery), ..member }))
                    }
                    other => Transformed::no(other),
                })
            })?;
            Ok(replaced.update_data(|expr| name.restore(expr)))
        })
    })
    .data()?
    .recompute_schema()
}

/// What is wanted of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wants {
    /// Its one value.
    Value,
    /// Whether it has rows.
    Any { negated: bool },
    /// Whether the last argument is among its values.
    Member { negated: bool },
    /// All its rows, as a list of structs.
    Rows,
}

#[derive(Debug)]
struct Asked {
    plan: LogicalPlan,
    columns: Vec<Column>,
    wants: Wants,
    returns: FieldRef,
    engine: Arc<Engine>,
    signature: Signature,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan && self.wants == other.wants && self.columns == other.columns
    }
}

impl Eq for Asked {}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plan.hash(state);
        self.wants.hash(state);
    }
}

impl ScalarUDFImpl for Asked {
    fn name(&self) -> &str {
        "subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        // Asked once, the answer is that to all.
        let (asked_rows, nothing) = if reads_nothing(&self.plan) { (rows.min(1), true) } else { (rows, false) };
        let asked = (0..asked_rows)
            .map(|row| arrays.iter().map(|array| ScalarValue::try_from_array(array, row)).collect())
            .collect::<Result<Vec<Vec<ScalarValue>>>>()?;
        // The planner runs this on a thread that must not wait for what it would itself have to do.
        let answers = std::thread::scope(|scope| scope.spawn(|| self.answers(&asked)).join());
        let answers = answers.unwrap_or_else(|_| internal_err!("a query within a query failed"))?;
        if nothing && rows > 0 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?));
        }
        Ok(ColumnarValue::Array(answers))
    }
}

impl Asked {
    fn answers(&self, asked: &[Vec<ScalarValue>]) -> Result<ArrayRef> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut known: HashMap<&[ScalarValue], ArrayRef> = HashMap::new();
        let mut answers = Vec::with_capacity(asked.len());
        for row in asked {
            if let Some(answer) = known.get(row.as_slice()) {
                answers.push(Arc::clone(answer));
                continue;
            }
            let values = self.columns.iter().cloned().zip(row.iter().cloned()).collect();
            let plan = with_values(self.plan.clone(), &values)?;
            let batches = runtime.block_on(self.engine.rows(plan))?;
            let answer = self.answer(row.get(self.columns.len()), &batches)?;
            known.insert(row, Arc::clone(&answer));
            answers.push(answer);
        }
        if answers.is_empty() {
            return Ok(new_null_array(self.returns.data_type(), 0));
        }
        Ok(concat(&answers.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?)
    }

    /// One value: what the query's rows say.
    fn answer(&self, operand: Option<&ScalarValue>, batches: &[RecordBatch]) -> Result<ArrayRef> {
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let truth = |truth: Option<bool>| ScalarValue::Boolean(truth).to_array();
        match self.wants {
            Wants::Any { negated } => truth(Some((count > 0) != negated)),
            Wants::Member { negated } => truth(member(operand, batches)?.map(|found| found != negated)),
            Wants::Rows => lateral::list(&self.returns, batches),
            Wants::Value if count > 1 => Err(DataFusionError::Execution(
                "more than one row returned by a subquery used as an expression".to_owned(),
            )),
            Wants::Value => {
                let of = self.returns.data_type();
                match batches.iter().find(|batch| batch.num_rows() > 0) {
                    Some(batch) => Ok(arrow::compute::cast(&batch.column(0).slice(0, 1), of)?),
                    None => Ok(new_null_array(of, 1)),
                }
            }
        }
    }
}

/// True when found; unknown when not found but there is a null among the values, or the operand is one.
fn member(operand: Option<&ScalarValue>, batches: &[RecordBatch]) -> Result<Option<bool>> {
    let Some(operand) = operand else { return Ok(None) };
    let mut unknown = false;
    for batch in batches {
        let values = batch.column(0);
        for row in 0..values.len() {
            let value = ScalarValue::try_from_array(values, row)?;
            unknown |= value.is_null() || operand.is_null();
            if !value.is_null() && value.cast_to(&operand.data_type()).is_ok_and(|value| value == *operand) {
                return Ok(Some(true));
            }
        }
    }
    Ok((!unknown).then_some(false))
}
