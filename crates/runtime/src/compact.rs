//! Many changes of one operator's state as one. It must not know where state is kept.

use thalweg_core::{DeltaBatch, Error, Result};
use thalweg_operators::{Operator, StateTable, WorkerInfo, build};
use thalweg_plan::{Operation, Plan};

use crate::live::{ROWS, saved_rows, without_weights};

/// One change that says the same as `chain`, of the operator in `slot` of `plan`.
///
/// # Errors
/// The changes do not fit the operator.
pub fn compacted(plan: &Plan, slot: usize, chain: &[Vec<StateTable>]) -> Result<Vec<StateTable>> {
    let Some(node) = plan.nodes.get(slot) else { return net(chain) };
    if matches!(node.operation, Operation::Scan { .. } | Operation::Dead { .. } | Operation::Values { .. }) {
        return Err(Error::Internal(format!("slot {slot} keeps no state")));
    }
    let inputs: Vec<_> = node.inputs.iter().map(|id| &plan.node(*id).properties).collect();
    // Whatever worker had it: the operator is made for its state alone.
    let mut operator: Box<dyn Operator> =
        build(&node.operation, &inputs, &node.properties, WorkerInfo { index: 1, peers: 2 })?;
    operator.restore(chain, &|_| true)?;
    operator.save_all();
    operator.snapshot()
}

/// The rows of a relation.
fn net(chain: &[Vec<StateTable>]) -> Result<Vec<StateTable>> {
    let saved: Vec<&StateTable> = chain.iter().flatten().filter(|t| t.name == ROWS).collect();
    let Some(first) = saved.first() else { return Ok(Vec::new()) };
    let columns: Vec<usize> = (0..first.upserts.num_columns() - 1).collect();
    let schema = std::sync::Arc::new(first.upserts.schema().project(&columns)?);
    let deltas = saved.iter().map(|t| without_weights(&schema, &t.upserts)).collect::<Result<Vec<_>>>()?;
    let all = DeltaBatch::concat(&schema, &deltas)?;
    let all = if all.weights.is_none() { all } else { thalweg_operators::consolidated(&all)? };
    if all.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![saved_rows(&all)?])
}
