//! The codecs of `Ordered`: which key stands for a value of which type. It must not know sets.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::accumulator::Accumulator;
use super::order::{Encoding, SetKey, natives, ranked_type};
use super::ordered::{Codec, Ordered};

/// A native value as an ordered key and back.
pub(crate) trait Keyed: Copy {
    type Key: SetKey;
    fn key(self) -> Self::Key;
    fn value(key: Self::Key) -> Self;
}

macro_rules! narrow {
    ($($t:ty),*) => {$(
        impl Keyed for $t {
            type Key = i64;
            fn key(self) -> i64 {
                i64::from(self)
            }
            fn value(key: i64) -> Self {
                key as $t
            }
        }
    )*};
}
narrow!(i8, i16, i32, i64, u8, u16, u32);

impl Keyed for u64 {
    type Key = i128;
    fn key(self) -> i128 {
        i128::from(self)
    }
    fn value(key: i128) -> Self {
        key as u64
    }
}

impl Keyed for i128 {
    type Key = i128;
    fn key(self) -> i128 {
        self
    }
    fn value(key: i128) -> Self {
        key
    }
}

impl Keyed for f64 {
    type Key = i64;
    /// The usual trick: flip the lower bits of negative numbers, so that the bits order as the numbers do.
    fn key(self) -> i64 {
        let bits = if self.is_nan() { f64::NAN } else { self + 0.0 }.to_bits() as i64;
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    }
    fn value(key: i64) -> Self {
        f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
    }
}

impl Keyed for f32 {
    type Key = i64;
    fn key(self) -> i64 {
        f64::from(self).key()
    }
    fn value(key: i64) -> Self {
        f64::value(key) as f32
    }
}

struct Natives<T>(DataType, PhantomData<T>);

impl<T: ArrowPrimitiveType> Codec<<T::Native as Keyed>::Key> for Natives<T>
where
    T::Native: Keyed,
{
    fn encode(&self, column: &ArrayRef) -> Result<Vec<<T::Native as Keyed>::Key>> {
        Ok(natives::<T>(column)?.iter().map(|v| v.key()).collect())
    }

    fn decode(&self, keys: Vec<Option<<T::Native as Keyed>::Key>>) -> Result<ArrayRef> {
        let values = keys.into_iter().map(|k| k.map(<T::Native as Keyed>::value));
        Ok(Arc::new(values.collect::<PrimitiveArray<T>>().with_data_type(self.0.clone())))
    }
}

impl Codec<Box<[u8]>> for Encoding {
    fn encode(&self, column: &ArrayRef) -> Result<Vec<Box<[u8]>>> {
        let mut keys = Vec::with_capacity(column.len());
        self.each(column, |_, bytes| keys.push(bytes.into()))?;
        Ok(keys)
    }

    fn decode(&self, keys: Vec<Option<Box<[u8]>>>) -> Result<ArrayRef> {
        Encoding::decode(self, keys.iter().map(Option::as_deref))
    }
}

/// A retractable min or max of `data_type`.
pub(crate) fn ordered(data_type: &DataType, max: bool) -> Result<Box<dyn Accumulator>> {
    Ok(ranked_type!(
        data_type,
        T => Box::new(Ordered::new(Natives::<T>(data_type.clone(), PhantomData), max)),
        Box::new(Ordered::new(Encoding::new(data_type)?, max))
    ))
}
