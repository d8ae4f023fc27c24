//! SQL types as Arrow types, PostgreSQL's way: timestamps in microseconds, text as views.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, ExactNumberInfo, TimezoneInfo};
use thalweg_core::Error;

/// Tells DataFusion's planner our types in casts.
#[derive(Debug)]
pub(crate) struct PostgresTypes;

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        Ok(arrow_type(sql_type).ok().map(|t| Arc::new(Field::new("", t, true))))
    }
}

pub(crate) const UTC: &str = "+00:00";

/// The Arrow type of a column or cast.
///
/// # Errors
/// A type that has no counterpart.
pub(crate) fn arrow_type(sql: &ast::DataType) -> Result<DataType, Error> {
    use ast::DataType as Sql;
    Ok(match sql {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::SmallInt(_) | Sql::Int2(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) => DataType::Int64,
        Sql::Real | Sql::Float4 => DataType::Float32,
        Sql::Float(_) | Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 => DataType::Float64,
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => decimal(info)?,
        Sql::Varchar(_)
        | Sql::CharVarying(_)
        | Sql::CharacterVarying(_)
        | Sql::Text
        | Sql::String(_)
        | Sql::JSON
        | Sql::JSONB => DataType::Utf8View,
        Sql::Char(_) | Sql::Character(_) | Sql::Uuid => DataType::Utf8View,
        Sql::Bytea => DataType::Binary,
        Sql::Date => DataType::Date32,
        Sql::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | Sql::Datetime(_) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        Sql::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Sql::Time(_, _) => DataType::Time64(TimeUnit::Microsecond),
        Sql::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        Sql::Custom(name, _) => match name.to_string().to_lowercase().as_str() {
            "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            "jsonb" | "json" => DataType::Utf8View,
            other => return Err(unknown(other)),
        },
        Sql::Array(ast::ArrayElemTypeDef::SquareBracket(of, _) | ast::ArrayElemTypeDef::AngleBracket(of)) => {
            DataType::List(Arc::new(Field::new_list_field(arrow_type(of)?, true)))
        }
        other => return Err(unknown(&other.to_string())),
    })
}

/// The name of a type as PostgreSQL writes it.
pub fn type_name(arrow: &DataType) -> String {
    match sql_type(arrow) {
        Some(ast::DataType::Numeric(ExactNumberInfo::PrecisionAndScale(p, s))) => format!("numeric({p},{s})"),
        Some(ast::DataType::Timestamp(_, TimezoneInfo::None)) => "timestamp without time zone".to_owned(),
        Some(ast::DataType::Timestamp(..)) => "timestamp with time zone".to_owned(),
        Some(ast::DataType::Time(..)) => "time without time zone".to_owned(),
        Some(other) => other.to_string().to_lowercase(),
        None => arrow.to_string(),
    }
}

/// The SQL type whose [`arrow_type`] is `arrow`, if there is one.
pub(crate) fn sql_type(arrow: &DataType) -> Option<ast::DataType> {
    use ast::DataType as Sql;
    Some(match arrow {
        DataType::Boolean => Sql::Boolean,
        DataType::Int16 => Sql::SmallInt(None),
        DataType::Int32 => Sql::Integer(None),
        DataType::Int64 => Sql::BigInt(None),
        DataType::Float32 => Sql::Real,
        DataType::Float64 => Sql::DoublePrecision,
        DataType::Decimal128(precision, scale) => {
            Sql::Numeric(ExactNumberInfo::PrecisionAndScale(u64::from(*precision), i64::from(*scale)))
        }
        DataType::Utf8View => Sql::Text,
        DataType::Binary => Sql::Bytea,
        DataType::Date32 => Sql::Date,
        DataType::Time64(TimeUnit::Microsecond) => Sql::Time(None, TimezoneInfo::None),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Sql::Timestamp(None, TimezoneInfo::None),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Sql::Timestamp(None, TimezoneInfo::Tz),
        DataType::Interval(IntervalUnit::MonthDayNano) => Sql::Interval { fields: None, precision: None },
        DataType::List(of) => {
            Sql::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(sql_type(of.data_type())?), None))
        }
        _ => return None,
    })
}

fn decimal(info: &ExactNumberInfo) -> Result<DataType, Error> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(p) => (*p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p, *s),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=38), Ok(s)) if s >= 0 && s.unsigned_abs() <= p => Ok(DataType::Decimal128(p, s)),
        _ => Err(Error::invalid_with_hint(
            format!("numeric({precision}, {scale}) is out of range"),
            "Precision is 1 to 38, scale 0 to precision.",
        )),
    }
}

fn unknown(name: &str) -> Error {
    Error::invalid_with_hint(
        format!("type {name} is not known"),
        "Use boolean, smallint, integer, bigint, real, double precision, numeric(p, s), varchar, bytea, date, time, timestamp, timestamptz, interval or jsonb.",
    )
}
