//! `FloatSum`: sums and averages of floats that can be undone. It must not know whole numbers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use thalweg_core::{Error, Result};

use super::accumulator::{Accumulator, Change};
use super::double::Double;
use super::{float64_state, int64_state};

/// State: `sum`, `sum_low` (the sum in two words), `n`, `special` (null, or how many NaN, +∞ and −∞ are in).
#[derive(Debug)]
pub(crate) struct FloatSum {
    cells: Vec<Cell>,
    /// Groups that hold a value that is not finite: adding such a value to the sum could not be undone.
    specials: HashMap<u32, [i64; 3]>,
    mean: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    sum: Double,
    n: i64,
}

impl FloatSum {
    pub(crate) fn new(mean: bool) -> Self {
        Self { cells: Vec::new(), specials: HashMap::new(), mean }
    }

    fn add_all<T: ArrowPrimitiveType>(&mut self, change: &Change<'_>)
    where
        T::Native: Into<f64>,
    {
        let values = change.args[0].as_primitive::<T>().values();
        change.each(|row, group, weight| {
            let value: f64 = values[row].into();
            let cell = &mut self.cells[group];
            cell.n += weight;
            if value.is_finite() {
                cell.sum.add_weighted(value, weight);
            } else {
                let kind = if value.is_nan() { 0 } else { 1 + usize::from(value < 0.0) };
                self.specials.entry(group as u32).or_default()[kind] += weight;
            }
        });
    }

    fn result(&self, group: u32) -> Option<f64> {
        let cell = self.cells[group as usize];
        if cell.n == 0 {
            return None;
        }
        let special = if self.specials.is_empty() { None } else { self.specials.get(&group) };
        let sum = match special {
            None | Some([0, 0, 0]) => cell.sum.value(),
            Some([0, _, 0]) => f64::INFINITY,
            Some([0, 0, _]) => f64::NEG_INFINITY,
            Some(_) => f64::NAN,
        };
        Some(if self.mean { sum / cell.n as f64 } else { sum })
    }
}

impl Accumulator for FloatSum {
    fn grow(&mut self, capacity: usize) {
        if self.cells.len() < capacity {
            self.cells.resize(capacity, Cell::default());
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        match change.args[0].data_type() {
            DataType::Float32 => self.add_all::<Float32Type>(change),
            DataType::Float64 => self.add_all::<Float64Type>(change),
            other => return Err(Error::Internal(format!("float sum of {other}"))),
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let cells = || groups.iter().map(|g| self.cells[*g as usize]);
        let special = |group: &u32| {
            let counts = self.specials.get(group).filter(|c| **c != [0; 3])?;
            Some(counts.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())
        };
        Ok(vec![
            Arc::new(Float64Array::from_iter_values(cells().map(|c| c.sum.high))),
            Arc::new(Float64Array::from_iter_values(cells().map(|c| c.sum.low))),
            Arc::new(Int64Array::from_iter_values(cells().map(|c| c.n))),
            Arc::new(BinaryArray::from_iter(groups.iter().map(special))),
        ])
    }

    fn width(&self) -> usize {
        4
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (high, low, counts) = (float64_state(state, 0)?, float64_state(state, 1)?, int64_state(state, 2)?);
        for (row, group) in groups.iter().enumerate() {
            let cell = &mut self.cells[*group as usize];
            cell.sum.add_double(Double { high: high[row], low: low[row] });
            cell.n += counts[row];
        }
        let special = state[3]
            .as_binary_opt::<i32>()
            .ok_or_else(|| Error::Internal(format!("state of a float sum is {}", state[3].data_type())))?;
        if special.null_count() < special.len() {
            for (group, bytes) in groups.iter().zip(special) {
                let Some(bytes) = bytes else { continue };
                let counts = self.specials.entry(*group).or_default();
                for (count, word) in counts.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *count += i64::from_le_bytes(*word);
                }
            }
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(groups.iter().map(|g| self.result(*g)).collect::<Float64Array>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.cells[*group as usize] = Cell::default();
            self.specials.remove(group);
        }
    }

    fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>() + self.specials.capacity() * size_of::<(u32, [i64; 3])>()
    }
}
