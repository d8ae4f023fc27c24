//! Hashing of key columns and their virtual nodes. The values are part of the checkpoint format: never change them.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use crate::Result;

/// Number of virtual nodes; keys map to vnodes and vnodes to workers, so that state can be moved.
pub const VNODES: usize = 256;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const NULL: u64 = 0xa076_1d64_78bd_642f;

/// The hash of some bytes, the same for ever.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The virtual node of a hash: bits that the hash tables of the operators do not use first.
#[inline]
pub fn vnode(hash: u64) -> u8 {
    (hash >> 48) as u8
}

/// One hash a row over all `columns` (none: the same hash for every row), written to `out`.
///
/// # Errors
/// A column type that Arrow's row format cannot encode.
pub fn hash_columns(columns: &[ArrayRef], rows: usize, out: &mut Vec<u64>) -> Result<()> {
    out.clear();
    out.resize(rows, SEED);
    for column in columns {
        hash_column(column, out)?;
    }
    Ok(())
}

/// A 64 × 64 → 128 bit multiply folded: one multiplication a value, good in all bits.
#[inline]
fn mix(state: u64, value: u64) -> u64 {
    let product = u128::from(state ^ value) * 0xd6e8_feb8_6659_fd93_u128;
    let folded = (product as u64) ^ ((product >> 64) as u64);
    let again = u128::from(folded ^ SEED) * 0xe703_7ed1_a0b4_28db_u128;
    (again as u64) ^ ((again >> 64) as u64)
}

fn hash_column(column: &ArrayRef, out: &mut [u64]) -> Result<()> {
    macro_rules! primitive {
        ($t:ty, $f:expr) => {
            hash_primitive::<$t>(column, out, $f)
        };
    }
    match column.data_type() {
        DataType::Int8 => primitive!(Int8Type, |v| v as u64),
        DataType::Int16 => primitive!(Int16Type, |v| v as u64),
        DataType::Int32 => primitive!(Int32Type, |v| v as u64),
        DataType::Int64 => primitive!(Int64Type, |v| v as u64),
        DataType::UInt8 => primitive!(UInt8Type, u64::from),
        DataType::UInt16 => primitive!(UInt16Type, u64::from),
        DataType::UInt32 => primitive!(UInt32Type, u64::from),
        DataType::UInt64 => primitive!(UInt64Type, |v| v),
        DataType::Date32 => primitive!(Date32Type, |v| v as u64),
        DataType::Date64 => primitive!(Date64Type, |v| v as u64),
        DataType::Timestamp(TimeUnit::Second, _) => primitive!(TimestampSecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive!(TimestampNanosecondType, |v| v as u64),
        DataType::Float32 => primitive!(Float32Type, |v| float_bits(f64::from(v))),
        DataType::Float64 => primitive!(Float64Type, float_bits),
        DataType::Decimal128(_, _) => primitive!(Decimal128Type, |v| (v as u64) ^ ((v >> 64) as u64).rotate_left(32)),
        DataType::Boolean => hash_each(column, out, column.as_boolean().iter().map(|v| v.map(u64::from))),
        DataType::Utf8 => {
            hash_each(column, out, column.as_string::<i32>().iter().map(|v| v.map(|v| xxh3_64(v.as_bytes()))))
        }
        DataType::Utf8View => {
            hash_each(column, out, column.as_string_view().iter().map(|v| v.map(|v| xxh3_64(v.as_bytes()))))
        }
        DataType::Binary => hash_each(column, out, column.as_binary::<i32>().iter().map(|v| v.map(xxh3_64))),
        DataType::BinaryView => hash_each(column, out, column.as_binary_view().iter().map(|v| v.map(xxh3_64))),
        other => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            let rows = converter.convert_columns(std::slice::from_ref(column))?;
            hash_each(column, out, rows.iter().map(|row| Some(xxh3_64(row.as_ref()))))
        }
    }
    Ok(())
}

/// Equal numbers hash alike: −0 as 0, every NaN as one.
fn float_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn hash_primitive<T: ArrowPrimitiveType>(column: &ArrayRef, out: &mut [u64], bits: impl Fn(T::Native) -> u64) {
    let array = column.as_primitive::<T>();
    match array.nulls().filter(|n| n.null_count() > 0) {
        None => {
            for (hash, value) in out.iter_mut().zip(array.values()) {
                *hash = mix(*hash, bits(*value));
            }
        }
        Some(nulls) => {
            for (i, (hash, value)) in out.iter_mut().zip(array.values()).enumerate() {
                *hash = mix(*hash, if nulls.is_valid(i) { bits(*value) } else { NULL });
            }
        }
    }
}

fn hash_each(_column: &ArrayRef, out: &mut [u64], values: impl Iterator<Item = Option<u64>>) {
    for (hash, value) in out.iter_mut().zip(values) {
        *hash = mix(*hash, value.unwrap_or(NULL));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, StringViewArray};

    use super::*;

    fn hashes(columns: &[ArrayRef]) -> Vec<u64> {
        let mut out = Vec::new();
        hash_columns(columns, columns[0].len(), &mut out).expect("hashable");
        out
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        let golden = hashes(&[Arc::new(Int64Array::from(vec![Some(1), Some(2), None])) as ArrayRef]);
        assert_eq!(golden, vec![GOLDEN[0], GOLDEN[1], GOLDEN[2]], "checkpoints depend on these values");
    }

    const GOLDEN: [u64; 3] = [3_757_507_937_776_856_407, 5_611_916_400_918_201_511, 12_424_448_562_630_569_247];

    #[test]
    fn both_string_layouts_and_both_zeros_hash_alike() {
        let text = ["", "a", "a string longer than twelve bytes"];
        let plain = hashes(&[Arc::new(StringArray::from(text.to_vec())) as ArrayRef]);
        let view = hashes(&[Arc::new(StringViewArray::from(text.to_vec())) as ArrayRef]);
        assert_eq!(plain, view);
        let zeros = hashes(&[Arc::new(Float64Array::from(vec![0.0, -0.0])) as ArrayRef]);
        assert_eq!(zeros[0], zeros[1]);
    }

    #[test]
    fn vnodes_are_spread_evenly() {
        let keys = hashes(&[Arc::new(Int64Array::from_iter_values(0..256_000)) as ArrayRef]);
        let mut counts = [0usize; VNODES];
        for hash in keys {
            counts[usize::from(vnode(hash))] += 1;
        }
        assert!(counts.iter().all(|&n| (800..1200).contains(&n)), "{counts:?}");
    }
}
