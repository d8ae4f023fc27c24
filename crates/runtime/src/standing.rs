//! Rows that a relation need not save, since the state of the operator that made them holds them too: which relations
//! those are, and what stands in them after a restore. It must not know how operators compute.

use std::collections::HashMap;

use thalweg_core::{DeltaBatch, Result};
use thalweg_operators::{Operator, Output, holds_output, passes_rows_on};
use thalweg_plan::{NodeId, Plan};

/// The nodes that the rows which reach `node` have passed, on one worker, from the one whose state holds them on; empty
/// if there is none.
pub(crate) fn held_by(plan: &Plan, node: NodeId) -> Vec<NodeId> {
    let mut way = Vec::new();
    let mut at = node;
    loop {
        way.push(at);
        let node = plan.node(at);
        let inputs: Vec<_> = node.inputs.iter().map(|id| &plan.node(*id).properties).collect();
        match node.inputs.first() {
            _ if holds_output(&node.operation, &inputs) => {
                way.reverse();
                return way;
            }
            Some(input) if passes_rows_on(&node.operation) => at = *input,
            _ => return Vec::new(),
        }
    }
}

/// What stands behind the nodes of some ways, while operators are made in the plan's order.
#[derive(Default)]
pub(crate) struct Standing {
    /// Of each node that is on a way, the one before it.
    ways: HashMap<NodeId, Option<NodeId>>,
    rows: HashMap<NodeId, Vec<DeltaBatch>>,
}

impl Standing {
    /// Follows these ways, of [`held_by`].
    pub fn along<'a>(ways: impl Iterator<Item = &'a [NodeId]>) -> Self {
        let mut standing = Self::default();
        for way in ways {
            let before = std::iter::once(None).chain(way.iter().copied().map(Some));
            standing.ways.extend(way.iter().copied().zip(before));
        }
        standing
    }

    /// The operator of `node` has its state.
    pub fn pass(&mut self, node: NodeId, operator: &mut dyn Operator) -> Result<()> {
        let Some(before) = self.ways.get(&node) else { return Ok(()) };
        let mut out = Output::default();
        match before {
            None => operator.standing(&mut out)?,
            Some(before) => {
                for delta in self.rows.get(before).into_iter().flatten() {
                    operator.on_delta(0, delta.clone(), &mut out)?;
                }
            }
        }
        self.rows.insert(node, out.drain().collect());
        Ok(())
    }

    /// What stands behind `node`; empty as well if it is on no way.
    pub fn behind(&self, node: NodeId) -> &[DeltaBatch] {
        self.rows.get(&node).map_or(&[], Vec::as_slice)
    }
}
