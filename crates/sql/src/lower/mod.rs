//! An optimised logical plan to our plan, node by node, with every property derived on the way.
//! It must not know SQL text or how operators compute.

mod aggregate;
mod alert;
mod calc;
mod columns;
mod expr;
mod join;
mod over;
mod scan;
mod top_n;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Distinct, LogicalPlan};
use datafusion::physical_expr::expressions::Column;
use thalweg_plan::{Distribution, Expr, NodeId, Operation, OrderKey, Plan, PlanBuilder, Properties, SinkSpec};

use crate::context::Planner;
use crate::types::UTC;
use crate::window_table::position;
use window::Pending;

pub(crate) use expr::{checked_arithmetic, compile as compile_expr, reads_now};
pub(crate) use scan::{SourceUse, compile_expectations, compile_generated, evaluate_values, planned_table};

/// A lowered sub-plan: its columns are those of the logical plan, in order.
#[derive(Clone, Debug)]
pub(crate) struct Rel {
    pub node: NodeId,
    /// Per column, what it is a shifted copy of: equal names mean equal values but for the microseconds.
    pub lineage: Vec<(String, i64)>,
    /// A window whose rows have not been made yet.
    pub pending: Option<Pending>,
}

/// How a query's result is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Rows as they come; the query must be append-only.
    Append,
    /// The rows that stand when the input has ended.
    Final,
    /// Rows with their weights.
    Changelog,
}

/// The ORDER BY of a whole query, over its own columns.
#[derive(Clone, Debug)]
enum Order {
    Keys(Vec<OrderKey>),
    /// By something that is not in the SELECT list.
    Hidden,
}

/// What a sink of final rows does with them: sort, then project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presentation {
    order: Vec<OrderKey>,
    project: Option<Vec<(Expr, FieldRef)>>,
}

impl Order {
    fn of(plan: &LogicalPlan) -> Self {
        match plan {
            LogicalPlan::Sort(sort) => {
                expr::order_keys(&sort.expr, sort.input.schema()).map_or(Self::Hidden, Self::Keys)
            }
            LogicalPlan::Limit(limit) => Self::of(&limit.input),
            LogicalPlan::SubqueryAlias(_) => Self::Keys(Vec::new()),
            LogicalPlan::Projection(projection) => match Self::of(&projection.input) {
                Self::Keys(keys) => {
                    let place = |key: OrderKey| {
                        let column = projection
                            .expr
                            .iter()
                            .position(|e| position(projection.input.schema(), e).ok() == Some(key.column))?;
                        Some(OrderKey { column, ..key })
                    };
                    keys.into_iter().map(place).collect::<Option<_>>().map_or(Self::Hidden, Self::Keys)
                }
                Self::Hidden => Self::Hidden,
            },
            _ => Self::Keys(Vec::new()),
        }
    }
}

pub(crate) struct Lowerer<'a> {
    pub builder: PlanBuilder,
    pub planner: &'a Planner,
    pub sources: HashMap<String, SourceUse>,
    /// Materialized views lowered so far.
    pub views: HashMap<String, Rel>,
    /// The query being lowered ends in EMIT ON WINDOW CLOSE.
    pub emit_on_close: bool,
    /// What the user should know: state that is kept for ever.
    pub notices: Vec<String>,
}

pub(crate) fn unsupported(what: impl Into<String>) -> DataFusionError {
    DataFusionError::NotImplemented(what.into())
}

impl Lowerer<'_> {
    /// Lowers one query; for a sink also what its ORDER BY needs.
    pub fn query(&mut self, plan: &LogicalPlan, emit_on_close: bool, for_sink: bool) -> Result<(Rel, Presentation)> {
        self.emit_on_close = emit_on_close;
        let presentation = match Order::of(plan) {
            Order::Keys(order) => Presentation { order, project: None },
            Order::Hidden if for_sink => return self.sorted_below(plan),
            Order::Hidden => Presentation::default(),
        };
        let plan = match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => sort.input.as_ref(),
            other => other,
        };
        let rel = self.lower(plan)?;
        let rel = self.settle(rel)?;
        let rel = if emit_on_close { self.gate(rel)? } else { rel };
        Ok((self.presentable(rel)?, presentation))
    }

    /// A query sorted by what it does not select: the sink sorts, then projects.
    fn sorted_below(&mut self, plan: &LogicalPlan) -> Result<(Rel, Presentation)> {
        let hidden = || unsupported("this ORDER BY; compute what it sorts by in a subquery");
        let (sorted, project) = match plan {
            LogicalPlan::Projection(projection) => (projection.input.as_ref(), self.items(projection)?),
            other => (other, picks(&(0..other.schema().fields().len()).collect::<Vec<_>>(), other.schema().inner())),
        };
        let (rel, order) = match (Order::of(sorted), sorted) {
            (Order::Keys(order), LogicalPlan::Sort(sort)) if sort.fetch.is_none() => (self.lower(&sort.input)?, order),
            (Order::Keys(order), _) => (self.lower(sorted)?, order),
            (Order::Hidden, LogicalPlan::Sort(sort)) if sort.fetch.is_none() => {
                let rel = self.lower(&sort.input)?;
                let rel = self.settle(rel)?;
                self.with_sort_columns(rel, &sort.expr, sort.input.schema())?
            }
            (Order::Hidden, LogicalPlan::Sort(sort)) => self.first_sorted(sort, 0, sort.fetch.unwrap_or(usize::MAX))?,
            (Order::Hidden, LogicalPlan::Limit(limit)) => {
                let LogicalPlan::Sort(sort) = limit.input.as_ref() else { return Err(hidden()) };
                let (skip, fetch) = top_n::skip_and_fetch(limit)?;
                self.first_sorted(sort, skip, fetch)?
            }
            (Order::Hidden, _) => return Err(hidden()),
        };
        let rel = self.settle(rel)?;
        let rel = if self.emit_on_close { self.gate(rel)? } else { rel };
        Ok((rel, Presentation { order, project: Some(project) }))
    }

    /// Ends a query in a sink.
    pub fn sink(
        &mut self,
        rel: &Rel,
        presentation: Presentation,
        spec: SinkSpec,
        delivery: Delivery,
        single: bool,
    ) -> Result<()> {
        let Presentation { order, project } = presentation;
        let mut node = rel.node;
        let append_only = self.properties(node).append_only;
        if delivery == Delivery::Append && !append_only {
            return Err(DataFusionError::Plan(format!(
                "the query of sink {} changes rows that it has emitted, and mode = 'append' cannot take them back\n  \
                 hint: Use mode = 'final' or 'changelog', or EMIT ON WINDOW CLOSE.",
                spec.name
            )));
        }
        let ordered = delivery == Delivery::Final && !order.is_empty();
        if single || ordered {
            node = self.exchange(node, Vec::new());
        }
        if delivery == Delivery::Final && (ordered || !append_only) {
            if !single && !ordered {
                // A row and its retraction may come from different workers: they meet by their hash.
                let all = (0..self.properties(node).schema.fields().len()).collect::<Vec<_>>();
                node = self.exchange(node, all);
            }
            let mut properties = self.properties(node).clone();
            properties.append_only = true;
            node = self.builder.add(Operation::Collect { order: order.clone() }, vec![node], properties);
        }
        if project.is_some() {
            let rel = self.fresh(node);
            let rel = self.calc(rel, None, project)?;
            node = self.presentable(rel)?.node;
        }
        self.builder.sink(SinkSpec { order, ..spec }, node);
        Ok(())
    }

    pub fn finish(self) -> (Plan, Vec<String>) {
        (self.builder.finish(), self.notices)
    }

    pub(crate) fn lower(&mut self, plan: &LogicalPlan) -> Result<Rel> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(&union.inputs, &union.schema),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Window(window) => self.over(window),
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref() {
                Some(table) => self.window_table(table),
                None => Err(unsupported(format!("{} in a continuous query", extension.node.name()))),
            },
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => self.empty(empty),
            LogicalPlan::RecursiveQuery(_) => Err(unsupported("WITH RECURSIVE in a continuous query")),
            LogicalPlan::Unnest(_) => Err(unsupported("UNNEST in a continuous query")),
            other => Err(unsupported(format!("{} in a continuous query", other.display()))),
        }
    }

    pub(crate) fn properties(&self, node: NodeId) -> &Properties {
        self.builder.properties(node)
    }

    fn union(&mut self, inputs: &[Arc<LogicalPlan>], schema: &DFSchemaRef) -> Result<Rel> {
        let mut nodes = Vec::new();
        for input in inputs {
            let rel = self.lower(input)?;
            let rel = self.settle(rel)?;
            nodes.push(self.cast_to(rel, schema)?.node);
        }
        let all: Vec<&Properties> = nodes.iter().map(|n| self.properties(*n)).collect();
        let width = schema.fields().len();
        let bounds = (0..width)
            .map(|c| all.iter().map(|p| p.bounds[c].clone()).reduce(|a, b| Some(a?.min(b?))).flatten())
            .collect();
        let properties = Properties {
            schema: Arc::clone(schema.inner()),
            append_only: all.iter().all(|p| p.append_only),
            key: None,
            distribution: Distribution::Any,
            bounds,
        };
        let node = self.builder.add(Operation::Union, nodes, properties);
        Ok(self.fresh(node))
    }

    /// The same columns in the types and under the names of `schema`.
    fn cast_to(&mut self, rel: Rel, schema: &DFSchema) -> Result<Rel> {
        let from = Arc::clone(&self.properties(rel.node).schema);
        let project = schema.fields().iter().enumerate().map(|(i, field)| {
            let column = Arc::new(Column::new(from.field(i).name(), i)) as Expr;
            let expr = if from.field(i).data_type() == field.data_type() {
                column
            } else {
                expr::cast_column(column, &from, field.data_type())?
            };
            Ok((expr, Arc::clone(field)))
        });
        let project = project.collect::<Result<_>>()?;
        self.calc(rel, None, Some(project))
    }

    /// Output types that every format and client knows.
    fn presentable(&mut self, rel: Rel) -> Result<Rel> {
        let schema = Arc::clone(&self.properties(rel.node).schema);
        let wanted = presentable(&schema);
        if wanted == schema {
            return Ok(rel);
        }
        let schema = DFSchema::from_unqualified_fields(wanted.fields().clone(), HashMap::new())?;
        self.cast_to(rel, &schema)
    }

    /// A node whose columns come from nothing known.
    pub(crate) fn fresh(&self, node: NodeId) -> Rel {
        let width = self.properties(node).schema.fields().len();
        Rel { node, lineage: (0..width).map(|c| (format!("{node}.{c}"), 0)).collect(), pending: None }
    }

    /// `node` by the hash of `keys` (none: on one worker), exchanged only when it is not so already.
    pub(crate) fn exchange(&mut self, node: NodeId, keys: Vec<usize>) -> NodeId {
        let properties = self.properties(node);
        let there = match &properties.distribution {
            Distribution::Single => keys.is_empty(),
            Distribution::Hash(columns) => !keys.is_empty() && columns.iter().all(|c| keys.contains(c)),
            Distribution::Any => false,
        };
        if there { node } else { self.exchange_always(node, keys) }
    }

    /// `node` by the hash of exactly `keys`, in that order.
    pub(crate) fn exchange_exactly(&mut self, node: NodeId, keys: Vec<usize>) -> NodeId {
        if !keys.is_empty() && self.properties(node).distribution == Distribution::Hash(keys.clone()) {
            return node;
        }
        self.exchange_always(node, keys)
    }

    fn exchange_always(&mut self, node: NodeId, keys: Vec<usize>) -> NodeId {
        let mut properties = self.properties(node).clone();
        properties.distribution = if keys.is_empty() { Distribution::Single } else { Distribution::Hash(keys.clone()) };
        self.builder.add(Operation::Exchange { keys }, vec![node], properties)
    }
}

/// The columns `places` of `schema` as they are.
fn picks(places: &[usize], schema: &SchemaRef) -> Vec<(Expr, FieldRef)> {
    let pick = |c: &usize| {
        let field = Arc::clone(&schema.fields()[*c]);
        (Arc::new(Column::new(field.name(), *c)) as Expr, field)
    };
    places.iter().map(pick).collect()
}

/// `schema` in the types that every format and client knows.
pub(crate) fn presentable(schema: &SchemaRef) -> SchemaRef {
    let field = |f: &FieldRef| match presentable_type(f.data_type()) {
        Some(t) => Arc::new(Field::new(f.name(), t, f.is_nullable())),
        None => Arc::clone(f),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn presentable_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::UInt64 | DataType::UInt32 => DataType::Int64,
        DataType::UInt16 => DataType::Int32,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::Timestamp(unit, None) if *unit != TimeUnit::Microsecond => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        DataType::Timestamp(unit, Some(zone)) if *unit != TimeUnit::Microsecond || zone.as_ref() != UTC => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
        }
        DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Null => DataType::Utf8View,
        _ => return None,
    })
}

pub(crate) fn schema_of(fields: &[FieldRef]) -> SchemaRef {
    Arc::new(Schema::new(fields.to_vec()))
}
