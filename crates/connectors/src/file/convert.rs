//! From the column types of a Parquet file to the declared ones: what is allowed, and how it is done.
//! It must not know rows or files.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use thalweg_core::{Error, Result};

/// What is to be done with a column as the reader yields it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Nothing.
    Keep,
    /// Only the zone in the type changes: no value does.
    Zone,
    /// A cast; a value that the declared type cannot hold becomes null and is reported.
    Cast,
}

/// The type in which the reader should yield a column of type `file`, so that no conversion is needed after it
/// where the reader can do it for nothing.
pub(crate) fn reader_type(file: &DataType, int96: bool) -> DataType {
    match file {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Timestamp(TimeUnit::Nanosecond, None) if int96 => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => other.clone(),
    }
}

/// The type that Thalweg gives a column of type `file` when nothing was declared; `None` when it has no such type.
pub(crate) fn natural_type(file: &DataType) -> Option<DataType> {
    Some(match file {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Decimal128(_, _)
        | DataType::Utf8View
        | DataType::Binary => file.clone(),
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        DataType::Dictionary(_, value) => natural_type(value)?,
        DataType::List(item) | DataType::LargeList(item) => {
            let item = item.as_ref().clone();
            let inner = natural_type(item.data_type())?;
            DataType::List(Arc::new(item.with_data_type(inner)))
        }
        _ => return None,
    })
}

/// How a column that the reader yields as `from` becomes `to`; `None` when values could change or be lost.
pub(crate) fn plan(from: &DataType, to: &DataType) -> Option<Conversion> {
    use DataType as T;
    if from == to {
        return Some(Conversion::Keep);
    }
    let cast = Some(Conversion::Cast);
    match (from, to) {
        (T::Timestamp(TimeUnit::Microsecond, a), T::Timestamp(TimeUnit::Microsecond, b)) => {
            // A zone in the file's type only says how to print; the values count from 1970 in UTC either way.
            let _ = (a, b);
            Some(Conversion::Zone)
        }
        (T::Timestamp(_, a), T::Timestamp(TimeUnit::Microsecond, b)) if a.is_none() || b.is_some() => cast,
        (T::Timestamp(_, Some(_)), T::Timestamp(TimeUnit::Microsecond, None)) => cast,
        (T::Date32 | T::Date64, T::Timestamp(TimeUnit::Microsecond, _)) | (T::Date64, T::Date32) => cast,
        (T::Int8 | T::UInt8, T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64) => cast,
        (T::Int16 | T::UInt16, T::Int32 | T::Int64 | T::Float32 | T::Float64) => cast,
        (T::Int32 | T::UInt32, T::Int64 | T::Float64) => cast,
        (T::UInt64, T::Int64) => cast,
        (T::Float16, T::Float32 | T::Float64) | (T::Float32, T::Float64) => cast,
        (integer, T::Decimal128(p, s)) if integer.is_integer() => {
            let digits = match integer {
                T::Int8 | T::UInt8 => 3,
                T::Int16 | T::UInt16 => 5,
                T::Int32 | T::UInt32 => 10,
                _ => 20,
            };
            (i16::from(*p) - i16::from(*s) >= digits && *s >= 0).then_some(Conversion::Cast)
        }
        (T::Decimal128(p, s) | T::Decimal64(p, s) | T::Decimal32(p, s), T::Decimal128(p2, s2)) => {
            let whole = i16::from(*p) - i16::from(*s);
            (i16::from(*p2) - i16::from(*s2) >= whole && s2 >= s).then_some(Conversion::Cast)
        }
        (T::Decimal128(_, _), T::Float64) => cast,
        (T::Utf8 | T::LargeUtf8 | T::Binary | T::LargeBinary | T::BinaryView, T::Utf8View) => cast,
        (T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) | T::Utf8View, T::Binary) => cast,
        (T::Dictionary(_, value), to) if plan(value, to).is_some() => cast,
        (T::List(a) | T::LargeList(a), T::List(b)) if plan(a.data_type(), b.data_type()).is_some() => cast,
        _ => None,
    }
}

impl Conversion {
    /// Converts a column. A value that does not fit becomes null; the caller compares null counts.
    pub(crate) fn apply(&self, column: ArrayRef, to: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Keep => Ok(column),
            Self::Zone => {
                let zone = match to {
                    DataType::Timestamp(_, zone) => zone.clone(),
                    other => return Err(Error::Internal(format!("a zone for a column of type {other}"))),
                };
                Ok(Arc::new(column.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone)))
            }
            Self::Cast => {
                let options = CastOptions { safe: true, ..CastOptions::default() };
                // A zoned column read as a plain timestamp keeps its UTC wall clock, whatever zone the type names.
                if let (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) = (column.data_type(), to) {
                    let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
                    let column = cast_with_options(&column, &utc, &options)?;
                    return Ok(cast_with_options(&column, to, &options)?);
                }
                Ok(cast_with_options(&column, to, &options)?)
            }
        }
    }

    /// A value may fail to convert.
    pub(crate) fn can_fail(&self) -> bool {
        *self == Self::Cast
    }
}

/// A type as a user of SQL names it.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal128(p, s) => format!("numeric({p}, {s})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, TimestampNanosecondArray};

    use super::*;

    #[test]
    fn widening_is_allowed_and_narrowing_is_not() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(plan(&DataType::Int32, &DataType::Int64), Some(Conversion::Cast));
        assert_eq!(plan(&DataType::Int64, &DataType::Int32), None);
        assert_eq!(plan(&DataType::Int64, &DataType::Utf8View), None);
        assert_eq!(plan(&DataType::Timestamp(TimeUnit::Millisecond, None), &micros), Some(Conversion::Cast));
        assert_eq!(
            plan(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), &micros),
            Some(Conversion::Zone)
        );
        assert_eq!(plan(&DataType::Decimal128(10, 2), &DataType::Decimal128(12, 4)), Some(Conversion::Cast));
        assert_eq!(plan(&DataType::Decimal128(10, 2), &DataType::Decimal128(10, 4)), None);
        assert_eq!(plan(&DataType::Int64, &DataType::Decimal128(18, 0)), None);
    }

    #[test]
    fn nanoseconds_are_cut_to_microseconds() {
        let to = DataType::Timestamp(TimeUnit::Microsecond, None);
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_999, -1]));
        let out = Conversion::Cast.apply(column, &to).expect("castable");
        assert_eq!(out.as_primitive::<TimestampMicrosecondType>().values().as_ref(), &[1, 0]);
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(Conversion::Keep.apply(column, &DataType::Int64).expect("kept").len(), 1);
    }
}
