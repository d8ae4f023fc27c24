//! `JobPlan`: what the engine has to run for a table, source, view or sink. It must not know the engine.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::expressions::{Column, Literal};
use thalweg_core::{Options, SourceId, WRITE_COLUMN, dead_schema, writes_schema};
use thalweg_plan::{
    Distribution, Expr, NodeId, Operation, Plan, PlanBuilder, Properties, RelationSpec, SinkSpec, SourceSpec,
    WatermarkSpec, Write,
};

use super::objects::{Object, Oid, SourceObject};
use crate::catalog::SourceEntry;
use crate::compile::{Connectors, SinkMode, columns_read, delivery_of};
use crate::context::Planner;
use crate::lower::{Delivery, Lowerer, compile_generated};

/// Where a source of a job gets its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSource {
    /// From the output of this object's job.
    Object(Oid),
    /// From a connector, as the plan's source says.
    Connector,
    /// From a queue.
    Queue,
}

/// A plan, and what stands at its ends.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// What to run.
    pub plan: Plan,
    /// One a source of the plan.
    pub sources: Vec<JobSource>,
    /// What is known of the rows that the first sink gets.
    pub output: RelationSpec,
    /// Its columns.
    pub schema: SchemaRef,
    /// What is kept for ever.
    pub notices: Vec<String>,
    /// How an external sink wants its rows.
    pub mode: Option<SinkMode>,
}

/// The end of a job that is read inside.
fn inner_sink(name: &str) -> SinkSpec {
    SinkSpec { name: name.to_owned(), connector: String::new(), options: Options::default(), order: Vec::new() }
}

/// A view whose answer is kept.
pub(crate) fn view(planner: &Planner, plan: &LogicalPlan, emit_on_close: bool, name: &str) -> Result<JobPlan> {
    let mut lowerer = lowerer(planner, plan)?;
    let (rel, _) = lowerer.query(plan, emit_on_close, false)?;
    let properties = lowerer.properties(rel.node).clone();
    let mut node = rel.node;
    if !properties.append_only && properties.distribution == Distribution::Any {
        // A row and its retraction may come from different workers: they meet by their hash.
        let keys = properties.key.clone().filter(|k| !k.is_empty());
        node = lowerer.exchange(node, keys.unwrap_or_else(|| (0..properties.schema.fields().len()).collect()));
    }
    Ok(kept(lowerer, node, name))
}

/// The rows of an alert's query with their states; the columns `key` tell them apart.
pub(crate) fn alert(planner: &Planner, plan: &LogicalPlan, key: &[String], hold: i64, name: &str) -> Result<JobPlan> {
    let mut lowerer = lowerer(planner, plan)?;
    let (rel, _) = lowerer.query(plan, false, false)?;
    let schema = Arc::clone(&lowerer.properties(rel.node).schema);
    let key = key.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
    let node = lowerer.alert(rel.node, key, hold);
    Ok(kept(lowerer, node, name))
}

/// What happens to the rows of an alert's relation, the last `keep`.
pub(crate) fn alert_history(planner: &Planner, alert: &Object, keep: usize, name: &str) -> Result<JobPlan> {
    let (mut lowerer, node, known) = reads(planner, alert)?;
    let node = lowerer.alert_history(node, known.key.unwrap_or_default(), keep);
    Ok(kept(lowerer, node, name))
}

/// All changes of a relation.
pub(crate) fn passed_on(planner: &Planner, relation: &Object, name: &str) -> Result<JobPlan> {
    let (lowerer, node, _) = reads(planner, relation)?;
    Ok(kept(lowerer, node, name))
}

/// The start of a plan that reads all of one relation.
fn reads<'a>(planner: &'a Planner, relation: &Object) -> Result<(Lowerer<'a>, NodeId, RelationSpec)> {
    let live = relation.live().ok_or_else(|| internal_datafusion_err!("{} is no relation", relation.name))?;
    let mut lowerer = empty(planner);
    let node = lowerer.scan_live(&live).node;
    Ok((lowerer, node, live.known))
}

/// A plan whose rows are kept.
fn kept(mut lowerer: Lowerer<'_>, node: NodeId, name: &str) -> JobPlan {
    let properties = lowerer.properties(node).clone();
    lowerer.builder.sink(inner_sink(name), node);
    let (plan, notices) = lowerer.finish();
    let sources = plan.sources.iter().map(source_of).collect();
    let Properties { schema, append_only, key, distribution, .. } = properties;
    let output = RelationSpec { append_only, key, distribution };
    JobPlan { plan, sources, output, schema, notices, mode: None }
}

/// A query whose answer leaves.
pub(crate) fn sink(
    planner: &Planner,
    plan: &LogicalPlan,
    emit_on_close: bool,
    spec: SinkSpec,
    connectors: &dyn Connectors,
) -> Result<JobPlan> {
    let mut lowerer = lowerer(planner, plan)?;
    let (rel, presentation) = lowerer.query(plan, emit_on_close, true)?;
    let shape = connectors.sink(&spec.connector, &spec.options).map_err(crate::compile::plan_error)?;
    let append_only = lowerer.properties(rel.node).append_only;
    // A stream has no end at which final rows could be told.
    let mode = shape.mode.unwrap_or(if append_only { SinkMode::Append } else { SinkMode::Changelog });
    let delivery = if shape.discards { Delivery::Changelog } else { delivery_of(mode) };
    lowerer.sink(&rel, presentation, spec, delivery, shape.single)?;
    let schema = Arc::clone(&lowerer.properties(rel.node).schema);
    let (plan, notices) = lowerer.finish();
    let sources = plan.sources.iter().map(source_of).collect();
    let output = RelationSpec { append_only, key: None, distribution: Distribution::Any };
    Ok(JobPlan { plan, sources, output, schema, notices, mode: Some(mode) })
}

fn empty(planner: &Planner) -> Lowerer<'_> {
    Lowerer {
        builder: PlanBuilder::default(),
        planner,
        sources: HashMap::new(),
        views: HashMap::new(),
        emit_on_close: false,
        notices: Vec::new(),
    }
}

fn lowerer<'a>(planner: &'a Planner, plan: &LogicalPlan) -> Result<Lowerer<'a>> {
    let mut lowerer = empty(planner);
    for (entry, columns) in columns_read(&[plan])?.sources.values() {
        lowerer.add_source(entry, columns)?;
    }
    Ok(lowerer)
}

fn source_of(spec: &SourceSpec) -> JobSource {
    match &spec.relation {
        None => JobSource::Connector,
        Some(_) => JobSource::Object(Oid(spec.name.trim_start_matches('#').parse().unwrap_or(0))),
    }
}

/// A table or a source whose rows are handed in: from its queue to its relation.
pub(crate) fn handed_in(planner: &Planner, object: &SourceObject, name: &str, table: bool) -> Result<JobPlan> {
    let mut builder = PlanBuilder::default();
    if table {
        return self::table(planner, builder, object, name);
    }
    let (id, read) = queue(planner, &mut builder, &object.entry, name, false)?;
    let scan = builder.add(Operation::Scan { source: id }, Vec::new(), appended(&read));
    builder.sink(inner_sink(name), scan);
    // The second sink takes what could not be decoded.
    let dead = builder.add(Operation::Dead { source: id }, Vec::new(), appended(&dead_schema()));
    builder.sink(inner_sink(&format!("{name}$dead")), dead);
    let output = RelationSpec { append_only: true, key: None, distribution: Distribution::Any };
    let (plan, schema) = (builder.finish(), Arc::clone(&object.entry.schema));
    Ok(JobPlan { plan, sources: vec![JobSource::Queue], output, schema, notices: Vec::new(), mode: None })
}

/// The rows of a table: what is handed in and, if it has a connector, what comes from there.
fn table(planner: &Planner, mut builder: PlanBuilder, object: &SourceObject, name: &str) -> Result<JobPlan> {
    let entry = &object.entry;
    let schema = Arc::clone(&entry.schema);
    let key = entry.primary_key.clone();
    // Without a key equal rows meet by their hash, so that one that is deleted is where it was inserted.
    let by = if key.is_empty() { (0..schema.fields().len()).collect() } else { key.clone() };
    let mut sources = vec![JobSource::Queue];
    let (id, read) = queue(planner, &mut builder, entry, name, true)?;
    let mut node = writes_of(&mut builder, id, &read, entry)?;
    if object.connector().is_some() {
        sources.push(JobSource::Connector);
        let (id, read) = connected(planner, &mut builder, entry)?;
        let outside = writes_of(&mut builder, id, &read, entry)?;
        let both = builder.properties(node).clone();
        node = builder.add(Operation::Union, vec![node, outside], both);
    }
    let distribution = Distribution::Hash(by.clone());
    let moved = Properties { distribution: distribution.clone(), ..builder.properties(node).clone() };
    node = builder.add(Operation::Exchange { keys: by }, vec![node], moved);
    let kept = (!key.is_empty()).then(|| key.clone());
    let output = RelationSpec { append_only: false, key: kept.clone(), distribution: distribution.clone() };
    let properties = Properties { append_only: false, key: kept, distribution, ..appended(&schema) };
    let rows = builder.add(Operation::Table { key }, vec![node], properties);
    builder.sink(inner_sink(name), rows);
    Ok(JobPlan { plan: builder.finish(), sources, output, schema, notices: Vec::new(), mode: None })
}

/// What is handed in; of a table each row says what it is to do.
fn queue(
    planner: &Planner,
    builder: &mut PlanBuilder,
    entry: &SourceEntry,
    name: &str,
    table: bool,
) -> Result<(SourceId, SchemaRef)> {
    let declared = if table { writes_schema(&entry.declared) } else { Arc::clone(&entry.declared) };
    let spec = SourceSpec {
        name: name.to_owned(),
        connector: String::new(),
        options: Options::default(),
        projection: (0..declared.fields().len()).collect(),
        dead_used: !table,
        ..read_whole(planner, entry, declared)?
    };
    let read = Arc::clone(&spec.schema);
    Ok((builder.source(spec), read))
}

/// What comes from the connector of a table.
fn connected(planner: &Planner, builder: &mut PlanBuilder, entry: &SourceEntry) -> Result<(SourceId, SchemaRef)> {
    let yields = if entry.writes { writes_schema(&entry.declared) } else { Arc::clone(&entry.declared) };
    // The connector adds the column of writes to those that are asked for.
    let spec = SourceSpec { declared: Arc::clone(&entry.declared), ..read_whole(planner, entry, yields)? };
    let read = Arc::clone(&spec.schema);
    Ok((builder.source(spec), read))
}

/// A source of a table's columns, of which the reader yields `yields`.
fn read_whole(planner: &Planner, entry: &SourceEntry, yields: SchemaRef) -> Result<SourceSpec> {
    let width = entry.declared.fields().len();
    let extra = yields.fields().len() - width;
    let generated = compile_generated(planner, entry)?;
    let fields: Vec<_> = yields.fields().iter().cloned().chain(generated.iter().map(|(f, _)| Arc::clone(f))).collect();
    let watermark = entry.watermark.map(|w| {
        let column = if w.column < width { w.column } else { w.column + extra };
        WatermarkSpec { column, delay: w.delay }
    });
    Ok(SourceSpec {
        name: entry.name.clone(),
        connector: entry.connector.clone(),
        options: entry.options.clone(),
        projection: (0..width).collect(),
        declared: yields,
        generated,
        watermark,
        schema: Arc::new(Schema::new(fields)),
        dead_used: false,
        relation: None,
    })
}

/// The columns of a table, then what each row is to do: what it says itself, or to take the place of the row with its key.
fn writes_of(builder: &mut PlanBuilder, source: SourceId, read: &SchemaRef, entry: &SourceEntry) -> Result<NodeId> {
    let scan = builder.add(Operation::Scan { source }, Vec::new(), appended(read));
    let width = entry.declared.fields().len();
    let says = read.fields().len() > entry.schema.fields().len();
    let after = width + usize::from(says)..read.fields().len();
    let mut project: Vec<(Expr, FieldRef)> = (0..width)
        .chain(after)
        .map(|c| {
            let field = Arc::clone(&read.fields()[c]);
            (Arc::new(Column::new(field.name(), c)) as Expr, field)
        })
        .collect();
    let write: Expr = if says {
        Arc::new(Column::new(WRITE_COLUMN, width))
    } else {
        Arc::new(Literal::new(ScalarValue::Int8(Some(Write::Upsert as i8))))
    };
    project.push((write, Arc::new(Field::new(WRITE_COLUMN, DataType::Int8, false))));
    let ordered: SchemaRef = Arc::new(Schema::new(project.iter().map(|(_, f)| Arc::clone(f)).collect::<Vec<_>>()));
    let calc = Operation::Calc { predicate: None, project: Some(project) };
    Ok(builder.add(calc, vec![scan], appended(&ordered)))
}

fn appended(schema: &SchemaRef) -> Properties {
    let bounds = vec![None; schema.fields().len()];
    Properties { schema: Arc::clone(schema), append_only: true, key: None, distribution: Distribution::Any, bounds }
}
