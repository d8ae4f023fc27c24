//! `BestBytes`: min and max of text and other variable-width values that are never taken back.
//! It must not know retractions.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::accumulator::{Accumulator, Change, valid};
use super::order::Encoding;

/// State: `value`, null when there was none.
#[derive(Debug)]
pub(crate) struct BestBytes {
    encoding: Encoding,
    values: Vec<Option<Box<[u8]>>>,
    heap: usize,
    max: bool,
}

impl BestBytes {
    pub(crate) fn new(data_type: &DataType, max: bool) -> Result<Self> {
        Ok(Self { encoding: Encoding::new(data_type)?, values: Vec::new(), heap: 0, max })
    }
}

impl Accumulator for BestBytes {
    fn grow(&mut self, capacity: usize) {
        if self.values.len() < capacity {
            self.values.resize(capacity, None);
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        let (values, heap, max) = (&mut self.values, &mut self.heap, self.max);
        self.encoding.each(&change.args[0], |row, bytes| {
            if change.selected.is_some_and(|s| !s.value(row)) {
                return;
            }
            let best = &mut values[change.groups[row] as usize];
            let better = match best {
                None => true,
                Some(best) if max => bytes > &**best,
                Some(best) => bytes < &**best,
            };
            if better {
                *heap = *heap + bytes.len() - best.as_ref().map_or(0, |b| b.len());
                *best = Some(bytes.into());
            }
        })
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
        self.encoding.decode(groups.iter().map(|g| self.values[*g as usize].as_deref()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            if let Some(old) = self.values[*group as usize].take() {
                self.heap -= old.len();
            }
        }
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Box<[u8]>>>() + self.heap
    }
}
