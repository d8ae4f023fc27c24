//! `TopN`: the first rows of each partition. It must not know how rows are stored.

mod latest;
mod ranked;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, SchemaRef};
use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_plan::{Distribution, OrderKey, Properties, WindowClose};

use crate::operator::{Operator, Output, StateTable};
use crate::store::{KeyEncoder, KeyWidth, PairKey, SingleKey, SortKey, WideKey};
use latest::Latest;
use ranked::Ranked;

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// The first `limit` rows of each partition after `offset`; rows that tie stand in the order in which they came.
pub struct TopN {
    inner: Box<dyn Operator>,
}

impl fmt::Debug for TopN {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopN").field("state_bytes", &self.inner.state_bytes()).finish()
    }
}

/// What a Top-N was asked for.
#[derive(Clone, Debug)]
struct Spec {
    schema: SchemaRef,
    append_only: bool,
    partition: Vec<usize>,
    order: Vec<OrderKey>,
    offset: usize,
    limit: usize,
    rank: bool,
    close: Option<WindowClose>,
    /// Columns that decide a row's vnode.
    placement: Vec<usize>,
    output: SchemaRef,
}

impl Spec {
    /// The floor below which partition times are closed.
    fn floor(&self, header: &EpochHeader) -> Option<(usize, i64)> {
        let close = self.close.as_ref()?;
        let floor = close.bound.eval(header).shift(close.delay.saturating_neg()).0.saturating_add(1);
        Some((self.partition[close.key], floor))
    }
}

impl Spec {
    /// A column of row numbers in the type that the plan gives it.
    fn ranks(&self, ranks: impl Iterator<Item = i64>) -> Result<ArrayRef> {
        let ranks = Arc::new(Int64Array::from_iter_values(ranks)) as ArrayRef;
        let rank_type = self.output.field(self.output.fields().len() - 1).data_type();
        Ok(cast(&ranks, rank_type)?)
    }
}

impl TopN {
    /// A Top-N; the arguments are those of `Operation::TopN`, `output` the schema of what comes out.
    ///
    /// # Errors
    /// An order column whose type has no order.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        input: &Properties,
        partition: &[usize],
        order: &[OrderKey],
        offset: usize,
        limit: usize,
        rank: Option<&FieldRef>,
        close: Option<WindowClose>,
        output: SchemaRef,
    ) -> Result<Self> {
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.clone(),
            Distribution::Any | Distribution::Single => partition.to_vec(),
        };
        let spec = Spec {
            schema: SchemaRef::clone(&input.schema),
            append_only: input.append_only,
            partition: partition.to_vec(),
            order: order.to_vec(),
            offset,
            limit,
            rank: rank.is_some(),
            close,
            placement,
            output,
        };
        let inner = match KeyEncoder::width(&spec.schema, order) {
            KeyWidth::Single => with_keys::<SingleKey>(spec)?,
            KeyWidth::Pair => with_keys::<PairKey>(spec)?,
            KeyWidth::Wide => with_keys::<WideKey>(spec)?,
        };
        Ok(Self { inner })
    }
}

/// One row a partition is held, and it is the one that was put out.
pub(crate) fn is_latest(append_only: bool, offset: usize, limit: usize) -> bool {
    append_only && limit == 1 && offset == 0
}

fn with_keys<K: SortKey>(spec: Spec) -> Result<Box<dyn Operator>> {
    if is_latest(spec.append_only, spec.offset, spec.limit) {
        return Ok(Box::new(Latest::<K>::new(spec)?));
    }
    Ok(Box::new(Ranked::<K>::new(spec)?))
}

impl Operator for TopN {
    fn on_delta(&mut self, port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        self.inner.on_delta(port, delta, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        self.inner.on_epoch(header, out)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.inner.snapshot()
    }

    fn save_all(&mut self) {
        self.inner.save_all();
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.inner.restore(deltas, keep)
    }

    fn standing(&self, out: &mut Output) -> Result<()> {
        self.inner.standing(out)
    }

    fn state_bytes(&self) -> usize {
        self.inner.state_bytes()
    }
}
