//! `Detect`: anomaly functions over the rows of each partition in the order of their times. What it holds does not grow
//! with the rows: each function's state a partition. It must not know how a function scores.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Float64Builder, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema, SchemaRef};
use thalweg_analysis::detect::{DetectError, Detector, build};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::{DetectCall, Distribution, Properties};

use crate::operator::{Operator, Output, StateTable, kept_rows};
use crate::store::{Groups, Lane, micros};

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// One function: its state for every partition, and the columns that it reads.
struct Call {
    detector: Box<dyn Detector>,
    inputs: Vec<usize>,
}

/// Each row with its scores. The rows of an epoch are not before those of earlier ones.
pub struct Detect {
    output: SchemaRef,
    time: usize,
    partition: Vec<usize>,
    /// Columns of the key that decide a row's vnode.
    placement: Vec<usize>,
    calls: Vec<Call>,
    groups: Groups,
    /// Partitions that no snapshot holds as they are now.
    changed: Vec<u32>,
    is_changed: Lane<bool>,
    known: Vec<u32>,
    is_known: Lane<bool>,
    layout: SchemaRef,
    held: Vec<DeltaBatch>,
}

impl fmt::Debug for Detect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detect").field("partitions", &self.known.len()).finish_non_exhaustive()
    }
}

fn refused(error: DetectError) -> Error {
    Error::invalid(error.to_string())
}

impl Detect {
    /// The arguments are those of `Operation::Detect`, `output` the schema of what comes out.
    ///
    /// # Errors
    /// A function does not take these columns or parameters.
    pub fn new(
        input: &Properties,
        partition: &[usize],
        time: usize,
        calls: &[DetectCall],
        output: SchemaRef,
    ) -> Result<Self> {
        let key_field = |(i, c): (usize, &usize)| -> FieldRef {
            Arc::new(Field::new(format!("key{i}"), input.schema.field(*c).data_type().clone(), true))
        };
        let state_field = |i: usize| -> FieldRef { Arc::new(Field::new(format!("state{i}"), DataType::Binary, true)) };
        let fields = partition.iter().enumerate().map(key_field).chain((0..calls.len()).map(state_field));
        let of_key = |column: &usize| partition.iter().position(|c| c == column);
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.iter().map(of_key).collect::<Option<Vec<_>>>(),
            Distribution::Any | Distribution::Single => None,
        };
        let calls = calls.iter().map(|call| {
            let detector = build(&call.name, call.inputs.len(), &call.parameters).map_err(refused)?;
            Ok(Call { detector, inputs: call.inputs.clone() })
        });
        Ok(Self {
            time,
            placement: placement.unwrap_or_else(|| (0..partition.len()).collect()),
            groups: Groups::new(partition.iter().map(|c| input.schema.field(*c).data_type())),
            layout: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            calls: calls.collect::<Result<_>>()?,
            partition: partition.to_vec(),
            changed: Vec::new(),
            is_changed: Lane::default(),
            known: Vec::new(),
            is_known: Lane::default(),
            held: Vec::new(),
            output,
        })
    }

    /// The partitions of key rows.
    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut hashes = Vec::new();
        hash_columns(keys, rows, &mut hashes)?;
        let groups = self.groups.intern(keys, &hashes)?;
        for group in &groups {
            if !std::mem::replace(self.is_known.entry(*group), true) {
                self.known.push(*group);
            }
        }
        Ok(groups)
    }

    /// The rows in the order of their times; those of one time by what the functions read, so that the order in which they
    /// came says nothing.
    fn in_order(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let times = micros(rows.column(self.time));
        let inputs: Vec<&Float64Array> =
            self.calls.iter().flat_map(|c| &c.inputs).map(|c| floats(rows, *c)).collect::<Result<_>>()?;
        let by_inputs = |a: usize, b: usize| {
            let value = |values: &Float64Array, row| if values.is_null(row) { 0.0 } else { values.value(row) };
            let by_value = |values: &&Float64Array| value(values, a).total_cmp(&value(values, b));
            inputs.iter().map(by_value).find(|o| *o != Ordering::Equal).unwrap_or(Ordering::Equal)
        };
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            times[a].cmp(&times[b]).then_with(|| by_inputs(a, b))
        });
        Ok(take_record_batch(rows, &UInt32Array::from(order))?)
    }

    fn states(&self, groups: &[u32]) -> Result<RecordBatch> {
        let mut columns = self.groups.keys(groups)?;
        columns.extend(self.calls.iter().map(|call| Arc::new(call.detector.save(groups)) as ArrayRef));
        Ok(RecordBatch::try_new(Arc::clone(&self.layout), columns)?)
    }
}

fn floats(rows: &RecordBatch, column: usize) -> Result<&Float64Array> {
    let values = rows.column(column).as_primitive_opt::<Float64Type>();
    values.ok_or_else(|| Error::Internal(format!("column {column} of an anomaly function is not Float64")))
}

impl Operator for Detect {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        if delta.weight_slice().is_some_and(|w| w.iter().any(|w| *w != 1)) {
            return Err(Error::Internal("weights on the input of an anomaly function, which is append-only".into()));
        }
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, out: &mut Output) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let input = held[0].rows.schema();
        let rows = self.in_order(&DeltaBatch::concat(&input, &held)?.rows)?;
        let keys: Vec<ArrayRef> = self.partition.iter().map(|c| Arc::clone(rows.column(*c))).collect();
        let groups = self.intern(&keys, rows.num_rows())?;
        let times = micros(rows.column(self.time));
        let mut columns = rows.columns().to_vec();
        for call in &mut self.calls {
            let inputs: Vec<Float64Array> =
                call.inputs.iter().map(|c| floats(&rows, *c).cloned()).collect::<Result<_>>()?;
            let mut scores = Float64Builder::with_capacity(rows.num_rows());
            call.detector.score(&groups, &times, &inputs, &mut scores);
            columns.push(Arc::new(scores.finish()));
        }
        for group in groups {
            if !std::mem::replace(self.is_changed.entry(group), true) {
                self.changed.push(group);
            }
        }
        let scored = RecordBatch::try_new(Arc::clone(&self.output), columns)?;
        for from in (0..scored.num_rows()).step_by(OUT_ROWS) {
            out.push(DeltaBatch::insert(scored.slice(from, OUT_ROWS.min(scored.num_rows() - from))));
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        changed.iter().for_each(|group| *self.is_changed.entry(*group) = false);
        Ok(vec![StateTable { name: "detect".into(), upserts: self.states(&changed)?, deletes: None }])
    }

    fn save_all(&mut self) {
        self.changed.clone_from(&self.known);
        self.known.iter().for_each(|group| *self.is_changed.entry(*group) = true);
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        for table in deltas.iter().flatten() {
            let placement: Vec<ArrayRef> =
                self.placement.iter().map(|c| Arc::clone(table.upserts.column(*c))).collect();
            let mut hashes = Vec::new();
            hash_columns(&placement, table.upserts.num_rows(), &mut hashes)?;
            let rows = arrow::compute::filter_record_batch(&table.upserts, &kept_rows(&hashes, keep))?;
            let width = self.partition.len();
            let groups = self.intern(&rows.columns()[..width], rows.num_rows())?;
            for (call, states) in self.calls.iter_mut().zip(&rows.columns()[width..]) {
                let states: &BinaryArray = states
                    .as_binary_opt()
                    .ok_or_else(|| Error::Internal("the state of an anomaly function is not bytes".to_owned()))?;
                call.detector.load(&groups, states).map_err(refused)?;
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let detectors: usize = self.calls.iter().map(|call| call.detector.bytes()).sum();
        let held: usize = self.held.iter().map(|d| d.rows.get_array_memory_size()).sum();
        detectors + self.groups.bytes() + self.known.len() * 16 + held
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{Cell, Check, PortSpec, Rng, Row, Standing, history, properties, schema};

    fn calls() -> Vec<DetectCall> {
        let call = |name: &str, inputs: &[usize], parameters: &[f64]| DetectCall {
            name: name.to_owned(),
            inputs: inputs.to_vec(),
            parameters: parameters.iter().map(|p| Some(*p)).collect(),
        };
        vec![
            call("anomaly_zscore", &[2], &[8.0]),
            call("anomaly_ewma", &[2], &[]),
            call("anomaly_half_space", &[2, 3], &[]),
        ]
    }

    /// The scores of each partition's rows, as if there were nothing else.
    fn scored(rows: &Standing) -> Standing {
        let mut partitions: BTreeMap<Cell, Vec<Row>> = BTreeMap::new();
        for (row, copies) in rows {
            let copies = std::iter::repeat_n(row.clone(), *copies as usize);
            partitions.entry(row[0].clone()).or_default().extend(copies);
        }
        let float = |cell: &Cell| if let Cell::Float(text) = cell { text.parse().ok() } else { None::<f64> };
        let mut out = Standing::new();
        for mut rows in partitions.into_values() {
            let key =
                |row: &Row| (row[1].clone(), float(&row[2]).unwrap_or_default(), float(&row[3]).unwrap_or_default());
            rows.sort_by(|a, b| {
                let (a, b) = (key(a), key(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
            });
            let times = vec![0; rows.len()];
            let scores: Vec<Float64Array> = calls()
                .iter()
                .map(|call| {
                    let mut detector = build(&call.name, call.inputs.len(), &call.parameters).expect("it is one");
                    let input = |c: &usize| rows.iter().map(|row| float(&row[*c])).collect::<Float64Array>();
                    let inputs: Vec<Float64Array> = call.inputs.iter().map(input).collect();
                    let mut scores = Float64Builder::new();
                    detector.score(&vec![0; rows.len()], &times, &inputs, &mut scores);
                    scores.finish()
                })
                .collect();
            for (i, row) in rows.into_iter().enumerate() {
                let cell =
                    |s: &Float64Array| s.iter().nth(i).flatten().map_or(Cell::Null, |v| Cell::Float(v.to_string()));
                let row: Row = row.into_iter().chain(scores.iter().map(cell)).collect();
                *out.entry(row).or_insert(0) += 1;
            }
        }
        out
    }

    #[test]
    fn each_partition_is_scored_as_if_it_were_alone() {
        for seed in 0..40 {
            let rng = &mut Rng(seed);
            let spec = schema(&[("k", 'i'), ("ts", 'w'), ("x", 'f'), ("y", 'f')]);
            let float = |rng: &mut Rng| match rng.below(20) {
                0 => Cell::Null,
                1 => Cell::Float("NaN".to_owned()),
                n => Cell::Float((n as f64 / 4.0 + rng.below(100) as f64 / 50.0).to_string()),
            };
            let mut ports = [PortSpec {
                schema: Arc::clone(&spec),
                retracts: false,
                row: Box::new(|rng, epoch| {
                    let time = Cell::Time((epoch * 10 + rng.below(10)) as i64);
                    Some(vec![rng.maybe_int(4), time, float(rng), float(rng)])
                }),
            }];
            let steps = history(rng, &mut ports, 20, 25);
            let input = properties(&spec, true);
            let fields = spec.fields().iter().cloned();
            let scores = (0..calls().len()).map(|i| Arc::new(Field::new(format!("s{i}"), DataType::Float64, true)));
            let output: SchemaRef = Arc::new(Schema::new(fields.chain(scores).collect::<Vec<FieldRef>>()));
            Check {
                make: &|| Box::new(Detect::new(&input, &[0], 1, &calls(), Arc::clone(&output)).expect("functions")),
                keys: vec![vec![0]],
                oracle: &|inputs, _| scored(&inputs[0]),
                every_epoch: true,
            }
            .run(rng, &steps);
        }
    }
}
