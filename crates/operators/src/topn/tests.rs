//! Top-N against sorting each partition, through retractions, restores and closing.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Watermark};
use thalweg_plan::{OrderKey, WindowClose};

use super::TopN;
use crate::operator::{Operator, Output};
use crate::testing::{
    Cell, Check, PortSpec, Rng, Row, Standing, batch, bound, header, held, history, properties, rows, schema,
};

fn input() -> SchemaRef {
    schema(&[("p", 'i'), ("v", 'i'), ("t", 'w'), ("s", 't')])
}

fn rank_field() -> FieldRef {
    Arc::new(Field::new("rank", DataType::Int64, false))
}

fn output(rank: bool) -> SchemaRef {
    if !rank {
        return input();
    }
    let fields: Vec<FieldRef> = input().fields().iter().cloned().chain([rank_field()]).collect();
    Arc::new(Schema::new(fields))
}

fn compare(a: &Row, b: &Row, order: &[OrderKey]) -> std::cmp::Ordering {
    order.iter().fold(std::cmp::Ordering::Equal, |so_far, key| {
        so_far.then_with(|| {
            let (x, y) = (&a[key.column], &b[key.column]);
            match (*x == Cell::Null, *y == Cell::Null) {
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) if key.nulls_first => std::cmp::Ordering::Less,
                (true, false) => std::cmp::Ordering::Greater,
                (false, true) if key.nulls_first => std::cmp::Ordering::Greater,
                (false, true) => std::cmp::Ordering::Less,
                (false, false) if key.descending => y.cmp(x),
                (false, false) => x.cmp(y),
            }
        })
    })
}

struct Case {
    partition: Vec<usize>,
    order: Vec<OrderKey>,
    offset: usize,
    limit: usize,
    rank: bool,
    retracts: bool,
}

fn check(case: &Case, seed: u64) {
    let rng = &mut Rng(seed);
    // The order is made total by distinct times, unless rows may tie as wholes.
    let mut clock = 0i64;
    let ties = case.order.len() > 2 && case.partition.contains(&0) && rng.one_in(2);
    let mut ports = [PortSpec {
        schema: input(),
        retracts: case.retracts,
        row: Box::new(move |rng, _| {
            clock += 1;
            let time = if ties { 0 } else { (clock * 37) % 1009 };
            Some(vec![rng.maybe_int(4), rng.maybe_int(5), Cell::Time(time), rng.text(2)])
        }),
    }];
    let steps = history(rng, &mut ports, 8, 25);
    let make = || -> Box<dyn Operator> {
        let field = rank_field();
        let rank = case.rank.then_some(&field);
        let input = properties(&input(), !case.retracts);
        let top =
            TopN::new(&input, &case.partition, &case.order, case.offset, case.limit, rank, None, output(case.rank));
        Box::new(top.expect("a Top-N"))
    };
    let is_latest = !case.retracts && case.limit == 1 && case.offset == 0;
    assert_eq!(held(make().as_ref()).is_some(), is_latest, "one row a partition is what was put out");
    Check {
        make: &make,
        keys: vec![case.partition.clone()],
        oracle: &|inputs, _| {
            let mut parts: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
            for (row, weight) in &inputs[0] {
                let key: Row = case.partition.iter().map(|c| row[*c].clone()).collect();
                (0..*weight).for_each(|_| parts.entry(key.clone()).or_default().push(row.clone()));
            }
            let mut out = Standing::new();
            for rows in parts.values_mut() {
                rows.sort_by(|a, b| compare(a, b, &case.order));
                for (i, row) in rows.iter().enumerate().skip(case.offset).take(case.limit) {
                    let mut row = row.clone();
                    if case.rank {
                        row.push(Cell::Int(i as i64 + 1));
                    }
                    *out.entry(row).or_insert(0) += 1;
                }
            }
            out
        },
        every_epoch: true,
    }
    .run(rng, &steps);
}

fn key(column: usize, descending: bool, nulls_first: bool) -> OrderKey {
    OrderKey { column, descending, nulls_first }
}

#[test]
fn every_shape_equals_sorting_each_partition() {
    let orders = [
        vec![key(2, true, true)],
        vec![key(1, false, false), key(2, false, false)],
        vec![key(1, true, false), key(2, true, false)],
        vec![key(3, true, true), key(1, false, true), key(2, false, false)],
    ];
    let mut seed = 1;
    for partition in [vec![0], vec![0, 3], vec![]] {
        for order in &orders {
            for (offset, limit) in [(0, 1), (0, 3), (2, 2), (1, 1)] {
                for rank in [false, true] {
                    for retracts in [false, true] {
                        let case =
                            Case { partition: partition.clone(), order: order.clone(), offset, limit, rank, retracts };
                        for _ in 0..3 {
                            seed += 1;
                            check(&case, seed);
                        }
                    }
                }
            }
        }
    }
}

fn one(top: &mut TopN, epoch: u64, rows_in: &[(i64, i64, &str)], watermark: Watermark) -> Vec<(Row, i64)> {
    let made: Vec<Row> = rows_in
        .iter()
        .map(|(p, v, s)| vec![Cell::Int(*p), Cell::Int(*v), Cell::Time(*p), Cell::Text((*s).to_owned())])
        .collect();
    let mut out = Output::default();
    if !made.is_empty() {
        top.on_delta(0, DeltaBatch::insert(batch(&input(), &made)), &mut out).expect("takes rows");
    }
    top.on_epoch(&header(epoch, watermark, 0), &mut out).expect("completes");
    let deltas: Vec<DeltaBatch> = out.drain().collect();
    deltas.iter().flat_map(|d| rows(&d.rows).into_iter().enumerate().map(|(i, r)| (r, d.weight(i)))).collect()
}

#[test]
fn ties_stand_in_the_order_of_arrival() {
    for limit in [1, 2] {
        let order = [key(1, true, false)];
        let mut top =
            TopN::new(&properties(&input(), true), &[0], &order, 0, limit, None, None, input()).expect("a Top-N");
        let first = one(&mut top, 0, &[(1, 5, "first"), (1, 5, "second"), (1, 5, "third")], Watermark::START);
        assert_eq!(first.len(), limit);
        assert_eq!(first[0].0[3], Cell::Text("first".into()));
        assert!(
            one(&mut top, 1, &[(1, 5, "later")], Watermark::START).is_empty(),
            "a tie that came later changes nothing"
        );
    }
}

#[test]
fn closed_partitions_are_forgotten() {
    for limit in [1, 2] {
        let order = [key(1, true, false)];
        let close = WindowClose { key: 0, delay: 10, bound: bound() };
        let make = || {
            let spec = schema(&[("w", 'w'), ("v", 'i')]);
            TopN::new(&properties(&spec, true), &[0], &order, 0, limit, None, Some(close.clone()), spec)
                .expect("a Top-N")
        };
        let (mut top, mut peak) = (make(), 0);
        for epoch in 0..60u64 {
            let rows: Vec<Row> = (0..2000).map(|i| vec![Cell::Time(epoch as i64 * 2000 + i), Cell::Int(i)]).collect();
            let spec = schema(&[("w", 'w'), ("v", 'i')]);
            let mut out = Output::default();
            top.on_delta(0, DeltaBatch::insert(batch(&spec, &rows)), &mut out).expect("takes rows");
            top.on_epoch(&header(epoch, Watermark(epoch as i64 * 2000), 0), &mut out).expect("completes");
            assert_eq!(out.drain().map(|d| d.num_rows()).sum::<usize>(), 2000, "closing says nothing");
            peak = peak.max(top.state_bytes());
        }
        assert!(peak < 6 << 20, "state grows: {peak} bytes");
    }
}
