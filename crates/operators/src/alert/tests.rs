//! Alerts against plain models, straight and through restores.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Watermark};
use thalweg_plan::{ALERT_COLUMNS, ALERT_HISTORY_COLUMNS, alert_schema};

use super::{Alert, AlertHistory};
use crate::operator::Operator;
use crate::testing::{Cell, Check, Rng, Row, Standing, Step, add, batch, header, properties, run, schema};

const EPOCHS: u64 = 30;
/// Of a key's instance in the model: it fires, and since when.
type Model = BTreeMap<Cell, (bool, i64)>;

fn text(word: &str) -> Cell {
    Cell::Text(word.to_owned())
}

fn query() -> SchemaRef {
    schema(&[("k", 'i'), ("v", 'i')])
}

/// A random history of rows with distinct keys: each epoch some come, go or change, a few of them several times. The
/// clock goes on by 10 an epoch.
fn keyed_history(rng: &mut Rng) -> Vec<Step> {
    let query = query();
    let mut stands: BTreeMap<i64, i64> = BTreeMap::new();
    let step = |epoch: u64| {
        let mut changes: Vec<(Row, i64)> = Vec::new();
        let row = |k: i64, v: i64| vec![if k == 0 { Cell::Null } else { Cell::Int(k) }, Cell::Int(v)];
        for _ in 0..rng.below(12) {
            let key = rng.below(9) as i64;
            if let Some(old) = stands.remove(&key) {
                changes.push((row(key, old), -1));
            }
            if !rng.one_in(3) {
                let value = rng.below(4) as i64;
                stands.insert(key, value);
                changes.push((row(key, value), 1));
            }
        }
        let cut = rng.below(changes.len() as u64 + 1) as usize;
        let parts = [changes[..cut].to_vec(), changes[cut..].to_vec()];
        let deltas = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let (rows, weights): (Vec<Row>, Vec<i64>) = part.into_iter().unzip();
            (0, DeltaBatch::new(batch(&query, &rows), Some(Int64Array::from(weights))))
        });
        Step { deltas: deltas.collect(), header: header(epoch, Watermark(epoch as i64 * 10), epoch as i64 * 10) }
    };
    (0..EPOCHS).map(step).collect()
}

/// What an epoch makes of the instances, by the rule alone.
fn follow(model: &mut Model, stands: &Standing, header: &EpochHeader, hold: i64) {
    let now = header.wall_clock;
    model.retain(|key, _| stands.keys().any(|row| row[0] == *key));
    for row in stands.keys() {
        model.entry(row[0].clone()).or_insert((hold <= 0, now));
    }
    for (firing, since) in model.values_mut().filter(|(firing, since)| !firing && since + hold <= now) {
        (*firing, *since) = (true, now);
    }
}

fn shown(model: &Model, stands: &Standing) -> Standing {
    let row = |row: &Row| {
        let (firing, since) = model[&row[0]];
        let state = text(if firing { "firing" } else { "pending" });
        (row.iter().cloned().chain([state, Cell::Time(since)]).collect::<Row>(), 1)
    };
    stands.keys().map(row).collect()
}

#[test]
fn instances_are_as_the_rule_says() {
    for seed in 0..80 {
        let rng = &mut Rng(seed);
        let hold = [0, 5, 25, 70][seed as usize % 4];
        let steps = keyed_history(rng);
        let model = RefCell::new(Model::new());
        let schema = alert_schema(&query(), ALERT_COLUMNS);
        Check {
            make: &|| Box::new(Alert::new(&properties(&query(), false), Arc::clone(&schema), vec![0], hold)),
            keys: vec![vec![0]],
            oracle: &|inputs, header| {
                follow(&mut model.borrow_mut(), &inputs[0], header, hold);
                shown(&model.borrow(), &inputs[0])
            },
            every_epoch: true,
        }
        .run(rng, &steps);
    }
}

#[test]
fn a_query_without_a_key_has_one_instance() {
    let query = query();
    let mut alert = Alert::new(&properties(&query, false), alert_schema(&query, ALERT_COLUMNS), Vec::new(), 10);
    let mut standing = Standing::new();
    let change = |rows: &[(i64, i64)]| {
        let (rows, weights): (Vec<Row>, Vec<i64>) =
            rows.iter().map(|(v, w)| (vec![Cell::Int(1), Cell::Int(*v)], *w)).unzip();
        vec![(0, DeltaBatch::new(batch(&query, &rows), Some(Int64Array::from(weights))))]
    };
    let mut at = |alert: &mut Alert, clock: i64, deltas| {
        run(alert, &Step { deltas, header: header(clock as u64, Watermark(0), clock) }, &mut standing);
        standing.keys().map(|row| row[1..].to_vec()).collect::<Vec<_>>()
    };
    let row = |v, state: &str, since| vec![Cell::Int(v), text(state), Cell::Time(since)];
    assert_eq!(at(&mut alert, 1, change(&[(7, 1)])), [row(7, "pending", 1)]);
    assert_eq!(at(&mut alert, 5, change(&[(7, -1), (8, 1)])), [row(8, "pending", 1)]);
    assert_eq!(at(&mut alert, 11, change(&[(8, -1), (9, 1)])), [row(9, "firing", 11)], "changed and due at once");
    assert_eq!(at(&mut alert, 30, Vec::new()), [row(9, "firing", 11)]);
    assert_eq!(at(&mut alert, 31, change(&[(9, -1)])), Vec::<Row>::new());
}

/// What the history should hold: the transitions of the model, epoch by epoch, the last `keep`.
fn transitions(steps: &[Step], hold: i64) -> Vec<Vec<(Cell, Row)>> {
    let (mut model, mut stands) = (Model::new(), Standing::new());
    let mut all = Vec::new();
    for step in steps {
        let (before, rows_before) = (model.clone(), stands.clone());
        step.deltas.iter().for_each(|(_, delta)| add(&mut stands, delta));
        follow(&mut model, &stands, &step.header, hold);
        let last = |rows: &Standing, key: &Cell| rows.keys().find(|row| row[0] == *key).cloned().expect("it stands");
        let mut told = Vec::new();
        for key in before.keys().chain(model.keys()).collect::<std::collections::BTreeSet<_>>() {
            let fires = |model: &Model| model.get(key).map(|(firing, _)| *firing);
            let (word, row) = match (fires(&before), fires(&model)) {
                (before, after) if before == after => continue,
                (_, Some(true)) => ("firing", last(&stands, key)),
                (_, Some(false)) => ("pending", last(&stands, key)),
                (Some(true), None) => ("resolved", last(&rows_before, key)),
                (_, None) => ("cleared", last(&rows_before, key)),
            };
            let when = Cell::Time(step.header.wall_clock);
            told.push((key.clone(), row.into_iter().chain([text(word), when]).collect()));
        }
        all.push(told);
    }
    all
}

#[test]
fn the_history_tells_each_change_of_state_once() {
    let (mut told_in_all, query) = (0, query());
    let (alerts, schema) = (alert_schema(&query, ALERT_COLUMNS), alert_schema(&query, ALERT_HISTORY_COLUMNS));
    for seed in 0..60 {
        let rng = &mut Rng(seed);
        let hold = [0, 15, 30][seed as usize % 3];
        let steps = keyed_history(rng);
        let mut alert = Alert::new(&properties(&query, false), Arc::clone(&alerts), vec![0], hold);
        let into_history = steps.iter().map(|step| {
            let mut out = crate::operator::Output::default();
            step.deltas
                .iter()
                .for_each(|(port, delta)| alert.on_delta(*port, delta.clone(), &mut out).expect("takes it"));
            alert.on_epoch(&step.header, &mut out).expect("completes the epoch");
            Step { deltas: out.drain().map(|delta| (0, delta)).collect(), header: step.header.clone() }
        });
        let into_history: Vec<Step> = into_history.collect();
        let all = transitions(&steps, hold);
        told_in_all += all.iter().map(Vec::len).sum::<usize>();
        let want = |epoch: u64| {
            let rows = all[..=epoch as usize].iter().flatten().map(|(_, row)| row.clone());
            rows.fold(Standing::new(), |mut standing, row| {
                *standing.entry(row).or_insert(0) += 1;
                standing
            })
        };
        Check {
            make: &|| Box::new(AlertHistory::new(Arc::clone(&schema), vec![0], 10_000)),
            keys: vec![Vec::new()],
            oracle: &|_, header| want(header.epoch.0),
            every_epoch: true,
        }
        .run(rng, &into_history);
    }
    assert!(told_in_all > 1000, "{told_in_all}");
}

#[test]
fn only_so_much_of_the_history_is_kept() {
    for seed in 0..40 {
        let rng = &mut Rng(seed);
        let steps = keyed_history(rng);
        let (alerts, query) = (alert_schema(&query(), ALERT_COLUMNS), query());
        let mut alert = Alert::new(&properties(&query, false), alerts, vec![0], 0);
        let mut history = AlertHistory::new(alert_schema(&query, ALERT_HISTORY_COLUMNS), vec![0], 5);
        let mut standing = Standing::new();
        let mut told = Vec::new();
        for (step, new) in steps.iter().zip(transitions(&steps, 0)) {
            let mut out = crate::operator::Output::default();
            step.deltas
                .iter()
                .for_each(|(port, delta)| alert.on_delta(*port, delta.clone(), &mut out).expect("takes it"));
            alert.on_epoch(&step.header, &mut out).expect("completes the epoch");
            let deltas = out.drain().map(|delta| (0, delta)).collect();
            run(&mut history, &Step { deltas, header: step.header.clone() }, &mut standing);
            told.push(new.len());
            let stands: i64 = standing.values().sum();
            assert_eq!(stands, told.iter().sum::<usize>().min(5) as i64);
            // Of the newest epochs all that fit are there.
            let newest = standing.keys().filter(|row| row[3] == Cell::Time(step.header.wall_clock)).count();
            assert_eq!(newest, new.len().min(5), "seed {seed}");
        }
    }
}
