//! Joins against a nested loop, through retractions, restores and forgetting.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use thalweg_core::{DeltaBatch, Watermark};
use thalweg_plan::{Bound, Expr, JoinExpiry, JoinKind};

use super::Join;
use crate::operator::{Operator, Output};
use crate::testing::{Cell, Check, PortSpec, Rng, Row, Standing, batch, bound, header, history, properties, schema};

const KINDS: [JoinKind; 8] = [
    JoinKind::Inner,
    JoinKind::Left,
    JoinKind::Right,
    JoinKind::Full,
    JoinKind::LeftSemi,
    JoinKind::LeftAnti,
    JoinKind::RightSemi,
    JoinKind::RightAnti,
];

fn left_schema() -> SchemaRef {
    schema(&[("k", 'i'), ("s", 't'), ("t", 'w')])
}

fn right_schema() -> SchemaRef {
    schema(&[("s", 't'), ("t", 'w'), ("k", 'i')])
}

fn output(kind: JoinKind) -> SchemaRef {
    let (left, right) = (left_schema(), right_schema());
    match kind {
        JoinKind::LeftSemi | JoinKind::LeftAnti => left,
        JoinKind::RightSemi | JoinKind::RightAnti => right,
        _ => {
            let fields: Vec<_> = left.fields().iter().chain(right.fields()).cloned().collect();
            Arc::new(arrow::datatypes::Schema::new(fields))
        }
    }
}

/// left.t <= right.t
fn residual() -> Expr {
    Arc::new(BinaryExpr::new(Arc::new(Column::new("t", 2)), Op::LtEq, Arc::new(Column::new("t", 4))))
}

fn matches(l: &Row, r: &Row, on: &[(usize, usize)], residual: bool, null_equal: bool) -> bool {
    on.iter().all(|(a, b)| l[*a] == r[*b] && (null_equal || l[*a] != Cell::Null))
        && (!residual || (l[2] != Cell::Null && r[1] != Cell::Null && l[2] <= r[1]))
}

fn oracle(inputs: &[Standing], kind: JoinKind, matches: &dyn Fn(&Row, &Row) -> bool) -> Standing {
    let mut out = Standing::new();
    let mut put = |row: Row, weight: i64| *out.entry(row).or_insert(0) += weight;
    let pairs = matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full);
    for (l, lw) in &inputs[0] {
        let found: Vec<_> = inputs[1].iter().filter(|(r, _)| matches(l, r)).collect();
        if pairs {
            found.iter().for_each(|(r, rw)| put([l.as_slice(), r].concat(), *lw * **rw));
        }
        match kind {
            JoinKind::Left | JoinKind::Full if found.is_empty() => {
                put([l.as_slice(), &vec![Cell::Null; 3]].concat(), *lw)
            }
            JoinKind::LeftSemi if !found.is_empty() => put(l.clone(), *lw),
            JoinKind::LeftAnti if found.is_empty() => put(l.clone(), *lw),
            _ => {}
        }
    }
    for (r, rw) in &inputs[1] {
        let found = inputs[0].keys().any(|l| matches(l, r));
        match kind {
            JoinKind::Right | JoinKind::Full if !found => put([vec![Cell::Null; 3].as_slice(), r].concat(), *rw),
            JoinKind::RightSemi if found => put(r.clone(), *rw),
            JoinKind::RightAnti if !found => put(r.clone(), *rw),
            _ => {}
        }
    }
    out
}

struct Case {
    kind: JoinKind,
    on: Vec<(usize, usize)>,
    residual: bool,
    null_equal: bool,
    retracts: [bool; 2],
}

fn check(case: &Case, seed: u64) {
    let rng = &mut Rng(seed);
    let (left, right) = (left_schema(), right_schema());
    let wide = case.on.is_empty();
    let keys = if wide { 1000 } else { 6 };
    let mut ports = [
        PortSpec {
            schema: Arc::clone(&left),
            retracts: case.retracts[0],
            row: Box::new(move |rng, _| Some(vec![rng.maybe_int(keys), rng.text(3), Cell::Time(rng.below(9) as i64)])),
        },
        PortSpec {
            schema: Arc::clone(&right),
            retracts: case.retracts[1],
            row: Box::new(move |rng, _| Some(vec![rng.text(3), Cell::Time(rng.below(9) as i64), rng.maybe_int(keys)])),
        },
    ];
    let steps = history(rng, &mut ports, 7, 14);
    let make = || -> Box<dyn Operator> {
        Box::new(
            Join::new(
                &properties(&left_schema(), !case.retracts[0]),
                &properties(&right_schema(), !case.retracts[1]),
                case.kind,
                &case.on,
                case.residual.then(residual).as_ref(),
                case.null_equal,
                None,
                None,
                false,
                false,
                output(case.kind),
            )
            .expect("a join"),
        )
    };
    Check {
        make: &make,
        keys: vec![case.on.iter().map(|k| k.0).collect(), case.on.iter().map(|k| k.1).collect()],
        oracle: &|inputs, _| oracle(inputs, case.kind, &|l, r| matches(l, r, &case.on, case.residual, case.null_equal)),
        every_epoch: true,
    }
    .run(rng, &steps);
}

#[test]
fn every_kind_equals_the_nested_loop() {
    let mut seed = 1;
    for kind in KINDS {
        for on in [vec![(0, 2)], vec![(0, 2), (1, 0)], vec![]] {
            for residual in [false, true] {
                for retracts in [[false, false], [true, false], [false, true], [true, true]] {
                    for null_equal in [false, true] {
                        let case = Case { kind, on: on.clone(), residual, null_equal, retracts };
                        for _ in 0..4 {
                            seed += 1;
                            check(&case, seed);
                        }
                    }
                }
            }
        }
    }
}

/// A unique side (each key once) and the other append-only: found rows are not kept.
#[test]
fn unique_sides_forget_what_found_its_match() {
    for (seed, kind) in (100..180).zip(KINDS.iter().cycle().copied()) {
        for unique in [[true, false], [false, true], [true, true]] {
            for with_residual in [false, true] {
                let rng = &mut Rng(seed);
                let mut next = [0i64, 0];
                let [next_left, next_right] = &mut next;
                let key = move |rng: &mut Rng, unique: bool, next: &mut i64| {
                    *next += 1;
                    if unique { *next } else { rng.below(30) as i64 }
                };
                let key_of_right = key;
                let mut ports = [
                    PortSpec {
                        schema: left_schema(),
                        retracts: false,
                        row: Box::new(|rng, _| {
                            let k = Cell::Int(key(rng, unique[0], next_left));
                            Some(vec![k, rng.text(3), Cell::Time(rng.below(9) as i64)])
                        }),
                    },
                    PortSpec {
                        schema: right_schema(),
                        retracts: false,
                        row: Box::new(|rng, _| {
                            let k = Cell::Int(key_of_right(rng, unique[1], next_right));
                            Some(vec![rng.text(3), Cell::Time(rng.below(9) as i64), k])
                        }),
                    },
                ];
                let steps = history(rng, &mut ports, 6, 12);
                let make = || -> Box<dyn Operator> {
                    Box::new(
                        Join::new(
                            &properties(&left_schema(), true),
                            &properties(&right_schema(), true),
                            kind,
                            &[(0, 2)],
                            with_residual.then(residual).as_ref(),
                            false,
                            None,
                            None,
                            unique[0],
                            unique[1],
                            output(kind),
                        )
                        .expect("a join"),
                    )
                };
                Check {
                    make: &make,
                    keys: vec![vec![0], vec![2]],
                    oracle: &|inputs, _| oracle(inputs, kind, &|l, r| matches(l, r, &[(0, 2)], with_residual, false)),
                    every_epoch: true,
                }
                .run(rng, &steps);
            }
        }
    }
}

/// left.k = right.k AND left.t = right.t, both times bounded: rows below the watermark go.
#[test]
fn rows_below_the_bound_are_forgotten_without_a_trace() {
    for (seed, kind) in (300..380).zip(KINDS.iter().cycle().copied()) {
        let rng = &mut Rng(seed);
        let time = |rng: &mut Rng, epoch: u64| Cell::Time((epoch * 10 + rng.below(25)) as i64 / 8 * 8);
        let mut ports = [
            PortSpec {
                schema: left_schema(),
                retracts: false,
                row: Box::new(move |rng, e| Some(vec![rng.int(3), rng.text(3), time(rng, e)])),
            },
            PortSpec {
                schema: right_schema(),
                retracts: false,
                row: Box::new(move |rng, e| Some(vec![rng.text(3), time(rng, e), rng.int(3)])),
            },
        ];
        let steps = history(rng, &mut ports, 12, 12);
        let floor = Bound::Bin { of: Box::new(bound()), width: 8, origin: 0 }.shift(-8);
        let make = || -> Box<dyn Operator> {
            let expiry = |column| Some(JoinExpiry { column, bound: floor.clone() });
            Box::new(
                Join::new(
                    &properties(&left_schema(), true),
                    &properties(&right_schema(), true),
                    kind,
                    &[(0, 2), (2, 1)],
                    None,
                    false,
                    expiry(2),
                    expiry(1),
                    false,
                    false,
                    output(kind),
                )
                .expect("a join"),
            )
        };
        let on = [(0, 2), (2, 1)];
        Check {
            make: &make,
            keys: vec![vec![0, 2], vec![2, 1]],
            oracle: &|inputs, _| oracle(inputs, kind, &|l, r| matches(l, r, &on, false, false)),
            every_epoch: true,
        }
        .run(rng, &steps);
    }
}

#[test]
fn state_stays_small_when_rows_are_forgotten() {
    let spec = left_schema();
    let input = properties(&spec, true);
    let expiry = JoinExpiry { column: 2, bound: bound() };
    for (left_expiry, unique) in [(Some(expiry), false), (None, true)] {
        let mut join = Join::new(
            &input,
            &input,
            JoinKind::Left,
            &[(0, 0)],
            None,
            false,
            left_expiry.clone(),
            left_expiry,
            false,
            unique,
            schema(&[("k", 'i'), ("s", 't'), ("t", 'w'), ("k2", 'i'), ("s2", 't'), ("t2", 'w')]),
        )
        .expect("a join");
        let (mut out, mut peak) = (Output::default(), 0);
        for epoch in 0..50i64 {
            let rows: Vec<Row> = (0..1000)
                .map(|i| vec![Cell::Int(epoch * 1000 + i), Cell::Text(format!("{i} and some more")), Cell::Time(epoch)])
                .collect();
            let delta = DeltaBatch::insert(batch(&spec, &rows));
            join.on_delta(0, delta.clone(), &mut out).expect("takes rows");
            if !unique || epoch % 2 == 0 {
                join.on_delta(1, delta.slice(0, 300), &mut out).expect("takes rows");
            }
            join.on_epoch(&header(epoch as u64, Watermark(epoch), 0), &mut out).expect("completes");
            // Without expiry the unmatched rows stay: only those that found their match have to go.
            peak = join.sides[0].store.len().max(peak);
            out.drain().for_each(drop);
        }
        assert!(peak <= if unique { 50 * 1000 - 25 * 300 } else { 2000 }, "{peak} left rows are stored");
        assert!(join.sides[0].store.wasteful().is_empty(), "dead rows are cleared away");
    }
}

#[test]
fn keys_of_different_types_are_refused() {
    let left = properties(&left_schema(), true);
    let error = Join::new(
        &left,
        &left,
        JoinKind::Inner,
        &[(0, 1)],
        None,
        false,
        None,
        None,
        false,
        false,
        output(JoinKind::Inner),
    )
    .expect_err("Int64 and text");
    assert!(error.to_string().contains("Int64"), "{error}");
    assert_eq!(left.schema.field(1).data_type(), &DataType::Utf8View);
}
