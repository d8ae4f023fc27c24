//! PostgreSQL's types: their numbers and names, and the Arrow types that carry them. It must not know relations.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use thalweg_core::PG_TYPE;

use super::picture::Oid;
use crate::types::UTC;

/// A type as `pg_type` tells of it.
#[derive(Debug)]
pub(super) struct PgType {
    pub oid: Oid,
    pub name: &'static str,
    pub len: i64,
    pub by_value: bool,
    pub kind: &'static str,
    pub category: &'static str,
    pub preferred: bool,
    pub delimiter: &'static str,
    pub element: Oid,
    pub array: Oid,
    pub input: Oid,
    pub output: Oid,
    pub receive: Oid,
    pub send: Oid,
    pub modifier_in: Oid,
    pub modifier_out: Oid,
    pub align: &'static str,
    pub storage: &'static str,
    pub collation: Oid,
    pub subscript: Oid,
}

static TYPES: LazyLock<Vec<PgType>> =
    LazyLock::new(|| include_str!("data/types.txt").lines().filter_map(parse).collect());

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| TYPES.iter().enumerate().map(|(at, t)| (t.name, at)).collect());

static BY_OID: LazyLock<HashMap<Oid, usize>> =
    LazyLock::new(|| TYPES.iter().enumerate().map(|(at, t)| (t.oid, at)).collect());

fn parse(line: &'static str) -> Option<PgType> {
    let fields: Vec<&'static str> = line.split('|').collect();
    let &[oid, name, len, by_value, kind, category, preferred, delimiter, element, array, ref rest @ ..] = &fields[..]
    else {
        return None;
    };
    let &[input, output, receive, send, modifier_in, modifier_out, align, storage, collation, subscript] = rest else {
        return None;
    };
    let number = |text: &str| text.parse().ok();
    Some(PgType {
        oid: number(oid)?,
        name,
        len: len.parse().ok()?,
        by_value: by_value == "1",
        kind,
        category,
        preferred: preferred == "1",
        delimiter,
        element: number(element)?,
        array: number(array)?,
        input: number(input)?,
        output: number(output)?,
        receive: number(receive)?,
        send: number(send)?,
        modifier_in: number(modifier_in)?,
        modifier_out: number(modifier_out)?,
        align,
        storage,
        collation: number(collation)?,
        subscript: number(subscript)?,
    })
}

pub(super) fn all() -> &'static [PgType] {
    &TYPES
}

pub(super) fn by_oid(oid: Oid) -> Option<&'static PgType> {
    BY_OID.get(&oid).map(|at| &TYPES[*at])
}

/// By the name in `pg_type`: `int4`, `_text`.
pub(super) fn by_name(name: &str) -> Option<&'static PgType> {
    BY_NAME.get(name).map(|at| &TYPES[*at])
}

/// What SQL calls the types that `pg_type` calls otherwise.
const SPELLINGS: [(&str, &str); 22] = [
    ("boolean", "bool"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("int", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("float", "float8"),
    ("decimal", "numeric"),
    ("character varying", "varchar"),
    ("character", "bpchar"),
    ("string", "text"),
    ("\"char\"", "char"),
    ("char", "bpchar"),
    ("time without time zone", "time"),
    ("time with time zone", "timetz"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("bit varying", "varbit"),
    ("struct", "record"),
    ("map", "jsonb"),
    ("dec", "numeric"),
];

/// A type by what users write: `integer`, `varchar(10)`, `text[]`, `pg_catalog.int4`.
pub(super) fn written(text: &str) -> Option<&'static PgType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        return by_oid(written(element)?.array);
    }
    let bare = text.strip_prefix("pg_catalog.").unwrap_or(text);
    let lower = bare.to_lowercase();
    let without_modifier = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", lower[..open].trim_end(), &lower[close + 1..])
        }
        _ => lower,
    };
    let spelled = SPELLINGS.iter().find(|(sql, _)| *sql == without_modifier).map(|(_, name)| *name);
    by_name(spelled.unwrap_or(&without_modifier)).or_else(|| by_name(bare.trim_matches('"')))
}

/// What SQL calls a type: `integer`, `character varying`.
pub(super) fn spelled(name: &'static str) -> &'static str {
    match name {
        "bpchar" => "character",
        _ => SPELLINGS
            .iter()
            .find(|(sql, of)| {
                *of == name && !matches!(*sql, "int" | "float" | "decimal" | "dec" | "string" | "struct" | "map")
            })
            .map_or(name, |(sql, _)| *sql),
    }
}

/// The type of a column of users, and its modifier.
pub(super) fn of_column(arrow: &DataType, named: Option<&str>) -> (&'static PgType, i32) {
    let name = named.filter(|n| by_name(n).is_some()).unwrap_or_else(|| of_arrow(arrow));
    let modifier = match arrow {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
            if named.is_none() && (*precision, *scale) != (38, 10) =>
        {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        _ => -1,
    };
    let found = by_name(name).or_else(|| by_name("text")).expect("text is among the types");
    (found, modifier)
}

fn of_arrow(arrow: &DataType) -> &'static str {
    match arrow {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "int2",
        DataType::UInt16 | DataType::Int32 => "int4",
        DataType::UInt32 | DataType::Int64 => "int8",
        DataType::Float16 | DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::UInt64 | DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => "numeric",
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Struct(_) => "record",
        DataType::Map(_, _) => "jsonb",
        DataType::List(of) | DataType::LargeList(of) | DataType::ListView(of) | DataType::FixedSizeList(of, _) => {
            let element =
                of.metadata().get(PG_TYPE).and_then(|n| by_name(n)).or_else(|| by_name(of_arrow(of.data_type())));
            element.and_then(|e| by_oid(e.array)).map_or("_text", |array| array.name)
        }
        DataType::Dictionary(_, of) => of_arrow(of),
        _ => "varchar",
    }
}

/// The Arrow type that carries a type of the system relations.
pub(super) fn arrow_type(name: &str) -> DataType {
    let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, true)));
    match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" | "oid" | "xid" | "regproc" | "regclass" | "regtype" | "regrole" | "regnamespace" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 10),
        "bytea" => DataType::Binary,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "int2vector" => list(DataType::Int16),
        "oidvector" => list(DataType::Int32),
        array if array.starts_with('_') => list(arrow_type(&array[1..])),
        _ => DataType::Utf8View,
    }
}

/// A column of the system relations.
pub(super) fn field(column: &str, name: &str) -> FieldRef {
    let field = Field::new(column, arrow_type(name), true);
    // These are what the Arrow type tells anyway.
    let plain = ["bool", "int2", "int4", "int8", "float4", "float8", "numeric", "bytea", "timestamptz", "interval"];
    let told = plain.contains(&name) || matches!(name, "_int2" | "_int4" | "_text" | "_float4");
    Arc::new(if told { field } else { field.with_metadata(HashMap::from([(PG_TYPE.to_owned(), name.to_owned())])) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_all_their_names() {
        assert!(TYPES.len() > 120, "{}", TYPES.len());
        let name = |text: &str| written(text).map(|t| t.name);
        assert_eq!(name("integer"), Some("int4"));
        assert_eq!(name("character varying(10)"), Some("varchar"));
        assert_eq!(name("timestamp(3) with time zone"), Some("timestamptz"));
        assert_eq!(name("text[]"), Some("_text"));
        assert_eq!(name("pg_catalog.int8"), Some("int8"));
        assert_eq!(name("\"char\""), Some("char"));
        assert_eq!(name("char"), Some("bpchar"));
        assert_eq!(name("nothing"), None);
        assert_eq!(["numeric", "int4", "text", "bpchar"].map(spelled), ["numeric", "integer", "text", "character"]);
    }

    #[test]
    fn columns_of_users_have_types() {
        let of = |t: DataType| {
            let (found, modifier) = of_column(&t, None);
            (found.name, modifier)
        };
        assert_eq!(of(DataType::Decimal128(10, 2)), ("numeric", 655_366));
        assert_eq!(of(DataType::Utf8View), ("varchar", -1));
        assert_eq!(of(arrow_type("_int8")), ("_int8", -1));
        assert_eq!(of_column(&DataType::Utf8View, Some("jsonb")).0.name, "jsonb");
        assert_eq!(of_column(&DataType::Utf8View, Some("no such")).0.name, "varchar");
    }
}
