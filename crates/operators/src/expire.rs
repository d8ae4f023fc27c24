//! `Expire`: the temporal filter. Rows enter at once and leave when the wall clock of the headers has passed their
//! time by an age. It must not know clocks: only headers.

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_plan::Properties;

use crate::operator::{Operator, Output, StateTable};
use crate::store::TimedRows;

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// The rows where `column` is above `now() - age`. A row without a time never enters.
#[derive(Debug)]
pub struct Expire {
    schema: SchemaRef,
    rows: TimedRows,
    held: Vec<DeltaBatch>,
}

impl Expire {
    /// A row leaves when `column + age <= now()` (microseconds).
    pub fn new(input: &Properties, column: usize, age: i64) -> Self {
        Self {
            schema: SchemaRef::clone(&input.schema),
            rows: TimedRows::new("expire", input, column, age, None),
            held: Vec::new(),
        }
    }
}

impl Operator for Expire {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let now = header.wall_clock;
        let mut gone = self.rows.due_by(now)?;
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let delta = DeltaBatch::concat(&self.schema, &held)?;
            let (entered, retracted) = self.rows.apply(&delta, now)?;
            if !entered.is_empty() {
                out.push(DeltaBatch::insert(take_record_batch(&delta.rows, &UInt32Array::from(entered))?));
            }
            gone.extend(retracted);
        }
        for ids in gone.chunks(OUT_ROWS) {
            out.push(DeltaBatch::insert(self.rows.batch(ids)?).negated());
        }
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
    use crate::testing::{Cell, Check, PortSpec, Rng, history, properties, schema};

    #[test]
    fn rows_enter_and_leave_as_the_clock_says() {
        for seed in 0..60 {
            let rng = &mut Rng(seed);
            let retracts = seed % 2 == 0;
            let spec = schema(&[("k", 'i'), ("t", 'w'), ("s", 't')]);
            let mut ports = [PortSpec {
                schema: Arc::clone(&spec),
                retracts,
                row: Box::new(|rng, epoch| {
                    let time = (epoch * 10 + rng.below(30)) as i64 - 20;
                    let time = if rng.one_in(9) { Cell::Null } else { Cell::Time(time) };
                    Some(vec![rng.maybe_int(3), time, rng.text(2)])
                }),
            }];
            let steps = history(rng, &mut ports, 12, 15);
            let input = properties(&spec, !retracts);
            Check {
                make: &|| Box::new(Expire::new(&input, 1, 15)),
                keys: vec![vec![0, 1, 2]],
                oracle: &|inputs, header| {
                    let stands = |t: &Cell| matches!(t, Cell::Time(t) if t + 15 > header.wall_clock);
                    inputs[0].iter().filter(|(row, _)| stands(&row[1])).map(|(r, w)| (r.clone(), *w)).collect()
                },
                every_epoch: true,
            }
            .run(rng, &steps);
        }
    }
}
