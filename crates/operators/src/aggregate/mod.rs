//! `Aggregate`: GROUP BY, incrementally. Owns the choice between its phases. It must not know SQL or exchanges.

mod closing;
mod emit;
mod keyed;
#[cfg(test)]
pub(crate) mod oracle;
mod partial;
mod saved;
#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result};
use thalweg_plan::{AggregateCall, AggregatePhase, PARTIAL_ROWS, Properties, WindowClose};

use crate::accumulators::Calls;
use crate::keys::placed_by;
use crate::operator::{Operator, Output, StateTable};
use closing::Closing;
pub(crate) use emit::differing;
use keyed::Keyed;
use partial::Partial;

/// GROUP BY with its aggregate calls.
///
/// `Single` and `Final` keep every group and emit, once an epoch, −old +new for the groups that changed; with `close`
/// they emit each group once, when its window closes. `Partial` keeps nothing between epochs.
pub struct Aggregate {
    phase: Phase,
}

enum Phase {
    Keyed(Box<Keyed>),
    Partial(Box<Partial>),
}

impl Aggregate {
    /// An aggregation over rows of `input`: in phase `Final`, rows as `partial_schema` describes them.
    ///
    /// # Errors
    /// A call or a key of a type that is not supported.
    pub fn new(
        input: &Properties,
        group: Vec<usize>,
        calls: Vec<AggregateCall>,
        phase: AggregatePhase,
        close: Option<WindowClose>,
        expire: Option<WindowClose>,
        output: SchemaRef,
    ) -> Result<Self> {
        let schema = &input.schema;
        if phase == AggregatePhase::Partial {
            let compiled = Calls::new(schema, input.append_only, &calls)?;
            let named = calls.iter().all(AggregateCall::two_phase) && compiled.only_cells();
            if !named {
                return Err(Error::Internal("these aggregates cannot be computed in two phases".into()));
            }
            let partial = Partial::new(schema, group, compiled, input.append_only, output)?;
            return Ok(Self { phase: Phase::Partial(Box::new(partial)) });
        }
        let (compiled, states, counted) = match phase {
            AggregatePhase::Final => {
                let counted = schema.fields().get(group.len()).is_some_and(|f| f.name() == PARTIAL_ROWS);
                let first = group.len() + usize::from(counted);
                let fields: Vec<_> = schema.fields()[first..].iter().map(AsRef::as_ref).collect();
                (Calls::over_states(&fields, &calls)?, Some(first), counted)
            }
            _ => (Calls::new(schema, input.append_only, &calls)?, None, !input.append_only),
        };
        let types: Vec<_> = group.iter().map(|c| schema.field(*c).data_type().clone()).collect();
        let closing = match (close, expire) {
            (Some(close), _) => Some(Closing::new(close, true)),
            (None, Some(expire)) => Some(Closing::new(expire, false)),
            (None, None) => None,
        };
        let placement = placed_by(input, &group);
        let keyed = Keyed::new(group, &types, compiled, states, counted, closing, output)?.placed_by(placement);
        Ok(Self { phase: Phase::Keyed(Box::new(keyed)) })
    }

    /// Without group columns: this worker holds the one output row, also before any row has come.
    #[must_use]
    pub fn with_initial_row(mut self, initial: bool) -> Self {
        if let Phase::Keyed(keyed) = &mut self.phase {
            keyed.set_initial_row(initial);
        }
        self
    }
}

impl Operator for Aggregate {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        match &mut self.phase {
            Phase::Keyed(keyed) => keyed.on_delta(delta),
            Phase::Partial(partial) => partial.on_delta(&delta, out),
        }
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        match &mut self.phase {
            Phase::Keyed(keyed) => keyed.on_epoch(header, out),
            Phase::Partial(partial) => partial.flush(out),
        }
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        match &mut self.phase {
            Phase::Keyed(keyed) => keyed.snapshot(),
            Phase::Partial(_) => Ok(Vec::new()),
        }
    }

    fn save_all(&mut self) {
        if let Phase::Keyed(keyed) = &mut self.phase {
            keyed.save_all();
        }
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        match &mut self.phase {
            Phase::Keyed(keyed) => keyed.restore(deltas, keep),
            Phase::Partial(_) => Ok(()),
        }
    }

    fn state_bytes(&self) -> usize {
        match &self.phase {
            Phase::Keyed(keyed) => keyed.state_bytes(),
            Phase::Partial(partial) => partial.state_bytes(),
        }
    }
}
