//! `Sketches`: the aggregates of the sketch library, over rows that are never taken back. It must not know how a sketch
//! works.

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use thalweg_analysis::sketch::{GroupSketches, SketchError, build};
use thalweg_core::{Error, Result};
use thalweg_plan::SketchCall;

use super::accumulator::{Accumulator, Change};

/// State: `sketch`, the bytes of each group's.
pub(crate) struct Sketches {
    cells: Box<dyn GroupSketches>,
    output: DataType,
}

fn refused(error: SketchError) -> Error {
    Error::invalid(error.to_string())
}

impl Sketches {
    pub(crate) fn new(of: &SketchCall, output: &DataType) -> Result<Self> {
        let cells = build(of.function, &of.argument, &of.parameters).map_err(refused)?;
        Ok(Self { cells, output: output.clone() })
    }
}

impl Accumulator for Sketches {
    /// The cells grow with the rows.
    fn grow(&mut self, _capacity: usize) {}

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        if change.weights.is_none() && change.selected.is_none() {
            return self.cells.update(change.groups, &change.args[0]).map_err(refused);
        }
        let (mut rows, mut groups, mut taken_back) = (Vec::new(), Vec::new(), false);
        change.each(|row, group, weight| {
            taken_back |= weight < 0;
            for _ in 0..weight {
                rows.push(row as u32);
                groups.push(group as u32);
            }
        });
        if taken_back {
            return Err(Error::Internal("a row was taken back from a sketch".into()));
        }
        let values = take(&change.args[0], &UInt32Array::from(rows), None)?;
        self.cells.update(&groups, &values).map_err(refused)
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![std::sync::Arc::new(self.cells.save(groups).map_err(refused)?)])
    }

    fn width(&self) -> usize {
        1
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let states = state.first().and_then(|column| column.as_binary_opt::<i32>());
        let states = states.ok_or_else(|| Error::Internal("state of a sketch is not bytes".into()))?;
        self.cells.merge(groups, states).map_err(refused)
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(cast(&self.cells.result(groups).map_err(refused)?, &self.output)?)
    }

    fn reset(&mut self, groups: &[u32]) {
        self.cells.forget(groups);
    }

    fn bytes(&self) -> usize {
        self.cells.bytes()
    }
}
