//! The aggregation against a recomputation.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::functions_aggregate::bit_and_or_xor::bit_xor_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use thalweg_core::{DeltaBatch, EpochHeader, Result, Watermark};
use thalweg_plan::{
    AggregateCall, AggregateFunction as F, AggregatePhase, Properties, SketchCall, WindowClose, partial_schema,
};

use super::Aggregate;
use super::oracle::{Rounded, call, groups, rounded_cell, value};
use crate::operator::{Operator, Output, StateTable};
use crate::testing::{Cell, Check, PortSpec, Rng, Row, Standing, add, bound, header, history, properties, run, schema};

const KEY: usize = 0;
const TEXT: usize = 1;
const TIME: usize = 2;
const INT: usize = 3;
const FLOAT: usize = 4;
const BOOL: usize = 5;
const COMMA: usize = 6;

fn columns() -> SchemaRef {
    schema(&[("k", 'i'), ("t", 't'), ("w", 'w'), ("x", 'i'), ("f", 'f'), ("b", 'b'), ("comma", 't')])
}

/// A row whose time is in a window of 20 that the watermark of the epoch before has not passed.
fn row(rng: &mut Rng, epoch: u64, specials: bool) -> Row {
    let time = (epoch * 10 + rng.below(45)).saturating_sub(10) / 20 * 20;
    let float = match rng.below(if specials { 30 } else { 10 }) {
        0 => Cell::Null,
        10 => Cell::Float("NaN".into()),
        11 => Cell::Float("inf".into()),
        12 => Cell::Float("-inf".into()),
        n => Cell::Float((n as f64 * 0.25 - 1.0).to_string()),
    };
    let flag = match rng.below(4) {
        0 => Cell::Null,
        n => Cell::Bool(n > 1),
    };
    let comma = Cell::Text(",".into());
    vec![rng.maybe_int(6), rng.text(6), Cell::Time(time as i64), rng.maybe_int(9), float, flag, comma]
}

fn named(function: F) -> AggregateCall {
    let float = DataType::Float64;
    match function {
        F::Count => call(function, &[INT], DataType::Int64),
        F::Sum => call(function, &[INT], DataType::Int64),
        F::Min | F::Max => call(function, &[TEXT], DataType::Utf8View),
        F::BoolAnd | F::BoolOr => call(function, &[BOOL], DataType::Boolean),
        F::Avg => call(function, &[INT], float),
        other => call(other, &[FLOAT], float),
    }
}

fn sketches() -> [AggregateCall; 3] {
    let of = |function, argument, parameters: &[f64]| {
        F::Sketch(SketchCall { function, argument, parameters: parameters.to_vec() })
    };
    [
        call(of("approx_count_distinct", DataType::Int64, &[]), &[INT], DataType::Int64),
        call(of("approx_count_distinct", DataType::Utf8View, &[10.0]), &[TEXT], DataType::Int64),
        call(of("approx_percentile", DataType::Int64, &[0.5, 4000.0]), &[INT], DataType::Float64),
    ]
}

/// A few calls out of all that there are.
fn some_calls(rng: &mut Rng, two_phase: bool, retracts: bool) -> Vec<AggregateCall> {
    let mut all: Vec<AggregateCall> =
        [F::Count, F::Sum, F::Avg, F::Min, F::Max, F::BoolAnd, F::BoolOr].map(named).into();
    all.extend([F::VarPop, F::VarSamp, F::StddevPop, F::StddevSamp].map(named));
    all.push(call(F::Count, &[], DataType::Int64));
    all.extend([F::Sum, F::Avg, F::Min, F::Max].map(|f| call(f, &[FLOAT], DataType::Float64)));
    all.extend([F::Min, F::Max].map(|f| call(f, &[INT], DataType::Int64)));
    let mut aggregation = call(F::Other(string_agg_udaf()), &[TEXT, COMMA], DataType::Utf8View);
    aggregation.order_by = vec![(INT, true, rng.one_in(2))];
    all.push(aggregation);
    if !retracts {
        all.extend(sketches());
    }
    all.push(call(F::Other(bit_xor_udaf()), &[INT], DataType::Int64));
    let mut calls = Vec::new();
    for i in 0..1 + rng.below(6) {
        let mut one = all[rng.below(all.len() as u64) as usize].clone();
        one.distinct = !one.args.is_empty() && rng.one_in(2);
        one.filter = rng.one_in(3).then_some(BOOL);
        one.output = Arc::new(one.output.as_ref().clone().with_name(format!("c{i}")));
        if !two_phase || one.two_phase() {
            calls.push(one);
        }
    }
    if calls.is_empty() { vec![named(F::Sum)] } else { calls }
}

fn output(input: &SchemaRef, group: &[usize], calls: &[AggregateCall]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = group.iter().map(|c| Arc::clone(&input.fields()[*c])).collect();
    fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
    Arc::new(Schema::new(fields))
}

fn expected(rows: &Standing, group: &[usize], calls: &[AggregateCall]) -> Standing {
    let by = groups(rows, |row| group.iter().map(|c| row[*c].clone()).collect());
    let result = |(mut key, rows): (Row, Vec<(Row, i64)>)| {
        key.extend(calls.iter().map(|c| rounded_cell(value(c, &rows))));
        (key, 1)
    };
    by.into_iter().map(result).collect()
}

/// Two workers' partial phases before one final phase.
struct TwoPhases {
    partials: [Aggregate; 2],
    last: Aggregate,
    turn: usize,
}

impl TwoPhases {
    fn new(input: &Properties, group: &[usize], calls: &[AggregateCall], close: Option<WindowClose>) -> Self {
        let states = partial_schema(group, calls, input);
        let partial = || {
            let phase = AggregatePhase::Partial;
            Aggregate::new(input, group.to_vec(), calls.to_vec(), phase, None, None, Arc::clone(&states))
                .expect("valid")
        };
        let between = properties(&states, true);
        let first = (0..group.len()).collect();
        let out = output(&input.schema, group, calls);
        let last = Aggregate::new(&between, first, calls.to_vec(), AggregatePhase::Final, close, None, out);
        Self { partials: [partial(), partial()], last: last.expect("valid").with_initial_row(true), turn: 0 }
    }

    fn pass(&mut self, mut states: Output, out: &mut Output) -> Result<()> {
        states.drain().try_for_each(|delta| self.last.on_delta(0, delta, out))
    }
}

impl Operator for TwoPhases {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        let mut states = Output::default();
        self.turn = 1 - self.turn;
        self.partials[self.turn].on_delta(0, delta, &mut states)?;
        self.pass(states, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let mut states = Output::default();
        for partial in &mut self.partials {
            partial.on_epoch(header, &mut states)?;
        }
        self.pass(states, out)?;
        self.last.on_epoch(header, out)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.last.snapshot()
    }

    fn save_all(&mut self) {
        self.last.save_all();
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.last.restore(deltas, keep)
    }
}

fn close(key: usize, delay: i64) -> WindowClose {
    WindowClose { key, delay, bound: bound() }
}

/// How groups end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Never,
    Emit,
    Forget,
}

fn check(seed: u64, retracts: bool, two_phase: bool, ending: Ending) {
    let input = columns();
    let mut rng = Rng(seed);
    let mut calls = some_calls(&mut rng, two_phase, retracts);
    if two_phase && retracts {
        calls.retain(|c| matches!(c.function, F::Count | F::Sum | F::Avg));
        calls.push(call(F::Count, &[], DataType::Int64));
    }
    let group = match (ending, rng.below(3)) {
        (Ending::Never, 0) => vec![KEY],
        (Ending::Never, 1) => vec![TEXT, KEY],
        (Ending::Never, _) => vec![FLOAT, INT],
        (_, 0) => vec![TEXT, TIME],
        (_, _) => vec![TIME, KEY],
    };
    let specials = !group.contains(&FLOAT);
    // Rows may be taken back long after they came: with retractions, windows close at the end only.
    let late = if retracts && ending != Ending::Never { 1_000_000 } else { 0 };
    let make_row = move |rng: &mut Rng, epoch: u64| {
        let mut row = row(rng, epoch, specials);
        if let Cell::Time(time) = &mut row[TIME] {
            *time += late;
        }
        Some(row)
    };
    let port = PortSpec { schema: input.clone(), retracts, row: Box::new(make_row) };
    let steps = history(&mut rng, &mut [port], 12, 30);
    let given = properties(&input, !retracts);
    let key = group.iter().position(|c| *c == TIME).unwrap_or(0);
    let make = || -> Box<dyn Operator> {
        let emit = (ending == Ending::Emit).then(|| close(key, 20));
        let forget = (ending == Ending::Forget).then(|| close(key, 20));
        if two_phase {
            return Box::new(Rounded(Box::new(TwoPhases::new(&given, &group, &calls, emit))));
        }
        let out = output(&input, &group, &calls);
        let single = AggregatePhase::Single;
        let made = Aggregate::new(&given, group.clone(), calls.clone(), single, emit, forget, out).expect("valid");
        Box::new(Rounded(Box::new(made)))
    };
    let oracle = |inputs: &[Standing], header: &EpochHeader| {
        let passed = header.sources[0].watermark;
        let mut want = expected(&inputs[0], &group, &calls);
        if ending == Ending::Emit {
            want.retain(|row, _| matches!(row[key], Cell::Time(t) if t + 20 <= passed.0) || passed == Watermark::END);
        }
        want
    };
    Check { make: &make, keys: vec![group.clone()], oracle: &oracle, every_epoch: true }.run(&mut rng, &steps);
}

#[test]
fn append_only_input() {
    (0..120).for_each(|seed| check(seed, false, false, Ending::Never));
}

#[test]
fn changing_input() {
    (1000..1120).for_each(|seed| check(seed, true, false, Ending::Never));
}

#[test]
fn two_phases() {
    (2000..2080).for_each(|seed| check(seed, false, true, Ending::Never));
    (2100..2140).for_each(|seed| check(seed, true, true, Ending::Never));
}

#[test]
fn windows_are_emitted_once_when_they_close() {
    (3000..3060).for_each(|seed| check(seed, false, false, Ending::Emit));
    (3100..3140).for_each(|seed| check(seed, true, false, Ending::Emit));
    (3200..3240).for_each(|seed| check(seed, false, true, Ending::Emit));
}

#[test]
fn windows_are_forgotten_after_their_last_update() {
    (4000..4060).for_each(|seed| check(seed, false, false, Ending::Forget));
    (4100..4140).for_each(|seed| check(seed, true, false, Ending::Forget));
}

#[test]
fn without_group_columns_there_is_always_one_row() {
    for seed in 5000..5060 {
        let input = columns();
        let mut rng = Rng(seed);
        let two_phase = seed % 3 == 0;
        let retracts = seed % 2 == 0;
        let mut calls = some_calls(&mut rng, two_phase, retracts);
        if two_phase && retracts {
            calls = vec![named(F::Sum), named(F::Avg)];
        }
        let given = properties(&input, !retracts);
        let make = || -> Box<dyn Operator> {
            if two_phase {
                return Box::new(Rounded(Box::new(TwoPhases::new(&given, &[], &calls, None))));
            }
            let out = output(&input, &[], &calls);
            let made = Aggregate::new(&given, vec![], calls.clone(), AggregatePhase::Single, None, None, out);
            Box::new(Rounded(Box::new(made.expect("valid").with_initial_row(true))))
        };
        let quiet = 1 + rng.below(3);
        let row = |rng: &mut Rng, epoch: u64| (epoch >= quiet).then(|| row(rng, epoch, true));
        let port = PortSpec { schema: input.clone(), retracts, row: Box::new(row) };
        let (mut operator, mut standing, mut rows) = (make(), Standing::new(), Standing::new());
        let mut saved = Vec::new();
        for step in history(&mut rng, &mut [port], 10, 8) {
            step.deltas.iter().for_each(|(_, delta)| add(&mut rows, delta));
            run(operator.as_mut(), &step, &mut standing);
            let all: Vec<(Row, i64)> = rows.clone().into_iter().collect();
            let want: Row = calls.iter().map(|c| rounded_cell(value(c, &all))).collect();
            assert_eq!(standing, Standing::from([(want, 1)]), "seed {seed}");
            saved.push(operator.snapshot().expect("snapshots"));
            if rng.one_in(3) {
                operator = make();
                operator.restore(&saved, &|_| false).expect("restores");
            }
        }
    }
}

#[test]
fn a_sum_may_overflow_only_in_the_end() {
    let input = schema(&[("x", 'i')]);
    let calls = vec![call(F::Sum, &[0], DataType::Int64)];
    let single = AggregatePhase::Single;
    let out = output(&input, &[], &calls);
    let mut sum = Aggregate::new(&properties(&input, true), vec![], calls, single, None, None, out).expect("valid");
    let push = |sum: &mut Aggregate, values: &[i64]| {
        let rows: Vec<Row> = values.iter().map(|v| vec![Cell::Int(*v)]).collect();
        let delta = DeltaBatch::insert(crate::testing::batch(&input, &rows));
        sum.on_delta(0, delta, &mut Output::default()).expect("adds");
    };
    push(&mut sum, &[i64::MAX, 5, -10]);
    let mut out = Output::default();
    sum.on_epoch(&header(0, Watermark::START, 0), &mut out).expect("in range");
    push(&mut sum, &[20]);
    let error = sum.on_epoch(&header(1, Watermark::START, 0), &mut out).expect_err("out of range");
    assert_eq!(error.to_string(), "bigint out of range");
}

#[test]
fn partial_aggregation_that_does_not_reduce_passes_rows_through() {
    let input = columns();
    let given = properties(&input, true);
    let calls: Vec<AggregateCall> = [F::Count, F::Sum, F::Avg, F::Min, F::Max, F::VarPop].map(named).into();
    let mut phases = Rounded(Box::new(TwoPhases::new(&given, &[INT], &calls, None)));
    let mut rng = Rng(7);
    let (mut standing, mut rows) = (Standing::new(), Standing::new());
    for epoch in 0..20 {
        let made: Vec<Row> = (0..10_000)
            .map(|i| {
                let mut made = row(&mut rng, epoch, false);
                made[INT] = Cell::Int((epoch % 19) as i64 * 10_000 + i);
                made
            })
            .collect();
        let delta = DeltaBatch::insert(crate::testing::batch(&input, &made));
        add(&mut rows, &delta);
        let step = crate::testing::Step { deltas: vec![(0, delta)], header: header(epoch, Watermark::START, 0) };
        run(&mut phases, &step, &mut standing);
    }
    assert!(standing == expected(&rows, &[INT], &calls), "results through single-row states");
}
