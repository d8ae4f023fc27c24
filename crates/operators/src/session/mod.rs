//! `Session`: windows that last as long as rows keep coming. Owns the choice of how sessions are kept.
//! It must not know SQL or exchanges.

mod changing;
mod open;
mod opened;
mod saved;
#[cfg(test)]
mod tests;
mod timers;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result};
use thalweg_plan::{AggregateCall, Bound, Properties};

use crate::accumulators::Calls;
use crate::keys::placed_by;
use crate::operator::{Operator, Output, StateTable};
use changing::Changing;
use open::Open;

/// Sessions per key: rows at most `gap` apart belong together. Output: keys, `window_start`, `window_end` (last row +
/// gap), then the calls.
///
/// Where nothing is ever taken back and every call keeps cells that merge, only open sessions are kept. Else the rows
/// are kept, and the sessions of changed keys computed anew.
pub struct Session {
    kept: Kept,
}

enum Kept {
    Open(Box<Open>),
    Rows(Box<Changing>),
}

/// What both ways of keeping sessions are told.
pub(crate) struct Shape {
    /// Key columns of the input.
    keys: Vec<usize>,
    /// The places among the keys that say on which worker a key is.
    placement: Vec<usize>,
    time: usize,
    gap: i64,
    bound: Option<Bound>,
    /// A session is emitted once, when it has closed.
    emit_on_close: bool,
    output: SchemaRef,
}

impl Session {
    /// Sessions of the rows of `input`.
    ///
    /// # Errors
    /// A call or a key of a type that is not supported, or a time column that is not a timestamp.
    #[allow(clippy::too_many_arguments, reason = "the parts of the plan's operation")]
    pub fn new(
        input: &Properties,
        keys: Vec<usize>,
        time: usize,
        gap: i64,
        calls: Vec<AggregateCall>,
        bound: Option<Bound>,
        emit_on_close: bool,
        output: SchemaRef,
    ) -> Result<Self> {
        let schema = &input.schema;
        if !matches!(schema.field(time).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
            return Err(Error::Internal(format!("sessions over {}", schema.field(time))));
        }
        if gap <= 0 {
            return Err(Error::invalid(format!("the gap of a session must be positive, not {gap} us")));
        }
        let types: Vec<DataType> = keys.iter().map(|c| schema.field(*c).data_type().clone()).collect();
        let placement = placed_by(input, &keys);
        let shape = Shape { keys, placement, time, gap, bound, emit_on_close, output };
        let compiled = Calls::new(schema, input.append_only, &calls)?;
        let kept = if input.append_only && compiled.only_cells() {
            Kept::Open(Box::new(Open::new(shape, &types, compiled)?))
        } else {
            Kept::Rows(Box::new(Changing::new(shape, &types, schema, calls)?))
        };
        Ok(Self { kept })
    }
}

impl Operator for Session {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        match &mut self.kept {
            Kept::Open(open) => open.on_delta(delta),
            Kept::Rows(rows) => rows.on_delta(delta),
        }
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        match &mut self.kept {
            Kept::Open(open) => open.on_epoch(header, out),
            Kept::Rows(rows) => rows.on_epoch(header, out),
        }
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        match &mut self.kept {
            Kept::Open(open) => open.snapshot(),
            Kept::Rows(rows) => rows.snapshot(),
        }
    }

    fn save_all(&mut self) {
        match &mut self.kept {
            Kept::Open(open) => open.save_all(),
            Kept::Rows(rows) => rows.save_all(),
        }
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        match &mut self.kept {
            Kept::Open(open) => open.restore(deltas, keep),
            Kept::Rows(rows) => rows.restore(deltas, keep),
        }
    }

    fn state_bytes(&self) -> usize {
        match &self.kept {
            Kept::Open(open) => open.bytes(),
            Kept::Rows(rows) => rows.bytes(),
        }
    }
}

impl Shape {
    /// The rows that have a time: a row without one is in no session.
    fn timed(&self, delta: DeltaBatch) -> Result<DeltaBatch> {
        match delta.column(self.time).nulls().filter(|n| n.null_count() > 0) {
            None => Ok(delta),
            Some(nulls) => delta.filter(&BooleanArray::new(nulls.inner().clone(), None)),
        }
    }

    fn key_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.keys.iter().map(|c| rows.column(*c).clone()).collect()
    }

    /// An output batch: keys, starts, ends, calls.
    fn batch(&self, mut keys: Vec<ArrayRef>, spans: &[(i64, i64)], calls: Vec<ArrayRef>) -> Result<RecordBatch> {
        let at = keys.len();
        for (i, of) in [|s: &(i64, i64)| s.0, |s: &(i64, i64)| s.1].into_iter().enumerate() {
            let micros = arrow::array::Int64Array::from_iter_values(spans.iter().map(of));
            keys.push(cast(&micros, self.output.field(at + i).data_type())?);
        }
        keys.extend(calls);
        Ok(RecordBatch::try_new(std::sync::Arc::clone(&self.output), keys)?)
    }
}

/// Timestamps as microseconds.
fn micros(times: &ArrayRef) -> Result<arrow::array::Int64Array> {
    Ok(cast(times, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
