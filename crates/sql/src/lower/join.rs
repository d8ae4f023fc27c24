//! Joins: key columns, what each side may forget, where rows must meet. It must not know how matches are found.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Logical, Join, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::{conjunction, split_conjunction};
use thalweg_plan::{Bound, Distribution, Expr, JoinExpiry, JoinKind, Operation, Properties};

use super::calc::{as_column, shifted};
use super::{Lowerer, Rel, expr, schema_of, unsupported};
use crate::bin::Bin;

impl Lowerer<'_> {
    pub(crate) fn join(&mut self, join: &Join) -> Result<Rel> {
        let kind = match join.join_type {
            JoinType::Inner => JoinKind::Inner,
            JoinType::Left => JoinKind::Left,
            JoinType::Right => JoinKind::Right,
            JoinType::Full => JoinKind::Full,
            JoinType::LeftSemi => JoinKind::LeftSemi,
            JoinType::LeftAnti => JoinKind::LeftAnti,
            JoinType::RightSemi => JoinKind::RightSemi,
            JoinType::RightAnti => JoinKind::RightAnti,
            JoinType::LeftMark => return self.mark_join(join),
            JoinType::RightMark => return Err(unsupported("EXISTS or IN (SELECT …) here; use UNION or a LEFT JOIN")),
        };
        if join.null_aware {
            return self.not_in(join);
        }
        let mut left = self.side(&join.left, join.on.iter().map(|(l, _)| l))?;
        let mut right = self.side(&join.right, join.on.iter().map(|(_, r)| r))?;
        let (left_filter, right_filter) = match kind {
            JoinKind::Inner => (self.lift_filter(&mut left)?, self.lift_filter(&mut right)?),
            _ => (None, None),
        };
        let both = join.left.schema().join(join.right.schema())?;
        let left_total = left.rel.lineage.len();
        let mut conditions = Vec::new();
        if let Some(filter) = &join.filter {
            conditions.push(widen(
                expr::compile_timeless(filter, &both, "a join condition")?,
                left.width,
                left_total - left.width,
            )?);
        }
        conditions.extend(left_filter.map(|c| Arc::new(Column::new("left filter", c)) as Expr));
        conditions.extend(right_filter.map(|c| Arc::new(Column::new("right filter", left_total + c)) as Expr));
        let residual = (!conditions.is_empty()).then(|| conjunction(conditions));
        let on = independent(&left, &right);
        let null_equal = join.null_equality == NullEquality::NullEqualsNull;
        let rel = self.add_join(&left, &right, kind, &on, residual, null_equal)?;
        self.narrow(rel, &left, &right, kind, join.schema.fields())
    }

    /// One side with its key columns computed behind its own.
    fn side<'e>(&mut self, plan: &LogicalPlan, keys: impl Iterator<Item = &'e Logical>) -> Result<Side> {
        let rel = self.lower(plan)?;
        let rel = self.settle(rel)?;
        let schema = plan.schema();
        let width = schema.fields().len();
        let mut project: Vec<(Expr, FieldRef)> = (0..width)
            .map(|i| (Arc::new(Column::new(schema.field(i).name(), i)) as Expr, Arc::clone(&schema.fields()[i])))
            .collect();
        let mut places = Vec::new();
        for key in keys {
            let compiled = expr::compile(key, schema)?;
            places.push(match as_column(&compiled) {
                Some(column) => column,
                None => {
                    let data_type = compiled.data_type(schema.as_arrow())?;
                    let field = Field::new(format!("key {}", project.len()), data_type, true);
                    project.push((compiled, Arc::new(field)));
                    project.len() - 1
                }
            });
        }
        let rel = if project.len() == width { rel } else { self.calc(rel, None, Some(project))? };
        let rel = self.with_some_column(rel)?;
        Ok(Side { rel, width, keys: places })
    }

    fn add_join(
        &mut self,
        left: &Side,
        right: &Side,
        kind: JoinKind,
        on: &[(usize, usize)],
        residual: Option<Expr>,
        null_equal: bool,
    ) -> Result<Rel> {
        let (left_node, right_node) = self.meet(left, right, on);
        let (l, r) = (self.properties(left_node).clone(), self.properties(right_node).clone());
        let expiry = Expiry::derive(&l, &r, on, residual.as_ref());
        let unique = |p: &Properties, keys: Vec<usize>| {
            p.append_only && p.key.as_ref().is_some_and(|key| key.iter().all(|c| keys.contains(c)))
        };
        let left_unique = unique(&l, on.iter().map(|o| o.0).collect());
        let right_unique = unique(&r, on.iter().map(|o| o.1).collect());
        for (side, forgets) in
            [("left", expiry.left.is_some() || right_unique), ("right", expiry.right.is_some() || left_unique)]
        {
            if !forgets {
                self.notices.push(format!(
                    "the {side} input of a {kind} join is kept for ever; bound it by joining on a window or by a \
                     BETWEEN over watermarked times"
                ));
            }
        }
        let properties = join_properties(&l, &r, kind, on, &expiry, left_unique, right_unique);
        let lineage = join_lineage(&left.rel, &right.rel, kind, on);
        let node = self.builder.add(
            Operation::Join {
                kind,
                on: on.to_vec(),
                residual,
                null_equal,
                left_expiry: expiry.left,
                right_expiry: expiry.right,
                left_unique,
                right_unique,
            },
            vec![left_node, right_node],
            properties,
        );
        Ok(Rel { node, lineage, pending: None })
    }

    /// Both sides by the same keys, moving as little as possible.
    fn meet(
        &mut self,
        left: &Side,
        right: &Side,
        on: &[(usize, usize)],
    ) -> (thalweg_plan::NodeId, thalweg_plan::NodeId) {
        let (l, r) = (left.rel.node, right.rel.node);
        if on.is_empty() {
            return (self.exchange(l, Vec::new()), self.exchange(r, Vec::new()));
        }
        let single = |p: &Properties| p.distribution == Distribution::Single;
        if single(self.properties(l)) && single(self.properties(r)) {
            return (l, r);
        }
        let subset = |p: &Properties, of: Vec<usize>| match &p.distribution {
            Distribution::Hash(columns) => columns.iter().map(|c| of.iter().position(|k| k == c)).collect(),
            _ => None,
        };
        let chosen: Vec<usize> = subset(self.properties(l), on.iter().map(|o| o.0).collect())
            .or_else(|| subset(self.properties(r), on.iter().map(|o| o.1).collect()))
            .unwrap_or_else(|| (0..on.len()).collect());
        let l = self.exchange_exactly(l, chosen.iter().map(|i| on[*i].0).collect());
        let r = self.exchange_exactly(r, chosen.iter().map(|i| on[*i].1).collect());
        (l, r)
    }

    /// The logical columns, without computed keys.
    fn narrow(
        &mut self,
        rel: Rel,
        left: &Side,
        right: &Side,
        kind: JoinKind,
        fields: &arrow::datatypes::Fields,
    ) -> Result<Rel> {
        let total_left = left.rel.lineage.len();
        let from_left = 0..left.width;
        let from_right = total_left..total_left + right.width;
        let columns: Vec<usize> = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => from_left.collect(),
            JoinKind::RightSemi | JoinKind::RightAnti => (0..right.width).collect(),
            _ => from_left.chain(from_right).collect(),
        };
        let schema = Arc::clone(&self.properties(rel.node).schema);
        if columns.len() == schema.fields().len() {
            return Ok(rel);
        }
        let project = columns
            .into_iter()
            .zip(fields)
            .map(|(c, f)| (Arc::new(Column::new(schema.field(c).name(), c)) as Expr, Arc::clone(f)))
            .collect();
        self.calc(rel, None, Some(project))
    }

    /// A filter right above a side whose key is the join key is better asked after the join: the side then knows every
    /// key, and the other side's rows that find theirs need not be kept in the hope of a match. The filter becomes a
    /// column of the side; its position.
    fn lift_filter(&mut self, side: &mut Side) -> Result<Option<usize>> {
        let node = self.builder.plan().node(side.rel.node);
        let properties = &node.properties;
        let keyed = properties.append_only
            && properties.key.as_ref().is_some_and(|key| key.iter().all(|c| side.keys.contains(c)));
        let Operation::Calc { predicate: Some(predicate), project } = &node.operation else { return Ok(None) };
        if !keyed {
            return Ok(None);
        }
        let (predicate, project, input) = (Arc::clone(predicate), project.clone(), node.inputs[0]);
        let schema = Arc::clone(&self.properties(input).schema);
        let mut items = project.unwrap_or_else(|| {
            let item = |(i, f): (usize, &FieldRef)| (Arc::new(Column::new(f.name(), i)) as Expr, Arc::clone(f));
            schema.fields().iter().enumerate().map(item).collect()
        });
        items.push((predicate, Arc::new(Field::new("filter", DataType::Boolean, true))));
        let below = self.fresh(input);
        let rel = self.calc(below, None, Some(items))?;
        let mut lineage = std::mem::take(&mut side.rel.lineage);
        lineage.extend(rel.lineage.last().cloned());
        let column = lineage.len() - 1;
        side.rel = Rel { node: rel.node, lineage, pending: None };
        Ok(Some(column))
    }

    /// EXISTS inside OR: each left row with whether it found one.
    fn mark_join(&mut self, join: &Join) -> Result<Rel> {
        let half = |join_type, found: bool| {
            let half = Join { join_type, schema: Arc::clone(join.left.schema()), ..join.clone() };
            let columns = half.schema.columns().into_iter().map(Logical::Column);
            let mark = join.schema.field(join.schema.fields().len() - 1).name();
            let items: Vec<_> = columns.chain([lit(found).alias(mark)]).collect();
            LogicalPlanBuilder::from(LogicalPlan::Join(half)).project(items)?.build().map(Arc::new)
        };
        self.union(&[half(JoinType::LeftSemi, true)?, half(JoinType::LeftAnti, false)?], &join.schema)
    }

    /// `x NOT IN (SELECT y …)`: no row when y has a null; a null x only when there is no y at all.
    fn not_in(&mut self, join: &Join) -> Result<Rel> {
        let [(x, y)] = join.on.as_slice() else {
            return Err(unsupported("NOT IN (SELECT …) over several or no columns; use NOT EXISTS"));
        };
        if join.filter.is_some() {
            return Err(unsupported("a correlated NOT IN (SELECT …); use NOT EXISTS"));
        }
        use datafusion::functions_aggregate::expr_fn::count;
        let anti = Join { null_aware: false, ..join.clone() };
        let facts = LogicalPlanBuilder::from(join.right.as_ref().clone())
            .aggregate(
                Vec::<Logical>::new(),
                vec![count(lit(1_i64)).alias("not_in_rows"), count(y.clone()).alias("not_in_known")],
            )?
            .build()?;
        let rows = || datafusion::prelude::col("not_in_rows");
        let condition =
            rows().eq(lit(0_i64)).or(rows().eq(datafusion::prelude::col("not_in_known")).and(x.clone().is_not_null()));
        let columns: Vec<Logical> = join.schema.columns().into_iter().map(Logical::Column).collect();
        let plan = LogicalPlanBuilder::from(LogicalPlan::Join(anti))
            .cross_join(facts)?
            .filter(condition)?
            .project(columns)?
            .build()?;
        self.lower(&plan)
    }
}

/// A side of a join: `width` logical columns, then computed keys.
struct Side {
    rel: Rel,
    width: usize,
    keys: Vec<usize>,
}

/// The residual was compiled over the logical columns; computed keys stand between the two sides.
fn widen(residual: Expr, left_width: usize, computed: usize) -> Result<Expr> {
    residual
        .transform_up(|e| match e.downcast_ref::<Column>() {
            Some(c) if c.index() >= left_width && computed > 0 => {
                Ok(Transformed::yes(Arc::new(Column::new(c.name(), c.index() + computed)) as Expr))
            }
            _ => Ok(Transformed::no(e)),
        })
        .data()
}

/// The key pairs without those that follow from others (`window_end` beside `window_start`).
fn independent(left: &Side, right: &Side) -> Vec<(usize, usize)> {
    let mut on: Vec<(usize, usize)> = Vec::new();
    for pair in left.keys.iter().copied().zip(right.keys.iter().copied()) {
        let follows = on.iter().any(|other| {
            let (la, lb) = (&left.rel.lineage[pair.0], &left.rel.lineage[other.0]);
            let (ra, rb) = (&right.rel.lineage[pair.1], &right.rel.lineage[other.1]);
            la.0 == lb.0 && ra.0 == rb.0 && la.1 - lb.1 == ra.1 - rb.1
        });
        if !follows {
            on.push(pair);
        }
    }
    on
}

/// What each side may forget.
#[derive(Debug, Default)]
struct Expiry {
    left: Option<JoinExpiry>,
    right: Option<JoinExpiry>,
}

impl Expiry {
    fn derive(l: &Properties, r: &Properties, on: &[(usize, usize)], residual: Option<&Expr>) -> Self {
        let mut expiry = Self::default();
        for (lc, rc) in on {
            expiry.at_least(l, r, *lc, *rc, 0);
            expiry.at_most(l, r, *lc, *rc, 0);
        }
        let width = l.schema.fields().len();
        for condition in residual.into_iter().flat_map(split_conjunction) {
            let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { continue };
            let (Some((a, shift_a)), Some((b, shift_b))) = (linear(binary.left()), linear(binary.right())) else {
                continue;
            };
            // a + shift_a OP b + shift_b, with the left side's column brought to the left.
            let (lc, rc, by, op) = match (a < width, b < width) {
                (true, false) => (a, b - width, shift_b - shift_a, *binary.op()),
                (false, true) => (b, a - width, shift_a - shift_b, binary.op().swap().unwrap_or(*binary.op())),
                _ => continue,
            };
            match op {
                Operator::GtEq | Operator::Gt => expiry.at_least(l, r, lc, rc, by),
                Operator::LtEq | Operator::Lt => expiry.at_most(l, r, lc, rc, by),
                _ => {}
            }
        }
        expiry
    }

    /// `l >= r + by`: a stored left row needs a right row at or below `l − by`.
    fn at_least(&mut self, l: &Properties, r: &Properties, lc: usize, rc: usize, by: i64) {
        if let (None, Some(bound)) = (&self.left, &r.bounds[rc])
            && is_time(l, lc)
        {
            self.left = Some(JoinExpiry { column: lc, bound: bound.clone().shift(by) });
        }
    }

    /// `l <= r + by`: a stored right row needs a left row at or below `r + by`.
    fn at_most(&mut self, l: &Properties, r: &Properties, lc: usize, rc: usize, by: i64) {
        if let (None, Some(bound)) = (&self.right, &l.bounds[lc])
            && is_time(r, rc)
        {
            self.right = Some(JoinExpiry { column: rc, bound: bound.clone().shift(-by) });
        }
    }
}

fn is_time(p: &Properties, column: usize) -> bool {
    matches!(p.schema.field(column).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
}

/// `column + microseconds`.
fn linear(expr: &Expr) -> Option<(usize, i64)> {
    if let Some(column) = as_column(expr) {
        return Some((column, 0));
    }
    if let Some(bin) = expr.downcast_ref::<Bin>().filter(|b| b.width == 1) {
        let (column, by) = linear(&bin.arg)?;
        return Some((column, by + bin.offset));
    }
    let (inner, shift) = shifted(expr)?;
    let (column, by) = linear(inner)?;
    Some((column, by + shift))
}

fn join_properties(
    l: &Properties,
    r: &Properties,
    kind: JoinKind,
    on: &[(usize, usize)],
    expiry: &Expiry,
    left_unique: bool,
    right_unique: bool,
) -> Properties {
    use JoinKind::{Full, Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
    let width = l.schema.fields().len();
    let one_side = |p: &Properties, keys: Vec<usize>| Properties {
        append_only: l.append_only && r.append_only && matches!(kind, LeftSemi | RightSemi),
        // A row may come out long after it came in.
        bounds: vec![None; p.schema.fields().len()],
        distribution: if on.is_empty() { Distribution::Single } else { keyed(p, keys) },
        ..p.clone()
    };
    match kind {
        LeftSemi | LeftAnti => return one_side(l, on.iter().map(|o| o.0).collect()),
        RightSemi | RightAnti => return one_side(r, on.iter().map(|o| o.1).collect()),
        _ => {}
    }
    let (left_null, right_null) = (matches!(kind, Right | Full), matches!(kind, Left | Full));
    let field = |f: &FieldRef, null: bool| {
        if null { Arc::new(f.as_ref().clone().with_nullable(true)) } else { Arc::clone(f) }
    };
    let fields: Vec<FieldRef> = l
        .schema
        .fields()
        .iter()
        .map(|f| field(f, left_null))
        .chain(r.schema.fields().iter().map(|f| field(f, right_null)))
        .collect();
    let mut bounds: Vec<Option<Bound>> = vec![None; fields.len()];
    if kind == Inner {
        // New rows are bounded by their input; stored ones by what is not yet forgotten.
        if let Some(e) = &expiry.left {
            bounds[e.column] = l.bounds[e.column].clone().map(|b| b.min(e.bound.clone()));
        }
        if let Some(e) = &expiry.right {
            bounds[width + e.column] = r.bounds[e.column].clone().map(|b| b.min(e.bound.clone()));
        }
    }
    let key = match (&l.key, &r.key) {
        (Some(key), _) if kind == Inner && right_unique => Some(key.clone()),
        (_, Some(key)) if kind == Inner && left_unique => Some(key.iter().map(|c| c + width).collect()),
        (Some(a), Some(b)) if kind == Inner => Some(a.iter().copied().chain(b.iter().map(|c| c + width)).collect()),
        _ => None,
    };
    let distribution = match kind {
        _ if on.is_empty() => Distribution::Single,
        Inner | Left => keyed(l, on.iter().map(|o| o.0).collect()),
        Right => match keyed(r, on.iter().map(|o| o.1).collect()) {
            Distribution::Hash(columns) => Distribution::Hash(columns.iter().map(|c| c + width).collect()),
            other => other,
        },
        _ => Distribution::Any,
    };
    Properties {
        schema: schema_of(&fields),
        append_only: kind == Inner && l.append_only && r.append_only,
        key,
        distribution,
        bounds,
    }
}

/// The distribution that a side has after the exchange, if it is by join keys.
fn keyed(p: &Properties, keys: Vec<usize>) -> Distribution {
    match &p.distribution {
        Distribution::Hash(columns) if columns.iter().all(|c| keys.contains(c)) => p.distribution.clone(),
        Distribution::Single => Distribution::Single,
        _ => Distribution::Any,
    }
}

fn join_lineage(left: &Rel, right: &Rel, kind: JoinKind, on: &[(usize, usize)]) -> Vec<(String, i64)> {
    match kind {
        JoinKind::LeftSemi | JoinKind::LeftAnti => return left.lineage.clone(),
        JoinKind::RightSemi | JoinKind::RightAnti => return right.lineage.clone(),
        _ => {}
    }
    let mut right_lineage = right.lineage.clone();
    if kind == JoinKind::Inner {
        // Joined columns are equal.
        for (l, r) in on {
            right_lineage[*r] = left.lineage[*l].clone();
        }
    }
    left.lineage.iter().cloned().chain(right_lineage).collect()
}
