//! `WholeSum`: exact sums and averages of integers and decimals. It must not know floats.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Int16Type, Int32Type, Int64Type, i256};
use thalweg_core::{Error, Result};

use super::accumulator::{Accumulator, Change};
use super::int64_state;

/// Sums in 128 bits, so that an overflow that later rows undo is no error.
/// State: `sum` (Decimal128 of the argument's scale), `n` (rows added).
#[derive(Debug)]
pub(crate) struct WholeSum {
    cells: Vec<Cell>,
    scale: i8,
    result: Outcome,
    overflowed: bool,
}

#[derive(Debug)]
enum Outcome {
    BigInt,
    Decimal { precision: u8, scale: i8 },
    MeanFloat,
    MeanDecimal { precision: u8, scale: i8 },
}

/// A 128-bit sum in halves, so that a cell takes 24 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    low: u64,
    high: i64,
    n: i64,
}

impl Cell {
    #[inline]
    fn sum(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    #[inline]
    fn add(&mut self, value: i128, n: i64) -> bool {
        let (sum, overflowed) = self.sum().overflowing_add(value);
        self.low = sum as u64;
        self.high = (sum >> 64) as i64;
        self.n += n;
        overflowed
    }
}

impl WholeSum {
    /// A sum (or, with `mean`, an average) of values of `scale` as `output`; `None` when the output type is not one of
    /// those that come from whole numbers.
    pub(crate) fn new(scale: i8, mean: bool, output: &DataType) -> Option<Self> {
        let result = match (mean, output) {
            (false, DataType::Int64) => Outcome::BigInt,
            (false, DataType::Decimal128(precision, scale)) => {
                Outcome::Decimal { precision: *precision, scale: *scale }
            }
            (true, DataType::Float64) => Outcome::MeanFloat,
            (true, DataType::Decimal128(precision, scale)) => {
                Outcome::MeanDecimal { precision: *precision, scale: *scale }
            }
            _ => return None,
        };
        Some(Self { cells: Vec::new(), scale, result, overflowed: false })
    }

    fn add_all<T: ArrowPrimitiveType>(&mut self, change: &Change<'_>)
    where
        T::Native: Into<i128>,
    {
        let values = change.args[0].as_primitive::<T>().values();
        let mut overflowed = false;
        if change.weights.is_none() {
            change.each(|row, group, _| overflowed |= self.cells[group].add(values[row].into(), 1));
        } else {
            change.each(|row, group, weight| {
                let (value, over) = Into::<i128>::into(values[row]).overflowing_mul(i128::from(weight));
                overflowed |= over | self.cells[group].add(value, weight);
            });
        }
        self.overflowed |= overflowed;
    }

    fn checked(&self) -> Result<()> {
        if self.overflowed { Err(Error::Data("numeric sum out of range".into())) } else { Ok(()) }
    }
}

impl Accumulator for WholeSum {
    fn grow(&mut self, capacity: usize) {
        if self.cells.len() < capacity {
            self.cells.resize(capacity, Cell::default());
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        match change.args[0].data_type() {
            DataType::Int16 => self.add_all::<Int16Type>(change),
            DataType::Int32 => self.add_all::<Int32Type>(change),
            DataType::Int64 => self.add_all::<Int64Type>(change),
            DataType::Decimal128(_, _) => self.add_all::<Decimal128Type>(change),
            other => return Err(Error::Internal(format!("sum of {other}"))),
        }
        self.checked()
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let cells = || groups.iter().map(|g| self.cells[*g as usize]);
        // 38 digits are declared; the 128 bits travel whole, beyond 38 digits too.
        let sums = Decimal128Array::from_iter_values(cells().map(Cell::sum))
            .with_data_type(DataType::Decimal128(38, self.scale));
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from_iter_values(cells().map(|c| c.n)))])
    }

    fn width(&self) -> usize {
        2
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let sums = state[0]
            .as_primitive_opt::<Decimal128Type>()
            .ok_or_else(|| Error::Internal(format!("state of a sum is {}", state[0].data_type())))?;
        let counts = int64_state(state, 1)?;
        for ((group, sum), n) in groups.iter().zip(sums.values()).zip(counts) {
            self.overflowed |= self.cells[*group as usize].add(*sum, *n);
        }
        self.checked()
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let cells = groups.iter().map(|g| self.cells[*g as usize]);
        let some = |c: Cell| (c.n != 0).then(|| c.sum());
        Ok(match self.result {
            Outcome::BigInt => {
                let results: Result<Int64Array> = cells
                    .map(|c| match some(c).map(i64::try_from).transpose() {
                        Ok(sum) => Ok(sum),
                        Err(_) => Err(Error::Data("bigint out of range".into())),
                    })
                    .collect();
                Arc::new(results?)
            }
            Outcome::Decimal { precision, scale } => {
                let results: Result<Vec<Option<i128>>> = cells
                    .map(|c| some(c).map(|sum| scaled(sum, 1, scale - self.scale, precision)).transpose())
                    .collect();
                Arc::new(Decimal128Array::from(results?).with_data_type(DataType::Decimal128(precision, scale)))
            }
            Outcome::MeanFloat => {
                let unit = 10f64.powi(i32::from(self.scale));
                Arc::new(cells.map(|c| some(c).map(|sum| sum as f64 / c.n as f64 / unit)).collect::<Float64Array>())
            }
            Outcome::MeanDecimal { precision, scale } => {
                let results: Result<Vec<Option<i128>>> = cells
                    .map(|c| some(c).map(|sum| scaled(sum, c.n, scale - self.scale, precision)).transpose())
                    .collect();
                Arc::new(Decimal128Array::from(results?).with_data_type(DataType::Decimal128(precision, scale)))
            }
        })
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

/// `sum × 10^shift ÷ n`, rounded half away from zero, within `precision` digits.
fn scaled(sum: i128, n: i64, shift: i8, precision: u8) -> Result<i128> {
    let out_of_range = || Error::Data(format!("numeric out of range: more than {precision} digits"));
    let mut numerator = i256::from_i128(sum);
    let mut divisor = i256::from_i128(i128::from(n));
    let power = i256::from_i128(10).checked_pow(u32::from(shift.unsigned_abs())).ok_or_else(out_of_range)?;
    if shift >= 0 {
        numerator = numerator.checked_mul(power).ok_or_else(out_of_range)?;
    } else {
        divisor = divisor.checked_mul(power).ok_or_else(out_of_range)?;
    }
    let quotient = numerator / divisor;
    let rest = numerator % divisor;
    let round = (rest.wrapping_abs() + rest.wrapping_abs() >= divisor.wrapping_abs()) && rest != i256::ZERO;
    let away = if (sum < 0) == (n < 0) { i256::ONE } else { i256::MINUS_ONE };
    let rounded = if round { quotient + away } else { quotient };
    let value = rounded.to_i128().ok_or_else(out_of_range)?;
    let digits = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    if value.unsigned_abs() < digits.unsigned_abs() { Ok(value) } else { Err(out_of_range()) }
}
