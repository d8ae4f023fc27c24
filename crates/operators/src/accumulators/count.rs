//! `Count`: rows per group. It must not know what is counted.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use thalweg_core::Result;

use super::accumulator::{Accumulator, Change};
use super::int64_state;

/// State: `n`.
#[derive(Debug, Default)]
pub(crate) struct Count {
    counts: Vec<i64>,
}

impl Accumulator for Count {
    fn grow(&mut self, capacity: usize) {
        if self.counts.len() < capacity {
            self.counts.resize(capacity, 0);
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        change.each(|_, group, weight| self.counts[group] += weight);
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(groups)?])
    }

    fn width(&self) -> usize {
        1
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let counts = int64_state(state, 0)?;
        for (group, n) in groups.iter().zip(counts) {
            self.counts[*group as usize] += n;
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.counts[*g as usize]))))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.counts[*group as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }

    fn reads_arguments(&self) -> bool {
        false
    }
}
