//! GROUP BY: keys reduced to independent ones, panes for hopping windows, sessions, two phases where they pay.
//! It must not know accumulators.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::{Aggregate, Expr as Logical, LogicalPlan};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use thalweg_plan::{
    AggregateCall, AggregateFunction, AggregatePhase, Distribution, Expr, HopSpec, Operation, Properties, WindowClose,
    partial_schema,
};

use super::window::Pending;
use super::{Lowerer, Rel, expr, schema_of, unsupported};
use crate::bin::Bin;
use crate::functions::{TO_CHAR, Template, sketch_call};

/// Microseconds after a key's value at which no row can have it any more: bounds promise values at or above.
const PAST: i64 = 1;

/// The input of an aggregation as it wants it: group columns first, then arguments and filters.
struct Prepared {
    rel: Rel,
    calls: Vec<AggregateCall>,
    group_fields: Vec<FieldRef>,
}

impl Lowerer<'_> {
    pub(crate) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Rel> {
        if aggregate.group_expr.iter().any(|e| matches!(e, Logical::GroupingSet(_))) {
            return Err(unsupported("GROUPING SETS, CUBE and ROLLUP in a continuous query"));
        }
        let input = self.lower(&aggregate.input)?;
        let (prepared, days) = self.prepare(input, aggregate)?;
        let rel = self.grouped(prepared)?;
        self.format_days(rel, days, aggregate)
    }

    /// Groups that were made by the day get their text.
    fn format_days(&mut self, rel: Rel, days: Vec<(usize, Expr)>, aggregate: &Aggregate) -> Result<Rel> {
        if days.is_empty() {
            return Ok(rel);
        }
        let schema = Arc::clone(&self.properties(rel.node).schema);
        let item = |(i, field): (usize, &FieldRef)| {
            let column = Arc::new(Column::new(schema.field(i).name(), i)) as Expr;
            let expr = match days.iter().find(|(c, _)| *c == i) {
                None => column,
                Some((_, to_char)) => {
                    let format = Arc::clone(to_char.children()[1]);
                    Arc::clone(to_char).with_new_children(vec![column, format])?
                }
            };
            Ok((expr, Arc::clone(field)))
        };
        let project = aggregate.schema.fields().iter().enumerate().map(item).collect::<Result<Vec<_>>>()?;
        self.calc(rel, None, Some(project))
    }

    pub(crate) fn distinct(&mut self, input: &LogicalPlan) -> Result<Rel> {
        let rel = self.lower(input)?;
        let rel = self.settle(rel)?;
        let group_fields = self.properties(rel.node).schema.fields().iter().cloned().collect();
        self.grouped(Prepared { rel, calls: Vec::new(), group_fields })
    }

    fn prepare(&mut self, input: Rel, aggregate: &Aggregate) -> Result<(Prepared, Vec<(usize, Expr)>)> {
        let schema = aggregate.input.schema();
        let outputs = aggregate.schema.fields();
        let append_only = self.properties(input.node).append_only;
        let mut columns = Columns { schema, append_only, items: Vec::new() };
        let mut days = Vec::new();
        for (e, field) in aggregate.group_expr.iter().zip(outputs) {
            let compiled = expr::compile(e, schema)?;
            columns.items.push(match day_of(&compiled, schema)? {
                None => (compiled, Arc::clone(field)),
                Some((day, format)) => {
                    let data_type = day.data_type(schema.as_arrow())?;
                    days.push((columns.items.len(), format));
                    (day, Arc::new(Field::new(field.name(), data_type, field.is_nullable())))
                }
            });
        }
        let groups = columns.items.len();
        let calls = aggregate
            .aggr_expr
            .iter()
            .zip(&outputs[groups..])
            .map(|(e, field)| columns.call(e, Arc::clone(field)))
            .collect::<Result<Vec<_>>>()?;
        let rel = self.calc(input, None, Some(columns.items))?;
        let schema = Arc::clone(&self.properties(rel.node).schema);
        let group_fields = schema.fields()[..groups].to_vec();
        Ok((Prepared { rel, calls, group_fields }, days))
    }

    /// Aggregates over independent keys, then puts every group column back.
    fn grouped(&mut self, prepared: Prepared) -> Result<Rel> {
        let Prepared { mut rel, calls, group_fields } = prepared;
        if let Some(Pending::Hop { start, end, .. }) = rel.pending {
            let by_window = [start, end].into_iter().flatten().any(|c| c < group_fields.len());
            if !by_window {
                rel = self.settle(rel)?;
            }
        }
        let keys = independent(&rel.lineage[..group_fields.len()]);
        let group: Vec<usize> = keys.iter().filter_map(|k| k.own.then_some(k.column)).collect();
        let aggregated = match rel.pending.clone() {
            Some(Pending::Session { start, end, keys, gap }) => {
                return self.session(&rel, calls, &group_fields, start, end, &keys, gap);
            }
            Some(Pending::Hop { slide, size, start, end }) => {
                let window = group
                    .iter()
                    .position(|g| [start, end].contains(&Some(*g)))
                    .ok_or_else(|| DataFusionError::Internal("a window's group column was lost".to_owned()))?;
                self.by_panes(rel, group.clone(), calls, HopSpec { pane: window, slide, size })?
            }
            None => self.plain(&rel, group.clone(), calls)?,
        };
        self.restore_group(aggregated, &keys, &group, &group_fields)
    }

    /// Group columns that were copies of others come back as such.
    fn restore_group(&mut self, rel: Rel, keys: &[Key], group: &[usize], fields: &[FieldRef]) -> Result<Rel> {
        let schema = Arc::clone(&self.properties(rel.node).schema);
        let column = |i: usize| Arc::new(Column::new(schema.field(i).name(), i)) as Expr;
        let place = |g: usize| group.iter().position(|c| *c == g).expect("a key's base is a group column");
        let mut project: Vec<(Expr, FieldRef)> = Vec::new();
        for (key, field) in keys.iter().zip(fields) {
            let base = column(place(key.base));
            let expr = if key.offset == 0 {
                base
            } else {
                Arc::new(Bin { arg: base, width: 1, origin: 0, offset: key.offset }) as Expr
            };
            project.push((expr, Arc::clone(field)));
        }
        for i in group.len()..schema.fields().len() {
            project.push((column(i), Arc::clone(&schema.fields()[i])));
        }
        if keys.iter().all(|k| k.own) && project.iter().zip(schema.fields()).all(|((_, f), s)| f == s) {
            return Ok(rel);
        }
        self.calc(rel, None, Some(project))
    }

    fn plain(&mut self, rel: &Rel, group: Vec<usize>, calls: Vec<AggregateCall>) -> Result<Rel> {
        let properties = self.properties(rel.node);
        let there = match &properties.distribution {
            Distribution::Single => true,
            Distribution::Hash(columns) => !group.is_empty() && columns.iter().all(|c| group.contains(c)),
            Distribution::Any => false,
        };
        if there || !two_phase(&calls, properties) {
            let node = self.exchange(rel.node, group.clone());
            let rel = Rel { node, ..rel.clone() };
            return self.add_aggregate(&rel, group, calls, AggregatePhase::Single);
        }
        let rel = self.add_aggregate(rel, group.clone(), calls.clone(), AggregatePhase::Partial)?;
        let group: Vec<usize> = (0..group.len()).collect();
        let node = self.exchange(rel.node, group.clone());
        self.add_aggregate(&Rel { node, ..rel }, group, calls, AggregatePhase::Final)
    }

    /// Hopping windows: each pane is aggregated once, then its states are added to every window that it is part of.
    fn by_panes(&mut self, rel: Rel, group: Vec<usize>, calls: Vec<AggregateCall>, hop: HopSpec) -> Result<Rel> {
        if !two_phase(&calls, self.properties(rel.node)) {
            let pane = group[hop.pane];
            let rel = self.hop(Rel { pending: None, ..rel }, HopSpec { pane, ..hop });
            return self.plain(&rel, group, calls);
        }
        let rel = self.add_aggregate(&rel, group.clone(), calls.clone(), AggregatePhase::Partial)?;
        let window = hop.pane;
        let all: Vec<usize> = (0..group.len()).collect();
        let others: Vec<usize> = all.iter().copied().filter(|c| *c != window).collect();
        let rel = if others.is_empty() {
            let rel = self.hop(rel, hop);
            Rel { node: self.exchange(rel.node, all.clone()), ..rel }
        } else {
            let node = self.exchange(rel.node, others);
            self.hop(Rel { node, ..rel }, hop)
        };
        self.add_aggregate(&rel, all, calls, AggregatePhase::Final)
    }

    fn add_aggregate(
        &mut self,
        rel: &Rel,
        group: Vec<usize>,
        calls: Vec<AggregateCall>,
        phase: AggregatePhase,
    ) -> Result<Rel> {
        let input = self.properties(rel.node).clone();
        let forget = (phase != AggregatePhase::Partial)
            .then(|| {
                group
                    .iter()
                    .enumerate()
                    .find_map(|(key, c)| Some(WindowClose { key, delay: PAST, bound: input.bounds[*c].clone()? }))
            })
            .flatten();
        let (close, expire) = if self.emit_on_close { (forget, None) } else { (None, forget) };
        let schema = if phase == AggregatePhase::Partial {
            partial_schema(&group, &calls, &input)
        } else {
            let mut fields: Vec<FieldRef> = group.iter().map(|g| Arc::clone(&input.schema.fields()[*g])).collect();
            fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
            schema_of(&fields)
        };
        let mut bounds: Vec<_> = group.iter().map(|g| input.bounds[*g].clone()).collect();
        bounds.resize(schema.fields().len(), None);
        let place = |c: &usize| group.iter().position(|g| g == c);
        let distribution = match &input.distribution {
            Distribution::Hash(columns) => {
                columns.iter().map(place).collect::<Option<Vec<_>>>().map_or(Distribution::Any, Distribution::Hash)
            }
            other => other.clone(),
        };
        if phase != AggregatePhase::Partial && close.is_none() && expire.is_none() && !group.is_empty() {
            let names: Vec<&str> = group.iter().map(|g| input.schema.field(*g).name().as_str()).collect();
            self.notices.push(format!(
                "GROUP BY {} keeps a state for every group for ever; group by a window over a watermarked column to \
                 bound it",
                names.join(", ")
            ));
        }
        let properties = Properties {
            append_only: match phase {
                AggregatePhase::Partial => input.append_only,
                _ => close.is_some() || (calls.is_empty() && input.append_only),
            },
            key: (phase != AggregatePhase::Partial).then(|| (0..group.len()).collect()),
            distribution,
            bounds,
            schema: Arc::clone(&schema),
        };
        let lineage: Vec<_> = group.iter().map(|g| rel.lineage[*g].clone()).collect();
        let node =
            self.builder.add(Operation::Aggregate { group, calls, phase, close, expire }, vec![rel.node], properties);
        let mut out = self.fresh(node);
        out.lineage[..lineage.len()].clone_from_slice(&lineage);
        Ok(out)
    }

    #[allow(clippy::too_many_arguments)]
    fn session(
        &mut self,
        rel: &Rel,
        calls: Vec<AggregateCall>,
        group_fields: &[FieldRef],
        start: Option<usize>,
        end: Option<usize>,
        keys: &[Option<usize>],
        gap: i64,
    ) -> Result<Rel> {
        let groups = group_fields.len();
        let shape = || unsupported("SESSION is grouped by exactly its keys, window_start and window_end");
        let keys: Vec<usize> =
            keys.iter().map(|k| k.filter(|k| *k < groups).ok_or_else(shape)).collect::<Result<_>>()?;
        let time = start.ok_or_else(shape)?;
        let is_window = |c: usize| Some(c) == start || Some(c) == end;
        if (0..groups).any(|c| !is_window(c) && !keys.contains(&c)) {
            return Err(shape());
        }
        let node = self.exchange(rel.node, keys.clone());
        let input = self.properties(node).clone();
        let bound = input.bounds[time].clone();
        let emit_on_close = self.emit_on_close;
        if emit_on_close && bound.is_none() {
            return Err(DataFusionError::Plan(
                "EMIT ON WINDOW CLOSE over SESSION needs a watermark on its time column".to_owned(),
            ));
        }
        let mut fields: Vec<FieldRef> = keys.iter().map(|k| Arc::clone(&input.schema.fields()[*k])).collect();
        for name in ["window_start", "window_end"] {
            fields.push(Arc::new(Field::new(name, input.schema.field(time).data_type().clone(), true)));
        }
        fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
        let mut bounds = vec![None; fields.len()];
        bounds[keys.len() + 1] = bound.clone();
        let place = |c: &usize| keys.iter().position(|k| k == c);
        let distribution = match &input.distribution {
            Distribution::Hash(columns) => {
                columns.iter().map(place).collect::<Option<Vec<_>>>().map_or(Distribution::Any, Distribution::Hash)
            }
            other => other.clone(),
        };
        let properties = Properties {
            schema: schema_of(&fields),
            append_only: emit_on_close,
            key: Some((0..=keys.len()).collect()),
            distribution,
            bounds,
        };
        let width = keys.len();
        let operation = Operation::Session { keys: keys.clone(), time, gap, calls, bound, emit_on_close };
        let node = self.builder.add(operation, vec![node], properties);
        let rel = self.fresh(node);
        let column = |i: usize, f: &FieldRef| (Arc::new(Column::new(fields[i].name(), i)) as Expr, Arc::clone(f));
        let mut project = Vec::new();
        for (c, field) in group_fields.iter().enumerate() {
            let from = match keys.iter().position(|k| *k == c) {
                Some(k) => k,
                None if Some(c) == start => width,
                None => width + 1,
            };
            project.push(column(from, field));
        }
        for (i, field) in fields.iter().enumerate().skip(width + 2) {
            project.push(column(i, field));
        }
        self.calc(rel, None, Some(project))
    }
}

/// `to_char(time, 'YYYY-MM-DD')` names days: grouping by the day itself is faster, and a watermark bounds it. The day and
/// the call.
fn day_of(e: &Expr, schema: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    let Some(call) = e.downcast_ref::<ScalarFunctionExpr>().filter(|f| f.name() == TO_CHAR) else { return Ok(None) };
    let [time, format] = call.args() else { return Ok(None) };
    let text = format.downcast_ref::<Literal>().and_then(|l| l.value().try_as_str().flatten().map(str::to_owned));
    let Some(text) = text else { return Ok(None) };
    let micros = matches!(time.data_type(schema.as_arrow())?, DataType::Timestamp(TimeUnit::Microsecond, _));
    if !micros || !Template::parse(&text)?.tells_days() {
        return Ok(None);
    }
    let day = Bin { arg: Arc::clone(time), width: 86_400_000_000, origin: 0, offset: 0 };
    Ok(Some((Arc::new(day), Arc::clone(e))))
}

fn two_phase(calls: &[AggregateCall], input: &Properties) -> bool {
    let additive = |c: &AggregateCall| {
        matches!(c.function, AggregateFunction::Count | AggregateFunction::Sum | AggregateFunction::Avg)
    };
    calls.iter().all(AggregateCall::two_phase)
        && (input.append_only || (!calls.is_empty() && calls.iter().all(additive)))
}

/// A group column: its own, or a shifted copy of `base`.
struct Key {
    column: usize,
    base: usize,
    offset: i64,
    own: bool,
}

/// Which group columns are independent of the ones before them.
fn independent(lineage: &[(String, i64)]) -> Vec<Key> {
    let key = |(column, (name, offset)): (usize, &(String, i64))| {
        let base = lineage.iter().position(|(n, _)| n == name).unwrap_or(column);
        Key { column, base, offset: offset - lineage[base].1, own: base == column }
    };
    lineage.iter().enumerate().map(key).collect()
}

/// Collects the columns that an aggregation reads.
struct Columns<'a> {
    schema: &'a DFSchema,
    /// No row of the input is ever taken back.
    append_only: bool,
    items: Vec<(Expr, FieldRef)>,
}

impl Columns<'_> {
    fn add(&mut self, e: &Logical) -> Result<usize> {
        let compiled = expr::compile(e, self.schema)?;
        if let Some(there) = self.items.iter().position(|(have, _)| have.as_ref() == compiled.as_ref()) {
            return Ok(there);
        }
        let arrow: &Schema = self.schema.as_arrow();
        let field = Field::new(compiled.to_string(), compiled.data_type(arrow)?, compiled.nullable(arrow)?);
        self.items.push((compiled, Arc::new(field)));
        Ok(self.items.len() - 1)
    }

    fn call(&mut self, e: &Logical, output: FieldRef) -> Result<AggregateCall> {
        let Logical::AggregateFunction(call) = unalias(e) else {
            return Err(unsupported(format!("aggregate {e}")));
        };
        let AggregateFunctionParams { args, distinct, filter, order_by, .. } = &call.params;
        let function = function(&call.func, args, self.schema, self.append_only)?;
        let counts_rows = function == AggregateFunction::Count && args.iter().all(is_constant);
        let exact_average = function == AggregateFunction::Avg;
        let args = if counts_rows {
            Vec::new()
        } else if let AggregateFunction::Sketch(_) = &function {
            vec![self.add(&args[0])?]
        } else {
            args.iter()
                .map(|a| self.add(if exact_average { uncast(a, self.schema) } else { a }))
                .collect::<Result<Vec<_>>>()?
        };
        let filter = filter.as_ref().map(|f| self.add(f)).transpose()?;
        let order_by =
            order_by.iter().map(|s| Ok((self.add(&s.expr)?, !s.asc, s.nulls_first))).collect::<Result<Vec<_>>>()?;
        // DISTINCT changes nothing for these.
        let distinct = *distinct && !matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        Ok(AggregateCall { function, args, distinct, filter, order_by, output })
    }
}

fn unalias(e: &Logical) -> &Logical {
    match e {
        Logical::Alias(alias) => unalias(&alias.expr),
        other => other,
    }
}

fn is_constant(e: &Logical) -> bool {
    matches!(e, Logical::Literal(value, _) if !value.is_null())
}

/// The planner casts integers to floats for `avg`; we sum them exactly.
fn uncast<'a>(e: &'a Logical, schema: &DFSchema) -> &'a Logical {
    use datafusion::logical_expr::ExprSchemable;
    match e {
        Logical::Cast(cast) => match cast.expr.get_type(schema) {
            Ok(t) if t.is_signed_integer() => &cast.expr,
            _ => e,
        },
        other => other,
    }
}

fn function(
    udf: &Arc<datafusion::logical_expr::AggregateUDF>,
    args: &[Logical],
    schema: &DFSchema,
    append_only: bool,
) -> Result<AggregateFunction> {
    use datafusion::logical_expr::ExprSchemable;
    let argument = args.first().map(|a| a.get_type(schema)).transpose()?;
    let numeric = argument.as_ref().is_none_or(|t| {
        t.is_signed_integer() || matches!(t, DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, _))
    });
    // A sketch cannot forget a row: where rows are taken back it is made anew from those that are left.
    if let Some(argument) = argument.as_ref().filter(|_| append_only)
        && let Some(sketch) = sketch_call(udf.name(), argument, args)?
    {
        return Ok(AggregateFunction::Sketch(sketch));
    }
    Ok(match udf.name() {
        "count" if args.len() <= 1 => AggregateFunction::Count,
        "sum" if numeric => AggregateFunction::Sum,
        "avg" | "mean" if numeric => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        "var_pop" => AggregateFunction::VarPop,
        "var" | "var_samp" => AggregateFunction::VarSamp,
        "stddev_pop" => AggregateFunction::StddevPop,
        "stddev" | "stddev_samp" => AggregateFunction::StddevSamp,
        _ => AggregateFunction::Other(Arc::clone(udf)),
    })
}
