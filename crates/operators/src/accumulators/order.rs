//! How values compare for min and max: as PostgreSQL compares them, NaN above every number. It must not know groups.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryViewArray, StringArray, StringViewArray,
};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, RowParser, SortField};
use std::sync::Arc;
use thalweg_core::{Error, Result};

/// A fixed-width value with a total order.
pub(crate) trait Ranked: Copy {
    const LOWEST: Self;
    const HIGHEST: Self;
    fn below(self, other: Self) -> bool;
}

macro_rules! whole {
    ($($t:ty),*) => {$(
        impl Ranked for $t {
            const LOWEST: Self = <$t>::MIN;
            const HIGHEST: Self = <$t>::MAX;
            #[inline]
            fn below(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}
whole!(i8, i16, i32, i64, u8, u16, u32, u64, i128);

macro_rules! float {
    ($($t:ty),*) => {$(
        impl Ranked for $t {
            const LOWEST: Self = <$t>::NEG_INFINITY;
            const HIGHEST: Self = <$t>::NAN;
            #[inline]
            fn below(self, other: Self) -> bool {
                self < other || (other.is_nan() && !self.is_nan())
            }
        }
    )*};
}
float!(f32, f64);

/// Values of any type as bytes whose order is the order of the values.
#[derive(Debug)]
pub(crate) enum Encoding {
    /// Text and binary are their own bytes.
    Plain(DataType),
    /// Everything else in Arrow's row encoding.
    Rows(Box<RowConverter>, RowParser, DataType),
}

impl Encoding {
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        match data_type {
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => {
                Ok(Self::Plain(data_type.clone()))
            }
            other => {
                let field = SortField::new(other.clone());
                if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
                    return Err(Error::Unsupported(format!("min or max of {other}")));
                }
                let converter = RowConverter::new(vec![field])?;
                let parser = converter.parser();
                Ok(Self::Rows(Box::new(converter), parser, other.clone()))
            }
        }
    }

    /// Calls `f(row, bytes)` for the rows that `rows` names.
    pub(crate) fn each(&self, column: &ArrayRef, mut f: impl FnMut(usize, &[u8])) -> Result<()> {
        let rows = column.len();
        match self {
            Self::Plain(DataType::Utf8View) => {
                let array = column.as_string_view();
                (0..rows).for_each(|row| f(row, array.value(row).as_bytes()));
            }
            Self::Plain(DataType::Utf8) => {
                let array = column.as_string::<i32>();
                (0..rows).for_each(|row| f(row, array.value(row).as_bytes()));
            }
            Self::Plain(DataType::BinaryView) => {
                let array = column.as_binary_view();
                (0..rows).for_each(|row| f(row, array.value(row)));
            }
            Self::Plain(_) => {
                let array = column.as_binary::<i32>();
                (0..rows).for_each(|row| f(row, array.value(row)));
            }
            Self::Rows(converter, _, _) => {
                let encoded = converter.convert_columns(std::slice::from_ref(column))?;
                (0..rows).for_each(|row| f(row, encoded.row(row).data()));
            }
        }
        Ok(())
    }

    /// The values of `encoded` as a column.
    pub(crate) fn decode<'a>(&self, encoded: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef> {
        let text = |bytes: Option<&'a [u8]>| {
            bytes.map(|b| std::str::from_utf8(b).expect("the bytes came from a string column"))
        };
        Ok(match self {
            Self::Plain(DataType::Utf8View) => Arc::new(encoded.map(text).collect::<StringViewArray>()),
            Self::Plain(DataType::Utf8) => Arc::new(encoded.map(text).collect::<StringArray>()),
            Self::Plain(DataType::BinaryView) => Arc::new(encoded.collect::<BinaryViewArray>()),
            Self::Plain(_) => Arc::new(encoded.collect::<BinaryArray>()),
            Self::Rows(converter, parser, data_type) => {
                let null = arrow::array::new_null_array(data_type, 1);
                let null = converter.convert_columns(&[null])?;
                let rows = encoded.map(|bytes| parser.parse(bytes.unwrap_or_else(|| null.row(0).data())));
                let mut columns = converter.convert_rows(rows)?;
                columns.pop().ok_or_else(|| Error::Internal("a row without its column".into()))?
            }
        })
    }
}

/// Runs `$f::<T, …>($args)` with the Arrow type of a fixed-width, ordered `$type`, or `$else`.
macro_rules! ranked_type {
    ($type:expr, $t:ident => $then:expr, $else:expr) => {{
        use arrow::datatypes::*;
        match $type {
            DataType::Int8 => {
                type $t = Int8Type;
                $then
            }
            DataType::Int16 => {
                type $t = Int16Type;
                $then
            }
            DataType::Int32 => {
                type $t = Int32Type;
                $then
            }
            DataType::Int64 => {
                type $t = Int64Type;
                $then
            }
            DataType::UInt8 => {
                type $t = UInt8Type;
                $then
            }
            DataType::UInt16 => {
                type $t = UInt16Type;
                $then
            }
            DataType::UInt32 => {
                type $t = UInt32Type;
                $then
            }
            DataType::UInt64 => {
                type $t = UInt64Type;
                $then
            }
            DataType::Float32 => {
                type $t = Float32Type;
                $then
            }
            DataType::Float64 => {
                type $t = Float64Type;
                $then
            }
            DataType::Decimal128(_, _) => {
                type $t = Decimal128Type;
                $then
            }
            DataType::Date32 => {
                type $t = Date32Type;
                $then
            }
            DataType::Timestamp(TimeUnit::Second, _) => {
                type $t = TimestampSecondType;
                $then
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                type $t = TimestampMillisecondType;
                $then
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                type $t = TimestampMicrosecondType;
                $then
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                type $t = TimestampNanosecondType;
                $then
            }
            _ => $else,
        }
    }};
}
pub(crate) use ranked_type;

/// A value that is kept in an ordered set: fixed-width numbers as themselves, anything else as ordered bytes.
pub(crate) trait SetKey: Ord + Clone + 'static {
    /// Below or equal to every key.
    fn lowest() -> Self;
    /// Bytes outside of the value itself.
    fn heap(&self) -> usize {
        0
    }
}

impl SetKey for i64 {
    fn lowest() -> Self {
        Self::MIN
    }
}

impl SetKey for i128 {
    fn lowest() -> Self {
        Self::MIN
    }
}

impl SetKey for Box<[u8]> {
    fn lowest() -> Self {
        Box::default()
    }

    fn heap(&self) -> usize {
        self.len()
    }
}

/// The native values of `column`, if it is of type `T`.
pub(crate) fn natives<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<&[T::Native]> {
    match column.as_primitive_opt::<T>() {
        Some(array) => Ok(array.values()),
        None => Err(Error::Internal(format!("{} where {} was planned", column.data_type(), T::DATA_TYPE))),
    }
}
