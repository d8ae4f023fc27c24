//! Filters and projections, and what they keep of their input's properties. It must not know joins or aggregates.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Logical, Filter, LogicalPlan, Operator, Projection};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::scalar::ScalarValue;
use thalweg_plan::{Bound, Distribution, Expr, NodeId, Operation, Properties};

use super::{Lowerer, Rel, expr, schema_of};
use crate::bin::Bin;

impl Lowerer<'_> {
    pub(crate) fn projection(&mut self, projection: &Projection) -> Result<Rel> {
        let input = self.lower(&projection.input)?;
        let project = self.items(projection)?;
        self.calc(input, None, Some(project))
    }

    /// The compiled columns of a projection.
    pub(crate) fn items(&self, projection: &Projection) -> Result<Vec<Item>> {
        let schema = projection.input.schema();
        let items = projection.expr.iter().zip(projection.schema.fields());
        items.map(|(e, f)| Ok((expr::compile(e, schema)?, Arc::clone(f)))).collect()
    }

    pub(crate) fn filter(&mut self, filter: &Filter) -> Result<Rel> {
        if let Some(rel) = self.top_n_filter(filter)? {
            return Ok(rel);
        }
        if let Some(rel) = self.temporal_filter(filter)? {
            return Ok(rel);
        }
        let input = self.lower(&filter.input)?;
        self.filter_rel(input, &filter.predicate, &filter.input)
    }

    pub(crate) fn filter_rel(&mut self, input: Rel, predicate: &Logical, plan: &LogicalPlan) -> Result<Rel> {
        let predicate = expr::compile(predicate, plan.schema())?;
        self.calc(input, Some(predicate), None)
    }

    /// Adds a filter and projection over `input`; joins it with a filter below that nothing else uses.
    pub(crate) fn calc(
        &mut self,
        input: Rel,
        predicate: Option<Expr>,
        project: Option<Vec<(Expr, FieldRef)>>,
    ) -> Result<Rel> {
        let input = self.settle_for(input, predicate.as_ref(), project.as_deref())?;
        let input = self.without_unused_rank(input, predicate.as_ref(), project.as_deref())?;
        let properties = self.calc_properties(&input, project.as_deref());
        let lineage = match &project {
            None => input.lineage.clone(),
            Some(items) => {
                let fresh = format!("{}:", self.builder.plan().nodes.len());
                let of = |(i, (e, _)): (usize, &(Expr, FieldRef))| {
                    lineage(e, &input.lineage).unwrap_or_else(|| (format!("{fresh}{i}"), 0))
                };
                items.iter().enumerate().map(of).collect()
            }
        };
        let pending = match (&input.pending, &project) {
            (Some(pending), Some(items)) => Some(pending.projected(items)),
            (pending, _) => pending.clone(),
        };
        let (predicate, project, inputs) = self.fused(input.node, predicate, project)?;
        let node = self.builder.add(Operation::Calc { predicate, project }, inputs, properties);
        Ok(Rel { node, lineage, pending })
    }

    /// Joins a filter and projection with the one right below where that saves a step and repeats no work.
    fn fused(&self, input: NodeId, predicate: Option<Expr>, project: Option<Vec<Item>>) -> Result<Fused> {
        let below = self.builder.plan().node(input);
        // What a materialized view computes is computed once.
        let materialized = self.views.values().any(|view| view.node == input);
        let Operation::Calc { predicate: below_predicate, project: below_project } = &below.operation else {
            return Ok((predicate, project, vec![input]));
        };
        let inputs = below.inputs.clone();
        match (below_predicate, below_project, predicate, project) {
            // A projection right above a filter does both in one go.
            (Some(below), None, None, project @ Some(_)) => Ok((Some(Arc::clone(below)), project, inputs)),
            // Picking columns of what is computed below: compute only those.
            (below, Some(computed), None, Some(items))
                if !materialized && items.iter().all(|(e, _)| as_column(e).is_some()) =>
            {
                let pick = |(e, f): Item| {
                    let column = as_column(&e).expect("checked above");
                    (Arc::clone(&computed[column].0), f)
                };
                Ok((below.clone(), Some(items.into_iter().map(pick).collect()), inputs))
            }
            // Above picked columns: read the columns themselves.
            (None, Some(picked), predicate, Some(items)) if picked.iter().all(|(e, _)| as_column(e).is_some()) => {
                let predicate = predicate.map(|p| through(p, picked)).transpose()?;
                let items = items.into_iter().map(|(e, f)| Ok((through(e, picked)?, f))).collect::<Result<_>>()?;
                Ok((predicate, Some(items), inputs))
            }
            (_, _, predicate, project) => Ok((predicate, project, vec![input])),
        }
    }

    fn calc_properties(&self, input: &Rel, project: Option<&[(Expr, FieldRef)]>) -> Properties {
        let below = self.properties(input.node);
        let Some(items) = project else { return below.clone() };
        let place = |column: usize| items.iter().position(|(e, _)| as_column(e) == Some(column));
        let places = |columns: &[usize]| columns.iter().map(|c| place(*c)).collect::<Option<Vec<_>>>();
        let fields: Vec<FieldRef> = items.iter().map(|(_, f)| Arc::clone(f)).collect();
        Properties {
            schema: schema_of(&fields),
            append_only: below.append_only,
            key: below.key.as_deref().and_then(places),
            distribution: match &below.distribution {
                Distribution::Hash(columns) => places(columns).map_or(Distribution::Any, Distribution::Hash),
                other => other.clone(),
            },
            bounds: items.iter().map(|(e, _)| bound(e, &below.bounds)).collect(),
        }
    }
}

pub(crate) type Item = (Expr, FieldRef);
type Fused = (Option<Expr>, Option<Vec<Item>>, Vec<NodeId>);

/// `expr` over what `picked` reads instead of over `picked`.
fn through(expr: Expr, picked: &[Item]) -> Result<Expr> {
    expr.transform_up(|e| {
        Ok(match as_column(&e) {
            Some(column) => Transformed::yes(Arc::clone(&picked[column].0)),
            None => Transformed::no(e),
        })
    })
    .data()
}

pub(crate) fn as_column(expr: &Expr) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// The columns that `exprs` read.
pub(crate) fn columns_read<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Vec<usize> {
    let mut columns: Vec<usize> = exprs.flat_map(|e| collect_columns(e).into_iter().map(|c| c.index())).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// How the watermark bounds an expression over bounded columns.
pub(crate) fn bound(expr: &Expr, columns: &[Option<Bound>]) -> Option<Bound> {
    if let Some(column) = as_column(expr) {
        return columns.get(column)?.clone();
    }
    if let Some(bin) = expr.downcast_ref::<Bin>() {
        let of = bound(&bin.arg, columns)?;
        let binned =
            if bin.width == 1 { of } else { Bound::Bin { of: Box::new(of), width: bin.width, origin: bin.origin } };
        return Some(binned.shift(bin.offset));
    }
    let (inner, shift) = shifted(expr)?;
    Some(bound(inner, columns)?.shift(shift))
}

/// What an expression is a shifted copy of.
fn lineage(expr: &Expr, columns: &[(String, i64)]) -> Option<(String, i64)> {
    if let Some(column) = as_column(expr) {
        return columns.get(column).cloned();
    }
    if let Some(bin) = expr.downcast_ref::<Bin>() {
        let (of, offset) = lineage(&bin.arg, columns)?;
        if bin.width == 1 {
            return Some((of, offset + bin.offset));
        }
        return Some((format!("bin({of}+{offset},{},{})", bin.width, bin.origin), bin.offset));
    }
    let (inner, shift) = shifted(expr)?;
    let (of, offset) = lineage(inner, columns)?;
    Some((of, offset + shift))
}

/// `(x, shift)` when an expression is `x ± INTERVAL` without months, or a cast between timestamps in microseconds.
pub(crate) fn shifted(expr: &Expr) -> Option<(&Expr, i64)> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        let micros = matches!(cast.cast_type(), DataType::Timestamp(TimeUnit::Microsecond, _));
        return micros.then(|| (cast.expr(), 0));
    }
    let binary = expr.downcast_ref::<BinaryExpr>()?;
    let micros = interval(binary.right());
    match binary.op() {
        Operator::Plus => Some((binary.left(), micros?)),
        Operator::Minus => Some((binary.left(), -micros?)),
        _ => None,
    }
}

fn interval(expr: &Expr) -> Option<i64> {
    match expr.downcast_ref::<Literal>()?.value() {
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => {
            Some(i64::from(i.days) * 86_400_000_000 + i.nanoseconds / 1000)
        }
        _ => None,
    }
}
