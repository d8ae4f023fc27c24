//! `Gate`: holds changes until their time is past, then emits what stands of them, once. It must not know windows.

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Result, Watermark};
use thalweg_plan::{Bound, Properties};

use crate::operator::{Operator, Output, StateTable};
use crate::store::TimedRows;

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// The rows where `column` is below a bound, each when it has come to be. A row without a time waits for the end.
#[derive(Debug)]
pub struct Gate {
    schema: SchemaRef,
    bound: Bound,
    rows: TimedRows,
    held: Vec<DeltaBatch>,
}

impl Gate {
    /// A row leaves when `column < bound` (microseconds).
    pub fn new(input: &Properties, column: usize, bound: Bound) -> Self {
        Self {
            schema: SchemaRef::clone(&input.schema),
            bound,
            rows: TimedRows::new("gate", input, column, 0, Some(i64::MAX)),
            held: Vec::new(),
        }
    }
}

impl Operator for Gate {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let mut gone = Vec::new();
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            gone = self.rows.apply(&DeltaBatch::concat(&self.schema, &held)?, i64::MIN)?.1;
        }
        let passed = match self.bound.eval(header) {
            Watermark::START => i64::MIN,
            Watermark::END => i64::MAX,
            Watermark(bound) => bound - 1,
        };
        let leaving = self.rows.due_by(passed)?;
        for ids in leaving.chunks(OUT_ROWS) {
            out.push(DeltaBatch::insert(self.rows.batch(ids)?));
        }
        gone.extend(leaving);
        self.rows.settle(&gone)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.rows.snapshot()
    }

    fn save_all(&mut self) {
        self.rows.save_all();
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.rows.restore(deltas, keep)
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes() + self.held.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{Cell, Check, PortSpec, Rng, bound, history, properties, schema};

    #[test]
    fn rows_leave_once_when_their_time_is_past() {
        for seed in 0..60 {
            let rng = &mut Rng(seed);
            let retracts = seed % 2 == 0;
            let spec = schema(&[("k", 'i'), ("t", 'w'), ("s", 't')]);
            let mut ports = [PortSpec {
                schema: Arc::clone(&spec),
                // What has left is never retracted: rows are retracted only in the first half of their wait.
                retracts: false,
                row: Box::new(|rng, epoch| {
                    let time = Cell::Time((epoch * 10 + rng.below(30)) as i64);
                    Some(vec![rng.maybe_int(3), if rng.one_in(9) { Cell::Null } else { time }, rng.text(2)])
                }),
            }];
            let mut steps = history(rng, &mut ports, 12, 15);
            if retracts {
                for step in &mut steps {
                    let again: Vec<_> = step.deltas.iter().filter(|_| rng.one_in(2)).cloned().collect();
                    step.deltas.extend(again.into_iter().map(|(port, delta)| (port, delta.negated())));
                }
            }
            let input = properties(&spec, !retracts);
            Check {
                make: &|| Box::new(Gate::new(&input, 1, bound())),
                keys: vec![vec![0, 1, 2]],
                oracle: &|inputs, header| {
                    let watermark = header.sources[0].watermark;
                    let out = |t: &Cell| match t {
                        Cell::Time(t) => *t < watermark.0,
                        _ => watermark == Watermark::END,
                    };
                    inputs[0].iter().filter(|(row, _)| out(&row[1])).map(|(r, w)| (r.clone(), *w)).collect()
                },
                every_epoch: true,
            }
            .run(rng, &steps);
        }
    }
}
