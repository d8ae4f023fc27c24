//! Rows in memory as a source: the tables of a script. It must not know where they came from.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{Offset, Polled, Result, Source, Split, SplitReader};

/// A bounded source over batches.
pub struct MemorySource {
    schema: SchemaRef,
    batches: Arc<Vec<RecordBatch>>,
}

impl MemorySource {
    /// The columns `projection` of `batches`, which all have the schema `declared`.
    ///
    /// # Errors
    /// A projected column does not exist.
    pub fn new(declared: &SchemaRef, projection: &[usize], batches: &[RecordBatch]) -> Result<Self> {
        let batches = batches.iter().map(|b| Ok(b.project(projection)?)).collect::<Result<Vec<_>>>()?;
        Ok(Self { schema: Arc::new(declared.project(projection)?), batches: Arc::new(batches) })
    }
}

impl Source for MemorySource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split { id: "memory".into(), lower_bound: None }])
    }

    fn open(&self, _split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(MemoryReader { batches: Arc::clone(&self.batches), next: from.0 }))
    }

    fn bounded(&self) -> bool {
        true
    }
}

struct MemoryReader {
    batches: Arc<Vec<RecordBatch>>,
    /// The row to read next, counted over all batches.
    next: u64,
}

impl SplitReader for MemoryReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let mut skip = usize::try_from(self.next).unwrap_or(usize::MAX);
        for batch in self.batches.iter() {
            if skip < batch.num_rows() {
                let rows = batch.slice(skip, max_rows.min(batch.num_rows() - skip));
                self.next += rows.num_rows() as u64;
                let bytes = rows.get_array_memory_size();
                return Ok(Polled::Rows { rows, dead: Vec::new(), bytes });
            }
            skip -= batch.num_rows();
        }
        Ok(Polled::End)
    }

    fn offset(&self) -> Offset {
        Offset(self.next)
    }
}
