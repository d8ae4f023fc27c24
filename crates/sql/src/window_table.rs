//! `TUMBLE`, `HOP` and `SESSION` in FROM: a logical node that adds `window_start` and `window_end`.
//! It must not know how windows are computed.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, TableFactor};

/// Which windows; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) enum WindowKind {
    Tumble { size: i64, origin: i64 },
    Hop { slide: i64, size: i64, origin: i64 },
    Session { gap: i64 },
}

/// The input's columns, then `window_start` and `window_end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowTable {
    pub input: LogicalPlan,
    pub kind: WindowKind,
    /// The time column; for sessions, then the key columns.
    pub columns: Vec<Expr>,
    pub schema: DFSchemaRef,
}

impl WindowTable {
    pub fn try_new(input: LogicalPlan, kind: WindowKind, columns: Vec<Expr>) -> Result<Self> {
        let qualifier = match columns.first() {
            Some(Expr::Column(time)) if time.relation.is_some() => time.relation.clone(),
            _ => input.schema().iter().next().and_then(|(q, _)| q.cloned()),
        };
        Self::qualified(input, kind, columns, qualifier)
    }

    /// `qualifier` names the relation of `window_start` and `window_end`; it stays when columns are pruned.
    fn qualified(
        input: LogicalPlan,
        kind: WindowKind,
        columns: Vec<Expr>,
        qualifier: Option<TableReference>,
    ) -> Result<Self> {
        let Some(Expr::Column(time)) = columns.first() else {
            return Err(DataFusionError::Plan("the second argument of a window is a time column".to_owned()));
        };
        let field = Arc::clone(&input.schema().fields()[input.schema().index_of_column(time)?]);
        let DataType::Timestamp(TimeUnit::Microsecond, _) = field.data_type() else {
            return Err(DataFusionError::Plan(format!(
                "the window's time column {} is {}, not a timestamp",
                time.name,
                field.data_type()
            )));
        };
        let window = |name| Arc::new(Field::new(name, field.data_type().clone(), field.is_nullable()));
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        fields.push((qualifier.clone(), window("window_start")));
        fields.push((qualifier, window("window_end")));
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, kind, columns, schema: Arc::new(schema) })
    }

    fn added(&self) -> [String; 2] {
        ["window_start".to_owned(), "window_end".to_owned()]
    }
}

impl PartialOrd for WindowTable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for WindowTable {
    fn name(&self) -> &str {
        "WindowTable"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns.clone()
    }

    /// A filter before a session would change the sessions; before the others it is the same.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        match self.kind {
            WindowKind::Session { .. } => self.schema.fields().iter().map(|f| f.name().clone()).collect(),
            _ => self.added().into_iter().collect(),
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "WindowTable: {:?} on {:?}", self.kind, self.columns)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.pop().ok_or_else(|| DataFusionError::Internal("a window has an input".to_owned()))?;
        let last = self.schema.fields().len() - 1;
        Self::qualified(input, self.kind, exprs, self.schema.qualified_field(last).0.cloned())
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let mut needed: Vec<usize> = output.iter().copied().filter(|i| *i < width).collect();
        for column in &self.columns {
            let Expr::Column(column) = column else { return None };
            needed.push(self.input.schema().index_of_column(column).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// Plans the window functions of FROM.
#[derive(Debug)]
pub(crate) struct WindowPlanner;

impl RelationPlanner for WindowPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, alias, args: Some(args), .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let function = name.to_string().to_lowercase();
        if !matches!(function.as_str(), "tumble" | "hop" | "session") {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let plan = plan_window(&function, &args.args, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

fn plan_window(function: &str, args: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let usage = match function {
        "tumble" => "TUMBLE(relation, time_column, size [, offset])",
        "hop" => "HOP(relation, time_column, slide, size [, offset])",
        _ => "SESSION(relation, time_column, gap [, key, ...])",
    };
    let usage = || DataFusionError::Plan(format!("wrong arguments for a window\n  hint: Write {usage}."));
    let mut exprs = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Ok(e.clone()),
        _ => Err(usage()),
    });
    let input = plan_input(exprs.next().ok_or_else(usage)??, context).map_err(|e| e.context(usage().to_string()))?;
    let mut column = |expr: ast::Expr| -> Result<Expr> {
        match context.sql_to_expr(expr, input.schema())? {
            Expr::Column(c) => Ok(Expr::Column(c)),
            _ => Err(usage()),
        }
    };
    let mut columns = vec![column(exprs.next().ok_or_else(usage)??)?];
    let rest = exprs.collect::<Result<Vec<_>>>()?;
    let empty = DFSchema::empty();
    let mut duration = |expr: &ast::Expr| -> Result<i64> {
        let micros = interval_micros(&context.sql_to_expr(expr.clone(), &empty)?)?;
        if micros > 0 { Ok(micros) } else { Err(DataFusionError::Plan("a window's size is above zero".to_owned())) }
    };
    let kind = match (function, rest.as_slice()) {
        ("tumble", [size]) => WindowKind::Tumble { size: duration(size)?, origin: 0 },
        ("tumble", [size, origin]) => WindowKind::Tumble { size: duration(size)?, origin: duration(origin)? },
        ("hop", [slide, size]) => hop(duration(slide)?, duration(size)?, 0)?,
        ("hop", [slide, size, origin]) => hop(duration(slide)?, duration(size)?, duration(origin)?)?,
        ("session", [gap, keys @ ..]) => {
            let kind = WindowKind::Session { gap: duration(gap)? };
            for key in keys {
                let Expr::Column(c) = context.sql_to_expr(key.clone(), input.schema())? else { return Err(usage()) };
                columns.push(Expr::Column(c));
            }
            kind
        }
        _ => return Err(usage()),
    };
    let node = WindowTable::try_new(input, kind, columns)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn hop(slide: i64, size: i64, origin: i64) -> Result<WindowKind> {
    if size % slide != 0 {
        return Err(DataFusionError::Plan(
            "the size of a hopping window is a multiple of its slide\n  hint: HOP(relation, time, slide, size)."
                .to_owned(),
        ));
    }
    Ok(WindowKind::Hop { slide, size, origin })
}

/// The relation in the first argument: a name or a subquery.
fn plan_input(expr: ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let relation = match expr {
        ast::Expr::Identifier(ident) => table(vec![ident]),
        ast::Expr::CompoundIdentifier(parts) => table(parts),
        ast::Expr::Subquery(query) => {
            TableFactor::Derived { lateral: false, subquery: query, alias: None, sample: None }
        }
        other => return Err(DataFusionError::Plan(format!("{other} is not a relation"))),
    };
    context.plan(relation)
}

fn table(parts: Vec<ast::Ident>) -> TableFactor {
    TableFactor::Table {
        name: ast::ObjectName::from(parts),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A constant interval in microseconds.
///
/// # Errors
/// Not a constant, or one with months.
pub(crate) fn interval_micros(expr: &Expr) -> Result<i64> {
    let not_constant =
        || DataFusionError::Plan(format!("{expr} is not a constant interval such as INTERVAL '10 seconds'"));
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) if i.months == 0 => {
            Ok(i64::from(i.days) * 86_400_000_000 + i.nanoseconds / 1000)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _) => {
            Ok(i64::from(i.days) * 86_400_000_000 + i64::from(i.milliseconds) * 1000)
        }
        Expr::Cast(cast) => interval_micros(&cast.expr),
        _ => Err(not_constant()),
    }
}

/// The position of a column of `columns` in the node's input.
pub(crate) fn position(schema: &DFSchema, expr: &Expr) -> Result<usize> {
    match expr {
        Expr::Column(column) => schema.index_of_column(column),
        Expr::Alias(alias) => position(schema, &alias.expr),
        other => schema.index_of_column(&Column::from_name(other.schema_name().to_string())),
    }
}
