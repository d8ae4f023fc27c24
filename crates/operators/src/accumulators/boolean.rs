//! `Bools`: `bool_and` and `bool_or`, by counting. It must not know other types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use thalweg_core::{Error, Result};

use super::accumulator::{Accumulator, Change};
use super::int64_state;

/// State: `trues`, `falses`.
#[derive(Debug)]
pub(crate) struct Bools {
    /// Per group: rows that are false, rows that are true.
    counts: Vec<[i64; 2]>,
    and: bool,
}

impl Bools {
    pub(crate) fn new(and: bool) -> Self {
        Self { counts: Vec::new(), and }
    }
}

impl Accumulator for Bools {
    fn grow(&mut self, capacity: usize) {
        if self.counts.len() < capacity {
            self.counts.resize(capacity, [0; 2]);
        }
    }

    fn update(&mut self, change: &Change<'_>) -> Result<()> {
        let values = change.args[0]
            .as_boolean_opt()
            .ok_or_else(|| Error::Internal(format!("bool_and of {}", change.args[0].data_type())))?
            .values();
        change.each(|row, group, weight| self.counts[group][usize::from(values.value(row))] += weight);
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let column = |kind: usize| {
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.counts[*g as usize][kind]))) as ArrayRef
        };
        Ok(vec![column(1), column(0)])
    }

    fn width(&self) -> usize {
        2
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (trues, falses) = (int64_state(state, 0)?, int64_state(state, 1)?);
        for (row, group) in groups.iter().enumerate() {
            let counts = &mut self.counts[*group as usize];
            counts[1] += trues[row];
            counts[0] += falses[row];
        }
        Ok(())
    }

    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let results = groups.iter().map(|g| {
            let [falses, trues] = self.counts[*g as usize];
            (falses + trues != 0).then_some(if self.and { falses == 0 } else { trues != 0 })
        });
        Ok(Arc::new(results.collect::<BooleanArray>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.counts[*group as usize] = [0; 2];
        }
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<[i64; 2]>()
    }
}
