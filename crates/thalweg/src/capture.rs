//! A sink that keeps what it gets, for embedding and tests. It must not know who reads it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, Sink};

/// Rows captured by all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<RecordBatch>>>);

impl Captured {
    pub fn take(&self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Captured {
    fn write(&mut self, delta: &DeltaBatch) -> Result<()> {
        let rows = match delta.weight_slice() {
            None => delta.rows.clone(),
            Some(weights) => {
                if weights.iter().any(|w| *w < 0) {
                    return Err(Error::Internal("a retraction reached a sink of final rows".to_owned()));
                }
                let copies = (0u32..)
                    .zip(weights)
                    .flat_map(|(row, n)| std::iter::repeat_n(row, usize::try_from(*n).unwrap_or(0)));
                take_record_batch(&delta.rows, &UInt32Array::from_iter_values(copies))?
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(rows);
        Ok(())
    }

    fn commit(&mut self, _header: &EpochHeader) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A sink that takes anything and keeps nothing: the views of a script that its query does not read.
pub(crate) struct Ignored;

impl Sink for Ignored {
    fn write(&mut self, _delta: &DeltaBatch) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _header: &EpochHeader) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
