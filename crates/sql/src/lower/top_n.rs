//! Top-N: `ROW_NUMBER() … <= n`, ORDER BY with LIMIT, LIMIT alone. It must not know how rows are ranked.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr as Logical, FetchType, Filter, Limit, LogicalPlan, Operator, SkipType, Sort, Window,
    WindowFunctionDefinition,
};
use thalweg_plan::{Expr, Operation, OrderKey, Properties, WindowClose};

use super::calc::columns_read;
use super::{Lowerer, Rel, schema_of, unsupported};
use crate::window_table::position;

impl Lowerer<'_> {
    /// `WHERE rn <= n` right above a window that is one `ROW_NUMBER()`.
    pub(crate) fn top_n_filter(&mut self, filter: &Filter) -> Result<Option<Rel>> {
        let mut below = filter.input.as_ref();
        while let LogicalPlan::SubqueryAlias(alias) = below {
            below = &alias.input;
        }
        let LogicalPlan::Window(window) = below else { return Ok(None) };
        let Some(call) = row_number(window) else { return Ok(None) };
        let rank_column = window.schema.fields().len() - 1;
        let schema = filter.input.schema();
        let mut limit: Option<usize> = None;
        let mut rest = Vec::new();
        for condition in split_conjunction(&filter.predicate) {
            match rank_limit(condition, |e| position(schema, e).ok() == Some(rank_column)) {
                Some((n, exact)) => {
                    limit = Some(limit.map_or(n, |l| l.min(n)));
                    if exact {
                        rest.push(condition.clone());
                    }
                }
                None => rest.push(condition.clone()),
            }
        }
        let Some(limit) = limit else { return Ok(None) };
        let input = self.lower(&window.input)?;
        let input = self.settle(input)?;
        let input_schema = window.input.schema();
        let (input, partition) = self.with_columns(input, call.partition_by, input_schema)?;
        let (input, order) = self.with_sort_columns(input, call.order_by, input_schema)?;
        let rank = Arc::clone(&window.schema.fields()[rank_column]);
        let rel = self.top_n(input, partition, order, 0, limit, Some(rank));
        let rel = self.without_computed(rel, rank_column, 1)?;
        match conjunction(rest) {
            None => Ok(Some(rel)),
            Some(rest) => self.filter_rel(rel, &rest, &filter.input).map(Some),
        }
    }

    fn top_n(
        &mut self,
        rel: Rel,
        partition: Vec<usize>,
        order: Vec<OrderKey>,
        offset: usize,
        limit: usize,
        rank: Option<FieldRef>,
    ) -> Rel {
        let node = if partition.is_empty() && rank.is_none() && offset == 0 {
            // Each worker's own first rows are enough to find the first of all.
            let local = self.add_top_n(rel.node, &partition, &order, 0, limit, None);
            self.exchange(local, Vec::new())
        } else {
            self.exchange(rel.node, partition.clone())
        };
        let ranked = rank.is_some();
        let node = self.add_top_n(node, &partition, &order, offset, limit, rank);
        let mut lineage = rel.lineage;
        if ranked {
            lineage.push((format!("rank {node}"), 0));
        }
        Rel { node, lineage, pending: None }
    }

    fn add_top_n(
        &mut self,
        node: thalweg_plan::NodeId,
        partition: &[usize],
        order: &[OrderKey],
        offset: usize,
        limit: usize,
        rank: Option<FieldRef>,
    ) -> thalweg_plan::NodeId {
        let input = self.properties(node);
        let close = partition
            .iter()
            .enumerate()
            .find_map(|(key, c)| Some(WindowClose { key, delay: 1, bound: input.bounds[*c].clone()? }));
        let mut fields: Vec<FieldRef> = input.schema.fields().iter().cloned().collect();
        let mut bounds = input.bounds.clone();
        // A row may be shown long after it came, when those before it have gone; not so within its own window.
        for (column, bound) in bounds.iter_mut().enumerate() {
            if !partition.contains(&column) {
                *bound = None;
            }
        }
        if let Some(rank) = &rank {
            fields.push(Arc::clone(rank));
            bounds.push(None);
        }
        let key = match (&input.key, limit) {
            (_, 1) if !partition.is_empty() => Some(partition.to_vec()),
            (key, _) => key.clone(),
        };
        let properties = Properties {
            schema: schema_of(&fields),
            append_only: false,
            key,
            distribution: input.distribution.clone(),
            bounds,
        };
        let operation =
            Operation::TopN { partition: partition.to_vec(), order: order.to_vec(), offset, limit, rank, close };
        self.builder.add(operation, vec![node], properties)
    }

    /// A rank that nothing above reads need not be kept up to date.
    pub(crate) fn without_unused_rank(
        &mut self,
        rel: Rel,
        predicate: Option<&Expr>,
        project: Option<&[(Expr, FieldRef)]>,
    ) -> Result<Rel> {
        let node = self.builder.plan().node(rel.node);
        let (Operation::TopN { partition, order, offset, limit, rank: Some(_), .. }, Some(items)) =
            (&node.operation, project)
        else {
            return Ok(rel);
        };
        let rank = rel.lineage.len() - 1;
        if columns_read(predicate.into_iter().chain(items.iter().map(|(e, _)| e))).contains(&rank) {
            return Ok(rel);
        }
        let (partition, order, offset, limit, input) =
            (partition.clone(), order.clone(), *offset, *limit, node.inputs[0]);
        let node = self.add_top_n(input, &partition, &order, offset, limit, None);
        let mut lineage = rel.lineage;
        lineage.pop();
        Ok(Rel { node, lineage, pending: None })
    }

    pub(crate) fn sort(&mut self, sort: &Sort) -> Result<Rel> {
        match sort.fetch {
            None => self.lower(&sort.input),
            Some(fetch) => self.sorted_rows(sort, 0, fetch),
        }
    }

    pub(crate) fn limit(&mut self, limit: &Limit) -> Result<Rel> {
        let (skip, fetch) = skip_and_fetch(limit)?;
        match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => self.sorted_rows(sort, skip, fetch),
            other => {
                let rel = self.lower(other)?;
                let rel = self.settle(rel)?;
                self.first_rows(rel, skip, fetch)
            }
        }
    }

    fn sorted_rows(&mut self, sort: &Sort, skip: usize, fetch: usize) -> Result<Rel> {
        let (rel, _) = self.first_sorted(sort, skip, fetch)?;
        self.without_computed(rel, sort.input.schema().fields().len(), 0)
    }

    /// The first rows with the columns that they are sorted by, also those that the query does not have.
    pub(super) fn first_sorted(&mut self, sort: &Sort, skip: usize, fetch: usize) -> Result<(Rel, Vec<OrderKey>)> {
        let rel = self.lower(&sort.input)?;
        let rel = self.settle(rel)?;
        let (rel, order) = self.with_sort_columns(rel, &sort.expr, sort.input.schema())?;
        Ok((self.top_n(rel, Vec::new(), order.clone(), skip, fetch, None), order))
    }

    /// LIMIT without an order: any rows will do.
    pub(crate) fn first_rows(&mut self, rel: Rel, skip: usize, fetch: usize) -> Result<Rel> {
        let width = rel.lineage.len();
        let rel = self.with_some_column(rel)?;
        let rel = self.top_n(rel, Vec::new(), Vec::new(), skip, fetch, None);
        self.without_computed(rel, width, 0)
    }
}

/// OFFSET and LIMIT.
pub(super) fn skip_and_fetch(limit: &Limit) -> Result<(usize, usize)> {
    match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => Ok((skip, fetch.unwrap_or(usize::MAX - skip))),
        _ => Err(unsupported("LIMIT and OFFSET that are not constants")),
    }
}

struct RowNumber<'a> {
    partition_by: &'a [Logical],
    order_by: &'a [datafusion::logical_expr::SortExpr],
}

fn row_number(window: &Window) -> Option<RowNumber<'_>> {
    let [one] = window.window_expr.as_slice() else { return None };
    let mut one = one;
    while let Logical::Alias(alias) = one {
        one = &alias.expr;
    }
    let Logical::WindowFunction(call) = one else { return None };
    match &call.fun {
        WindowFunctionDefinition::WindowUDF(udf) if udf.name() == "row_number" => {
            Some(RowNumber { partition_by: &call.params.partition_by, order_by: &call.params.order_by })
        }
        _ => None,
    }
}

/// `(n, exact)`: the condition holds only for ranks up to `n`; `exact` when it holds for fewer.
fn rank_limit(condition: &Logical, is_rank: impl Fn(&Logical) -> bool) -> Option<(usize, bool)> {
    let Logical::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (op, literal) = match (is_rank(uncast(left)), is_rank(uncast(right))) {
        (true, false) => (*op, right),
        (false, true) => (op.swap()?, left),
        _ => return None,
    };
    let n = match uncast(literal) {
        Logical::Literal(ScalarValue::UInt64(Some(n)), _) => usize::try_from(*n).ok()?,
        Logical::Literal(ScalarValue::Int64(Some(n)), _) => usize::try_from(*n).ok()?,
        Logical::Literal(ScalarValue::Int32(Some(n)), _) => usize::try_from(*n).ok()?,
        Logical::Literal(ScalarValue::Decimal128(Some(n), _, 0), _) => usize::try_from(*n).ok()?,
        _ => return None,
    };
    match op {
        Operator::LtEq => Some((n, false)),
        Operator::Lt => Some((n.checked_sub(1)?, false)),
        Operator::Eq => Some((n, n != 1)),
        _ => None,
    }
}

fn uncast(e: &Logical) -> &Logical {
    match e {
        Logical::Cast(cast) => uncast(&cast.expr),
        other => other,
    }
}
