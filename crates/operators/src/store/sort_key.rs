//! Sort keys: the ORDER BY columns of a row as one value whose natural order is the order asked for.
//! It must not know partitions.

use std::fmt;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
#[cfg(test)]
use arrow::array::{Float32Array, Float64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::row::{RowConverter, SortField};
use thalweg_core::Result;
use thalweg_plan::OrderKey;

/// A row's sort key; a smaller one comes first.
pub(crate) trait SortKey: Ord + Clone + fmt::Debug + 'static {
    /// The keys of all rows.
    fn encode(encoder: &KeyEncoder, columns: &[ArrayRef], rows: usize) -> Result<Vec<Self>>;
}

/// No or one column of at most 64 bits: null rank, then the value.
pub(crate) type SingleKey = [u32; 3];
/// Two such columns.
pub(crate) type PairKey = [u32; 6];
/// Any columns, as Arrow's row format.
pub(crate) type WideKey = Box<[u8]>;

/// Which key type serves an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyWidth {
    /// [`SingleKey`].
    Single,
    /// [`PairKey`].
    Pair,
    /// [`WideKey`].
    Wide,
}

/// Encodes the order columns of batches.
pub(crate) struct KeyEncoder {
    order: Vec<OrderKey>,
    converter: Option<RowConverter>,
}

impl fmt::Debug for KeyEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEncoder").field("order", &self.order).finish_non_exhaustive()
    }
}

impl KeyEncoder {
    /// For rows of `schema` in `order`.
    ///
    /// # Errors
    /// A column that cannot be ordered.
    pub(crate) fn new(schema: &SchemaRef, order: &[OrderKey]) -> Result<Self> {
        let converter = if Self::width(schema, order) == KeyWidth::Wide {
            let field = |key: &OrderKey| {
                let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                SortField::new_with_options(schema.field(key.column).data_type().clone(), options)
            };
            Some(RowConverter::new(order.iter().map(field).collect())?)
        } else {
            None
        };
        Ok(Self { order: order.to_vec(), converter })
    }

    /// The narrowest key type for an order.
    pub(crate) fn width(schema: &SchemaRef, order: &[OrderKey]) -> KeyWidth {
        if order.len() > 2 || !order.iter().all(|key| is_narrow(schema.field(key.column).data_type())) {
            KeyWidth::Wide
        } else if order.len() == 2 {
            KeyWidth::Pair
        } else {
            KeyWidth::Single
        }
    }

    /// The order's columns.
    pub(crate) fn columns(&self) -> Vec<usize> {
        self.order.iter().map(|key| key.column).collect()
    }

    fn narrow(&self, i: usize, column: &ArrayRef, mut put: impl FnMut(usize, [u32; 3])) {
        let OrderKey { descending, nulls_first, .. } = self.order[i];
        let flip = if descending { u64::MAX } else { 0 };
        let null = [if nulls_first { 0 } else { 2 }, 0, 0];
        each_code(column, |row, code| match code {
            None => put(row, null),
            Some(code) => {
                let code = code ^ flip;
                put(row, [1, (code >> 32) as u32, code as u32]);
            }
        });
    }
}

impl SortKey for SingleKey {
    fn encode(encoder: &KeyEncoder, columns: &[ArrayRef], rows: usize) -> Result<Vec<Self>> {
        let mut keys = vec![[0; 3]; rows];
        if let [column] = columns {
            encoder.narrow(0, column, |row, code| keys[row] = code);
        }
        Ok(keys)
    }
}

impl SortKey for PairKey {
    fn encode(encoder: &KeyEncoder, columns: &[ArrayRef], rows: usize) -> Result<Vec<Self>> {
        let mut keys = vec![[0; 6]; rows];
        for (i, column) in columns.iter().enumerate() {
            encoder.narrow(i, column, |row, code| keys[row][i * 3..][..3].copy_from_slice(&code));
        }
        Ok(keys)
    }
}

impl SortKey for WideKey {
    fn encode(encoder: &KeyEncoder, columns: &[ArrayRef], _rows: usize) -> Result<Vec<Self>> {
        let Some(converter) = &encoder.converter else { return Ok(Vec::new()) };
        let columns: Vec<ArrayRef> = columns.iter().map(plain_floats).collect();
        Ok(converter.convert_columns(&columns)?.iter().map(|row| Box::from(row.as_ref())).collect())
    }
}

/// −0 as 0 and every NaN as the one that is above infinity, as PostgreSQL orders them.
fn plain_floats(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let plain = |v: f64| if v.is_nan() { f64::NAN.abs() } else { v + 0.0 };
            std::sync::Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(plain)) as ArrayRef
        }
        DataType::Float32 => {
            let plain = |v: f32| if v.is_nan() { f32::NAN.abs() } else { v + 0.0 };
            std::sync::Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(plain)) as ArrayRef
        }
        _ => ArrayRef::clone(column),
    }
}

fn is_narrow(data_type: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Float32, Float64, Int8, Int16, Int32, Int64, Time32, Time64, Timestamp};
    matches!(
        data_type,
        Int8 | Int16
            | Int32
            | Int64
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(_, _)
            | Float32
            | Float64
            | Boolean
    )
}

/// Calls `f` with each row's value as a number in the order of the type, or `None` for null.
fn each_code(column: &ArrayRef, mut f: impl FnMut(usize, Option<u64>)) {
    const SIGN: u64 = 1 << 63;
    fn each<T: ArrowPrimitiveType>(
        column: &ArrayRef,
        code: impl Fn(T::Native) -> u64,
        f: &mut impl FnMut(usize, Option<u64>),
    ) {
        let array = column.as_primitive::<T>();
        match array.nulls().filter(|n| n.null_count() > 0) {
            None => array.values().iter().enumerate().for_each(|(row, v)| f(row, Some(code(*v)))),
            Some(nulls) => {
                let values = array.values().iter().enumerate();
                values.for_each(|(row, v)| f(row, nulls.is_valid(row).then(|| code(*v))));
            }
        }
    }
    let small = |v: i32| (i64::from(v) as u64) ^ SIGN;
    let large = |v: i64| (v as u64) ^ SIGN;
    match column.data_type() {
        DataType::Int8 => each::<Int8Type>(column, |v| small(i32::from(v)), &mut f),
        DataType::Int16 => each::<Int16Type>(column, |v| small(i32::from(v)), &mut f),
        DataType::Int32 => each::<Int32Type>(column, small, &mut f),
        DataType::Int64 => each::<Int64Type>(column, large, &mut f),
        DataType::Date32 => each::<Date32Type>(column, small, &mut f),
        DataType::Date64 => each::<Date64Type>(column, large, &mut f),
        DataType::Time32(TimeUnit::Second) => each::<Time32SecondType>(column, small, &mut f),
        DataType::Time32(_) => each::<Time32MillisecondType>(column, small, &mut f),
        DataType::Time64(TimeUnit::Microsecond) => each::<Time64MicrosecondType>(column, large, &mut f),
        DataType::Time64(_) => each::<Time64NanosecondType>(column, large, &mut f),
        DataType::Timestamp(TimeUnit::Second, _) => each::<TimestampSecondType>(column, large, &mut f),
        DataType::Timestamp(TimeUnit::Millisecond, _) => each::<TimestampMillisecondType>(column, large, &mut f),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each::<TimestampMicrosecondType>(column, large, &mut f),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => each::<TimestampNanosecondType>(column, large, &mut f),
        DataType::Float32 => each::<Float32Type>(column, |v| float_code(f64::from(v)), &mut f),
        DataType::Float64 => each::<Float64Type>(column, float_code, &mut f),
        _ => column.as_boolean().iter().enumerate().for_each(|(row, v)| f(row, v.map(u64::from))),
    }
}

fn float_code(value: f64) -> u64 {
    let bits = if value.is_nan() { f64::NAN.abs().to_bits() } else { (value + 0.0).to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn sorted<K: SortKey>(column: ArrayRef, descending: bool, nulls_first: bool) -> Vec<usize> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", column.data_type().clone(), true)]));
        let order = [OrderKey { column: 0, descending, nulls_first }];
        let encoder = KeyEncoder::new(&schema, &order).expect("ordered type");
        let keys = K::encode(&encoder, std::slice::from_ref(&column), column.len()).expect("encodes");
        let mut rows: Vec<usize> = (0..column.len()).collect();
        rows.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
        rows
    }

    #[test]
    fn keys_sort_as_the_order_asks() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None, Some(i64::MIN), Some(i64::MAX), Some(-1)]));
        assert_eq!(sorted::<SingleKey>(Arc::clone(&ints), false, false), [2, 4, 0, 3, 1]);
        assert_eq!(sorted::<SingleKey>(Arc::clone(&ints), true, true), [1, 3, 0, 4, 2]);
        assert_eq!(sorted::<SingleKey>(ints, true, false), [3, 0, 4, 2, 1]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0, -0.0, 0.0, f64::NEG_INFINITY, -2.5]));
        assert_eq!(sorted::<SingleKey>(floats, false, false), [4, 5, 2, 3, 1, 0]);
        let singles: ArrayRef = Arc::new(Float32Array::from(vec![1.5, -1.5, 0.0]));
        assert_eq!(sorted::<SingleKey>(singles, true, false), [0, 2, 1]);
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("b"), None, Some("a"), Some("")]));
        assert_eq!(sorted::<WideKey>(text, false, true), [1, 3, 2, 0]);
    }
}
