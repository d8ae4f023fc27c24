//! Aggregate calls as data. It must not know how an accumulator works.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::AggregateUDF;

use crate::Properties;

/// Which aggregate. Those named here have incremental, columnar accumulators; `Other` is recomputed per changed
/// group from a multiset of its argument rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    /// `count(*)` (no argument) or `count(x)` (non-null x).
    Count,
    /// `sum(x)`: Int64 in, Int64 out with overflow an error; Float64; Decimal128.
    Sum,
    /// `avg(x)`: Float64 out for integers and floats; Decimal128 for decimals.
    Avg,
    /// `min(x)`, any ordered type.
    Min,
    /// `max(x)`, any ordered type.
    Max,
    /// `bool_and(x)`.
    BoolAnd,
    /// `bool_or(x)`.
    BoolOr,
    /// `var_pop(x)`, Float64.
    VarPop,
    /// `var_samp(x)`, Float64.
    VarSamp,
    /// `stddev_pop(x)`, Float64.
    StddevPop,
    /// `stddev_samp(x)`, Float64.
    StddevSamp,
    /// A sketch, over rows that are never taken back.
    Sketch(SketchCall),
    /// Any other aggregate of the function library.
    Other(Arc<AggregateUDF>),
}

impl AggregateFunction {
    /// The SQL name.
    pub fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::BoolAnd => "bool_and",
            Self::BoolOr => "bool_or",
            Self::VarPop => "var_pop",
            Self::VarSamp => "var_samp",
            Self::StddevPop => "stddev_pop",
            Self::StddevSamp => "stddev_samp",
            Self::Sketch(sketch) => sketch.function,
            Self::Other(udf) => udf.name(),
        }
    }
}

/// Which sketch, as its library knows it.
#[derive(Clone, Debug)]
pub struct SketchCall {
    /// The SQL name.
    pub function: &'static str,
    /// Type of the argument.
    pub argument: DataType,
    /// The constants after the argument; none of them is NaN.
    pub parameters: Vec<f64>,
}

impl PartialEq for SketchCall {
    fn eq(&self, other: &Self) -> bool {
        (self.function, &self.argument, &self.parameters) == (other.function, &other.argument, &other.parameters)
    }
}

impl Eq for SketchCall {}

/// One aggregate of a GROUP BY. Arguments and filter are columns of the input: expressions were computed below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateCall {
    /// Which function.
    pub function: AggregateFunction,
    /// Argument columns.
    pub args: Vec<usize>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// Column of booleans: `FILTER (WHERE …)`.
    pub filter: Option<usize>,
    /// `ORDER BY` inside the call (only for `Other`): column, descending, nulls first.
    pub order_by: Vec<(usize, bool, bool)>,
    /// Name, type and nullability of the result.
    pub output: FieldRef,
}

impl AggregateCall {
    /// The call can be computed in two phases (partial, then merged): named functions that are not DISTINCT.
    pub fn two_phase(&self) -> bool {
        !self.distinct && !matches!(self.function, AggregateFunction::Other(_))
    }

    /// The columns of this call's partial state, where `input` is the schema of the rows. The layout by function:
    ///
    /// - `count`: `n`;
    /// - `sum`, `avg` of integers and decimals: `sum` (128 bits, of the argument's scale), `n`;
    /// - `sum`, `avg` of floats: `sum`, `sum_low`, `n`, `special` (how many NaN, +∞ and −∞, where there are any);
    /// - `min`, `max`: `value`;
    /// - `bool_and`, `bool_or`: `trues`, `falses`;
    /// - variances and deviations: `n`, `sum`, `sum_low`, `squares`, `squares_low`, `special`;
    /// - sketches: `sketch`, their bytes.
    pub fn partial_fields(&self, input: &Schema) -> Vec<FieldRef> {
        use AggregateFunction as F;
        let argument = self.args.first().map(|a| input.field(*a).data_type().clone()).unwrap_or(DataType::Null);
        let n = || ("n", DataType::Int64);
        let float = |name| (name, DataType::Float64);
        let columns = match (&self.function, &argument) {
            (F::Count, _) => vec![n()],
            (F::Sum | F::Avg, DataType::Float32 | DataType::Float64) => {
                vec![float("sum"), float("sum_low"), n(), ("special", DataType::Binary)]
            }
            (F::Sum | F::Avg, DataType::Decimal128(_, scale)) => vec![("sum", DataType::Decimal128(38, *scale)), n()],
            (F::Sum | F::Avg, _) => vec![("sum", DataType::Decimal128(38, 0)), n()],
            (F::BoolAnd | F::BoolOr, _) => vec![("trues", DataType::Int64), ("falses", DataType::Int64)],
            (F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp, _) => vec![
                n(),
                float("sum"),
                float("sum_low"),
                float("squares"),
                float("squares_low"),
                ("special", DataType::Int64),
            ],
            (F::Sketch(_), _) => vec![("sketch", DataType::Binary)],
            (F::Min | F::Max | F::Other(_), _) => vec![("value", argument.clone())],
        };
        let field = |(part, data_type): (&str, DataType)| {
            let nullable = matches!(part, "value" | "special");
            Arc::new(Field::new(format!("{}${part}", self.output.name()), data_type, nullable))
        };
        columns.into_iter().map(field).collect()
    }
}

/// Name of the column after the group columns that a partial aggregation over changing input yields: the net number of
/// rows of the group in this epoch, from which the final phase knows when a group is empty.
pub const PARTIAL_ROWS: &str = "$rows";

/// What the partial phase over `input` yields: the group's columns, `PARTIAL_ROWS` if `input` may take rows back, then
/// each call's `partial_fields`. Its rows are never taken back themselves: the counts in them are signed.
pub fn partial_schema(group: &[usize], calls: &[AggregateCall], input: &Properties) -> SchemaRef {
    let mut fields: Vec<FieldRef> = group.iter().map(|c| Arc::clone(&input.schema.fields()[*c])).collect();
    if !input.append_only {
        fields.push(Arc::new(Field::new(PARTIAL_ROWS, DataType::Int64, false)));
    }
    fields.extend(calls.iter().flat_map(|c| c.partial_fields(&input.schema)));
    Arc::new(Schema::new(fields))
}

impl fmt::Display for AggregateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(|i| format!("#{i}")).collect();
        let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
        write!(f, "{}({}{args}", self.function.name(), if self.distinct { "distinct " } else { "" })?;
        for (i, (column, descending, nulls_first)) in self.order_by.iter().enumerate() {
            let lead = if i == 0 { " order by" } else { "," };
            let direction = if *descending { " desc" } else { "" };
            let nulls = if *nulls_first { " nulls first" } else { "" };
            write!(f, "{lead} #{column}{direction}{nulls}")?;
        }
        if let AggregateFunction::Sketch(sketch) = &self.function {
            sketch.parameters.iter().try_for_each(|parameter| write!(f, ", {parameter}"))?;
        }
        f.write_str(")")?;
        match self.filter {
            Some(column) => write!(f, " filter #{column}"),
            None => Ok(()),
        }
    }
}

/// Which half of a two-phase aggregation a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregatePhase {
    /// Rows in, results out.
    Single,
    /// Rows in; per epoch one row a group with the accumulators' partial state out; keeps nothing between epochs.
    Partial,
    /// Partial states in, results out.
    Final,
}
