//! `Variance`: var_pop, var_samp, stddev_pop, stddev_samp. It must not know how rows reach it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use thalweg_core::{Error, Result};

use super::accumulator::{Accumulator, Change};
use super::double::Double;
use super::{float64_state, int64_state};

/// Sums of values and of squares, each in two words: exact enough that the subtraction at the end is sane, and adding
/// and removing commute (Welford's method divides by a count that may pass through 0 when rows are removed first).
/// State: `n`, `sum`, `sum_low`, `squares`, `squares_low`, `special` (rows that are not finite).
#[derive(Debug)]
pub(crate) struct Variance {
    cells: Vec<Cell>,
    sample: bool,
    root: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    n: i64,
    special: i64,
    sum: Double,
    squares: Double,
}

impl Variance {
    pub(crate) fn new(sample: bool, root: bool) -> Self {
        Self { cells: Vec::new(), sample, root }
    }

    fn result(&self, cell: Cell) -> Option<f64> {
        let divisor = cell.n - i64::from(self.sample);
        if divisor <= 0 {
            return None;
        }
        if cell.special != 0 {
            return Some(f64::NAN);
        }
        let variance = cell.squares.minus_square_over(cell.sum, cell.n as f64).max(0.0) / divisor as f64;
        Some(if self.root { variance.sqrt() } else { variance })
    }
}

impl Accumulator for Variance {
    fn grow(&mut self, capacity: usize) {
        if self.cells.len() < capacity {
            self.cells.resize(capacity, Cell::default());
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        let floats = cast(&change.args[0], &DataType::Float64)?;
        let values = floats.as_primitive::<Float64Type>().values();
        change.each(|row, group, weight| {
            let value = values[row];
            let cell = &mut self.cells[group];
            cell.n += weight;
            if value.is_finite() {
                cell.sum.add_weighted(value, weight);
                match weight {
                    1 => cell.squares.add_product(value, value),
                    -1 => cell.squares.add_product(-value, value),
                    _ => cell.squares.add_product(value * weight as f64, value),
                }
            } else {
                cell.special += weight;
            }
        });
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            self.column::<i64, Int64Array>(groups, |c| c.n),
            self.column::<f64, Float64Array>(groups, |c| c.sum.high),
            self.column::<f64, Float64Array>(groups, |c| c.sum.low),
            self.column::<f64, Float64Array>(groups, |c| c.squares.high),
            self.column::<f64, Float64Array>(groups, |c| c.squares.low),
            self.column::<i64, Int64Array>(groups, |c| c.special),
        ])
    }

    fn width(&self) -> usize {
        6
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (n, special) = (int64_state(state, 0)?, int64_state(state, 5)?);
        let floats: Result<Vec<&[f64]>> = (1..5).map(|i| float64_state(state, i)).collect();
        let [sum, sum_low, squares, squares_low] = floats?[..] else {
            return Err(Error::Internal("state of a variance has other columns".into()));
        };
        for (row, group) in groups.iter().enumerate() {
            let cell = &mut self.cells[*group as usize];
            cell.n += n[row];
            cell.special += special[row];
            cell.sum.add_double(Double { high: sum[row], low: sum_low[row] });
            cell.squares.add_double(Double { high: squares[row], low: squares_low[row] });
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(groups.iter().map(|g| self.result(self.cells[*g as usize])).collect::<Float64Array>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.cells[*group as usize] = Cell::default();
        }
    }

    fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }
}

impl Variance {
    fn column<V, A: Array + From<Vec<V>> + 'static>(&self, groups: &[u32], of: impl Fn(&Cell) -> V) -> ArrayRef {
        Arc::new(A::from(groups.iter().map(|g| of(&self.cells[*g as usize])).collect::<Vec<V>>()))
    }
}
