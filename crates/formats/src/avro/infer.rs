//! The columns that an Avro schema describes. It must not read data.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use thalweg_core::{Error, Result};

use super::types::{Node, Types};

/// The columns of the record that `schema` describes; of an envelope of Debezium (`debezium`) those of its rows.
/// What is nested is JSON text.
///
/// # Errors
/// Not an Avro schema, or not of a record.
pub fn avro_fields(schema: &str, debezium: bool) -> Result<Vec<Field>> {
    let mut types = Types::default();
    let mut root = types.add(schema).map_err(Error::invalid)?;
    if debezium {
        let Node::Record(members) = &types.nodes[root] else {
            return Err(Error::invalid("the Avro schema is no envelope of Debezium: it is no record"));
        };
        let after = members.iter().find(|m| m.name == "after");
        let after =
            after.ok_or_else(|| Error::invalid("the Avro schema is no envelope of Debezium: no field after"))?;
        root = plain(&types, after.node).0;
    }
    let Node::Record(members) = &types.nodes[root] else {
        return Err(Error::invalid_with_hint(
            "the Avro schema is no record",
            "Only records have columns; use encode = 'bytes' for anything else.",
        ));
    };
    Ok(members.iter().map(|m| field(&types, &m.name, m.node)).collect())
}

/// The type behind a union with null, and whether there is null.
fn plain(types: &Types, node: usize) -> (usize, bool) {
    let Node::Union(variants) = &types.nodes[node] else { return (node, types.nodes[node] == Node::Null) };
    let null = variants.iter().any(|v| types.nodes[*v] == Node::Null);
    let mut others = variants.iter().filter(|v| types.nodes[**v] != Node::Null);
    match (others.next(), others.next()) {
        (Some(one), None) => (*one, null),
        _ => (node, null),
    }
}

fn field(types: &Types, name: &str, node: usize) -> Field {
    let (node, nullable) = plain(types, node);
    let simple = |data_type| Field::new(name, data_type, nullable);
    match &types.nodes[node] {
        Node::Boolean => simple(DataType::Boolean),
        Node::Integer => simple(DataType::Int64),
        Node::Float => simple(DataType::Float32),
        Node::Double => simple(DataType::Float64),
        Node::Bytes | Node::Fixed(_) => simple(DataType::Binary),
        Node::Decimal { precision, scale, .. } => {
            let precision = u8::try_from(*precision).unwrap_or(38).clamp(1, 38);
            simple(DataType::Decimal128(precision, (*scale).min(precision as i8)))
        }
        Node::Date => simple(DataType::Date32),
        Node::Timestamp(_, zoned) => {
            simple(DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| Arc::from("+00:00"))))
        }
        Node::Array(item) => {
            let inner = field(types, "item", *item);
            if inner.data_type().is_nested() || is_json(&inner) {
                return json(simple(DataType::Utf8View));
            }
            simple(DataType::List(Arc::new(Field::new_list_field(inner.data_type().clone(), true))))
        }
        Node::Map(_) | Node::Record(_) | Node::Union(_) => json(simple(DataType::Utf8View)),
        Node::Null => Field::new(name, DataType::Utf8View, true),
        Node::Text | Node::Enum(_) | Node::Uuid { .. } | Node::Time(_) | Node::Duration => simple(DataType::Utf8View),
    }
}

fn is_json(field: &Field) -> bool {
    crate::encode::is_json(field)
}

fn json(field: Field) -> Field {
    field.with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into())
}
