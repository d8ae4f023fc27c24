//! Renders a plan as a Timely dataflow, the same on every worker. It must not know how operators compute.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_operators::{Operator, Output, WorkerInfo};
use thalweg_plan::{NodeId, Operation, Plan};
use timely::dataflow::operators::{Concatenate, Input as _, Probe};
use timely::dataflow::{ProbeHandle, Scope};

use crate::budget::{Budget, Gauge};
use crate::feed::Input;
use crate::live::saved_rows;
use crate::save::SavedJob;
use crate::shell::{Context, Deltas, Route, install};
use crate::standing::Standing;

/// The last operator of a job on one worker.
pub(crate) struct Last {
    pub operator: Box<dyn Operator>,
    /// The way of the rows that it has from the state of another and does not save, see [`held_by`]; or empty.
    ///
    /// [`held_by`]: crate::standing::held_by
    pub held_by: Vec<NodeId>,
}

impl Last {
    /// One that saves what it keeps.
    pub fn saving(operator: Box<dyn Operator>) -> Self {
        Self { operator, held_by: Vec::new() }
    }
}

/// The inputs of a rendered plan, by source: rows and, if read, rejects; and one that only keeps time.
pub(crate) struct Rendered {
    pub inputs: Vec<(Input, Option<Input>)>,
    pub clock: Input,
    pub probe: ProbeHandle<u64>,
}

/// Builds the dataflow in `scope`. `sinks` are this worker's last operators, in the plan's order. Operators begin with the
/// state of `restored`, if there is one.
pub(crate) fn render<'scope>(
    scope: Scope<'scope, u64>,
    plan: &Plan,
    sinks: Vec<Last>,
    worker: WorkerInfo,
    context: &Context,
    budget: &Arc<Budget>,
    restored: Option<&SavedJob>,
) -> Result<Rendered> {
    let mut rows: Vec<Input> = plan.sources.iter().map(|_| Input::new_with_builder()).collect();
    let mut dead: Vec<Option<Input>> = plan.sources.iter().map(|s| s.dead_used.then(Input::new_with_builder)).collect();
    let mut clock = Input::new_with_builder();
    let time = scope.input_from(&mut clock);
    let row_streams: Vec<Deltas> = rows.iter_mut().map(|i| scope.input_from(i)).collect();
    let dead_streams: Vec<Deltas> =
        dead.iter_mut().map(|i| i.as_mut().map_or_else(|| time.clone(), |i| scope.input_from(i))).collect();

    let mut standing = Standing::along(sinks.iter().filter(|_| restored.is_some()).map(|last| last.held_by.as_slice()));
    let mut rendering = Rendering { scope, plan, context, streams: HashMap::new() };
    for (i, node) in plan.nodes.iter().enumerate() {
        let stream = match &node.operation {
            Operation::Scan { source } => row_streams[source.0].clone(),
            Operation::Dead { source } => dead_streams[source.0].clone(),
            Operation::Values { rows } => {
                let operator = Box::new(Values(Some(rows.clone()).filter(|_| worker.index == 0 && restored.is_none())));
                install(scope, "Values", operator, vec![(time.clone(), Route::Local)], context.clone(), None, None)
            }
            Operation::Union => {
                let inputs: Vec<Deltas> = node.inputs.iter().map(|id| rendering.stream(*id)).collect();
                scope.concatenate(inputs)
            }
            // The exchange happens on the way into the operators that use it.
            Operation::Exchange { .. } => rendering.streams[&node.inputs[0]].clone(),
            operation => {
                let properties: Vec<_> = node.inputs.iter().map(|id| &plan.node(*id).properties).collect();
                let mut operator = thalweg_operators::build(operation, &properties, &node.properties, worker)?;
                if let Some(saved) = restored {
                    saved.restore(operator.as_mut(), i, &node.properties.distribution, worker)?;
                    standing.pass(NodeId(i), operator.as_mut())?;
                }
                let inputs = node.inputs.iter().map(|id| rendering.input(*id)).collect();
                let gauge = Gauge::new(budget, worker.index, NodeId(i));
                install(scope, &format!("node {i}"), operator, inputs, context.clone(), Some(gauge), Some(i))
            }
        };
        rendering.streams.insert(NodeId(i), stream);
    }
    let probe = ProbeHandle::new();
    for (i, (node, Last { mut operator, held_by })) in plan.sinks.iter().zip(sinks).enumerate() {
        let slot = plan.nodes.len() + i;
        match restored {
            Some(_) if !held_by.is_empty() => begin_with(operator.as_mut(), standing.behind(node.input))?,
            Some(saved) => {
                saved.restore(operator.as_mut(), slot, &plan.node(node.input).properties.distribution, worker)?;
            }
            None => {}
        }
        let input = rendering.input(node.input);
        install(scope, &node.spec.name, operator, vec![input], context.clone(), None, Some(slot)).probe_with(&probe);
    }
    Ok(Rendered { inputs: rows.into_iter().zip(dead).collect(), clock, probe })
}

/// Gives a relation the rows that stand in it, all of which are on this worker.
fn begin_with(relation: &mut dyn Operator, standing: &[DeltaBatch]) -> Result<()> {
    if standing.is_empty() {
        return Ok(());
    }
    let saved = standing.iter().map(saved_rows).collect::<Result<_>>()?;
    relation.restore(&[saved], &|_| true)
}

struct Rendering<'a, 'scope> {
    scope: Scope<'scope, u64>,
    plan: &'a Plan,
    context: &'a Context,
    streams: HashMap<NodeId, Deltas<'scope>>,
}

impl<'scope> Rendering<'_, 'scope> {
    /// The stream of `id` and the way its rows take into an operator.
    fn input(&self, id: NodeId) -> (Deltas<'scope>, Route) {
        let route = match &self.plan.node(id).operation {
            Operation::Exchange { keys } => Route::Keys(keys.clone()),
            _ => Route::Local,
        };
        (self.streams[&id].clone(), route)
    }

    /// The stream of `id`, exchanged if it is to be, for Timely's own operators.
    fn stream(&self, id: NodeId) -> Deltas<'scope> {
        match self.input(id) {
            (stream, Route::Local) => stream,
            exchanged => {
                let forward = Box::new(Forward);
                install(self.scope, "Exchange", forward, vec![exchanged], self.context.clone(), None, None)
            }
        }
    }
}

/// Passes everything on.
struct Forward;

impl Operator for Forward {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        out.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }
}

/// Literal rows at epoch 0.
struct Values(Option<RecordBatch>);

impl Operator for Values {
    fn on_delta(&mut self, _port: usize, _delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, out: &mut Output) -> Result<()> {
        if let Some(rows) = self.0.take() {
            out.push(DeltaBatch::insert(rows));
        }
        Ok(())
    }
}
