//! One hash a value, equal for equal SQL values of whatever width, scale or layout. It must not know sketches.
//!
//! The hashes are stored inside sketches in users' tables: they never change. Whole numbers within bigint hash alike in
//! every number type; a date hashes as the timestamp of its midnight. Families (number, time, text, bytea, boolean) are
//! salted apart.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use thalweg_core::hash_bytes;

const NUMBER: u64 = 0x8f14_2ab6_93d7_0c55;
const FRACTION: u64 = 0x3b9d_51e8_f206_a7c1;
const DECIMAL: u64 = 0xd45e_9037_1c6b_82fd;
const TIME: u64 = 0x61c8_e3f9_0a75_b42d;
const TEXT: u64 = 0xa90b_7d24_e85f_316b;
const BYTES: u64 = 0x17f3_c68a_5be0_94d9;
const BOOLEAN: u64 = 0xe2a5_0f7b_46d1_c983;

/// The bits of the only NaN.
const NAN: u64 = 0x7ff8_0000_0000_0000;

/// Writes the hash of each row to `out`; what it writes for a null means nothing. `false`: the type has no hash.
pub(crate) fn hash_values(column: &ArrayRef, out: &mut Vec<u64>) -> bool {
    out.clear();
    macro_rules! each {
        ($t:ty, $f:expr) => {
            each::<$t>(column, out, $f)
        };
    }
    match column.data_type() {
        DataType::Int8 => each!(Int8Type, |v| whole(i64::from(v))),
        DataType::Int16 => each!(Int16Type, |v| whole(i64::from(v))),
        DataType::Int32 => each!(Int32Type, |v| whole(i64::from(v))),
        DataType::Int64 => each!(Int64Type, whole),
        DataType::UInt8 => each!(UInt8Type, |v| whole(i64::from(v))),
        DataType::UInt16 => each!(UInt16Type, |v| whole(i64::from(v))),
        DataType::UInt32 => each!(UInt32Type, |v| whole(i64::from(v))),
        DataType::UInt64 => each!(UInt64Type, |v| decimal(i128::from(v), 0)),
        DataType::Float32 => each!(Float32Type, |v| float(f64::from(v))),
        DataType::Float64 => each!(Float64Type, float),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            each!(Decimal128Type, |v| decimal(v, scale));
        }
        DataType::Date32 => each!(Date32Type, |v| time(i128::from(v) * 86_400_000_000_000)),
        DataType::Date64 => each!(Date64Type, |v| time(i128::from(v) * 1_000_000)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            each!(TimestampSecondType, |v| time(i128::from(v) * 1_000_000_000));
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each!(TimestampMillisecondType, |v| time(i128::from(v) * 1_000_000));
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each!(TimestampMicrosecondType, |v| time(i128::from(v) * 1_000));
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => each!(TimestampNanosecondType, |v| time(i128::from(v))),
        DataType::Boolean => out.extend(column.as_boolean().values().iter().map(|v| mix(BOOLEAN, u64::from(v)))),
        DataType::Utf8 => {
            out.extend(column.as_string::<i32>().iter().map(|v| bytes(TEXT, v.unwrap_or_default().as_bytes())));
        }
        DataType::LargeUtf8 => {
            out.extend(column.as_string::<i64>().iter().map(|v| bytes(TEXT, v.unwrap_or_default().as_bytes())));
        }
        DataType::Utf8View => {
            out.extend(column.as_string_view().iter().map(|v| bytes(TEXT, v.unwrap_or_default().as_bytes())));
        }
        DataType::Binary => {
            out.extend(column.as_binary::<i32>().iter().map(|v| bytes(BYTES, v.unwrap_or_default())));
        }
        DataType::LargeBinary => {
            out.extend(column.as_binary::<i64>().iter().map(|v| bytes(BYTES, v.unwrap_or_default())));
        }
        DataType::BinaryView => {
            out.extend(column.as_binary_view().iter().map(|v| bytes(BYTES, v.unwrap_or_default())));
        }
        _ => return false,
    }
    true
}

fn each<T: ArrowPrimitiveType>(column: &ArrayRef, out: &mut Vec<u64>, hash: impl Fn(T::Native) -> u64) {
    out.extend(column.as_primitive::<T>().values().iter().map(|v| hash(*v)));
}

/// The finaliser of Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014): a bijection of words.
#[inline]
pub(crate) fn mix(salt: u64, word: u64) -> u64 {
    let mut z = word ^ salt;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[inline]
fn wide(salt: u64, value: i128) -> u64 {
    mix(mix(salt, (value >> 64) as u64), value as u64)
}

#[inline]
fn bytes(salt: u64, value: &[u8]) -> u64 {
    mix(salt, hash_bytes(value))
}

#[inline]
fn whole(value: i64) -> u64 {
    mix(NUMBER, value as u64)
}

/// A float that is a whole number within bigint hashes as that number; so −0 as 0.
#[inline]
fn float(value: f64) -> u64 {
    let near = value as i64;
    if near as f64 == value && near != i64::MAX { whole(near) } else { mix(FRACTION, float_bits(value)) }
}

/// The bits of a float: one zero, one NaN.
#[inline]
pub(crate) fn float_bits(value: f64) -> u64 {
    if value.is_nan() { NAN } else { (value + 0.0).to_bits() }
}

fn decimal(value: i128, scale: i8) -> u64 {
    let (digits, scale) = shortest(value, scale);
    if scale <= 0 {
        let power = 10_i128.checked_pow(u32::from(scale.unsigned_abs()));
        let number = power.and_then(|p| digits.checked_mul(p)).and_then(|v| i64::try_from(v).ok());
        if let Some(number) = number {
            return whole(number);
        }
    }
    mix(wide(DECIMAL, digits), scale as u64)
}

/// The same number with no zeros at its end: `digits · 10^−scale`.
pub(crate) fn shortest(value: i128, scale: i8) -> (i128, i8) {
    if value == 0 {
        return (0, 0);
    }
    let mut scale = scale;
    // Division of 64 bits is many times as fast, and most numerics fit.
    if let Ok(mut digits) = i64::try_from(value) {
        while digits % 10 == 0 && scale > i8::MIN {
            digits /= 10;
            scale -= 1;
        }
        return (i128::from(digits), scale);
    }
    let mut digits = value;
    while digits % 10 == 0 && scale > i8::MIN {
        digits /= 10;
        scale -= 1;
    }
    (digits, scale)
}

#[inline]
fn time(nanos: i128) -> u64 {
    let micros = nanos.div_euclid(1_000);
    match (i64::try_from(micros), nanos.rem_euclid(1_000)) {
        (Ok(micros), 0) => mix(TIME, micros as u64),
        _ => wide(TIME, nanos),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array, Int32Array,
        Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray, TimestampSecondArray,
    };

    use super::*;

    fn hashes(column: ArrayRef) -> Vec<u64> {
        let mut out = Vec::new();
        assert!(hash_values(&column, &mut out));
        out
    }

    fn numeric(values: Vec<i128>, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).expect("fits"))
    }

    #[test]
    fn whole_numbers_hash_alike_in_every_number_type() {
        let bigint = hashes(Arc::new(Int64Array::from(vec![2, -7, 0])));
        assert_eq!(bigint, hashes(Arc::new(Int16Array::from(vec![2, -7, 0]))));
        assert_eq!(bigint, hashes(Arc::new(Int32Array::from(vec![2, -7, 0]))));
        assert_eq!(bigint, hashes(Arc::new(Float32Array::from(vec![2.0, -7.0, -0.0]))));
        assert_eq!(bigint, hashes(Arc::new(Float64Array::from(vec![2.0, -7.0, 0.0]))));
        assert_eq!(bigint, hashes(numeric(vec![200, -700, 0], 2)));
        assert_eq!(bigint, hashes(numeric(vec![2, -7, 0], 0)));
    }

    #[test]
    fn decimals_hash_by_value_not_by_scale() {
        assert_eq!(hashes(numeric(vec![15, 10_i128.pow(30)], 1)), hashes(numeric(vec![1500, 10_i128.pow(32)], 3)));
        assert_ne!(hashes(numeric(vec![15], 1)), hashes(numeric(vec![15], 2)));
        assert_eq!(hashes(numeric(vec![5], -2)), hashes(Arc::new(Int64Array::from(vec![500]))));
    }

    #[test]
    fn every_nan_is_one_and_bounds_of_bigint_are_kept_apart() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let got = hashes(Arc::new(Float64Array::from(vec![f64::NAN, odd, -f64::NAN, 9.3e18, 0.5])));
        assert!(got[0] == got[1] && got[1] == got[2] && got[3] != got[0] && got[4] != got[0]);
        let edge = hashes(Arc::new(Float64Array::from(vec![9_223_372_036_854_775_808.0])));
        assert_ne!(edge, hashes(Arc::new(Int64Array::from(vec![i64::MAX]))));
    }

    #[test]
    fn a_date_is_the_timestamp_of_its_midnight() {
        let date = hashes(Arc::new(Date32Array::from(vec![19_000])));
        assert_eq!(date, hashes(Arc::new(TimestampMicrosecondArray::from(vec![19_000 * 86_400_000_000]))));
        assert_eq!(date, hashes(Arc::new(TimestampSecondArray::from(vec![19_000 * 86_400]).with_timezone("+00:00"))));
    }

    #[test]
    fn layouts_of_text_hash_alike_and_families_apart() {
        let text = hashes(Arc::new(StringArray::from(vec!["1", "a text longer than twelve bytes"])));
        assert_eq!(text, hashes(Arc::new(StringViewArray::from(vec!["1", "a text longer than twelve bytes"]))));
        assert_ne!(text[0], hashes(Arc::new(BinaryArray::from(vec![&b"1"[..]])))[0]);
        assert_ne!(hashes(Arc::new(BooleanArray::from(vec![true]))), hashes(Arc::new(Int64Array::from(vec![1]))));
    }

    #[test]
    fn hashes_never_change() {
        let golden: Vec<u64> = vec![
            hashes(Arc::new(Int64Array::from(vec![1])))[0],
            hashes(Arc::new(Float64Array::from(vec![0.1])))[0],
            hashes(numeric(vec![15], 1))[0],
            hashes(Arc::new(StringArray::from(vec!["thalweg"])))[0],
            hashes(Arc::new(Date32Array::from(vec![0])))[0],
            hashes(Arc::new(BooleanArray::from(vec![true])))[0],
            hashes(Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]])))[0],
        ];
        assert_eq!(golden, GOLDEN, "sketches in users' tables depend on these values");
    }

    const GOLDEN: [u64; 7] = [
        16_255_121_123_099_950_533,
        14_496_582_249_845_397_403,
        18_406_371_635_531_332_034,
        6_067_502_492_713_774_171,
        680_133_885_654_429_967,
        5_322_020_089_063_457_238,
        3_353_217_805_194_611_583,
    ];
}
