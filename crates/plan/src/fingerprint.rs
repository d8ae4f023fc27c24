//! The fingerprint of a plan: state that was saved for one is restored for another only if theirs are equal. It must not
//! depend on what a later version may print otherwise without meaning it.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::explain::describe;
use crate::{Node, Operation, Plan};

impl Plan {
    /// Equal for plans whose operators keep the same state: what each node does and yields, whatever relations are
    /// called.
    ///
    /// Rows that are handed in stand as they were computed then: of a plan that does no more with them than to keep them,
    /// which is that of a table or source, the expressions do not count.
    pub fn fingerprint(&self) -> u64 {
        let keeps = self.only_keeps();
        let node = |n: &Node| {
            let what = if keeps { kind(&n.operation) } else { None };
            let what = what.map_or_else(|| describe(&n.operation), str::to_owned);
            let columns: Vec<String> = n.properties.schema.fields().iter().map(|f| column(f)).collect();
            format!("{what} {:?} ({})", n.inputs.iter().map(|id| id.0).collect::<Vec<_>>(), columns.join(", "))
        };
        let sinks = self.sinks.iter().map(|s| s.input.to_string());
        thalweg_core::hash_bytes(self.nodes.iter().map(node).chain(sinks).collect::<Vec<_>>().join("\n").as_bytes())
    }

    /// Its rows come from no other job, and no operator keeps anything that is computed of them but a table.
    fn only_keeps(&self) -> bool {
        let is_kept = |n: &Node| kind(&n.operation).is_some() || matches!(n.operation, Operation::Table { .. });
        self.sources.iter().all(|source| source.relation.is_none()) && self.nodes.iter().all(is_kept)
    }
}

/// Of operations without state, and whose expressions look at one row.
fn kind(operation: &Operation) -> Option<&'static str> {
    match operation {
        Operation::Scan { .. } => Some("Scan"),
        Operation::Dead { .. } => Some("Dead"),
        Operation::Calc { .. } => Some("Calc"),
        Operation::Expect { quarantined: false, .. } => Some("Expect"),
        Operation::Expect { quarantined: true, .. } => Some("Quarantine"),
        _ => None,
    }
}

fn column(field: &Field) -> String {
    let null = if field.is_nullable() { "" } else { " not null" };
    format!("{:?} {}{null}", field.name(), type_name(field.data_type()))
}

/// A type in words of our own.
fn type_name(data_type: &DataType) -> String {
    let of = |fields: &mut dyn Iterator<Item = &Field>| fields.map(column).collect::<Vec<_>>().join(", ");
    match data_type {
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_ref().map_or(String::new(), |zone| format!(" at {zone}"));
            format!("timestamp {}{zone}", unit_name(*unit))
        }
        DataType::Time64(unit) => format!("time {}", unit_name(*unit)),
        DataType::Duration(unit) => format!("duration {}", unit_name(*unit)),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::List(item) => format!("list of {}", column(item)),
        DataType::Struct(fields) => format!("struct ({})", of(&mut fields.iter().map(AsRef::as_ref))),
        // Names of one word, which stay what they are.
        other => format!("{other:?}").to_lowercase(),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
