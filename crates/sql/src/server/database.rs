//! `Database`: plans statements over a scope. One for the process; it holds no state but DataFusion's.
//! It must not know sessions, engines or protocols.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::TableProvider;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use thalweg_core::{SqlError, SqlState};
use thalweg_plan::SinkSpec;

use super::errors::sql_error;
use super::integers::narrowed;
use super::jobs::{self, JobPlan};
use super::lookup::ReadTable;
use super::names::ObjectName;
use super::objects::{Kind, Object, Oid, PUSH, SourceObject};
use super::parameters::{known, types};
use super::query::{Query, QueryRows};
use super::scope::{Scope, Used};
use super::statement::{Statement, StatementKind};
use crate::compile::{Connectors, renamed};
use crate::context::Planner;
use crate::declare::declare;
use crate::lower::presentable;
use crate::spelling::as_postgres_reads;
use crate::statement::{CreateSource, SinkInput};
use crate::system::{name_columns, rewrite, shown_name};

/// Plans and runs.
pub struct Database {
    pub(crate) planner: Planner,
    /// What queries run in, with the memory of all of them together.
    runtime: Arc<RuntimeEnv>,
    memory_bytes: usize,
}

/// A planned view: what it yields, what it reads, and, for a kept one, its job.
pub struct PlannedView {
    /// Its columns.
    pub columns: SchemaRef,
    /// The objects that it reads.
    pub reads: BTreeSet<Oid>,
    /// Its query's text.
    pub query: String,
    /// For materialized views.
    pub job: Option<JobPlan>,
}

impl Database {
    /// Queries may use `memory_bytes` together.
    ///
    /// # Errors
    /// DataFusion refuses the limit.
    pub fn new(memory_bytes: usize) -> Result<Self, SqlError> {
        let pool = Arc::new(GreedyMemoryPool::new(memory_bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().map_err(|e| sql_error(&e))?;
        Ok(Self { planner: Planner::new(), runtime, memory_bytes })
    }

    /// Bytes that one query may use unless it is told otherwise: half of what all may use together, in whole MiB.
    pub fn query_memory_bytes(&self) -> usize {
        (self.memory_bytes / 2).max(1 << 20) & !((1 << 20) - 1)
    }

    /// Plans a query over what is readable; `given` are the types of parameters that are known.
    ///
    /// # Errors
    /// The query is wrong.
    pub fn query(&self, scope: &Scope<'_>, query: &ast::Query, given: &[Option<DataType>]) -> Result<Query, SqlError> {
        let used = Used::new(scope, &self.planner);
        let known = known(query, given)?;
        let named = named(query);
        let plan = match self.planner.bind_with(&used, &named, known.clone()) {
            // Functions in FROM, LATERAL and the like: in other words the planner knows them.
            Err(error) if !reads_nothing(query) => {
                let mut other = query.clone();
                rewrite(&mut other);
                self.planner.bind_with(&used, &other, known.clone()).map_err(|_| sql_error(&error))?
            }
            other => other.map_err(|e| sql_error(&e))?,
        };
        let parameters = types(&plan, &known)?;
        let by_engine = super::by_engine::is_needed(&plan).map_err(|e| sql_error(&e))?;
        // Of an expression that is not cast yet the planner knows too little: CASE is of its first result's type.
        let schema = shown(&presentable(&self.planner.typed(&plan)));
        let schema = if by_engine { schema } else { narrowed(&schema, &plan) };
        Ok(Query { plan, parameters, schema, by_engine, memory_bytes: self.query_memory_bytes() })
    }

    /// Runs a planned query; `now` is its time, microseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub async fn run(&self, query: &Query, values: &[ArrayRef], now: i64) -> Result<QueryRows, SqlError> {
        query.run(&self.planner, Arc::clone(&self.runtime), values, now).await
    }

    /// A readable relation as the system's queries read it beside their own; `None` when it is not one.
    pub fn readable(&self, scope: &Scope<'_>, name: &TableReference) -> Option<Arc<dyn TableProvider>> {
        let name = ObjectName { schema: name.schema().map(str::to_owned), name: name.table().to_owned() };
        let object = scope.objects.find(&name, scope.path)?;
        if !object.is_readable() || !(scope.may_read)(object) {
            return None;
        }
        let parts = scope.contents?.read(object.oid).ok()?;
        Some(Arc::new(ReadTable::new(Arc::clone(&object.columns), parts)))
    }

    /// The declaration of a table or source.
    ///
    /// # Errors
    /// It is wrong.
    pub fn declare(
        &self,
        source: &StatementKind,
        connectors: &dyn Connectors,
        full_name: &str,
    ) -> Result<SourceObject, SqlError> {
        let (source, table) = match source {
            StatementKind::CreateTable(source) => (source, true),
            StatementKind::CreateSource(source) => (source, false),
            _ => return Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a declaration")),
        };
        let pushed = source.options.clone().take("connector").is_none_or(|c| c == PUSH);
        let mut source = CreateSource { name: full_name.to_owned(), ..source.clone() };
        if pushed {
            // Handed in: nothing to connect to, and a table of memory in the planner's eyes.
            let mut options = source.options.clone();
            options.take("connector");
            source.options = options;
            if source.columns.iter().all(|c| c.generated.is_some()) {
                let hint = "Write them after the name: (id BIGINT, ts TIMESTAMP, …).";
                return Err(SqlError::new(SqlState::SEMANTIC_ERROR, "columns are missing").hint(hint));
            }
        }
        let defaults = source.columns.iter().filter(|c| c.generated.is_none()).map(|c| c.default.clone()).collect();
        let entry = declare(&self.planner, source, connectors, table || pushed).map_err(|e| sql_error(&e))?;
        if table && !pushed && !entry.expectations.is_empty() {
            let hint = "Use CREATE SOURCE … EXPECT, and a materialized view of it to keep its rows.";
            let message = "EXPECT of a table with a connector is not supported";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint));
        }
        let expectations = crate::lower::compile_expectations(&self.planner, &entry, &entry.schema);
        let expectations = expectations.map_err(|e| sql_error(&e))?;
        Ok(SourceObject { entry, defaults, expectations, quarantine: None })
    }

    /// What the engine runs for a table, with or without a connector, or for a source whose rows are handed in.
    ///
    /// # Errors
    /// A generated column cannot be computed.
    pub fn handed_in(&self, object: &SourceObject, name: &str, table: bool) -> Result<JobPlan, SqlError> {
        jobs::handed_in(&self.planner, object, name, table).map_err(|e| sql_error(&e))
    }

    /// Plans CREATE [MATERIALIZED] VIEW.
    ///
    /// # Errors
    /// The query is wrong, or cannot be kept fresh.
    pub fn view(&self, scope: &Scope<'_>, statement: &Statement, name: &str) -> Result<PlannedView, SqlError> {
        let StatementKind::CreateView(view) = statement.kind.as_ref() else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a view"));
        };
        let used = Used::new(scope, &self.planner);
        let bound = self.planner.bind(&used, &named(&view.query)).map_err(|e| sql_error(&e))?;
        no_parameters(&bound)?;
        let names =
            if view.columns.is_empty() { distinct_names(bound.schema().inner())? } else { view.columns.clone() };
        let bound = renamed(bound, &names).map_err(|e| sql_error(&e))?;
        let columns = presentable(&self.planner.typed(&bound));
        let query = view.query.to_string();
        let reads = used.objects.take();
        if !view.materialized {
            return Ok(PlannedView { columns, reads, query, job: None });
        }
        let plan = self.planner.optimize(bound).map_err(|e| sql_error(&e))?;
        let job = jobs::view(&self.planner, &plan, view.emit_on_close, name).map_err(|e| sql_error(&e))?;
        Ok(PlannedView { columns: Arc::clone(&job.schema), reads, query, job: Some(job) })
    }

    /// Plans a query whose changes are followed.
    ///
    /// # Errors
    /// As [`Database::view`].
    pub fn followed(&self, scope: &Scope<'_>, query: &ast::Query) -> Result<PlannedView, SqlError> {
        let used = Used::new(scope, &self.planner);
        let bound = self.planner.bind(&used, &named(query)).map_err(|e| sql_error(&e))?;
        no_parameters(&bound)?;
        let names = distinct_names(bound.schema().inner())?;
        let plan = renamed(bound, &names).and_then(|p| self.planner.optimize(p)).map_err(|e| sql_error(&e))?;
        let job = jobs::view(&self.planner, &plan, false, "subscription").map_err(|e| sql_error(&e))?;
        let reads = used.objects.take();
        Ok(PlannedView { columns: Arc::clone(&job.schema), reads, query: query.to_string(), job: Some(job) })
    }

    /// Plans CREATE SINK.
    ///
    /// # Errors
    /// The query or an option is wrong.
    pub fn sink(
        &self,
        scope: &Scope<'_>,
        statement: &Statement,
        connectors: &dyn Connectors,
    ) -> Result<PlannedView, SqlError> {
        let StatementKind::CreateSink(sink) = statement.kind.as_ref() else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a sink"));
        };
        let mut options = sink.options.clone();
        let connector = options.require("connector", "file")?;
        let query = match &sink.from {
            SinkInput::Query(query) => query.clone(),
            SinkInput::Relation(name) => parsed_query(&format!("SELECT * FROM {}", ObjectName::bare(name.clone())))?,
        };
        let used = Used::new(scope, &self.planner);
        let shape = connectors.sink(&connector, &options).map_err(SqlError::from)?;
        if shape.epochs {
            let bound = self.planner.bind(&used, &named(&query)).map_err(|e| sql_error(&e))?;
            no_parameters(&bound)?;
            let names = distinct_names(bound.schema().inner())?;
            let plan = renamed(bound, &names).and_then(|p| self.planner.optimize(p)).map_err(|e| sql_error(&e))?;
            let job = jobs::view(&self.planner, &plan, sink.emit_on_close, &sink.name).map_err(|e| sql_error(&e))?;
            let (columns, reads) = (Arc::clone(&job.schema), used.objects.take());
            return Ok(PlannedView { columns, reads, query: query.to_string(), job: Some(job) });
        }
        let plan = self.planner.query(&used, &query).map_err(|e| sql_error(&e))?;
        let spec = SinkSpec { name: sink.name.clone(), connector, options, order: Vec::new() };
        let job = jobs::sink(&self.planner, &plan, sink.emit_on_close, spec, connectors).map_err(|e| sql_error(&e))?;
        let reads = used.objects.take();
        Ok(PlannedView { columns: Arc::clone(&job.schema), reads, query: query.to_string(), job: Some(job) })
    }
}

/// A SELECT without FROM.
fn reads_nothing(query: &ast::Query) -> bool {
    matches!(query.body.as_ref(), ast::SetExpr::Select(select) if select.from.is_empty())
}

/// `query` with PostgreSQL's names for its columns.
pub(super) fn named(query: &ast::Query) -> ast::Query {
    let mut query = query.clone();
    name_columns(&mut query.body);
    query
}

/// `schema` with the names that are shown.
pub(super) fn shown(schema: &SchemaRef) -> SchemaRef {
    let field = |f: &FieldRef| Arc::new(f.as_ref().clone().with_name(shown_name(f.name())));
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The names of a view's columns; no two may be alike.
pub(super) fn distinct_names(schema: &SchemaRef) -> Result<Vec<String>, SqlError> {
    let names: Vec<String> = schema.fields().iter().map(|f| shown_name(f.name()).to_owned()).collect();
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        None => Ok(names),
        Some((_, name)) => {
            let message = format!("column \"{name}\" specified more than once");
            Err(SqlError::new(SqlState("42701"), message)
                .hint("Give each column of a view a name of its own: AS name."))
        }
    }
}

pub(super) fn no_parameters(plan: &datafusion::logical_expr::LogicalPlan) -> Result<(), SqlError> {
    if types(plan, &[])?.is_empty() {
        return Ok(());
    }
    Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, "parameters are not allowed in what is kept"))
}

/// The query of a text.
pub(crate) fn parsed_query(text: &str) -> Result<Box<ast::Query>, SqlError> {
    let failed = |e| SqlError::new(SqlState::SYNTAX_ERROR, format!("{e}"));
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(failed)?;
    let mut query = parser.parse_query().map_err(failed)?;
    as_postgres_reads(query.as_mut()).map_err(failed)?;
    Ok(query)
}

/// `query` with `new` in the place of every name that means `object`.
///
/// # Errors
/// The text is not a query.
pub fn renamed_in(query: &str, path: &[String], object: &Object, new: &ObjectName) -> Result<String, SqlError> {
    let mut query = parsed_query(query)?;
    let _ = ast::visit_relations_mut(query.as_mut(), |name| {
        let found = ObjectName::of(name);
        let meant = found.schema.as_ref().map_or_else(|| path.contains(&object.schema), |s| *s == object.schema);
        if meant && found.name == object.name {
            let parts = new.schema.iter().chain([&new.name]).map(|part| ast::Ident::with_quote('"', part));
            *name = ast::ObjectName::from(parts.collect::<Vec<_>>());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    Ok(query.to_string())
}

impl SourceObject {
    /// Its columns.
    pub fn columns(&self) -> SchemaRef {
        Arc::clone(&self.entry.schema)
    }

    /// As [`Kind::Table`] or [`Kind::Source`].
    pub fn into_kind(self, table: bool) -> Kind {
        if table { Kind::Table(Arc::new(self)) } else { Kind::Source(Arc::new(self)) }
    }
}
