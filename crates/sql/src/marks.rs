//! `x IN (SELECT …)` wherever a value may stand: in a SELECT list, under CASE, OR or NOT. The planner joins only what is a
//! condition of its own in WHERE; here the rest becomes a join that marks the rows that found their `x`, and a CASE that
//! knows PostgreSQL's third answer. It must not know our plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, lit, when};
use datafusion::scalar::ScalarValue;

/// Names what is joined; one for all the queries of a script, for views stand in other views.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    next: AtomicUsize,
}

impl Marks {
    /// `plan` without IN over queries where they are no conditions of their own.
    pub fn put_in(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Projection(projection) if projection.expr.iter().any(asks_a_query) => {
                self.projection(projection).map(Transformed::yes)
            }
            LogicalPlan::Filter(filter) => self.filter(filter),
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    fn projection(&self, projection: Projection) -> Result<LogicalPlan> {
        let mut input = Arc::unwrap_or_clone(projection.input);
        let mut items = Vec::new();
        for item in projection.expr {
            let name = item.name_for_alias()?;
            items.push(self.answered(item, &mut input)?.alias_if_changed(name)?);
        }
        Projection::try_new(items, Arc::new(input)).map(LogicalPlan::Projection)
    }

    fn filter(&self, filter: Filter) -> Result<Transformed<LogicalPlan>> {
        let (own, inside): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter.predicate.clone())
            .into_iter()
            .partition(|c| is_condition(c) || !asks_a_query(c));
        if inside.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let mut input = Arc::unwrap_or_clone(filter.input);
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let mut conditions = own;
        for condition in inside {
            conditions.push(self.answered(condition, &mut input)?);
        }
        let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
        LogicalPlanBuilder::from(input).filter(predicate)?.project(columns)?.build().map(Transformed::yes)
    }

    /// `expr` with each IN in it answered by columns that `input` is joined with.
    fn answered(&self, expr: Expr, input: &mut LogicalPlan) -> Result<Expr> {
        expr.transform_up(|e| match e {
            Expr::InSubquery(question) => self.answer(question, input).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    /// True when found; unknown when not found but the query has a null, or `x` is one and the query has rows.
    fn answer(&self, question: InSubquery, input: &mut LogicalPlan) -> Result<Expr> {
        if !question.subquery.outer_ref_columns.is_empty() {
            return Err(DataFusionError::NotImplemented(
                "IN (SELECT …) that reads the outer query, inside OR, CASE or a SELECT list; use EXISTS".to_owned(),
            ));
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (list, facts) = (format!("in_{n}"), format!("in_{n}_facts"));
        let column = |of: &str, name: &str| Expr::Column(Column::new(Some(of.to_owned()), name));
        let query = Arc::unwrap_or_clone(question.subquery.subquery);
        let [only] = query
            .schema()
            .columns()
            .try_into()
            .map_err(|_| DataFusionError::Plan("the query of IN (SELECT …) must have one column".to_owned()))?;
        let values =
            LogicalPlanBuilder::from(query).project([Expr::Column(only).alias("value")])?.alias(list.as_str())?;
        let known = column(&list, "value");
        let counts = values
            .clone()
            .aggregate(Vec::<Expr>::new(), [count(lit(1_i64)).alias("rows"), count(known.clone()).alias("known")])?
            .alias(facts.as_str())?
            .build()?;
        let x = *question.expr;
        // Under a name of its own at once: every mark join calls its column `mark`.
        let mark = format!("{list}_mark");
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(column(&list, "mark").alias(&mark));
        *input = LogicalPlanBuilder::from(input.clone())
            .join_on(values.build()?, JoinType::LeftMark, [x.clone().eq(known)])?
            .project(columns)?
            .cross_join(counts)?
            .build()?;
        let (rows, known) = (column(&facts, "rows"), column(&facts, "known"));
        let unknown = known.lt(rows.clone()).or(x.is_null().and(rows.gt(lit(0_i64))));
        when(Expr::Column(Column::new_unqualified(mark)), lit(!question.negated))
            .when(unknown, Expr::Literal(ScalarValue::Boolean(None), None))
            .otherwise(lit(question.negated))
    }
}

fn asks_a_query(expr: &Expr) -> bool {
    let mut asks = false;
    let _ = expr.apply(|e| {
        asks |= matches!(e, Expr::InSubquery(_));
        Ok(if asks { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    asks
}

/// A condition that the planner joins by itself.
fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::InSubquery(_) => true,
        Expr::Not(inner) => is_condition(inner),
        _ => false,
    }
}
