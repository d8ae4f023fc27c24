//! Values in PostgreSQL's binary formats. It must not know messages.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    Int64Builder, IntervalMonthDayNanoArray, LargeStringArray, ListArray, ListBuilder, StringArray, StringViewArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use postgres_types::{Kind, Type};
use std::sync::Arc;
use thalweg_core::{SqlError, SqlState};
use thalweg_formats::Cells;

use super::super::numeric::write_numeric;
use super::super::types::item_of;
use super::super::uuid::read_uuid;
use super::sized;

/// Days and microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// The version of the format that goes before the text of a `jsonb`.
pub(crate) const JSONB_VERSION: u8 = 1;

/// A column's values, typed as they are sent.
pub(super) enum BinaryValues {
    Nothing,
    Boolean(BooleanArray),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    /// `oid` and its kin: unsigned on the wire.
    Oid(ScalarBuffer<i64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Numeric(ScalarBuffer<i128>, i8),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Bytes(BinaryArray),
    BytesView(BinaryViewArray),
    Uuid(FixedSizeBinaryArray),
    Date(ScalarBuffer<i32>),
    Time(ScalarBuffer<i64>),
    Timestamp(ScalarBuffer<i64>),
    Interval(IntervalMonthDayNanoArray),
    Jsonb(Cells),
    Printed(Cells),
    Array {
        list: ListArray,
        items: Box<BinaryValues>,
        item_oid: u32,
        lower_bound: i32,
    },
}

impl BinaryValues {
    pub(super) fn new(column: &ArrayRef, own: &Type) -> Result<Self, SqlError> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let as_type = |to: DataType| cast_with_options(column, &to, &options).map_err(|e| unwritable(own, &e));
        if let (Kind::Array(_), _) | (_, &Type::INT2_VECTOR | &Type::OID_VECTOR) = (own.kind(), own) {
            return Self::array(column, own);
        }
        Ok(match *own {
            Type::VOID => Self::Nothing,
            Type::BOOL => Self::Boolean(as_type(DataType::Boolean)?.as_boolean().clone()),
            Type::INT2 => Self::Int16(as_type(DataType::Int16)?.as_primitive::<Int16Type>().values().clone()),
            Type::INT4 => Self::Int32(as_type(DataType::Int32)?.as_primitive::<Int32Type>().values().clone()),
            Type::INT8 => Self::Int64(as_type(DataType::Int64)?.as_primitive::<Int64Type>().values().clone()),
            Type::OID
            | Type::XID
            | Type::CID
            | Type::REGCLASS
            | Type::REGTYPE
            | Type::REGPROC
            | Type::REGPROCEDURE
            | Type::REGROLE
            | Type::REGNAMESPACE => Self::Oid(as_type(DataType::Int64)?.as_primitive::<Int64Type>().values().clone()),
            Type::FLOAT4 => Self::Float32(as_type(DataType::Float32)?.as_primitive::<Float32Type>().values().clone()),
            Type::FLOAT8 => Self::Float64(as_type(DataType::Float64)?.as_primitive::<Float64Type>().values().clone()),
            Type::NUMERIC => {
                let scale = match column.data_type() {
                    DataType::Decimal128(_, scale)
                    | DataType::Decimal64(_, scale)
                    | DataType::Decimal32(_, scale)
                    | DataType::Decimal256(_, scale) => *scale,
                    _ => 0,
                };
                let decimals = as_type(DataType::Decimal128(38, scale))?;
                Self::Numeric(decimals.as_primitive::<Decimal128Type>().values().clone(), scale)
            }
            Type::BYTEA => match column.data_type() {
                DataType::BinaryView => Self::BytesView(column.as_binary_view().clone()),
                _ => Self::Bytes(as_type(DataType::Binary)?.as_binary::<i32>().clone()),
            },
            Type::UUID if matches!(column.data_type(), DataType::FixedSizeBinary(16)) => {
                Self::Uuid(column.as_fixed_size_binary().clone())
            }
            Type::UUID => Self::Uuid(uuids(&as_type(DataType::Utf8)?)?),
            Type::DATE => Self::Date(as_type(DataType::Date32)?.as_primitive::<Date32Type>().values().clone()),
            Type::TIME => {
                let micros = as_type(DataType::Time64(TimeUnit::Microsecond))?;
                Self::Time(micros.as_primitive::<Time64MicrosecondType>().values().clone())
            }
            Type::TIMESTAMP | Type::TIMESTAMPTZ => {
                let zone = match column.data_type() {
                    DataType::Timestamp(_, zone) => zone.clone(),
                    _ => None,
                };
                let micros = as_type(DataType::Timestamp(TimeUnit::Microsecond, zone))?;
                Self::Timestamp(micros.as_primitive::<TimestampMicrosecondType>().values().clone())
            }
            Type::INTERVAL => {
                let spans = as_type(DataType::Interval(IntervalUnit::MonthDayNano))?;
                Self::Interval(spans.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            Type::JSONB => Self::Jsonb(Cells::new(column)?),
            _ => match column.data_type() {
                DataType::Utf8 => Self::Utf8(column.as_string::<i32>().clone()),
                DataType::LargeUtf8 => Self::LargeUtf8(column.as_string::<i64>().clone()),
                DataType::Utf8View => Self::Utf8View(column.as_string_view().clone()),
                _ => Self::Printed(Cells::new(column)?),
            },
        })
    }

    fn array(column: &ArrayRef, own: &Type) -> Result<Self, SqlError> {
        let lower_bound = i32::from(!matches!(*own, Type::INT2_VECTOR | Type::OID_VECTOR));
        let item = item_of(own);
        let list = match column.data_type() {
            DataType::List(_) => column.as_list::<i32>().clone(),
            DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
                let to = DataType::List(Arc::clone(inner));
                let list = arrow::compute::cast(column, &to).map_err(|e| unwritable(own, &e))?;
                list.as_list::<i32>().clone()
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => numbers(column, own)?,
            other => return Err(unwritable(own, &format!("the value is of type {other}"))),
        };
        if matches!(list.value_type(), DataType::List(_)) {
            return Err(unwritable(own, &"arrays of arrays are sent as text only"));
        }
        let items = Box::new(Self::new(list.values(), &item)?);
        Ok(Self::Array { list, items, item_oid: item.oid(), lower_bound })
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Boolean(values) => out.push(u8::from(values.value(row))),
            Self::Int16(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Self::Int32(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Self::Int64(values) | Self::Time(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Self::Oid(values) => out.extend_from_slice(&(values[row] as u32).to_be_bytes()),
            Self::Float32(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Self::Float64(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Self::Numeric(values, scale) => write_numeric(values[row], *scale, out),
            Self::Utf8(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::LargeUtf8(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::Utf8View(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::Bytes(values) => out.extend_from_slice(values.value(row)),
            Self::BytesView(values) => out.extend_from_slice(values.value(row)),
            Self::Uuid(values) => out.extend_from_slice(values.value(row)),
            Self::Date(values) => {
                out.extend_from_slice(&values[row].saturating_sub(EPOCH_DAYS).to_be_bytes());
            }
            Self::Timestamp(values) => {
                // The ends of the range stand for infinity on both sides.
                let micros = match values[row] {
                    infinite @ (i64::MIN | i64::MAX) => infinite,
                    finite => finite.saturating_sub(EPOCH_MICROS),
                };
                out.extend_from_slice(&micros.to_be_bytes());
            }
            Self::Interval(values) => {
                let span = values.value(row);
                out.extend_from_slice(&(span.nanoseconds / 1000).to_be_bytes());
                out.extend_from_slice(&span.days.to_be_bytes());
                out.extend_from_slice(&span.months.to_be_bytes());
            }
            Self::Jsonb(cells) => {
                out.push(JSONB_VERSION);
                cells.write_text(row, out);
            }
            Self::Printed(cells) => cells.write_text(row, out),
            Self::Array { list, items, item_oid, lower_bound } => {
                let offsets = list.value_offsets();
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let nulls = list.values().logical_nulls();
                let is_null = |item: usize| nulls.as_ref().is_some_and(|n| n.is_null(item));
                let dimensions = i32::from(start != end || *lower_bound == 0);
                out.extend_from_slice(&dimensions.to_be_bytes());
                out.extend_from_slice(&i32::from((start..end).any(is_null)).to_be_bytes());
                out.extend_from_slice(&item_oid.to_be_bytes());
                if dimensions == 1 {
                    out.extend_from_slice(&((end - start) as i32).to_be_bytes());
                    out.extend_from_slice(&lower_bound.to_be_bytes());
                }
                for item in start..end {
                    if is_null(item) {
                        out.extend_from_slice(&(-1_i32).to_be_bytes());
                    } else {
                        sized(out, |out| items.write(item, out));
                    }
                }
            }
        }
    }
}

/// Spelled UUIDs as bytes.
fn uuids(texts: &ArrayRef) -> Result<FixedSizeBinaryArray, SqlError> {
    let mut builder = FixedSizeBinaryBuilder::new(16);
    for text in texts.as_string::<i32>() {
        let Some(text) = text else {
            builder.append_null();
            continue;
        };
        let bytes = read_uuid(text).ok_or_else(|| unwritable(&Type::UUID, &format!("\"{text}\" is none")))?;
        builder.append_value(bytes).map_err(|e| unwritable(&Type::UUID, &e))?;
    }
    Ok(builder.finish())
}

/// A vector that is kept as text: numbers with spaces between.
fn numbers(column: &ArrayRef, own: &Type) -> Result<ListArray, SqlError> {
    let texts = arrow::compute::cast(column, &DataType::Utf8).map_err(|e| unwritable(own, &e))?;
    let mut builder = ListBuilder::new(Int64Builder::new());
    for text in texts.as_string::<i32>() {
        let numbers =
            text.map(|text| text.split_whitespace().map(|n| n.parse().map(Some)).collect::<Result<Vec<_>, _>>());
        builder.append_option(numbers.transpose().map_err(|e| unwritable(own, &e))?);
    }
    Ok(builder.finish())
}

/// A value that has no binary form of its type.
pub(super) fn unwritable(own: &Type, why: &dyn std::fmt::Display) -> SqlError {
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("a value cannot be sent as {}: {why}", own.name()))
}
