//! The bench that every operator is tested on: random histories, a driver, and a restore onto other workers.
//! It must not know any operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, SourceProgress, Watermark, hash_columns, vnode};
use thalweg_plan::{Bound, Distribution, Properties};

use crate::operator::{Operator, Output, StateTable};

/// A value of a row in a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// The text of a float.
    Float(String),
    Text(String),
    Time(i64),
}

/// A row in a test.
pub(crate) type Row = Vec<Cell>;
/// Rows with how often each stands.
pub(crate) type Standing = BTreeMap<Row, i64>;

/// A small seeded generator (SplitMix64).
pub(crate) struct Rng(pub u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n - 1`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn int(&mut self, n: u64) -> Cell {
        Cell::Int(self.below(n) as i64)
    }

    /// A number, or null once in eight.
    pub(crate) fn maybe_int(&mut self, n: u64) -> Cell {
        if self.one_in(8) { Cell::Null } else { self.int(n) }
    }

    /// Short and long text from `n` values.
    pub(crate) fn text(&mut self, n: u64) -> Cell {
        let i = self.below(n);
        Cell::Text(if i.is_multiple_of(2) {
            format!("t{i}")
        } else {
            format!("a text that is longer than a view, {i}")
        })
    }
}

/// `name:type` pairs: `i` Int64, `t` text, `w` timestamp, `f` float, `b` boolean.
pub(crate) fn schema(columns: &[(&str, char)]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind)| {
            let data_type = match kind {
                'i' => DataType::Int64,
                't' => DataType::Utf8View,
                'w' => DataType::Timestamp(TimeUnit::Microsecond, None),
                'f' => DataType::Float64,
                _ => DataType::Boolean,
            };
            Field::new(*name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Properties of a relation with nothing known but its columns.
pub(crate) fn properties(schema: &SchemaRef, append_only: bool) -> Properties {
    let bounds = vec![None; schema.fields().len()];
    Properties { schema: Arc::clone(schema), append_only, key: None, distribution: Distribution::Any, bounds }
}

/// The watermark of source 0.
pub(crate) fn bound() -> Bound {
    Bound::Source(thalweg_core::SourceId(0))
}

/// Rows as a batch.
pub(crate) fn batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let int = |cell: &Cell| match cell {
        Cell::Int(v) | Cell::Time(v) => Some(*v),
        _ => None,
    };
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(c, field)| -> ArrayRef {
            let cells = rows.iter().map(|row| &row[c]);
            match field.data_type() {
                DataType::Int64 => Arc::new(cells.map(int).collect::<Int64Array>()),
                DataType::Timestamp(_, _) => Arc::new(cells.map(int).collect::<TimestampMicrosecondArray>()),
                DataType::Utf8View => Arc::new(
                    cells
                        .map(|cell| if let Cell::Text(v) = cell { Some(v.as_str()) } else { None })
                        .collect::<StringViewArray>(),
                ),
                DataType::Float64 => Arc::new(
                    cells
                        .map(|cell| if let Cell::Float(v) = cell { v.parse::<f64>().ok() } else { None })
                        .collect::<Float64Array>(),
                ),
                _ => Arc::new(
                    cells.map(|cell| if let Cell::Bool(v) = cell { Some(*v) } else { None }).collect::<BooleanArray>(),
                ),
            }
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).expect("rows of the schema")
}

/// A batch as rows.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<Row> {
    let cell = |column: &ArrayRef, row: usize| -> Cell {
        if column.is_null(row) {
            return Cell::Null;
        }
        match column.data_type() {
            DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
            DataType::Timestamp(_, _) => Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row)),
            DataType::Utf8View => Cell::Text(column.as_string_view().value(row).to_owned()),
            DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row).to_string()),
            DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
            DataType::UInt64 => Cell::Int(column.as_primitive::<arrow::datatypes::UInt64Type>().value(row) as i64),
            other => Cell::Text(format!("{other}")),
        }
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()).collect()
}

/// Adds a change to what stands.
pub(crate) fn add(standing: &mut Standing, delta: &DeltaBatch) {
    for (i, row) in rows(&delta.rows).into_iter().enumerate() {
        let weight = standing.entry(row.clone()).or_insert(0);
        *weight += delta.weight(i);
        if *weight == 0 {
            standing.remove(&row);
        }
    }
}

/// One epoch of a history: changes by port, and the header that seals it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub deltas: Vec<(usize, DeltaBatch)>,
    pub header: EpochHeader,
}

/// A header with the watermark of source 0 and the wall clock.
pub(crate) fn header(epoch: u64, watermark: Watermark, wall_clock: i64) -> EpochHeader {
    let source = SourceProgress { watermark, ended: watermark == Watermark::END, ..SourceProgress::default() };
    EpochHeader { epoch: Epoch(epoch), wall_clock, sources: vec![source], checkpoint: false }
}

/// Makes a row for an epoch.
pub(crate) type MakeRow<'a> = Box<dyn FnMut(&mut Rng, u64) -> Option<Row> + 'a>;

/// One port of a random history.
pub(crate) struct PortSpec<'a> {
    pub schema: SchemaRef,
    pub retracts: bool,
    /// Makes a row for an epoch; `None`: no row this time.
    pub row: MakeRow<'a>,
}

/// A random history: each epoch has up to `per_epoch` changes a port, cut into random batches. Rows are retracted
/// only while they stand. The watermark after epoch `e` is `e * 10`, and the end at last.
pub(crate) fn history(rng: &mut Rng, ports: &mut [PortSpec<'_>], epochs: u64, per_epoch: u64) -> Vec<Step> {
    let mut standing: Vec<Vec<Row>> = ports.iter().map(|_| Vec::new()).collect();
    let mut steps = Vec::new();
    for epoch in 0..epochs {
        let mut deltas = Vec::new();
        for (p, port) in ports.iter_mut().enumerate() {
            let mut changes: Vec<(Row, i64)> = Vec::new();
            for _ in 0..rng.below(per_epoch + 1) {
                if port.retracts && !standing[p].is_empty() && rng.one_in(3) {
                    let at = rng.below(standing[p].len() as u64) as usize;
                    changes.push((standing[p].swap_remove(at), -1));
                } else if let Some(row) = (port.row)(rng, epoch) {
                    standing[p].push(row.clone());
                    changes.push((row, 1));
                }
            }
            while !changes.is_empty() {
                let rest = changes.split_off(1 + rng.below(changes.len() as u64) as usize);
                let (part, weights): (Vec<Row>, Vec<i64>) = std::mem::replace(&mut changes, rest).into_iter().unzip();
                let weights = port.retracts.then(|| Int64Array::from(weights));
                deltas.push((p, DeltaBatch::new(batch(&port.schema, &part), weights)));
            }
        }
        // Ports take turns at random, each in its own order.
        let mut mixed = Vec::new();
        while !deltas.is_empty() {
            let port = deltas[rng.below(deltas.len() as u64) as usize].0;
            let at = deltas.iter().position(|(p, _)| *p == port).expect("picked from these");
            mixed.push(deltas.remove(at));
        }
        let watermark = if epoch + 1 == epochs { Watermark::END } else { Watermark(epoch as i64 * 10) };
        steps.push(Step { deltas: mixed, header: header(epoch, watermark, epoch as i64 * 10) });
    }
    steps
}

/// Runs one epoch and adds what comes out.
pub(crate) fn run(operator: &mut dyn Operator, step: &Step, standing: &mut Standing) {
    let mut out = Output::default();
    for (port, delta) in &step.deltas {
        operator.on_delta(*port, delta.clone(), &mut out).expect("takes the change");
    }
    operator.on_epoch(&step.header, &mut out).expect("completes the epoch");
    for delta in out.drain() {
        assert!(delta.weight_slice().is_none_or(|w| !w.contains(&0)), "a weight of 0 came out");
        add(standing, &delta);
    }
}

/// The rows of a step that belong to worker `index` of `peers`, by the key columns of each port.
fn routed(step: &Step, keys: &[Vec<usize>], index: usize, peers: usize) -> Step {
    let deltas = step.deltas.iter().map(|(port, delta)| {
        let columns: Vec<ArrayRef> = keys[*port].iter().map(|k| Arc::clone(delta.column(*k))).collect();
        let mut hashes = Vec::new();
        hash_columns(&columns, delta.num_rows(), &mut hashes).expect("hashable keys");
        let own = (0..delta.num_rows() as u32).filter(|r| usize::from(vnode(hashes[*r as usize])) % peers == index);
        (*port, delta.take(&UInt32Array::from_iter_values(own)).expect("rows of the batch"))
    });
    Step { deltas: deltas.filter(|(_, d)| !d.is_empty()).collect(), header: step.header.clone() }
}

/// What stands of all that an operator has put out, if it holds that.
pub(crate) fn held(operator: &dyn Operator) -> Option<Vec<DeltaBatch>> {
    let mut out = Output::default();
    operator.standing(&mut out).ok().map(|()| out.drain().collect())
}

/// The inputs and the oracle of a check.
pub(crate) struct Check<'a> {
    pub make: &'a dyn Fn() -> Box<dyn Operator>,
    /// Key columns by which rows of each port are routed.
    pub keys: Vec<Vec<usize>>,
    /// What should stand, from all that stands on each port at the end of an epoch.
    pub oracle: &'a dyn Fn(&[Standing], &EpochHeader) -> Standing,
    /// Compare after every epoch, not only at the end.
    pub every_epoch: bool,
}

impl Check<'_> {
    /// The output equals the oracle, straight and through restores onto other numbers of workers.
    pub(crate) fn run(&self, rng: &mut Rng, steps: &[Step]) {
        let mut inputs: Vec<Standing> = self.keys.iter().map(|_| Standing::new()).collect();
        let (mut operator, mut standing) = ((self.make)(), Standing::new());
        for (i, step) in steps.iter().enumerate() {
            step.deltas.iter().for_each(|(port, delta)| add(&mut inputs[*port], delta));
            run(operator.as_mut(), step, &mut standing);
            if self.every_epoch || i + 1 == steps.len() {
                let want = (self.oracle)(&inputs, &step.header);
                assert_eq!(standing, want, "after epoch {} of {}", step.header.epoch, steps.len());
            }
            let _ = operator.state_bytes();
        }
        self.restored(rng, steps, &standing);
    }

    fn restored(&self, rng: &mut Rng, steps: &[Step], want: &Standing) {
        let mut standing = Standing::new();
        let mut saved: Vec<Vec<StateTable>> = Vec::new();
        let mut workers: Vec<Box<dyn Operator>> = vec![(self.make)()];
        for (i, step) in steps.iter().enumerate() {
            let peers = workers.len();
            for (index, worker) in workers.iter_mut().enumerate() {
                run(worker.as_mut(), &routed(step, &self.keys, index, peers), &mut standing);
                if rng.one_in(2) {
                    saved.push(worker.snapshot().expect("snapshots"));
                }
            }
            if rng.one_in(5) {
                saved.clear();
                for worker in &mut workers {
                    worker.save_all();
                    saved.push(worker.snapshot().expect("snapshots"));
                }
            }
            if i + 1 < steps.len() && rng.one_in(3) {
                for worker in &mut workers {
                    saved.push(worker.snapshot().expect("snapshots"));
                }
                let peers = 1 + rng.below(3) as usize;
                workers = (0..peers)
                    .map(|index| {
                        let mut worker = (self.make)();
                        worker.restore(&saved, &|v| usize::from(v) % peers == index).expect("restores");
                        worker
                    })
                    .collect();
                // Those that hold what they have put out hold it still.
                if let Some(held) = workers.iter().map(|worker| held(worker.as_ref())).collect::<Option<Vec<_>>>() {
                    let mut all = Standing::new();
                    held.iter().flatten().for_each(|delta| add(&mut all, delta));
                    assert_eq!(all, standing, "held after a restore");
                }
            }
        }
        assert_eq!(&standing, want, "through restores");
    }
}
