//! Window functions with OVER, and temporal filters over `now()`. It must not know how they are computed.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr as Logical, Filter, Operator, Window};
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::{conjunction, split_conjunction};
use datafusion::physical_planner::create_window_expr;
use thalweg_plan::{DetectCall, Expr, Now, Operation, OverCall, Properties};

use super::calc::{as_column, shifted};
use super::{Lowerer, Rel, expr, schema_of, unsupported};
use crate::functions::{is_anomaly, parted};
use crate::window_table::position;

impl Lowerer<'_> {
    pub(crate) fn over(&mut self, window: &Window) -> Result<Rel> {
        let rel = self.lower(&window.input)?;
        let rel = self.settle(rel)?;
        let schema = window.input.schema();
        let mut frames = window.window_expr.iter().map(frame);
        let first = frames.next().ok_or_else(|| unsupported("a window without functions"))??;
        for other in frames {
            let other = other?;
            if other.params.partition_by != first.params.partition_by || other.params.order_by != first.params.order_by
            {
                return Err(unsupported("window functions of different PARTITION BY or ORDER BY in one step"));
            }
        }
        let width = schema.fields().len();
        if let Some(time) = self.in_order_of_time(&rel, window, first)? {
            return self.detect(rel, window, first, time);
        }
        let (rel, partition) = self.with_columns(rel, &first.params.partition_by, schema)?;
        let (rel, order) = self.with_sort_columns(rel, &first.params.order_by, schema)?;
        let calls = window
            .window_expr
            .iter()
            .map(|e| {
                let function =
                    create_window_expr(e, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
                Ok(OverCall { function })
            })
            .collect::<Result<Vec<_>>>()?;
        let calls_made = calls.len();
        let node = self.exchange(rel.node, partition.clone());
        let input = self.properties(node);
        let results = &window.schema.fields()[width..];
        let fields: Vec<_> = input.schema.fields().iter().chain(results).cloned().collect();
        let mut bounds = vec![None; fields.len()];
        for column in &partition {
            bounds[*column] = input.bounds[*column].clone();
        }
        let properties = Properties {
            schema: schema_of(&fields),
            append_only: false,
            key: input.key.clone(),
            distribution: input.distribution.clone(),
            bounds,
        };
        self.notices.push("OVER keeps every row of its input for as long as its partition may change".to_owned());
        let node = self.builder.add(Operation::Over { partition, order, calls }, vec![node], properties);
        let mut out = self.fresh(node);
        out.lineage[..rel.lineage.len()].clone_from_slice(&rel.lineage);
        self.without_computed(out, width, calls_made)
    }

    /// The column of time by which anomaly functions can look at each row once: the rows are never taken back, and a
    /// watermark tells when all of a time are there.
    fn in_order_of_time(&self, rel: &Rel, window: &Window, first: &WindowFunction) -> Result<Option<usize>> {
        let named = window.window_expr.iter().map(|e| frame(e).map(|f| f.fun.name().to_owned()));
        let named = named.collect::<Result<Vec<_>>>()?;
        let input = self.properties(rel.node);
        let [order] = &first.params.order_by[..] else { return Ok(None) };
        if !input.append_only || !order.asc || !named.iter().all(|name| is_anomaly(name)) {
            return Ok(None);
        }
        let time = position(window.input.schema(), &order.expr).ok();
        Ok(time.filter(|time| input.bounds[*time].is_some()))
    }

    /// Anomaly functions over rows that come in the order of their times.
    fn detect(&mut self, rel: Rel, window: &Window, first: &WindowFunction, time: usize) -> Result<Rel> {
        let schema = window.input.schema();
        let width = schema.fields().len();
        let (mut rel, partition) = self.with_columns(rel, &first.params.partition_by, schema)?;
        let mut calls = Vec::new();
        for call in &window.window_expr {
            let call = frame(call)?;
            let (columns, parameters) = parted(call.fun.name(), &call.params.args)?;
            let (with, inputs) = self.with_columns(rel, &columns, schema)?;
            rel = with;
            calls.push(DetectCall { name: call.fun.name().to_owned(), inputs, parameters });
        }
        let node = self.exchange(rel.node, partition.clone());
        let input = self.properties(node).clone();
        let Some(bound) = input.bounds[time].clone() else { return Err(unsupported("rows without a watermark")) };
        // A row is scored when no earlier one can come.
        let node = self.builder.add(Operation::Gate { column: time, bound }, vec![node], input.clone());
        let results = &window.schema.fields()[width..];
        let fields: Vec<_> = input.schema.fields().iter().chain(results).cloned().collect();
        let mut bounds = input.bounds.clone();
        bounds.resize(fields.len(), None);
        let properties = Properties { schema: schema_of(&fields), bounds, ..input };
        let made = calls.len();
        let node = self.builder.add(Operation::Detect { partition, time, calls }, vec![node], properties);
        let mut out = self.fresh(node);
        out.lineage[..rel.lineage.len()].clone_from_slice(&rel.lineage);
        self.without_computed(out, width, made)
    }

    /// `WHERE ts > now() - INTERVAL …`: rows leave as time passes.
    pub(crate) fn temporal_filter(&mut self, filter: &Filter) -> Result<Option<Rel>> {
        let schema = filter.input.schema();
        if !mentions_now(&filter.predicate) {
            return Ok(None);
        }
        let predicate = expr::compile(&filter.predicate, schema)?;
        let (mut temporal, mut rest): (Vec<(usize, i64)>, Vec<Expr>) = (Vec::new(), Vec::new());
        for condition in split_conjunction(&predicate) {
            match age_limit(condition) {
                Some(limit) => temporal.push(limit),
                None if expr::reads_now(condition) => {
                    return Err(unsupported("now() in WHERE other than column > now() - INTERVAL '…'"));
                }
                None => rest.push(Arc::clone(condition)),
            }
        }
        let rel = self.lower(&filter.input)?;
        let mut rel = self.settle(rel)?;
        if !rest.is_empty() {
            rel = self.calc(rel, Some(conjunction(rest)), None)?;
        }
        for (column, age) in temporal {
            let mut properties = self.properties(rel.node).clone();
            properties.append_only = false;
            // A row leaves by the wall clock, long after the watermark has passed it: nothing above may forget its group before.
            properties.bounds = vec![None; properties.bounds.len()];
            let node = self.builder.add(Operation::Expire { column, age }, vec![rel.node], properties);
            rel = Rel { node, ..rel };
        }
        Ok(Some(rel))
    }
}

fn frame(e: &Logical) -> Result<&WindowFunction> {
    match e {
        Logical::Alias(alias) => frame(&alias.expr),
        Logical::WindowFunction(call) => Ok(call),
        other => Err(unsupported(format!("{other} as a window function"))),
    }
}

fn mentions_now(e: &Logical) -> bool {
    use datafusion::common::tree_node::TreeNode;
    e.exists(|e| Ok(matches!(e, Logical::ScalarFunction(f) if f.func.name() == crate::functions::NOW))).unwrap_or(false)
}

/// `(column, age)` of `column + a > now() + b`: the row leaves when `column + age <= now()`.
fn age_limit(condition: &Expr) -> Option<(usize, i64)> {
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    let (row, clock) = match binary.op() {
        Operator::Gt | Operator::GtEq => (binary.left(), binary.right()),
        Operator::Lt | Operator::LtEq => (binary.right(), binary.left()),
        _ => return None,
    };
    let (row, row_shift) = strip(row);
    let (clock, clock_shift) = strip(clock);
    clock.downcast_ref::<Now>()?;
    Some((as_column(row)?, row_shift - clock_shift))
}

fn strip(e: &Expr) -> (&Expr, i64) {
    match shifted(e) {
        None => (e, 0),
        Some((inner, shift)) => {
            let (inner, more) = strip(inner);
            (inner, shift + more)
        }
    }
}
