//! The columns that a message type describes. It must not read messages.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// The columns of messages of a type; what is nested is JSON text.
pub fn protobuf_fields(message: &MessageDescriptor) -> Vec<Field> {
    message.fields().map(|f| field(&f)).collect()
}

fn field(field: &FieldDescriptor) -> Field {
    let name = field.name();
    let nullable = field.supports_presence();
    let json = || {
        let metadata = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into();
        Field::new(name, DataType::Utf8View, nullable).with_metadata(metadata)
    };
    match (data_type(&field.kind()), field.is_list()) {
        _ if field.is_map() => json(),
        (None, _) => json(),
        (Some(data_type), true) => {
            Field::new(name, DataType::List(Arc::new(Field::new_list_field(data_type, true))), nullable)
        }
        (Some(data_type), false) => Field::new(name, data_type, nullable),
    }
}

fn data_type(kind: &Kind) -> Option<DataType> {
    Some(match kind {
        Kind::Double => DataType::Float64,
        Kind::Float => DataType::Float32,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => DataType::Int64,
        Kind::Uint64 | Kind::Fixed64 => DataType::Decimal128(20, 0),
        Kind::Bool => DataType::Boolean,
        Kind::String | Kind::Enum(_) => DataType::Utf8View,
        Kind::Bytes => DataType::Binary,
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            "google.protobuf.Duration" | "google.protobuf.StringValue" | "google.protobuf.BytesValue" => {
                DataType::Utf8View
            }
            "google.protobuf.BoolValue" => DataType::Boolean,
            "google.protobuf.Int32Value" => DataType::Int32,
            "google.protobuf.Int64Value" | "google.protobuf.UInt32Value" => DataType::Int64,
            "google.protobuf.UInt64Value" => DataType::Decimal128(20, 0),
            "google.protobuf.FloatValue" => DataType::Float32,
            "google.protobuf.DoubleValue" => DataType::Float64,
            _ => return None,
        },
    })
}
