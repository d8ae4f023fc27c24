//! Arrow types and the PostgreSQL types that stand for them on the wire. It must not know values or messages.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use pgwire::messages::data::FieldDescription;
use postgres_types::{Kind, Type};
use std::sync::Arc;
use thalweg_core::PG_TYPE;

use super::frontend::Format;
use super::reply::without_nul;

/// No further detail about a type.
const NO_MODIFIER: i32 = -1;

/// Types with a name, an array type and a length in bytes (−1: it varies, −2: it ends with a NUL).
const TYPES: &[(&str, Type, Type, i16)] = &[
    ("bool", Type::BOOL, Type::BOOL_ARRAY, 1),
    ("int2", Type::INT2, Type::INT2_ARRAY, 2),
    ("int4", Type::INT4, Type::INT4_ARRAY, 4),
    ("int8", Type::INT8, Type::INT8_ARRAY, 8),
    ("float4", Type::FLOAT4, Type::FLOAT4_ARRAY, 4),
    ("float8", Type::FLOAT8, Type::FLOAT8_ARRAY, 8),
    ("numeric", Type::NUMERIC, Type::NUMERIC_ARRAY, -1),
    ("text", Type::TEXT, Type::TEXT_ARRAY, -1),
    ("varchar", Type::VARCHAR, Type::VARCHAR_ARRAY, -1),
    ("bpchar", Type::BPCHAR, Type::BPCHAR_ARRAY, -1),
    ("name", Type::NAME, Type::NAME_ARRAY, 64),
    ("char", Type::CHAR, Type::CHAR_ARRAY, 1),
    ("bytea", Type::BYTEA, Type::BYTEA_ARRAY, -1),
    ("date", Type::DATE, Type::DATE_ARRAY, 4),
    ("time", Type::TIME, Type::TIME_ARRAY, 8),
    ("timestamp", Type::TIMESTAMP, Type::TIMESTAMP_ARRAY, 8),
    ("timestamptz", Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY, 8),
    ("interval", Type::INTERVAL, Type::INTERVAL_ARRAY, 16),
    ("uuid", Type::UUID, Type::UUID_ARRAY, 16),
    ("json", Type::JSON, Type::JSON_ARRAY, -1),
    ("jsonb", Type::JSONB, Type::JSONB_ARRAY, -1),
    ("oid", Type::OID, Type::OID_ARRAY, 4),
    ("regproc", Type::REGPROC, Type::REGPROC_ARRAY, 4),
    ("regprocedure", Type::REGPROCEDURE, Type::REGPROCEDURE_ARRAY, 4),
    ("regclass", Type::REGCLASS, Type::REGCLASS_ARRAY, 4),
    ("regtype", Type::REGTYPE, Type::REGTYPE_ARRAY, 4),
    ("regrole", Type::REGROLE, Type::REGROLE_ARRAY, 4),
    ("regnamespace", Type::REGNAMESPACE, Type::REGNAMESPACE_ARRAY, 4),
    ("xid", Type::XID, Type::XID_ARRAY, 4),
    ("cid", Type::CID, Type::CID_ARRAY, 4),
    ("int2vector", Type::INT2_VECTOR, Type::INT2_VECTOR_ARRAY, -1),
    ("oidvector", Type::OID_VECTOR, Type::OID_VECTOR_ARRAY, -1),
    ("unknown", Type::UNKNOWN, Type::TEXT_ARRAY, -2),
    ("void", Type::VOID, Type::TEXT_ARRAY, 4),
    ("pg_node_tree", Type::PG_NODE_TREE, Type::TEXT_ARRAY, -1),
];

/// The type of a column or parameter: what its metadata says, else what its Arrow type suggests.
pub(crate) fn type_of(field: &Field) -> Type {
    if let Some(named) = field.metadata().get(PG_TYPE).and_then(|name| by_name(name)) {
        // An object's name where its number should be has no binary form; as text every driver reads it.
        let spelled = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        return if spelled && is_reference(&named) { Type::TEXT } else { named };
    }
    if let DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) = field.data_type() {
        return array_of(&type_of(item));
    }
    plain(field.data_type())
}

/// Types that are numbers of objects and are printed as their names.
fn is_reference(own: &Type) -> bool {
    [Type::REGCLASS, Type::REGTYPE, Type::REGPROC, Type::REGPROCEDURE, Type::REGROLE, Type::REGNAMESPACE].contains(own)
}

fn plain(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 | DataType::UInt32 => Type::INT8,
        DataType::UInt64
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => Type::NUMERIC,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::FixedSizeBinary(16) => Type::UUID,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::Struct(_) | DataType::Map(_, _) => Type::JSONB,
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, values) => type_of(values),
        _ => Type::TEXT,
    }
}

fn by_name(name: &str) -> Option<Type> {
    let item = name.strip_suffix("[]").or(name.strip_prefix('_'));
    let named = |name: &str| TYPES.iter().find(|(known, ..)| *known == name);
    match item {
        Some(item) => named(item).map(|(_, _, array, _)| array.clone()),
        None => named(name).map(|(_, own, ..)| own.clone()),
    }
}

fn array_of(item: &Type) -> Type {
    // PostgreSQL's arrays of arrays have the type of the array.
    if matches!(item.kind(), Kind::Array(_)) {
        return item.clone();
    }
    TYPES.iter().find(|(_, own, ..)| own == item).map_or(Type::TEXT_ARRAY, |(_, _, array, _)| array.clone())
}

/// The type of an array's items.
pub(crate) fn item_of(array: &Type) -> Type {
    match array {
        &Type::INT2_VECTOR => Type::INT2,
        &Type::OID_VECTOR => Type::OID,
        other => match other.kind() {
            Kind::Array(item) => item.clone(),
            _ => Type::TEXT,
        },
    }
}

/// What a column looks like to the client.
pub(crate) fn describe(field: &Field, format: Format) -> FieldDescription {
    let own = type_of(field);
    let length = TYPES.iter().find(|(_, known, ..)| *known == own).map_or(-1, |(.., length)| *length);
    let modifier = match field.data_type() {
        // A scale may be negative: its eleven low bits.
        DataType::Decimal128(precision, scale) if own == Type::NUMERIC => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        _ => NO_MODIFIER,
    };
    let code = match format {
        Format::Text => 0,
        Format::Binary => 1,
    };
    FieldDescription::new(without_nul(field.name().clone()), 0, 0, own.oid(), length, modifier, code)
}

/// The Arrow type of a parameter whose type the client has named; `None`: to be inferred.
pub(crate) fn arrow_type(oid: u32) -> Option<DataType> {
    let own = Type::from_oid(oid)?;
    if let Kind::Array(item) = own.kind() {
        return Some(DataType::List(Arc::new(Field::new_list_field(arrow_type(item.oid())?, true))));
    }
    Some(match own {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        // Without precision and scale: what the dialect means by a bare `numeric`.
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::JSONB | Type::UUID => {
            DataType::Utf8View
        }
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn oid(data_type: DataType) -> u32 {
        type_of(&Field::new("c", data_type, true)).oid()
    }

    #[test]
    fn arrow_types_have_the_oids_of_postgresql() {
        assert_eq!(oid(DataType::Boolean), 16);
        assert_eq!(oid(DataType::Int64), 20);
        assert_eq!(oid(DataType::Utf8View), 25);
        assert_eq!(oid(DataType::Decimal128(10, 2)), 1700);
        assert_eq!(oid(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))), 1184);
        assert_eq!(oid(DataType::FixedSizeBinary(16)), 2950);
        assert_eq!(oid(DataType::Null), 25);
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        assert_eq!(oid(list.clone()), 1007);
        assert_eq!(oid(DataType::List(Arc::new(Field::new_list_field(list, true)))), 1007);
    }

    #[test]
    fn metadata_names_the_type_where_arrow_cannot() {
        let named = |name: &str| {
            let metadata = HashMap::from([(PG_TYPE.to_owned(), name.to_owned())]);
            type_of(&Field::new("c", DataType::Utf8View, true).with_metadata(metadata)).oid()
        };
        assert_eq!(
            ["oid", "name", "char", "regclass", "int2vector", "_text", "int4[]"].map(named),
            [26, 19, 18, 25, 22, 1009, 1007]
        );
        assert_eq!(named("no such type"), 25);
    }

    #[test]
    fn lengths_and_modifiers() {
        let described = describe(&Field::new("n", DataType::Decimal128(10, 2), true), Format::Text);
        assert_eq!((described.type_size, described.type_modifier), (-1, (10 << 16 | 2) + 4));
        let described = describe(&Field::new("n", DataType::Int32, true), Format::Binary);
        assert_eq!((described.type_size, described.type_modifier, described.format_code), (4, -1, 1));
    }
}
