//! `Layout`: fixed-width key columns packed into one machine word and back. It must not know hash tables.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use thalweg_core::{Error, Result};

/// A word that holds a whole key.
pub(super) trait Word: Copy + Eq + std::hash::Hash + std::fmt::Debug + Default {
    fn or_shifted(self, value: u128, shift: u32) -> Self;
    fn shifted(self, shift: u32) -> u128;
}

impl Word for u64 {
    #[inline]
    fn or_shifted(self, value: u128, shift: u32) -> Self {
        self | ((value as u64) << shift)
    }

    #[inline]
    fn shifted(self, shift: u32) -> u128 {
        u128::from(self >> shift)
    }
}

impl Word for u128 {
    #[inline]
    fn or_shifted(self, value: u128, shift: u32) -> Self {
        self | (value << shift)
    }

    #[inline]
    fn shifted(self, shift: u32) -> u128 {
        self >> shift
    }
}

/// Which bits of the word each column has, first column lowest.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    types: Vec<DataType>,
    shifts: Vec<u32>,
    bits: u32,
}

/// Runs `$f` with `$t` the Arrow type of a fixed-width `$type`, or `$else`.
macro_rules! primitive {
    ($type:expr, $f:ident, ($($arg:expr),*), $else:expr) => {
        match $type {
            DataType::Int8 => $f::<_, Int8Type>($($arg),*, |v| u128::from(v as u8), |b| b as i8),
            DataType::Int16 => $f::<_, Int16Type>($($arg),*, |v| u128::from(v as u16), |b| b as i16),
            DataType::Int32 => $f::<_, Int32Type>($($arg),*, |v| u128::from(v as u32), |b| b as i32),
            DataType::Int64 => $f::<_, Int64Type>($($arg),*, |v| u128::from(v as u64), |b| b as i64),
            DataType::UInt8 => $f::<_, UInt8Type>($($arg),*, u128::from, |b| b as u8),
            DataType::UInt16 => $f::<_, UInt16Type>($($arg),*, u128::from, |b| b as u16),
            DataType::UInt32 => $f::<_, UInt32Type>($($arg),*, u128::from, |b| b as u32),
            DataType::UInt64 => $f::<_, UInt64Type>($($arg),*, u128::from, |b| b as u64),
            DataType::Date32 => $f::<_, Date32Type>($($arg),*, |v| u128::from(v as u32), |b| b as i32),
            DataType::Date64 => $f::<_, Date64Type>($($arg),*, |v| u128::from(v as u64), |b| b as i64),
            DataType::Timestamp(TimeUnit::Second, _) => {
                $f::<_, TimestampSecondType>($($arg),*, |v| u128::from(v as u64), |b| b as i64)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                $f::<_, TimestampMillisecondType>($($arg),*, |v| u128::from(v as u64), |b| b as i64)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                $f::<_, TimestampMicrosecondType>($($arg),*, |v| u128::from(v as u64), |b| b as i64)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                $f::<_, TimestampNanosecondType>($($arg),*, |v| u128::from(v as u64), |b| b as i64)
            }
            DataType::Float32 => $f::<_, Float32Type>(
                $($arg),*,
                |v| u128::from(if v.is_nan() { f32::NAN } else { v + 0.0 }.to_bits()),
                |b| f32::from_bits(b as u32)
            ),
            DataType::Float64 => $f::<_, Float64Type>(
                $($arg),*,
                |v| u128::from(if v.is_nan() { f64::NAN } else { v + 0.0 }.to_bits()),
                |b| f64::from_bits(b as u64)
            ),
            DataType::Decimal128(_, _) => $f::<_, Decimal128Type>($($arg),*, |v| v as u128, |b| b as i128),
            _ => $else,
        }
    };
}

impl Layout {
    /// The layout of `types`, if all have a fixed width.
    pub(super) fn of(types: &[DataType]) -> Option<Self> {
        let mut shifts = Vec::with_capacity(types.len());
        let mut bits = 0;
        for t in types {
            shifts.push(bits);
            bits += width(t)?;
        }
        (bits <= 128).then(|| Self { types: types.to_vec(), shifts, bits })
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// One word a row into `words`; into `masks` a bit per null column, or nothing when there is no null.
    pub(super) fn pack<K: Word>(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        words: &mut Vec<K>,
        masks: &mut Vec<u32>,
    ) -> Result<()> {
        words.clear();
        words.resize(rows, K::default());
        masks.clear();
        for (i, (column, shift)) in columns.iter().zip(&self.shifts).enumerate() {
            if column.len() != rows {
                return Err(Error::Internal(format!("key column of {} rows for {rows} hashes", column.len())));
            }
            if column.null_count() > 0 {
                masks.resize(rows, 0);
                for (row, mask) in masks.iter_mut().enumerate() {
                    *mask |= u32::from(column.is_null(row)) << i;
                }
            }
            if let DataType::Boolean = column.data_type() {
                for (word, value) in words.iter_mut().zip(column.as_boolean().iter()) {
                    *word = word.or_shifted(u128::from(value.unwrap_or(false)), *shift);
                }
                continue;
            }
            primitive!(column.data_type(), pack_column, (column, *shift, words), unreachable_type(column.data_type())?);
        }
        Ok(())
    }

    /// The columns of `words`; `masks` (empty, or one a word) says which values are null.
    pub(super) fn unpack<K: Word>(&self, words: &[K], masks: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.types.len());
        for (i, (data_type, shift)) in self.types.iter().zip(&self.shifts).enumerate() {
            let nulls = (!masks.is_empty()).then(|| NullBuffer::from_iter(masks.iter().map(|m| m >> i & 1 == 0)));
            let nulls = nulls.filter(|n| n.null_count() > 0);
            if let DataType::Boolean = data_type {
                let values = words.iter().map(|w| w.shifted(*shift) & 1 == 1).collect();
                columns.push(Arc::new(BooleanArray::new(values, nulls)) as ArrayRef);
                continue;
            }
            columns.push(primitive!(
                data_type,
                unpack_column,
                (data_type, *shift, words, nulls),
                return Err(unreachable_type(data_type).expect_err("always an error"))
            ));
        }
        Ok(columns)
    }
}

fn width(t: &DataType) -> Option<u32> {
    match t {
        DataType::Boolean => Some(8),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(_, _)
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(_, _) => t.primitive_width().and_then(|bytes| u32::try_from(bytes * 8).ok()),
        _ => None,
    }
}

fn unreachable_type(t: &DataType) -> Result<()> {
    Err(Error::Internal(format!("{t} has no fixed-width key")))
}

fn pack_column<K: Word, T: ArrowPrimitiveType>(
    column: &ArrayRef,
    shift: u32,
    words: &mut [K],
    bits: impl Fn(T::Native) -> u128,
    _back: impl Fn(u128) -> T::Native,
) {
    let array = column.as_primitive::<T>();
    match array.nulls().filter(|n| n.null_count() > 0) {
        None => {
            for (word, value) in words.iter_mut().zip(array.values()) {
                *word = word.or_shifted(bits(*value), shift);
            }
        }
        Some(nulls) => {
            for (row, (word, value)) in words.iter_mut().zip(array.values()).enumerate() {
                if nulls.is_valid(row) {
                    *word = word.or_shifted(bits(*value), shift);
                }
            }
        }
    }
}

fn unpack_column<K: Word, T: ArrowPrimitiveType>(
    data_type: &DataType,
    shift: u32,
    words: &[K],
    nulls: Option<NullBuffer>,
    _bits: impl Fn(T::Native) -> u128,
    back: impl Fn(u128) -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = words.iter().map(|w| back(w.shifted(shift))).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}
