//! A whole script to one plan: declares relations, plans queries, collects every problem. It must not run anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr as Logical, LogicalPlan, LogicalPlanBuilder};
use thalweg_core::{Error, Options};
use thalweg_plan::{Plan, PlanBuilder, SinkSpec};

use crate::Problem;
use crate::catalog::{Catalog, Relation, SourceEntry};
use crate::context::Planner;
use crate::declare::{declare, insert};
use crate::lower::{Delivery, Lowerer, Rel, presentable};
use crate::parse::parse;
use crate::statement::{CreateSink, CreateView, Located, SinkInput, Statement};
use crate::text::substitute;

/// What the connectors know and the planner needs.
pub trait Connectors {
    /// The columns of a source that was declared without any.
    ///
    /// # Errors
    /// The connector cannot tell, or an option is wrong.
    fn infer(&self, connector: &str, options: &Options) -> Result<SchemaRef, Error>;

    /// Each row of a source says what it does to the rows before it, in a last column as `thalweg_plan::Write` has it.
    ///
    /// # Errors
    /// An option is wrong.
    fn writes(&self, connector: &str, options: &Options) -> Result<bool, Error>;

    /// How a sink wants its rows.
    ///
    /// # Errors
    /// An option is wrong.
    fn sink(&self, connector: &str, options: &Options) -> Result<SinkShape, Error>;
}

/// How a sink wants its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkShape {
    /// It takes whole epochs and its target keeps its progress.
    pub epochs: bool,
    /// `mode`, if it was given.
    pub mode: Option<SinkMode>,
    /// All rows on one worker.
    pub single: bool,
    /// Rows are thrown away: a changing query need not be collected.
    pub discards: bool,
}

/// `mode` of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkMode {
    /// Rows as they come, from append-only queries.
    Append,
    /// The rows that stand at the end.
    Final,
    /// Rows with weights and epochs.
    Changelog,
}

/// Settings of a compilation.
pub struct CompileOptions<'a> {
    /// Values of `${KEY}`.
    pub values: BTreeMap<String, String>,
    /// The connectors.
    pub connectors: &'a dyn Connectors,
}

/// A script, planned.
#[derive(Debug)]
pub struct Compiled {
    /// What to run.
    pub plan: Plan,
    /// The mode of each sink of the plan, as resolved.
    pub modes: Vec<SinkMode>,
    /// Rows of INSERT, by table.
    pub tables: HashMap<String, Vec<RecordBatch>>,
    /// What a query will keep for ever.
    pub notices: Vec<String>,
}

/// Plans `text`.
///
/// # Errors
/// Every problem of the script, by line.
pub fn compile(text: &str, options: &CompileOptions) -> Result<Compiled, Vec<Problem>> {
    let text = substitute(text, &options.values)?;
    let (statements, mut problems) = parse(&text);
    let mut script =
        Script { planner: Planner::new(), catalog: Catalog::default(), tables: HashMap::new(), jobs: Vec::new() };
    for located in statements {
        let place = (located.line, located.column);
        if let Err(error) = script.statement(located, options) {
            problems.push(problem(&error, place));
        }
    }
    let compiled = script.finish(options, &mut problems);
    problems.sort_by_key(|p| (p.line, p.column));
    match compiled {
        Some(compiled) if problems.is_empty() => Ok(compiled),
        _ => Err(problems),
    }
}

/// A query to be run.
struct Job {
    place: (u64, u64),
    /// A materialized view's name.
    view: Option<String>,
    plan: LogicalPlan,
    emit_on_close: bool,
    sink: Option<SinkSpec>,
}

struct Script {
    planner: Planner,
    catalog: Catalog,
    tables: HashMap<String, Vec<RecordBatch>>,
    jobs: Vec<Job>,
}

impl Script {
    fn statement(&mut self, located: Located, options: &CompileOptions) -> Result<()> {
        let place = (located.line, located.column);
        match located.statement {
            Statement::CreateSource(source) => {
                let entry = declare(&self.planner, source, options.connectors, false)?;
                self.add(&entry.name.clone(), Relation::Source(Arc::new(entry)))
            }
            Statement::CreateTable(table) => {
                let entry = declare(&self.planner, table, options.connectors, true)?;
                self.tables.insert(entry.name.clone(), Vec::new());
                self.add(&entry.name.clone(), Relation::Source(Arc::new(entry)))
            }
            Statement::CreateView(view) => self.view(view, place),
            Statement::CreateSink(sink) => self.sink(sink, place),
            Statement::Insert { table, columns, rows } => {
                let Relation::Source(entry) = self.catalog.get(&table).map_err(plan_error)? else {
                    return Err(DataFusionError::Plan(format!("{table} is not a table")));
                };
                let Some(stored) = self.tables.get_mut(&table) else {
                    return Err(DataFusionError::Plan(format!("{table} is not a table")));
                };
                stored.push(insert(&self.planner, &self.catalog, &entry, &columns, &rows)?);
                Ok(())
            }
            Statement::Query(query) => {
                let plan = self.planner.query(&self.catalog, &query)?;
                let name = format!("query at line {}", place.0);
                let spec =
                    SinkSpec { name, connector: "stdout".to_owned(), options: Options::default(), order: Vec::new() };
                self.jobs.push(Job { place, view: None, plan, emit_on_close: false, sink: Some(spec) });
                Ok(())
            }
            Statement::Set => Ok(()),
        }
    }

    fn add(&mut self, name: &str, relation: Relation) -> Result<()> {
        self.catalog.add(name, relation).map_err(plan_error)
    }

    fn view(&mut self, view: CreateView, place: (u64, u64)) -> Result<()> {
        let bound = renamed(self.planner.bind(&self.catalog, &view.query)?, &view.columns)?;
        if !view.materialized {
            if view.emit_on_close {
                return Err(DataFusionError::Plan(
                    "EMIT ON WINDOW CLOSE belongs to a MATERIALIZED VIEW or a SINK, not to a VIEW".to_owned(),
                ));
            }
            return self.add(&view.name, Relation::View(Arc::new(bound)));
        }
        let plan = self.planner.optimize(bound)?;
        let schema = presentable(plan.schema().inner());
        self.add(&view.name, Relation::Materialized { name: view.name.clone(), schema })?;
        self.jobs.push(Job { place, view: Some(view.name), plan, emit_on_close: view.emit_on_close, sink: None });
        Ok(())
    }

    fn sink(&mut self, sink: CreateSink, place: (u64, u64)) -> Result<()> {
        let mut options = sink.options;
        let connector = options.require("connector", "stdout").map_err(plan_error)?;
        let plan = match sink.from {
            SinkInput::Query(query) => self.planner.query(&self.catalog, &query)?,
            SinkInput::Relation(name) => self.planner.relation(&self.catalog, &name)?,
        };
        let spec = SinkSpec { name: sink.name, connector, options, order: Vec::new() };
        self.jobs.push(Job { place, view: None, plan, emit_on_close: sink.emit_on_close, sink: Some(spec) });
        Ok(())
    }

    fn finish(self, options: &CompileOptions, problems: &mut Vec<Problem>) -> Option<Compiled> {
        let mut lowerer = Lowerer {
            builder: PlanBuilder::default(),
            planner: &self.planner,
            sources: HashMap::new(),
            views: HashMap::new(),
            emit_on_close: false,
            notices: Vec::new(),
        };
        let plans: Vec<&LogicalPlan> = self.jobs.iter().map(|job| &job.plan).collect();
        let read = match columns_read(&plans) {
            Ok(read) => read,
            Err(error) => {
                problems.push(problem(&error, (0, 0)));
                return None;
            }
        };
        let mut sources_planned = true;
        for (entry, columns) in read.sources.values() {
            if let Err(error) = lowerer.add_source(entry, columns) {
                problems.push(problem(&error, (0, 0)));
                sources_planned = false;
            }
        }
        // Without its sources no query can be planned.
        if !sources_planned {
            return None;
        }
        let mut modes = Vec::new();
        for job in &self.jobs {
            match run_job(&mut lowerer, job, &read.views, options) {
                Ok(mode) => modes.extend(mode),
                Err(error) => problems.push(problem(&error, job.place)),
            }
        }
        let (plan, mut notices) = lowerer.finish();
        notices.dedup();
        Some(Compiled { plan, modes, tables: self.tables, notices })
    }
}

/// Lowers a job; the mode of the sink that it added, if it did.
fn run_job(
    lowerer: &mut Lowerer,
    job: &Job,
    views_read: &BTreeSet<String>,
    options: &CompileOptions,
) -> Result<Option<SinkMode>> {
    let (rel, presentation) = lowerer.query(&job.plan, job.emit_on_close, job.sink.is_some())?;
    if let Some(view) = &job.view {
        lowerer.views.insert(view.clone(), rel.clone());
    }
    let spec = match &job.sink {
        Some(spec) => spec.clone(),
        // A view that nobody reads is computed all the same: its errors are errors.
        None if !views_read.contains(job.view.as_deref().unwrap_or_default()) => SinkSpec {
            name: job.view.clone().unwrap_or_default(),
            connector: "blackhole".to_owned(),
            options: Options::default(),
            order: Vec::new(),
        },
        None => return Ok(None),
    };
    let shape = options.connectors.sink(&spec.connector, &spec.options).map_err(plan_error)?;
    let mode = shape.mode.unwrap_or_else(|| default_mode(lowerer, &rel, &spec.connector));
    let delivery = if shape.discards { Delivery::Changelog } else { delivery_of(mode) };
    lowerer.sink(&rel, presentation, spec, delivery, shape.single)?;
    Ok(Some(mode))
}

pub(crate) fn delivery_of(mode: SinkMode) -> Delivery {
    match mode {
        SinkMode::Append => Delivery::Append,
        SinkMode::Final => Delivery::Final,
        SinkMode::Changelog => Delivery::Changelog,
    }
}

fn default_mode(lowerer: &Lowerer, rel: &Rel, connector: &str) -> SinkMode {
    // People print a query to see its answer as one table, sorted if they asked for it.
    let append_only = lowerer.properties(rel.node).append_only;
    if append_only && connector != "stdout" { SinkMode::Append } else { SinkMode::Final }
}

pub(crate) struct ColumnsRead {
    /// Sources that are read from outside, by name, with the columns that are used.
    pub sources: BTreeMap<String, (Arc<SourceEntry>, BTreeSet<usize>)>,
    /// Materialized views of the script.
    views: BTreeSet<String>,
}

/// Which columns of which sources, and which materialized views, `plans` read.
pub(crate) fn columns_read(plans: &[&LogicalPlan]) -> Result<ColumnsRead> {
    let mut read = ColumnsRead { sources: BTreeMap::new(), views: BTreeSet::new() };
    for plan in plans {
        plan.apply_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
            let table = crate::lower::planned_table(scan)?;
            let mut used = |source: &Arc<SourceEntry>, more: &mut dyn Iterator<Item = usize>| {
                let entry = read.sources.entry(source.name.clone());
                let (_, columns) = entry.or_insert_with(|| (Arc::clone(source), BTreeSet::new()));
                columns.extend(more);
                if columns.is_empty() {
                    // Rows without columns cannot be told apart from no rows by every kernel.
                    columns.insert(narrowest(&table.schema));
                }
            };
            match &table.relation {
                Relation::Source(source) => match &scan.projection {
                    Some(projection) => used(source, &mut projection.iter().copied()),
                    None => used(source, &mut (0..table.schema.fields().len())),
                },
                Relation::Dead(source) => used(source, &mut (0..source.declared.fields().len())),
                Relation::Quarantine(source) => used(source, &mut (0..source.schema.fields().len())),
                Relation::Materialized { name, .. } => {
                    read.views.insert(name.clone());
                }
                Relation::View(_) | Relation::Live(_) => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(read)
}

fn narrowest(schema: &SchemaRef) -> usize {
    let width = |i: &usize| schema.field(*i).data_type().primitive_width().unwrap_or(usize::MAX);
    (0..schema.fields().len()).min_by_key(width).unwrap_or(0)
}

pub(crate) fn renamed(plan: LogicalPlan, columns: &[String]) -> Result<LogicalPlan> {
    if columns.is_empty() {
        return Ok(plan);
    }
    let have = plan.schema().columns();
    if have.len() != columns.len() {
        return Err(DataFusionError::Plan(format!(
            "the view names {} columns, its query yields {}",
            columns.len(),
            have.len()
        )));
    }
    let items: Vec<Logical> = have.into_iter().zip(columns).map(|(c, n)| Logical::Column(c).alias(n)).collect();
    LogicalPlanBuilder::from(plan).project(items)?.build()
}

pub(crate) fn plan_error(error: Error) -> DataFusionError {
    DataFusionError::Plan(error.to_string())
}

/// A planner's error in the user's words, at its own place if it knows it.
pub(crate) fn problem(error: &DataFusionError, place: (u64, u64)) -> Problem {
    let place = match error.diagnostic().and_then(|d| d.span) {
        Some(span) if span.start.line > 0 => (span.start.line, span.start.column),
        _ => place,
    };
    let message = match root(error) {
        DataFusionError::Plan(message) | DataFusionError::ResourcesExhausted(message) => message.clone(),
        DataFusionError::NotImplemented(what) => format!("not supported: {what}"),
        DataFusionError::SchemaError(e, _) => e.to_string(),
        other => other.strip_backtrace(),
    };
    let message = message.split("\nThis issue was likely caused by").next().unwrap_or_default().to_owned();
    let message = message.strip_prefix("Error during planning: ").unwrap_or(&message).trim_end().to_owned();
    Problem::new(place.0, place.1, message)
}

pub(crate) fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) => root(inner),
        DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        other => other,
    }
}
