//! `Outbox`: the last operator of a job whose answer leaves exactly once. It holds what changed until a checkpoint takes
//! it; whoever keeps checkpoints delivers it then. It must not know targets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, EpochRows, Error, Result};
use thalweg_operators::{Operator, Output, StateTable};

use super::publish::{with_weights, without_weights};
use crate::stats::RunStats;

/// The name of its one table: rows, their weights, their epochs.
const EPOCHS: &str = "epochs";

pub(super) struct Outbox {
    schema: SchemaRef,
    stats: Arc<RunStats>,
    sink: usize,
    open: Vec<DeltaBatch>,
    held: Vec<RecordBatch>,
}

impl Outbox {
    pub fn new(schema: SchemaRef, stats: Arc<RunStats>, sink: usize) -> Self {
        Self { schema, stats, sink, open: Vec::new(), held: Vec::new() }
    }
}

impl Operator for Outbox {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.stats.sinks[self.sink].rows.fetch_add(delta.num_rows() as u64, Ordering::Relaxed);
        self.open.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, _out: &mut Output) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let all = DeltaBatch::concat(&self.schema, &std::mem::take(&mut self.open))?;
        let net = if all.weights.is_none() { all } else { thalweg_operators::consolidated(&all)? };
        if !net.is_empty() {
            self.held.push(with_epoch(&with_weights(&net)?, header.epoch)?);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Ok(Vec::new()) };
        let upserts = concat_batches(&first.schema(), &held)?;
        Ok(vec![StateTable { name: EPOCHS.into(), upserts, deletes: None }])
    }

    fn state_bytes(&self) -> usize {
        self.held.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}

fn with_epoch(rows: &RecordBatch, epoch: Epoch) -> Result<RecordBatch> {
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("epoch", DataType::UInt64, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(UInt64Array::from(vec![epoch.0; rows.num_rows()])) as ArrayRef);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// What the outboxes of all workers saved for one checkpoint, as epochs in order.
///
/// # Errors
/// It is not what an outbox saves.
pub fn outbox_epochs(tables: &[StateTable]) -> Result<Vec<EpochRows>> {
    let misfit = || Error::Internal("an outbox holds something else".to_owned());
    let mut parts: Vec<(u64, DeltaBatch)> = Vec::new();
    for table in tables.iter().filter(|t| t.name == EPOCHS) {
        let (epochs, rest) = table.upserts.columns().split_last().ok_or_else(misfit)?;
        let epochs = epochs.as_primitive_opt::<UInt64Type>().ok_or_else(misfit)?.values();
        let count = rest.len();
        let columns: Vec<usize> = (0..count).collect();
        let rows = table.upserts.project(&columns)?;
        let schema = Arc::new(rows.schema().project(&columns[..count.saturating_sub(1)])?);
        // Rows of one epoch stand together, in the order of the epochs.
        let mut from = 0;
        while let Some(epoch) = epochs.get(from) {
            let length = epochs[from..].partition_point(|e| e <= epoch);
            parts.push((*epoch, without_weights(&schema, &rows.slice(from, length))?));
            from += length;
        }
    }
    parts.sort_by_key(|(epoch, _)| *epoch);
    let mut found: Vec<EpochRows> = Vec::new();
    for (epoch, delta) in parts {
        match found.last_mut().filter(|last| last.epoch.0 == epoch) {
            Some(last) => last.deltas.push(delta),
            None => found.push(EpochRows { epoch: Epoch(epoch), deltas: vec![delta] }),
        }
    }
    Ok(found)
}
