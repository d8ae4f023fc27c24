//! DataFusion's planner over our catalog: names, functions, types, optimisation. It must not know our plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, Query, Statement};

use crate::cases;
use crate::catalog::{Catalog, Relations};
use crate::functions;
use crate::marks::Marks;
use crate::scalar::single_rows;
use crate::series::SeriesPlanner;
use crate::types::PostgresTypes;
use crate::window_table::WindowPlanner;

/// Plans queries over a catalog.
pub(crate) struct Planner {
    state: SessionState,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    types: Arc<dyn TypePlanner>,
    marks: Marks,
}

impl Planner {
    pub fn new() -> Self {
        let mut config = SessionConfig::new().with_target_partitions(1);
        let options = config.options_mut();
        options.sql_parser.parse_float_as_decimal = true;
        options.sql_parser.collect_spans = true;
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        options.execution.time_zone = Some("+00:00".to_owned());
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_expr_planners(vec![Arc::new(functions::Operators)])
            .with_default_features()
            .build();
        functions::register(&mut state);
        // The server's version is not that of the planner.
        let _ = state.deregister_udf("version");
        Self {
            state,
            relation_planners: vec![Arc::new(WindowPlanner), Arc::new(SeriesPlanner)],
            types: Arc::new(PostgresTypes),
            marks: Marks::default(),
        }
    }

    fn options() -> ParserOptions {
        ParserOptions::new()
            .with_parse_float_as_decimal(true)
            .with_map_string_types_to_utf8view(true)
            .with_collect_spans(true)
    }

    /// The optimised plan of a query.
    pub fn query(&self, catalog: &dyn Relations, query: &Query) -> Result<LogicalPlan> {
        let bound = self.bind(catalog, query)?;
        self.optimize(bound)
    }

    /// The plan of a query as written, types resolved.
    pub fn bind(&self, catalog: &dyn Relations, query: &Query) -> Result<LogicalPlan> {
        self.bind_with(catalog, query, Vec::new())
    }

    /// As [`Planner::bind`]; `parameters` are the types of `$1`, `$2`, …, as far as they are known.
    pub fn bind_with(
        &self,
        catalog: &dyn Relations,
        query: &Query,
        parameters: Vec<Option<FieldRef>>,
    ) -> Result<LogicalPlan> {
        let names = Names { planner: self, catalog };
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters);
        let plan = SqlToRel::new_with_options(&names, Self::options())
            .sql_statement_to_plan_with_context(Statement::Query(Box::new(query.clone())), &mut context)?;
        self.marks.put_in(single_rows(plan)?)
    }

    /// A plan over readable tables as something that runs.
    pub async fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.query_planner().create_physical_plan(plan, &self.state).await
    }

    /// `plan` with `now()` as the time `micros`.
    pub fn at(&self, plan: LogicalPlan, micros: i64) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            node.map_expressions(|e| {
                let name = NamePreserver::new_for_projection().save(&e);
                Ok(now_is(e, micros)?.update_data(|e| name.restore(e)))
            })
        });
        plan.data()
    }

    /// An expression without columns that the clock may stand in, ready to compute.
    pub fn compiled(&self, expr: Expr, micros: i64) -> Result<Arc<dyn PhysicalExpr>> {
        crate::lower::compile_expr(&now_is(expr, micros)?.data, &DFSchema::empty())
    }

    /// What a plan runs in: `memory` bytes at most.
    pub fn task(&self, runtime: Arc<RuntimeEnv>) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&self.state).with_runtime(runtime))
    }

    pub fn optimize(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.state.optimize(&plan)
    }

    /// The columns of a plan with the types that they have when it runs; as far as parameters let it know them.
    pub fn typed(&self, plan: &LogicalPlan) -> SchemaRef {
        let known = plan.schema().inner();
        let Ok(coerced) = self.coerced(plan.clone()) else { return Arc::clone(known) };
        let field = |((f, typed), case): ((&FieldRef, &FieldRef), bool)| match case {
            true => Arc::new(f.as_ref().clone().with_data_type(typed.data_type().clone())),
            false => Arc::clone(f),
        };
        let fields = known.fields().iter().zip(coerced.schema().fields()).zip(cases::of_columns(plan)).map(field);
        Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
    }

    /// `plan` with the casts without which CASE is not of the type that it has.
    pub fn coerced(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !cases::has_case(&plan) {
            return Ok(plan);
        }
        TypeCoercion::new().analyze(plan, self.state.config_options())
    }

    /// An expression over the columns of one relation.
    pub fn expression(&self, expr: ast::Expr, schema: &DFSchema) -> Result<Expr> {
        let catalog = Catalog::default();
        let names = Names { planner: self, catalog: &catalog };
        SqlToRel::new_with_options(&names, Self::options()).sql_to_expr(expr, schema, &mut PlannerContext::new())
    }

    /// `SELECT * FROM name`, optimised.
    pub fn relation(&self, catalog: &dyn Relations, name: &str) -> Result<LogicalPlan> {
        let source = Names { planner: self, catalog }.get_table_source(TableReference::bare(name.to_owned()))?;
        self.optimize(LogicalPlanBuilder::scan(TableReference::bare(name.to_owned()), source, None)?.build()?)
    }

    /// An expression with the casts that its operands need.
    pub fn coerce(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        let expr = functions::meant(expr, schema, self.state.config_options())?;
        let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
        ExprSimplifier::new(context).coerce(expr, schema)
    }
}

struct Names<'a> {
    planner: &'a Planner,
    catalog: &'a dyn Relations,
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.catalog.source(&name)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.planner.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.planner.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.planner.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.catalog.function(name).or_else(|| self.planner.state.scalar_functions().get(name).cloned())
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.planner.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.planner.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.planner.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.planner.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.planner.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.planner.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.planner.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.planner.state.window_functions().keys().cloned().collect()
    }
}

/// `now()` in `expr` as the time `micros`.
fn now_is(expr: Expr, micros: i64) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| {
        Ok(match &e {
            Expr::ScalarFunction(call) if call.func.name() == functions::NOW => {
                let time = ScalarValue::TimestampMicrosecond(Some(micros), Some(crate::types::UTC.into()));
                Transformed::yes(Expr::Literal(time, None))
            }
            _ => Transformed::no(e),
        })
    })
}
