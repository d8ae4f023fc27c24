//! From an operation of the plan to the operator that does it. It must not know how any of them works.

use std::sync::Arc;

use datafusion::physical_expr::expressions::Column;
use thalweg_core::{Error, Result};
use thalweg_plan::{Operation, Properties};

use crate::aggregate::Aggregate;
use crate::alert::{Alert, AlertHistory};
use crate::calc::Calc;
use crate::collect::Collect;
use crate::detect::Detect;
use crate::expect::Expect;
use crate::expire::Expire;
use crate::gate::Gate;
use crate::hop::Hop;
use crate::join::Join;
use crate::operator::{Operator, WorkerInfo};
use crate::over::Over;
use crate::session::Session;
use crate::table::Table;
use crate::topn::{TopN, is_latest};

/// The operator of a node; `inputs` and `output` are the properties of its inputs and of itself.
///
/// # Errors
/// The operation does not fit its inputs, or is one that the runtime renders itself.
pub fn build(
    operation: &Operation,
    inputs: &[&Properties],
    output: &Properties,
    worker: WorkerInfo,
) -> Result<Box<dyn Operator>> {
    let input = |port: usize| {
        inputs.get(port).copied().ok_or_else(|| Error::Internal(format!("an operator without input {port}")))
    };
    let schema = Arc::clone(&output.schema);
    Ok(match operation {
        Operation::Calc { predicate, project } => Box::new(Calc::new(predicate.clone(), project.clone(), schema)),
        Operation::Join { kind, on, residual, null_equal, left_expiry, right_expiry, left_unique, right_unique } => {
            Box::new(Join::new(
                input(0)?,
                input(1)?,
                *kind,
                on,
                residual.as_ref(),
                *null_equal,
                left_expiry.clone(),
                right_expiry.clone(),
                *left_unique,
                *right_unique,
                schema,
            )?)
        }
        Operation::TopN { partition, order, offset, limit, rank, close } => {
            Box::new(TopN::new(input(0)?, partition, order, *offset, *limit, rank.as_ref(), close.clone(), schema)?)
        }
        Operation::Aggregate { group, calls, phase, close, expire } => Box::new(
            Aggregate::new(input(0)?, group.clone(), calls.clone(), *phase, close.clone(), expire.clone(), schema)?
                .with_initial_row(worker.index == 0),
        ),
        Operation::Hop(spec) => Box::new(Hop::new(spec.clone(), schema)?),
        Operation::Session { keys, time, gap, calls, bound, emit_on_close } => Box::new(Session::new(
            input(0)?,
            keys.clone(),
            *time,
            *gap,
            calls.clone(),
            bound.clone(),
            *emit_on_close,
            schema,
        )?),
        Operation::Over { partition, order, calls } => Box::new(Over::new(input(0)?, partition, order, calls, schema)?),
        Operation::Detect { partition, time, calls } => {
            Box::new(Detect::new(input(0)?, partition, *time, calls, schema)?)
        }
        Operation::Collect { order } => Box::new(Collect::new(schema, order.clone())),
        Operation::Table { key } => Box::new(Table::new(schema, key.clone())),
        Operation::Expect { expectations, quarantined } => {
            Box::new(Expect::new(expectations.clone(), *quarantined, schema))
        }
        Operation::Gate { column, bound } => Box::new(Gate::new(input(0)?, *column, bound.clone())),
        Operation::Alert { key, hold } => Box::new(Alert::new(input(0)?, schema, key.clone(), *hold)),
        Operation::AlertHistory { key, keep } => Box::new(AlertHistory::new(schema, key.clone(), *keep)),
        Operation::Expire { column, age } => Box::new(Expire::new(input(0)?, *column, *age)),
        Operation::Scan { .. }
        | Operation::Dead { .. }
        | Operation::Values { .. }
        | Operation::Union
        | Operation::Exchange { .. } => {
            return Err(Error::Internal("an operation that the runtime renders itself".into()));
        }
    })
}

/// The state of `operation` holds all that stands of what it has put out: whoever keeps that need not save it again.
pub fn holds_output(operation: &Operation, inputs: &[&Properties]) -> bool {
    match operation {
        Operation::Table { key } => !key.is_empty(),
        Operation::Alert { .. } | Operation::AlertHistory { .. } => true,
        // A partition that is forgotten is not taken back.
        Operation::TopN { offset, limit, close: None, .. } => {
            inputs.first().is_some_and(|input| is_latest(input.append_only, *offset, *limit))
        }
        _ => false,
    }
}

/// `operation` puts out each row that it gets, with the columns in another order at most.
pub fn passes_rows_on(operation: &Operation) -> bool {
    match operation {
        Operation::Calc { predicate: None, project } => {
            project.iter().flatten().all(|(expr, _)| expr.downcast_ref::<Column>().is_some())
        }
        _ => false,
    }
}
