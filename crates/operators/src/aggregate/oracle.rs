//! Aggregates row by row, for tests: obviously right, slow. It must not know the operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type};
use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_plan::{AggregateCall, AggregateFunction as F};

use crate::operator::{Operator, Output, StateTable};
use crate::testing::{Cell, Row, Standing};

/// A call with the type that the SQL room gives it.
pub(crate) fn call(function: F, args: &[usize], output: DataType) -> AggregateCall {
    let name = function.name().to_owned();
    AggregateCall {
        function,
        args: args.to_vec(),
        distinct: false,
        filter: None,
        order_by: Vec::new(),
        output: Arc::new(Field::new(name, output, true)),
    }
}

/// The groups of `rows` by the cells that `key` picks.
pub(crate) fn groups(rows: &Standing, key: impl Fn(&Row) -> Row) -> BTreeMap<Row, Vec<(Row, i64)>> {
    let mut groups: BTreeMap<Row, Vec<(Row, i64)>> = BTreeMap::new();
    for (row, n) in rows {
        groups.entry(key(row)).or_default().push((row.clone(), *n));
    }
    groups
}

/// The result of `call` over a group.
pub(crate) fn value(call: &AggregateCall, rows: &[(Row, i64)]) -> Cell {
    let passes = |row: &Row| call.filter.is_none_or(|f| row[f] == Cell::Bool(true));
    let nulls_count = matches!(call.function, F::Other(_));
    let mut cells: Vec<(Row, Cell)> = Vec::new();
    for (row, n) in rows.iter().filter(|(row, _)| passes(row)) {
        let cell = call.args.first().map_or(Cell::Int(1), |a| row[*a].clone());
        if cell != Cell::Null || nulls_count {
            cells.extend((0..*n).map(|_| (row.clone(), cell.clone())));
        }
    }
    if call.distinct {
        let mut seen = BTreeSet::new();
        cells.retain(|(row, cell)| {
            let order: Row = call.order_by.iter().map(|o| row[o.0].clone()).collect();
            seen.insert((cell.clone(), order))
        });
    }
    if let F::Other(udf) = &call.function {
        return other(udf.name(), call, cells);
    }
    let cells: Vec<Cell> = cells.into_iter().map(|(_, cell)| cell).collect();
    let n = cells.len();
    if let F::Count = call.function {
        return Cell::Int(n as i64);
    }
    if let F::Sketch(sketch) = &call.function {
        return sketched(sketch.function, cells);
    }
    let numbers: Vec<f64> = cells.iter().map(number).collect();
    let sum: f64 = numbers.iter().sum();
    let float = |v: f64| Cell::Float(v.to_string());
    let variance = |divisor: usize| {
        let mean = sum / n as f64;
        numbers.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / divisor as f64
    };
    match &call.function {
        _ if n == 0 => Cell::Null,
        F::Sum if call.output.data_type() == &DataType::Int64 => Cell::Int(sum as i64),
        F::Sum => float(sum),
        F::Avg => float(sum / n as f64),
        F::Min => cells.into_iter().min_by(compare).expect("not empty"),
        F::Max => cells.into_iter().max_by(compare).expect("not empty"),
        F::BoolAnd => Cell::Bool(cells.iter().all(|c| *c == Cell::Bool(true))),
        F::BoolOr => Cell::Bool(cells.contains(&Cell::Bool(true))),
        F::VarPop => float(variance(n)),
        F::StddevPop => float(variance(n).sqrt()),
        F::VarSamp | F::StddevSamp if n == 1 => Cell::Null,
        F::VarSamp => float(variance(n - 1)),
        F::StddevSamp => float(variance(n - 1).sqrt()),
        F::Count | F::Sketch(_) | F::Other(_) => unreachable!("done above"),
    }
}

fn other(name: &str, call: &AggregateCall, mut cells: Vec<(Row, Cell)>) -> Cell {
    if name == "bit_xor" {
        let numbers = cells.iter().filter_map(|(_, c)| if let Cell::Int(v) = c { Some(*v) } else { None });
        return numbers.reduce(|a, b| a ^ b).map_or(Cell::Null, Cell::Int);
    }
    assert_eq!(name, "string_agg");
    cells.sort_by(|(a, x), (b, y)| {
        let by_order = call.order_by.iter().map(|(column, descending, nulls_first)| {
            let null = |row: &Row| (row[*column] == Cell::Null) != *nulls_first;
            let by_value = a[*column].cmp(&b[*column]);
            null(a).cmp(&null(b)).then(if *descending { by_value.reverse() } else { by_value })
        });
        by_order.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then_with(|| x.cmp(y))
    });
    let parts = cells.iter().filter_map(|(_, c)| if let Cell::Text(v) = c { Some(v.clone()) } else { None });
    parts.reduce(|a, b| format!("{a},{b}")).map_or(Cell::Null, Cell::Text)
}

/// What a sketch of few values tells: it is exact.
fn sketched(name: &str, mut cells: Vec<Cell>) -> Cell {
    cells.sort_by(compare);
    match name {
        "approx_count_distinct" => Cell::Int(cells.iter().collect::<BTreeSet<_>>().len() as i64),
        // The median as percentile_disc has it.
        "approx_percentile" if cells.is_empty() => Cell::Null,
        "approx_percentile" => Cell::Float(number(&cells[cells.len().div_ceil(2) - 1]).to_string()),
        other => panic!("no oracle for {other}"),
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(v) => *v as f64,
        Cell::Float(v) => v.parse().expect("a float"),
        _ => 0.0,
    }
}

/// NaN is above every number.
fn compare(a: &Cell, b: &Cell) -> std::cmp::Ordering {
    match (a, b) {
        (Cell::Float(_), Cell::Float(_)) => number(a).total_cmp(&number(b)),
        _ => a.cmp(b),
    }
}

/// Floats to nine digits: the last bits depend on the order of the additions.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

/// The same with the floats of the oracle.
pub(crate) fn rounded_cell(cell: Cell) -> Cell {
    match &cell {
        Cell::Float(v) => Cell::Float(rounded(v.parse().expect("a float")).to_string()),
        _ => cell,
    }
}

/// An operator whose floats are rounded on the way out.
pub(crate) struct Rounded(pub(crate) Box<dyn Operator>);

impl Rounded {
    fn round(mut inner: Output, out: &mut Output) -> Result<()> {
        for delta in inner.drain() {
            let round = |column: &ArrayRef| match column.data_type() {
                DataType::Float64 => {
                    let floats = column.as_primitive::<Float64Type>().iter().map(|v| v.map(rounded));
                    Arc::new(floats.collect::<Float64Array>()) as ArrayRef
                }
                _ => Arc::clone(column),
            };
            let columns = delta.rows.columns().iter().map(round).collect();
            out.push(DeltaBatch::new(RecordBatch::try_new(delta.schema(), columns)?, delta.weights));
        }
        Ok(())
    }
}

impl Operator for Rounded {
    fn on_delta(&mut self, port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        let mut inner = Output::default();
        self.0.on_delta(port, delta, &mut inner)?;
        Self::round(inner, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let mut inner = Output::default();
        self.0.on_epoch(header, &mut inner)?;
        Self::round(inner, out)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.0.snapshot()
    }

    fn save_all(&mut self) {
        self.0.save_all();
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.0.restore(deltas, keep)
    }

    fn state_bytes(&self) -> usize {
        self.0.state_bytes()
    }
}
