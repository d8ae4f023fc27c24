//! `Hop`: each pane into the windows that contain it. It must not know how panes are aggregated.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result};
use thalweg_plan::HopSpec;

use crate::operator::{Operator, Output};

/// Stateless: a row of a pane becomes `size / slide` rows, one a window, with the pane column holding the window's
/// start. Each window's rows are a batch that shares the other columns with the input.
#[derive(Debug)]
pub struct Hop {
    spec: HopSpec,
    output: SchemaRef,
}

impl Hop {
    /// An expansion as `spec` says; `output` has the columns of the input.
    ///
    /// # Errors
    /// A size that is not a positive multiple of the slide, or a pane column that is not a timestamp.
    pub fn new(spec: HopSpec, output: SchemaRef) -> Result<Self> {
        if spec.slide <= 0 || spec.size < spec.slide || spec.size % spec.slide != 0 {
            return Err(Error::invalid_with_hint(
                format!("a window of {} us cannot hop by {} us", spec.size, spec.slide),
                "The window's size must be a multiple of its slide.",
            ));
        }
        match output.fields().get(spec.pane).map(|f| f.data_type()) {
            Some(DataType::Timestamp(TimeUnit::Microsecond, _)) => Ok(Self { spec, output }),
            other => Err(Error::Internal(format!("windows over a pane column of {other:?}"))),
        }
    }
}

impl Operator for Hop {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        let panes = delta.column(self.spec.pane).as_primitive::<TimestampMicrosecondType>();
        // A row without a time is in one window only: the one without a start.
        let timed = match panes.nulls().filter(|n| n.null_count() > 0) {
            None => None,
            Some(nulls) => {
                let mask = BooleanArray::new(nulls.inner().clone(), None);
                let nowhere = delta.filter(&arrow::compute::not(&mask)?)?;
                out.push(nowhere.with_rows(nowhere.rows.clone().with_schema(Arc::clone(&self.output))?));
                Some(delta.filter(&mask)?)
            }
        };
        let delta = timed.unwrap_or(delta);
        let panes = delta.column(self.spec.pane).as_primitive::<TimestampMicrosecondType>();
        let windows = self.spec.size / self.spec.slide;
        for back in (0..windows).rev() {
            let shift = back * self.spec.slide;
            let starts = panes.unary::<_, TimestampMicrosecondType>(|pane| pane.saturating_sub(shift));
            let mut columns: Vec<ArrayRef> = delta.rows.columns().to_vec();
            columns[self.spec.pane] = Arc::new(starts.with_data_type(panes.data_type().clone()));
            out.push(delta.with_rows(RecordBatch::try_new(Arc::clone(&self.output), columns)?));
        }
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cell, Check, PortSpec, Rng, Standing, history, schema};

    #[test]
    fn each_row_is_in_every_window_that_contains_its_pane() {
        for seed in 0..30 {
            let columns = schema(&[("pane", 'w'), ("x", 'i')]);
            let mut rng = Rng(seed);
            let row = |rng: &mut Rng, epoch: u64| {
                let pane = Cell::Time(((epoch + rng.below(3)) * 10) as i64);
                Some(vec![if rng.one_in(9) { Cell::Null } else { pane }, rng.int(5)])
            };
            let port = PortSpec { schema: columns.clone(), retracts: seed % 2 == 0, row: Box::new(row) };
            let steps = history(&mut rng, &mut [port], 8, 20);
            let windows = 1 + (seed % 4) as i64;
            let make = || {
                let spec = HopSpec { pane: 0, slide: 10, size: 10 * windows };
                Box::new(Hop::new(spec, columns.clone()).expect("valid")) as Box<dyn Operator>
            };
            let oracle = |inputs: &[Standing], _: &EpochHeader| {
                let mut want = Standing::new();
                for (row, n) in &inputs[0] {
                    match row[0] {
                        Cell::Time(pane) => (0..windows).for_each(|back| {
                            *want.entry(vec![Cell::Time(pane - back * 10), row[1].clone()]).or_default() += n;
                        }),
                        _ => *want.entry(row.clone()).or_default() += n,
                    }
                }
                want
            };
            Check { make: &make, keys: vec![vec![0]], oracle: &oracle, every_epoch: true }.run(&mut rng, &steps);
        }
    }
}
