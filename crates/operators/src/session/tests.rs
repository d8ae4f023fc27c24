//! Sessions against a recomputation.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use thalweg_core::{EpochHeader, Watermark};
use thalweg_plan::{AggregateCall, AggregateFunction as F};

use super::Session;
use crate::aggregate::oracle::{Rounded, call, groups, rounded_cell, value};
use crate::operator::Operator;
use crate::testing::{Cell, Check, PortSpec, Rng, Row, Standing, bound, history, properties, schema};

const TIME: usize = 1;
const INT: usize = 2;
const GAP: i64 = 15;

/// Start, last row's time, rows with how often each stands.
type Members = (i64, i64, Vec<(Row, i64)>);

/// The sessions of `rows` by the first column, and those of them that end before `passed`.
fn expected(rows: &Standing, calls: &[AggregateCall], passed: Watermark) -> Standing {
    let mut want = Standing::new();
    for (key, mut rows) in groups(rows, |row| vec![row[0].clone()]) {
        rows.retain(|(row, _)| row[TIME] != Cell::Null);
        rows.sort_by_key(|(row, _)| row[TIME].clone());
        let mut sessions: Vec<Members> = Vec::new();
        for (row, n) in rows {
            let Cell::Time(time) = row[TIME] else { continue };
            match sessions.last_mut() {
                Some((_, last, members)) if time <= *last + GAP => {
                    *last = time;
                    members.push((row, n));
                }
                _ => sessions.push((time, time, vec![(row, n)])),
            }
        }
        for (start, last, members) in sessions {
            let end = last + GAP;
            if end < passed.0 || passed == Watermark::END {
                let mut row = key.clone();
                row.extend([Cell::Time(start), Cell::Time(end)]);
                row.extend(calls.iter().map(|c| rounded_cell(value(c, &members))));
                want.insert(row, 1);
            }
        }
    }
    want
}

fn check(seed: u64, retracts: bool, bounded: bool, emit_on_close: bool) {
    let input = schema(&[("k", 'i'), ("t", 'w'), ("x", 'i'), ("s", 't')]);
    let mut rng = Rng(seed);
    let mut calls = vec![call(F::Count, &[], DataType::Int64), call(F::Sum, &[INT], DataType::Int64)];
    calls.push(call(F::Max, &[3], DataType::Utf8View));
    calls.push(call(F::Avg, &[INT], DataType::Float64));
    if rng.one_in(3) {
        calls[1].distinct = true;
    }
    calls.truncate(1 + rng.below(4) as usize);
    // Rows may be taken back long after they came: with retractions, sessions close at the end only.
    let late = if retracts { 1_000_000 } else { 0 };
    let keys = 1 + rng.below(6);
    let row = |rng: &mut Rng, epoch: u64| {
        let time = late + (epoch * 10 + rng.below(60)).saturating_sub(10) as i64;
        let time = if rng.one_in(12) { Cell::Null } else { Cell::Time(time) };
        Some(vec![rng.maybe_int(keys), time, rng.maybe_int(9), rng.text(4)])
    };
    let port = PortSpec { schema: input.clone(), retracts, row: Box::new(row) };
    let steps = history(&mut rng, &mut [port], 15, 12);
    let mut fields = vec![input.fields()[0].clone()];
    fields.extend(
        ["window_start", "window_end"].map(|n| Arc::new(Field::new(n, input.field(TIME).data_type().clone(), false))),
    );
    fields
        .extend(calls.iter().enumerate().map(|(i, c)| Arc::new(c.output.as_ref().clone().with_name(format!("c{i}")))));
    let output = Arc::new(Schema::new(fields));
    let make = || -> Box<dyn Operator> {
        let given = properties(&input, !retracts);
        let bound = bounded.then(bound);
        let made = Session::new(&given, vec![0], TIME, GAP, calls.clone(), bound, emit_on_close, output.clone());
        Box::new(Rounded(Box::new(made.expect("valid"))))
    };
    let oracle = |inputs: &[Standing], header: &EpochHeader| {
        let passed = if emit_on_close { header.sources[0].watermark } else { Watermark::END };
        expected(&inputs[0], &calls, passed)
    };
    Check { make: &make, keys: vec![vec![0]], oracle: &oracle, every_epoch: true }.run(&mut rng, &steps);
}

#[test]
fn sessions_are_updated_each_epoch() {
    (0..100).for_each(|seed| check(seed, false, false, false));
    (100..200).for_each(|seed| check(seed, false, true, false));
}

#[test]
fn sessions_are_emitted_once_when_they_close() {
    (1000..1150).for_each(|seed| check(seed, false, true, true));
}

#[test]
fn sessions_split_when_rows_are_taken_back() {
    (2000..2060).for_each(|seed| check(seed, true, false, false));
    (2100..2140).for_each(|seed| check(seed, true, true, false));
    (2200..2240).for_each(|seed| check(seed, true, true, true));
}
