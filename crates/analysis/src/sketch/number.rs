//! Numbers and times as ordered keys for quantiles. It must not know sketches.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::hash::float_bits;

/// A key whose order is the order of the doubles, NaN last as in PostgreSQL.
#[inline]
pub(crate) fn key(value: f64) -> i64 {
    flip(float_bits(value) as i64)
}

/// The double of a key.
#[inline]
pub(crate) fn number(key: i64) -> f64 {
    f64::from_bits(flip(key) as u64)
}

/// Negative doubles order backwards by their bits: all but the sign are turned over. Its own inverse.
#[inline]
fn flip(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// Writes the key of each row to `out`: numbers as double precision, dates and timestamps as seconds since 1970-01-01
/// UTC. What it writes for a null means nothing. `false`: the type has no order as a number.
pub(crate) fn keys(column: &ArrayRef, out: &mut Vec<i64>) -> bool {
    out.clear();
    macro_rules! each {
        ($t:ty, $f:expr) => {
            each::<$t>(column, out, $f)
        };
    }
    match column.data_type() {
        DataType::Int8 => each!(Int8Type, f64::from),
        DataType::Int16 => each!(Int16Type, f64::from),
        DataType::Int32 => each!(Int32Type, f64::from),
        DataType::Int64 => each!(Int64Type, |v| v as f64),
        DataType::UInt8 => each!(UInt8Type, f64::from),
        DataType::UInt16 => each!(UInt16Type, f64::from),
        DataType::UInt32 => each!(UInt32Type, f64::from),
        DataType::UInt64 => each!(UInt64Type, |v| v as f64),
        DataType::Float32 => each!(Float32Type, f64::from),
        DataType::Float64 => each!(Float64Type, |v| v),
        DataType::Decimal128(_, scale) => {
            let power = 10_f64.powi(i32::from(*scale));
            each!(Decimal128Type, |v| v as f64 / power);
        }
        DataType::Date32 => each!(Date32Type, |v| f64::from(v) * 86_400.0),
        DataType::Date64 => each!(Date64Type, |v| v as f64 / 1e3),
        DataType::Timestamp(TimeUnit::Second, _) => each!(TimestampSecondType, |v| v as f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => each!(TimestampMillisecondType, |v| v as f64 / 1e3),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each!(TimestampMicrosecondType, |v| v as f64 / 1e6),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => each!(TimestampNanosecondType, |v| v as f64 / 1e9),
        _ => return false,
    }
    true
}

fn each<T: ArrowPrimitiveType>(column: &ArrayRef, out: &mut Vec<i64>, value: impl Fn(T::Native) -> f64) {
    out.extend(column.as_primitive::<T>().values().iter().map(|v| key(value(*v))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_doubles_do_and_give_them_back() {
        let ordered =
            [f64::NEG_INFINITY, f64::MIN, -2.5, -f64::MIN_POSITIVE, 0.0, 1e-300, 1.0, 1.5, f64::MAX, f64::INFINITY];
        assert!(ordered.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert!(ordered.iter().all(|v| number(key(*v)).to_bits() == v.to_bits()));
        assert_eq!(key(-0.0), key(0.0));
        assert!(key(-f64::NAN) > key(f64::INFINITY) && key(-f64::NAN) == key(f64::NAN));
    }
}
