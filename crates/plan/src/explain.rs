//! The printed form of a plan. Equal operations print equally, which is also how the builder finds shared sub-plans.

use std::fmt::Write;

use crate::{NodeId, Operation, OrderKey, Plan};

/// The plan as `EXPLAIN` prints it: one line a node with its properties, inputs indented below; a node used twice is
/// printed once and referred to by number after that.
pub fn explain(plan: &Plan) -> String {
    let mut out = String::new();
    let mut printed = vec![false; plan.nodes.len()];
    for sink in &plan.sinks {
        let _ = writeln!(out, "Sink {} ({})", sink.spec.name, sink.spec.connector);
        print(plan, sink.input, 1, &mut printed, &mut out);
    }
    out
}

fn print(plan: &Plan, id: NodeId, depth: usize, printed: &mut [bool], out: &mut String) {
    let indent = "  ".repeat(depth);
    let node = plan.node(id);
    if printed[id.0] {
        let _ = writeln!(out, "{indent}[{id}] (shared, above)");
        return;
    }
    printed[id.0] = true;
    let what = match &node.operation {
        Operation::Scan { source } => {
            let spec = &plan.sources[source.0];
            let columns: Vec<&str> = spec.schema.fields().iter().map(|f| f.name().as_str()).collect();
            format!("Scan {} ({}) [{}]", spec.name, spec.connector, columns.join(", "))
        }
        Operation::Dead { source } => format!("Dead {}", plan.sources[source.0].name),
        other => describe(other),
    };
    let properties = &node.properties;
    let mut notes = vec![if properties.append_only { "append-only".to_owned() } else { "updates".to_owned() }];
    if let Some(key) = &properties.key {
        notes.push(format!("key ({})", columns(key)));
    }
    notes.push(properties.distribution.to_string());
    for (i, bound) in properties.bounds.iter().enumerate() {
        if let Some(bound) = bound {
            notes.push(format!("#{i} >= {bound}"));
        }
    }
    let _ = writeln!(out, "{indent}[{id}] {what}  {{{}}}", notes.join("; "));
    for input in &node.inputs {
        print(plan, *input, depth + 1, printed, out);
    }
}

/// One operation in words, complete enough that equal words mean equal operations.
pub(crate) fn describe(operation: &Operation) -> String {
    match operation {
        Operation::Scan { source } => format!("Scan {}", source.0),
        Operation::Dead { source } => format!("Dead {}", source.0),
        Operation::Values { rows } => format!("Values {} rows {:?}", rows.num_rows(), rows),
        Operation::Calc { predicate, project } => {
            let mut parts = Vec::new();
            if let Some(project) = project {
                let items: Vec<String> = project.iter().map(|(e, f)| format!("{e} as {}", f.name())).collect();
                parts.push(format!("Project {}", items.join(", ")));
            }
            if let Some(predicate) = predicate {
                parts.push(format!("Filter {predicate}"));
            }
            parts.join(" | ")
        }
        Operation::Union => "Union".to_owned(),
        Operation::Exchange { keys } if keys.is_empty() => "Exchange single".to_owned(),
        Operation::Exchange { keys } => format!("Exchange hash({})", columns(keys)),
        Operation::Aggregate { group, calls, phase, close, expire } => {
            let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
            let mut line = format!("Aggregate {phase:?} by ({}) [{}]", columns(group), calls.join(", "));
            if let Some(close) = close {
                let _ = write!(line, " emit when {} >= key {} + {}ms", close.bound, close.key, close.delay / 1000);
            }
            if let Some(expire) = expire {
                let _ = write!(line, " forget when {} >= key {} + {}ms", expire.bound, expire.key, expire.delay / 1000);
            }
            line
        }
        Operation::Hop(hop) => format!("Hop #{} slide {}ms size {}ms", hop.pane, hop.slide / 1000, hop.size / 1000),
        Operation::Session { keys, time, gap, calls, bound, emit_on_close } => {
            let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
            let bound = bound.as_ref().map_or("never".to_owned(), ToString::to_string);
            let emit = if *emit_on_close { " emit on close" } else { "" };
            format!(
                "Session by ({}) time #{time} gap {}ms [{}] closes at {bound}{emit}",
                columns(keys),
                gap / 1000,
                calls.join(", ")
            )
        }
        Operation::Join { kind, on, residual, null_equal, left_expiry, right_expiry, left_unique, right_unique } => {
            let on: Vec<String> = on.iter().map(|(l, r)| format!("#{l} = #{r}")).collect();
            let mut line = format!("Join {kind} on ({})", on.join(" and "));
            if let Some(residual) = residual {
                let _ = write!(line, " and {residual}");
            }
            if *null_equal {
                line.push_str(" nulls equal");
            }
            for (side, expiry) in [("left", left_expiry), ("right", right_expiry)] {
                if let Some(expiry) = expiry {
                    let _ = write!(line, " forget {side} when #{} < {}", expiry.column, expiry.bound);
                }
            }
            for (side, unique) in [("left", left_unique), ("right", right_unique)] {
                if *unique {
                    let _ = write!(line, " {side} unique");
                }
            }
            line
        }
        Operation::TopN { partition, order, offset, limit, rank, close } => {
            let mut line =
                format!("TopN {limit} offset {offset} by ({}) order ({})", columns(partition), order_by(order));
            if rank.is_some() {
                line.push_str(" with rank");
            }
            if let Some(close) = close {
                let _ = write!(line, " forget when {} >= key {} + {}ms", close.bound, close.key, close.delay / 1000);
            }
            line
        }
        Operation::Over { partition, order, calls } => {
            let calls: Vec<String> =
                calls.iter().map(|c| format!("{:?} {:?}", c.function.name(), c.function.get_window_frame())).collect();
            format!("Over by ({}) order ({}) [{}]", columns(partition), order_by(order), calls.join(", "))
        }
        Operation::Collect { order } if order.is_empty() => "Collect".to_owned(),
        Operation::Collect { order } => format!("Collect order ({})", order_by(order)),
        Operation::Table { key } if key.is_empty() => "Table".to_owned(),
        Operation::Table { key } => format!("Table by ({})", columns(key)),
        Operation::Expect { expectations, quarantined } => {
            let one = |e: &crate::Expectation| format!("{} ({}) {}", e.name, e.check, e.on.word());
            let all = expectations.list.iter().map(one).collect::<Vec<_>>().join(", ");
            let what = if *quarantined { "Quarantine" } else { "Expect" };
            format!("{what} {}: {all}", expectations.relation)
        }
        Operation::Gate { column, bound } => format!("Gate #{column} < {bound}"),
        Operation::Detect { partition, time, calls } => {
            let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
            format!("Detect partition={} by #{time}: {}", columns(partition), calls.join(", "))
        }
        Operation::Alert { key, hold } => format!("Alert key={} after {}ms", columns(key), hold / 1000),
        Operation::AlertHistory { key, keep } => format!("AlertHistory key={} last {keep}", columns(key)),
        Operation::Expire { column, age } => format!("Expire #{column} older than {}ms", age / 1000),
    }
}

fn columns(columns: &[usize]) -> String {
    columns.iter().map(|c| format!("#{c}")).collect::<Vec<_>>().join(", ")
}

fn order_by(order: &[OrderKey]) -> String {
    let keys: Vec<String> = order
        .iter()
        .map(|k| {
            let direction = if k.descending { " desc" } else { "" };
            let nulls = if k.nulls_first { " nulls first" } else { "" };
            format!("#{}{direction}{nulls}", k.column)
        })
        .collect();
    keys.join(", ")
}
