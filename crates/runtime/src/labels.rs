//! Names of operators for people: what kind, over which columns, and the number that `--explain` prints.
//! It must not know how operators work.

use thalweg_plan::{AggregatePhase, NodeId, Operation, Plan};

/// `[4] GROUP BY bidder`.
pub(crate) fn label(plan: &Plan, id: NodeId) -> String {
    let node = plan.node(id);
    // Columns are those of an input; a plan that is wrong is still to be named.
    let name = |port: usize, column: usize| {
        let schema = node.inputs.get(port).map(|input| &plan.node(*input).properties.schema);
        schema.and_then(|s| s.fields().get(column)).map_or_else(|| format!("#{column}"), |f| f.name().clone())
    };
    let names = |columns: &[usize]| columns.iter().map(|c| name(0, *c)).collect::<Vec<_>>().join(", ");
    let per = |words: &str, columns: &[usize]| match columns {
        [] => String::new(),
        some => format!("{words} {}", names(some)),
    };
    let what = match &node.operation {
        Operation::Aggregate { group, phase, .. } => {
            let part = if *phase == AggregatePhase::Partial { " (before the exchange)" } else { "" };
            if group.is_empty() { format!("aggregate{part}") } else { format!("GROUP BY {}{part}", names(group)) }
        }
        Operation::Session { keys, .. } => format!("SESSION{}", per(" of", keys)),
        Operation::Join { on, .. } => {
            let on: Vec<String> = on.iter().map(|(l, r)| format!("{} = {}", name(0, *l), name(1, *r))).collect();
            format!("JOIN ON {}", on.join(" AND "))
        }
        Operation::TopN { partition, limit, .. } => format!("first {limit} rows{}", per(" of each", partition)),
        Operation::Over { partition, .. } => format!("OVER{}", per(" PARTITION BY", partition)),
        Operation::Collect { .. } => format!("final rows{}", sink_of(plan, id)),
        Operation::Expect { .. } => "expectations".to_owned(),
        Operation::Table { .. } => "rows of the table".to_owned(),
        Operation::Gate { column, .. } => format!("EMIT ON WINDOW CLOSE of {}", name(0, *column)),
        Operation::Detect { partition, .. } => format!("anomalies{}", per(" of each", partition)),
        Operation::Alert { key, .. } => format!("alert{}", per(" of each", key)),
        Operation::AlertHistory { .. } => "history of the alert".to_owned(),
        Operation::Expire { column, .. } => format!("rows until {} is too old", name(0, *column)),
        Operation::Scan { .. } | Operation::Dead { .. } => "source".to_owned(),
        Operation::Values { .. } => "VALUES".to_owned(),
        Operation::Calc { .. } => "filter and projection".to_owned(),
        Operation::Union => "UNION ALL".to_owned(),
        Operation::Exchange { .. } => "exchange".to_owned(),
        Operation::Hop(_) => "HOP".to_owned(),
    };
    format!("[{id}] {what}")
}

fn sink_of(plan: &Plan, id: NodeId) -> String {
    plan.sinks.iter().find(|s| s.input == id).map_or_else(String::new, |s| format!(" of {}", s.spec.name))
}
