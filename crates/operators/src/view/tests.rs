//! The arrangement against a model: every version, also old ones, holds what the model held then.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::DeltaBatch;

use super::{Arrangement, IndexBuild, Version};
use crate::testing::{Cell, Rng, Row, Standing, batch, rows, schema};

fn held(version: &Version) -> Standing {
    let mut standing = Standing::new();
    for i in 0..version.num_batches() {
        for row in rows(&version.batch(i).expect("it filters")) {
            *standing.entry(row).or_default() += 1;
        }
    }
    assert_eq!(version.num_rows() as i64, standing.values().sum::<i64>());
    standing
}

/// One epoch of random changes to `model`, as shuffled deltas.
fn epoch(rng: &mut Rng, model: &mut Standing) -> Vec<DeltaBatch> {
    let spec = schema(&[("k", 'i'), ("s", 't'), ("f", 'f')]);
    let mut deltas = Vec::new();
    for _ in 0..rng.below(4) {
        let (mut changed, mut weights) = (Vec::new(), Vec::new());
        for _ in 0..rng.below(12) {
            let standing: Vec<&Row> = model.keys().collect();
            let row = if rng.one_in(2) && !standing.is_empty() {
                standing[rng.below(standing.len() as u64) as usize].clone()
            } else {
                vec![rng.maybe_int(6), rng.text(3), Cell::Float(rng.below(3).to_string())]
            };
            let there = model.get(&row).copied().unwrap_or_default();
            let weight = if rng.one_in(2) && there > 0 {
                -(1 + rng.below(there as u64) as i64)
            } else {
                1 + rng.below(2) as i64
            };
            *model.entry(row.clone()).or_default() += weight;
            model.retain(|_, n| *n != 0);
            changed.push(row);
            weights.push(weight);
        }
        if !changed.is_empty() {
            deltas.push(DeltaBatch::new(batch(&spec, &changed), Some(weights.into())));
        }
    }
    if rng.one_in(2) {
        deltas.reverse();
    }
    deltas
}

#[test]
fn every_version_holds_what_stood_then() {
    for seed in 0..40 {
        let rng = &mut Rng(seed);
        let spec = schema(&[("k", 'i'), ("s", 't'), ("f", 'f')]);
        let key = (seed % 2 == 0).then(|| vec![0]);
        let mut arrangement = Arrangement::new(Arc::clone(&spec), key, false);
        let mut model = Standing::new();
        let mut kept: VecDeque<(u64, Arc<Version>, Standing)> = VecDeque::new();
        for _ in 0..120 {
            arrangement.apply(&epoch(rng, &mut model)).expect("only rows that stand are retracted");
            let (number, version) = arrangement.commit().expect("it commits");
            assert_eq!(held(&version), model, "seed {seed}");
            kept.push_back((number, version, model.clone()));
            if rng.one_in(5) {
                kept.drain(..rng.below(kept.len() as u64) as usize);
                arrangement.forget_before(kept[0].0);
            }
            let at = rng.below(kept.len() as u64) as usize;
            let (_, version, model) = &kept[at];
            assert_eq!(&held(version), model, "seed {seed}, an old version");
            if seed % 2 == 0 {
                find(version, model, rng.maybe_int(6));
            }
        }
    }
}

fn find(version: &Version, model: &Standing, key: Cell) {
    look_up(version, &[0], model, &[vec![key]]);
}

/// A look-up of `keys` by `columns` finds what a scan with the same condition does.
fn look_up(version: &Version, columns: &[usize], model: &Standing, keys: &[Row]) {
    let spec = Arc::new(spec().project(columns).expect("its columns"));
    let keys_of = batch(&spec, keys);
    let at_hand = version.find(columns, keys_of.columns(), usize::MAX).expect("it finds");
    assert_eq!(at_hand.is_some(), version.indexes().any(|i| i == columns), "an index answers, and nothing else does");
    let Some(at_hand) = at_hand else { return };
    if at_hand.num_rows() > 1 {
        let fewer = version.find(columns, keys_of.columns(), at_hand.num_rows() - 1).expect("it finds");
        assert!(fewer.is_none(), "more than are wanted");
    }
    let mut found = Standing::new();
    for row in rows(&at_hand) {
        *found.entry(row).or_default() += 1;
    }
    let asked = |row: &Row| keys.contains(&columns.iter().map(|c| row[*c].clone()).collect());
    let wanted: Standing = model.iter().filter(|(row, _)| asked(row)).map(|(r, n)| (r.clone(), *n)).collect();
    assert_eq!(found, wanted);
}

fn spec() -> SchemaRef {
    schema(&[("k", 'i'), ("s", 't'), ("f", 'f')])
}

/// Different keys over `columns`.
fn keys(rng: &mut Rng, columns: &[usize]) -> Vec<Row> {
    let mut keys: Vec<Row> = (0..1 + rng.below(4))
        .map(|_| {
            let row = [rng.maybe_int(6), rng.text(3), Cell::Float(rng.below(3).to_string())];
            columns.iter().map(|c| row[*c].clone()).collect()
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn an_index_finds_what_a_scan_does_at_every_version() {
    const COLUMNS: [&[usize]; 4] = [&[0], &[1], &[0, 2], &[1, 2]];
    for seed in 0..60 {
        let rng = &mut Rng(seed);
        let (key, append_only) = if seed % 3 == 0 { (Some(vec![0, 1, 2]), false) } else { (None, seed % 3 == 1) };
        let mut arrangement = Arrangement::new(spec(), key, append_only);
        let mut model = Standing::new();
        let mut kept: VecDeque<(u64, Arc<Version>, Standing)> = VecDeque::new();
        let mut builds: Vec<IndexBuild> = Vec::new();
        let mut indexed: Vec<&[usize]> = Vec::new();
        let mut used = 0;
        for _ in 0..100 {
            let columns = COLUMNS[rng.below(4) as usize];
            if indexed.contains(&columns) && rng.one_in(12) {
                arrangement.drop_index(columns);
                indexed.retain(|c| *c != columns);
            } else if !indexed.contains(&columns) && rng.one_in(6) {
                builds.push(arrangement.add_index(columns));
                indexed.push(columns);
            }
            let mut deltas = epoch(rng, &mut model);
            if append_only {
                deltas.iter_mut().for_each(|d| *d = only_inserts(d));
                model = kept.back().map_or_else(Standing::new, |(_, _, model)| model.clone());
                let inserted = deltas.iter().flat_map(|d| rows(&d.rows));
                inserted.for_each(|row| *model.entry(row).or_default() += 1);
            }
            arrangement.apply(&deltas).expect("only rows that stand are retracted");
            let (number, version) = arrangement.commit().expect("it commits");
            kept.push_back((number, version, model.clone()));
            // A build ends while changes go on.
            if !builds.is_empty() && rng.one_in(3) {
                builds.remove(rng.below(builds.len() as u64) as usize).run().expect("it builds");
            }
            if rng.one_in(4) {
                kept.drain(..rng.below(kept.len() as u64) as usize);
                arrangement.forget_before(kept[0].0);
            }
            for (_, version, model) in &kept {
                let columns = COLUMNS[rng.below(4) as usize];
                used += usize::from(version.indexes().any(|i| i == columns));
                look_up(version, columns, model, &keys(rng, columns));
            }
        }
        assert!(used > 100, "seed {seed}: {used} look-ups by an index");
    }
}

fn only_inserts(delta: &DeltaBatch) -> DeltaBatch {
    let of = |i: &u32| delta.weight(*i as usize) > 0;
    let rows = arrow::array::UInt32Array::from_iter_values((0..delta.num_rows() as u32).filter(of));
    DeltaBatch::insert(arrow::compute::take_record_batch(&delta.rows, &rows).expect("rows of it"))
}

#[test]
fn an_index_forgets_rows_that_nobody_can_ask_for() {
    let mut arrangement = Arrangement::new(spec(), Some(vec![0]), false);
    let row = |k, n: i64| vec![Cell::Int(k), Cell::Text(n.to_string()), Cell::Null];
    let change = |n: i64| {
        let of = |n| batch(&spec(), &(0..100).map(|k| row(k, n)).collect::<Vec<_>>());
        [DeltaBatch::insert(of(n)).negated(), DeltaBatch::insert(of(n + 1))]
    };
    arrangement.apply(&[change(-1)[1].clone()]).expect("inserted");
    arrangement.commit().expect("committed");
    let mut build = Some(arrangement.add_index(&[1]));
    for n in 0..1_000 {
        arrangement.apply(&change(n)).expect("updated");
        let (version, _) = arrangement.commit().expect("committed");
        // What dies while it is built is taken out after it is.
        if n == 500 {
            build.take().map(IndexBuild::run).expect("once").expect("it builds");
        }
        arrangement.forget_before(version);
    }
    assert!(arrangement.bytes() < 256 << 10, "{} bytes for a hundred rows", arrangement.bytes());
}

#[test]
fn a_retraction_of_what_is_not_there_is_an_error() {
    let spec = schema(&[("k", 'i')]);
    let mut arrangement = Arrangement::new(Arc::clone(&spec), None, false);
    let delta = |k, weight: i64| DeltaBatch::new(batch(&spec, &[vec![Cell::Int(k)]]), Some(vec![weight].into()));
    arrangement.apply(&[delta(1, 1)]).expect("inserted");
    assert!(arrangement.apply(&[delta(2, -1)]).is_err());
}

#[test]
fn a_hot_key_stays_small() {
    let spec = schema(&[("k", 'i'), ("n", 'i')]);
    let mut arrangement = Arrangement::new(Arc::clone(&spec), Some(vec![0]), false);
    let row = |n| batch(&spec, &[vec![Cell::Int(1), Cell::Int(n)]]);
    arrangement.apply(&[DeltaBatch::insert(row(0))]).expect("inserted");
    for n in 0..5_000 {
        let change = [DeltaBatch::insert(row(n)).negated(), DeltaBatch::insert(row(n + 1))];
        arrangement.apply(&change).expect("updated");
        let (version, rows) = arrangement.commit().expect("committed");
        arrangement.forget_before(version);
        assert_eq!(rows.num_rows(), 1);
    }
    assert!(arrangement.bytes() < 64 << 10, "{} bytes for one row", arrangement.bytes());
}
