//! The types of PostgreSQL that columns become, and the columns of a table that can hold them without loss.
//! It must not know how values are written.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use thalweg_core::{Error, Result};
use tokio_postgres::types::Type;

/// How the values of a column are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale.
    Numeric(u8, i8),
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    /// As the text of an array, which the server reads.
    Array,
    /// As the text of a JSON document.
    Json,
}

/// A column of the stream as it goes into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The type that it has in a table that the sink makes.
    pub(super) declared: String,
}

impl Column {
    /// The column that `field` becomes.
    ///
    /// # Errors
    /// A type that PostgreSQL does not have.
    pub(super) fn of(field: &Field) -> Result<Self> {
        let unknown = || {
            Error::invalid_with_hint(
                format!("column {}: type {} has no counterpart in PostgreSQL", field.name(), field.data_type()),
                "CAST it in the query.",
            )
        };
        let (kind, declared) = kind_of(field.data_type()).ok_or_else(unknown)?;
        let is_json = field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json");
        let declared = if kind == Kind::Text && is_json { "jsonb".to_owned() } else { declared };
        Ok(Self { name: field.name().clone(), kind, declared })
    }

    /// The type of the values on the wire.
    pub(super) fn sent(&self) -> Type {
        match self.kind {
            Kind::Bool => Type::BOOL,
            Kind::Int2 => Type::INT2,
            Kind::Int4 => Type::INT4,
            Kind::Int8 => Type::INT8,
            Kind::Float4 => Type::FLOAT4,
            Kind::Float8 => Type::FLOAT8,
            Kind::Numeric(..) => Type::NUMERIC,
            Kind::Text | Kind::Array | Kind::Json => Type::TEXT,
            Kind::Bytea => Type::BYTEA,
            Kind::Date => Type::DATE,
            Kind::Time => Type::TIME,
            Kind::Timestamp => Type::TIMESTAMP,
            Kind::TimestampTz => Type::TIMESTAMPTZ,
            Kind::Interval => Type::INTERVAL,
        }
    }

    /// A column of type `base` with type modifier `modifier` (−1: none) gives back each value as it was. `exact`: values
    /// of the column must also stay different from each other, as it is part of the key.
    pub(super) fn fits(&self, base: &str, modifier: i32, exact: bool) -> bool {
        match self.kind {
            // The server reads the text, or refuses it.
            Kind::Text | Kind::Array | Kind::Json => true,
            Kind::Bool => base == "boolean",
            Kind::Int2 => matches!(base, "smallint" | "integer" | "bigint") || numeric(base, modifier, 5, 0),
            Kind::Int4 => matches!(base, "integer" | "bigint") || numeric(base, modifier, 10, 0),
            Kind::Int8 => base == "bigint" || numeric(base, modifier, 19, 0),
            Kind::Float4 => matches!(base, "real" | "double precision"),
            Kind::Float8 => base == "double precision",
            Kind::Numeric(precision, scale) => numeric(base, modifier, i32::from(precision), i32::from(scale)),
            Kind::Bytea => base == "bytea",
            Kind::Date => base == "date",
            Kind::Time => base == "time without time zone" && !(exact && modifier >= 0),
            Kind::Timestamp => base == "timestamp without time zone" && !(exact && modifier >= 0),
            Kind::TimestampTz => base == "timestamp with time zone" && !(exact && modifier >= 0),
            Kind::Interval => base == "interval" && !(exact && modifier >= 0),
        }
    }

    /// The server must be told to read the text as the type of the table's column.
    pub(super) fn is_read_as(&self, base: &str) -> bool {
        matches!(self.kind, Kind::Text | Kind::Array | Kind::Json)
            && !matches!(base, "text" | "character varying" | "character")
    }
}

fn kind_of(of: &DataType) -> Option<(Kind, String)> {
    let (kind, declared) = match of {
        DataType::Boolean => (Kind::Bool, "boolean"),
        DataType::Int16 => (Kind::Int2, "smallint"),
        DataType::Int32 => (Kind::Int4, "integer"),
        DataType::Int64 => (Kind::Int8, "bigint"),
        DataType::Float32 => (Kind::Float4, "real"),
        DataType::Float64 => (Kind::Float8, "double precision"),
        DataType::Decimal128(precision, scale @ 0..) => {
            return Some((Kind::Numeric(*precision, *scale), format!("numeric({precision}, {scale})")));
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (Kind::Text, "text"),
        DataType::Binary => (Kind::Bytea, "bytea"),
        DataType::Date32 => (Kind::Date, "date"),
        DataType::Time64(TimeUnit::Microsecond) => (Kind::Time, "time"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => (Kind::Timestamp, "timestamp"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => (Kind::TimestampTz, "timestamptz"),
        DataType::Interval(IntervalUnit::MonthDayNano) => (Kind::Interval, "interval"),
        DataType::List(item) => return Some((Kind::Array, format!("{}[]", kind_of(item.data_type())?.1))),
        DataType::Struct(_) => (Kind::Json, "jsonb"),
        _ => return None,
    };
    Some((kind, declared.to_owned()))
}

/// `base` is numeric with room for `precision` digits, `scale` of them behind the point. The modifier is laid out as in
/// `numeric_typmod_*` of PostgreSQL's `numeric.c`.
fn numeric(base: &str, modifier: i32, precision: i32, scale: i32) -> bool {
    const HEADER: i32 = 4;
    if base != "numeric" || modifier < HEADER {
        return base == "numeric";
    }
    let room = (modifier - HEADER) >> 16;
    let behind = (((modifier - HEADER) & 0x7ff) ^ 1024) - 1024;
    behind >= scale && room - behind >= precision - scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(of: DataType) -> Column {
        Column::of(&Field::new("c", of, true)).expect("known")
    }

    /// As `numeric.c` makes them.
    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn a_column_fits_where_nothing_of_it_is_lost() {
        let long = column(DataType::Int64);
        assert!(long.fits("bigint", -1, true) && long.fits("numeric", -1, true));
        assert!(!long.fits("integer", -1, true) && !long.fits("numeric", modifier(18, 0), true));
        assert!(long.fits("numeric", modifier(21, 2), true) && !long.fits("numeric", modifier(20, 2), true));
        let money = column(DataType::Decimal128(10, 2));
        assert!(money.fits("numeric", modifier(10, 2), true) && money.fits("numeric", modifier(12, 3), true));
        assert!(!money.fits("numeric", modifier(10, 3), true) && !money.fits("numeric", modifier(12, -1), true));
        let at = column(DataType::Timestamp(TimeUnit::Microsecond, None));
        assert!(at.fits("timestamp without time zone", 3, false) && !at.fits("timestamp without time zone", 3, true));
        assert!(column(DataType::Utf8View).is_read_as("jsonb") && !column(DataType::Utf8View).is_read_as("text"));
        assert_eq!(column(DataType::new_list(DataType::Int64, true)).declared, "bigint[]");
        assert!(Column::of(&Field::new("c", DataType::Duration(TimeUnit::Second), true)).is_err());
    }
}
