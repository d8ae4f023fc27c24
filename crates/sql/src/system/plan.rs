//! Queries over the system relations, planned and answered. It must not know how a client's text was parsed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, ParamValues, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, EmptyRelation, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF,
};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use thalweg_core::{SqlError, SqlState};

use super::SystemCatalog;
use super::dependent;
use super::errors;
use super::functions::ARRAY_TEXT;
use super::meaning::ArrayText;
use super::operators::CatalogOperators;
use super::parameters;
use super::rewrite;
use super::sorts;
use crate::functions;
use crate::marks::Marks;
use crate::scalar::single_rows;
use crate::types::PostgresTypes;

/// Relations of users that a query may read beside the system's.
pub type Tables<'a> = &'a dyn Fn(&TableReference) -> Option<Arc<dyn TableProvider>>;

/// A planned query.
#[derive(Clone, Debug)]
pub struct SystemQuery {
    plan: LogicalPlan,
    /// Types of parameters that the query's text tells.
    cast: HashMap<String, FieldRef>,
    engine: Arc<Engine>,
}

/// What plans and runs: functions, operators, options.
#[derive(Debug)]
pub(super) struct Engine {
    state: SessionState,
}

impl Engine {
    pub fn new(functions: &[Arc<ScalarUDF>]) -> Self {
        let mut config = SessionConfig::new().with_target_partitions(1);
        let options = config.options_mut();
        options.sql_parser.parse_float_as_decimal = true;
        options.sql_parser.enable_subquery_sort_elimination = false;
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        options.execution.time_zone = Some("+00:00".to_owned());
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_expr_planners(vec![Arc::new(CatalogOperators), Arc::new(functions::Operators)])
            .with_default_features()
            .build();
        functions::register(&mut state);
        for function in functions {
            // Registering cannot fail: it returns what was there before.
            let _ = state.register_udf(Arc::clone(function));
            if function.name() == ARRAY_TEXT {
                let _ = state.register_function_rewrite(Arc::new(ArrayText { function: Arc::clone(function) }));
            }
        }
        Self { state }
    }

    /// The plan that runs. What the planner cannot join is asked row by row.
    pub async fn physical(self: &Arc<Self>, bound: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let joined = match single_rows(bound.clone()).and_then(|plan| Marks::default().put_in(plan)) {
            Ok(plan) => self.state.create_physical_plan(&plan).await,
            Err(error) => Err(error),
        };
        match joined {
            Err(_) if dependent::asks_per_row(&bound) => {
                let plan = dependent::evaluated(bound, self)?;
                let plan = Marks::default().put_in(single_rows(plan)?)?;
                self.state.create_physical_plan(&plan).await
            }
            other => other,
        }
    }

    /// Whether the planner can join a query that stands for a value to `input`.
    pub fn joins(&self, expr: &Expr, input: &LogicalPlan) -> bool {
        if !matches!(expr, Expr::ScalarSubquery(_)) {
            return false;
        }
        let alone = LogicalPlanBuilder::from(input.clone())
            .project([expr.clone().alias("value")])
            .and_then(LogicalPlanBuilder::build)
            .and_then(single_rows)
            .and_then(|plan| self.state.optimize(&plan));
        alone.is_ok_and(|plan| !dependent::asks_per_row(&plan))
    }

    pub async fn rows(self: &Arc<Self>, bound: LogicalPlan) -> Result<Vec<RecordBatch>> {
        let plan = self.physical(bound).await?;
        collect(plan, self.state.task_ctx()).await
    }
}

impl SystemCatalog {
    /// Plans a query that is [`rewrite`](crate::system)n as PostgreSQL reads it; `tables` finds relations of users.
    ///
    /// # Errors
    /// A name that means nothing, types that do not fit, or what the planner cannot do.
    pub fn plan(&self, query: &Query, tables: Tables<'_>) -> Result<SystemQuery, SqlError> {
        let cast = parameters::cast(query);
        let mut query = query.clone();
        rewrite::rewrite(&mut query);
        let engine = Arc::clone(&self.engine);
        let names = Names { catalog: self, state: &engine.state, tables };
        let options = ParserOptions::new().with_parse_float_as_decimal(true).with_map_string_types_to_utf8view(true);
        let plan = SqlToRel::new_with_options(&names, options)
            .sql_statement_to_plan(Statement::Query(Box::new(query)))
            .and_then(sorts::lifted)
            .map_err(errors::told)?;
        Ok(SystemQuery { plan, cast, engine })
    }
}

impl SystemQuery {
    /// The columns, under the names that PostgreSQL gives them.
    pub fn schema(&self) -> SchemaRef {
        shown(self.plan.schema().as_arrow())
    }

    /// The types of `$1`, `$2`, …: what the query says of them, or text.
    ///
    /// # Errors
    /// Two places that want different types.
    pub fn parameters(&self) -> Result<Vec<FieldRef>, SqlError> {
        let known: HashMap<String, Option<DataType>> = self.plan.get_parameter_types().map_err(errors::told)?;
        let number = |name: &String| name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
        let count = known.keys().map(number).max().unwrap_or(0);
        let field = |at: usize| {
            let name = format!("${at}");
            match (known.get(&name).cloned().flatten(), self.cast.get(&name)) {
                (_, Some(field)) => Arc::clone(field),
                (of, None) => Arc::new(Field::new(name, of.unwrap_or(DataType::Utf8View), true)),
            }
        };
        Ok((1..=count).map(field).collect())
    }

    /// The rows, for parameters in order.
    ///
    /// # Errors
    /// A parameter is missing, or a function of the query fails.
    pub async fn rows(&self, parameters: &[ScalarValue]) -> Result<Vec<RecordBatch>, SqlError> {
        self.computed(parameters).await.map_err(errors::told)
    }

    async fn computed(&self, parameters: &[ScalarValue]) -> Result<Vec<RecordBatch>> {
        let plan = match parameters {
            [] => self.plan.clone(),
            given => self.plan.clone().with_param_values(ParamValues::from(given.to_vec()))?,
        };
        let schema = self.schema();
        let batches = self.engine.rows(plan).await?;
        let named = batches.into_iter().map(|batch| {
            let columns = batch.columns().iter().zip(schema.fields());
            // What is computed may be of a type near the planned one: a view of text instead of text.
            let columns = columns.map(|(column, field)| cast(column, field.data_type()));
            let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
        });
        named.collect()
    }
}

fn shown(schema: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| {
        let name = rewrite::shown(field.name()).to_owned();
        Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A relation without rows: the planner leaves out what is joined to it.
#[derive(Debug)]
struct Nothing {
    schema: SchemaRef,
}

impl TableSource for Nothing {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        let schema = DFSchema::try_from(Arc::clone(&self.schema)).ok()?;
        Some(Cow::Owned(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::new(schema) })))
    }
}

struct Names<'a> {
    catalog: &'a SystemCatalog,
    state: &'a SessionState,
    tables: Tables<'a>,
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        if let Some(rows) = self.catalog.relation(name.schema(), name.table()) {
            if rows.num_rows() == 0 {
                return Ok(Arc::new(Nothing { schema: rows.schema() }));
            }
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
            return Ok(provider_as_source(Arc::new(table)));
        }
        match (self.tables)(&name) {
            Some(table) => Ok(provider_as_source(table)),
            None => {
                let shown = match name.schema() {
                    Some(schema) => format!("{schema}.{}", name.table()),
                    None => name.table().to_owned(),
                };
                let error = SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"));
                Err(DataFusionError::External(Box::new(error)))
            }
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(PostgresTypes))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        let table = datafusion::catalog::cte_worktable::CteWorkTable::new(name, schema);
        Ok(provider_as_source(Arc::new(table)))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
