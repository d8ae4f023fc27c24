//! The arrangement against a model: every version, also old ones, holds what the model held then.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use thalweg_core::DeltaBatch;

use super::{Arrangement, Version};
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
    let probe: ArrayRef = Arc::clone(batch(&schema(&[("k", 'i')]), &[vec![key.clone()]]).column(0));
    let mut found = Standing::new();
    for row in rows(&version.find(&[probe]).expect("it finds")) {
        *found.entry(row).or_default() += 1;
    }
    let wanted: Standing = model.iter().filter(|(row, _)| row[0] == key).map(|(r, n)| (r.clone(), *n)).collect();
    assert_eq!(found, wanted);
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
