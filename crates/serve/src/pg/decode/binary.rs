//! PostgreSQL's binary formats, read. It must not know which message a value came in.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{Field, IntervalMonthDayNano};
use postgres_types::{Kind, Type};
use thalweg_core::{SqlError, SqlState};

use super::super::encode::{EPOCH_DAYS, EPOCH_MICROS, JSONB_VERSION};
use super::super::frontend::utf8;
use super::super::numeric::read_numeric;
use super::super::types::arrow_type;
use super::super::uuid::write_uuid;

/// Items of an array that are kept apart while it is read.
const JOINED_ITEMS: usize = 1024;

const DAY_MICROS: i64 = 86_400_000_000;

/// One value of type `own`. Types without an Arrow counterpart of their own come as text (`Utf8`).
pub(crate) fn read_binary(own: &Type, bytes: &[u8]) -> Result<ArrayRef, SqlError> {
    if let Kind::Array(item) = own.kind() {
        return read_array(item, bytes);
    }
    Ok(match *own {
        Type::BOOL => match fixed::<1>(own, bytes)? {
            [value] => Arc::new(BooleanArray::from(vec![value != 0])),
        },
        Type::INT2 => Arc::new(Int16Array::from(vec![i16::from_be_bytes(fixed(own, bytes)?)])),
        Type::INT4 => Arc::new(Int32Array::from(vec![i32::from_be_bytes(fixed(own, bytes)?)])),
        Type::INT8 => Arc::new(Int64Array::from(vec![i64::from_be_bytes(fixed(own, bytes)?)])),
        Type::OID
        | Type::XID
        | Type::CID
        | Type::REGCLASS
        | Type::REGTYPE
        | Type::REGPROC
        | Type::REGPROCEDURE
        | Type::REGROLE
        | Type::REGNAMESPACE => Arc::new(Int64Array::from(vec![i64::from(u32::from_be_bytes(fixed(own, bytes)?))])),
        Type::FLOAT4 => Arc::new(Float32Array::from(vec![f32::from_be_bytes(fixed(own, bytes)?)])),
        Type::FLOAT8 => Arc::new(Float64Array::from(vec![f64::from_be_bytes(fixed(own, bytes)?)])),
        Type::NUMERIC => text(&read_numeric(bytes)?),
        Type::BYTEA => Arc::new(BinaryArray::from(vec![bytes])),
        Type::UUID => {
            let mut spelled = Vec::with_capacity(36);
            write_uuid(&fixed::<16>(own, bytes)?, &mut spelled);
            text(utf8(&spelled)?)
        }
        Type::DATE => {
            let days = i32::from_be_bytes(fixed(own, bytes)?).checked_add(EPOCH_DAYS);
            Arc::new(Date32Array::from(vec![days.ok_or_else(|| out_of_range(own))?]))
        }
        Type::TIME => {
            let micros = i64::from_be_bytes(fixed(own, bytes)?);
            if !(0..=DAY_MICROS).contains(&micros) {
                return Err(out_of_range(own));
            }
            Arc::new(Time64MicrosecondArray::from(vec![micros]))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = match i64::from_be_bytes(fixed(own, bytes)?) {
                infinite @ (i64::MIN | i64::MAX) => infinite,
                finite => finite.checked_add(EPOCH_MICROS).ok_or_else(|| out_of_range(own))?,
            };
            let array = TimestampMicrosecondArray::from(vec![micros]);
            Arc::new(if *own == Type::TIMESTAMPTZ { array.with_timezone("+00:00") } else { array })
        }
        Type::INTERVAL => {
            let [m0, m1, m2, m3, m4, m5, m6, m7, d0, d1, d2, d3, o0, o1, o2, o3] = fixed(own, bytes)?;
            let micros = i64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
            let (days, months) = (i32::from_be_bytes([d0, d1, d2, d3]), i32::from_be_bytes([o0, o1, o2, o3]));
            let nanos = micros.checked_mul(1000).ok_or_else(|| out_of_range(own))?;
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]))
        }
        Type::JSONB => match bytes.split_first() {
            Some((&JSONB_VERSION, json)) => text(utf8(json)?),
            _ => return Err(wrong(own, "unsupported jsonb version number")),
        },
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::UNKNOWN => {
            text(utf8(bytes)?)
        }
        _ => {
            let message = format!("no binary input function available for type {}", own.name());
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("Send the value as text."));
        }
    })
}

/// An array of one dimension or none.
fn read_array(item: &Type, bytes: &[u8]) -> Result<ArrayRef, SqlError> {
    let short = || wrong(item, "insufficient data left in array");
    let mut rest = bytes;
    let mut word = || -> Result<i32, SqlError> {
        let (word, after) = rest.split_first_chunk().ok_or_else(short)?;
        rest = after;
        Ok(i32::from_be_bytes(*word))
    };
    let (dimensions, _has_nulls, oid) = (word()?, word()?, word()?.cast_unsigned());
    let own = Type::from_oid(oid).filter(|own| !matches!(own.kind(), Kind::Array(_)));
    let own = own.ok_or_else(|| wrong(item, "wrong element type of an array"))?;
    let arrow = arrow_type(oid).ok_or_else(|| wrong(&own, "arrays of this type are not supported"))?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let (count, _lower_bound) = (word()?, word()?);
            usize::try_from(count).map_err(|_| short())?
        }
        _ => return Err(wrong(item, "arrays of more than one dimension must be sent as text")),
    };
    let null = new_null_array(&arrow, 1);
    let join = |arrays: &[ArrayRef]| {
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        concat(&arrays).map_err(|e| wrong(&own, &e.to_string()))
    };
    let mut joined = vec![new_empty_array(&arrow)];
    let mut items = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk().ok_or_else(short)?;
        rest = after;
        items.push(match i32::from_be_bytes(*length) {
            -1 => Arc::clone(&null),
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                let (value, after) = rest.split_at_checked(length).ok_or_else(short)?;
                rest = after;
                super::fit(read_binary(&own, value)?, &arrow)?
            }
        });
        // An array of one value is many times larger than the value.
        if items.len() == JOINED_ITEMS {
            joined.push(join(&items)?);
            items.clear();
        }
    }
    if !rest.is_empty() {
        return Err(wrong(item, "bytes behind the end of an array"));
    }
    joined.append(&mut items);
    let values = join(&joined)?;
    let field = Arc::new(Field::new_list_field(arrow, true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let list = ListArray::try_new(field, offsets, values, None).map_err(|e| wrong(&own, &e.to_string()))?;
    Ok(Arc::new(list))
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn fixed<const N: usize>(own: &Type, bytes: &[u8]) -> Result<[u8; N], SqlError> {
    bytes.try_into().map_err(|_| wrong(own, "incorrect binary data format"))
}

fn wrong(own: &Type, what: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, format!("{what} (type {})", own.name()))
}

fn out_of_range(own: &Type) -> SqlError {
    SqlError::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("{} out of range", own.name()))
}
