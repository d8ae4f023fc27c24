//! `Best`: min and max of fixed-width values that are never taken back. It must not know retractions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use thalweg_core::{Error, Result};

use super::accumulator::{Accumulator, Change, valid};
use super::order::Ranked;

/// State: `value`, null when there was none.
#[derive(Debug)]
pub(crate) struct Best<T: ArrowPrimitiveType, const MAX: bool> {
    values: Vec<T::Native>,
    seen: Vec<bool>,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType, const MAX: bool> Best<T, MAX>
where
    T::Native: Ranked,
{
    pub(crate) fn new(data_type: DataType) -> Self {
        Self { values: Vec::new(), seen: Vec::new(), data_type }
    }

    /// What any other value beats or equals.
    fn worst() -> T::Native {
        if MAX { T::Native::LOWEST } else { T::Native::HIGHEST }
    }

    fn column<'a>(&self, column: &'a ArrayRef) -> Result<&'a PrimitiveArray<T>> {
        column
            .as_primitive_opt::<T>()
            .ok_or_else(|| Error::Internal(format!("min or max of {} given {}", self.data_type, column.data_type())))
    }
}

impl<T: ArrowPrimitiveType, const MAX: bool> Accumulator for Best<T, MAX>
where
    T::Native: Ranked,
{
    fn grow(&mut self, capacity: usize) {
        if self.values.len() < capacity {
            self.values.resize(capacity, Self::worst());
            self.seen.resize(capacity, false);
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        let values = self.column(&change.args[0])?.values();
        change.each(|row, group, _| {
            let value = values[row];
            let best = self.values[group];
            if if MAX { best.below(value) } else { value.below(best) } {
                self.values[group] = value;
                self.seen[group] = true;
            } else if !value.below(best) && !best.below(value) {
                // Equal to the best: which may be the `worst` that stands for "none yet".
                self.seen[group] = true;
            }
        });
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn width(&self) -> usize {
        1
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.update(&Change { groups, args: state, weights: None, selected: valid(&state[0]).as_ref() })
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let values: Vec<T::Native> = groups.iter().map(|g| self.values[*g as usize]).collect();
        let nulls = NullBuffer::from_iter(groups.iter().map(|g| self.seen[*g as usize]));
        let nulls = Some(nulls).filter(|n| n.null_count() > 0);
        Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(self.data_type.clone())))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.values[*group as usize] = Self::worst();
            self.seen[*group as usize] = false;
        }
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }

    fn singles(&self, change: &Change<'_>) -> Result<Option<Vec<ArrayRef>>> {
        let column = self.column(&change.args[0])?;
        let nulls = change.selected.map(|s| NullBuffer::new(s.clone()));
        Ok(Some(vec![Arc::new(
            PrimitiveArray::<T>::new(column.values().clone(), nulls).with_data_type(self.data_type.clone()),
        )]))
    }
}
