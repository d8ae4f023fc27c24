//! What is written in binary is read back the same, and nothing that is read panics.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringViewArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, IntervalMonthDayNano};
use postgres_types::Type;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::decode::{parameter, read_binary};
use super::*;

/// One value of any type that has a form of its own.
fn value() -> impl Strategy<Value = ArrayRef> {
    fn array<A: Array + 'static>(array: A) -> ArrayRef {
        Arc::new(array)
    }
    prop_oneof![
        any::<bool>().prop_map(|v| array(BooleanArray::from(vec![v]))),
        any::<i16>().prop_map(|v| array(Int16Array::from(vec![v]))),
        any::<i32>().prop_map(|v| array(Int32Array::from(vec![v]))),
        any::<i64>().prop_map(|v| array(Int64Array::from(vec![v]))),
        any::<f32>().prop_map(|v| array(Float32Array::from(vec![v]))),
        any::<f64>().prop_map(|v| array(Float64Array::from(vec![v]))),
        ".*".prop_map(|v| array(StringViewArray::from(vec![v.as_str()]))),
        vec(any::<u8>(), 0..40).prop_map(|v| array(BinaryArray::from(vec![v.as_slice()]))),
        (i32::MIN + EPOCH_DAYS..).prop_map(|v| array(Date32Array::from(vec![v]))),
        (0..=86_400_000_000_i64).prop_map(|v| array(Time64MicrosecondArray::from(vec![v]))),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), i64::MIN + EPOCH_MICROS + 1..i64::MAX]
            .prop_map(|v| array(TimestampMicrosecondArray::from(vec![v]).with_timezone("+00:00"))),
        (any::<i32>(), any::<i32>(), i64::MIN / 1000..i64::MAX / 1000).prop_map(|(months, days, micros)| {
            array(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, micros * 1000)]))
        }),
        vec(option::of(any::<i32>()), 0..5)
            .prop_map(|v| array(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(v)]))),
    ]
}

fn written(column: &ArrayRef, format: Format) -> Vec<u8> {
    let field = Field::new("c", column.data_type().clone(), true);
    let mut out = Vec::new();
    ColumnWriter::new(column, &field, format).expect("a known type").write(0, &mut out);
    out
}

proptest! {
    #[test]
    fn binary_values_come_back_the_same(value in value()) {
        let bytes = written(&value, Format::Binary);
        let field = Field::new("c", value.data_type().clone(), true);
        let read = parameter(Some(&bytes), Format::Binary, &type_of(&field), &field).expect("our own bytes");
        let again = written(&read, Format::Binary);
        prop_assert_eq!(bytes, again);
        if !matches!(value.data_type(), arrow::datatypes::DataType::Utf8View) {
            prop_assert_eq!(&value.to_data(), &read.to_data());
        }
    }

    #[test]
    fn decimals_come_back_as_their_text(unscaled in any::<i128>().prop_map(|v| v / 10), scale in 0_i8..=38) {
        let value = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(38, scale).expect("fits");
        let value: ArrayRef = Arc::new(value);
        let read = read_binary(&Type::NUMERIC, &written(&value, Format::Binary)).expect("our own bytes");
        prop_assert_eq!(written(&read, Format::Text), written(&value, Format::Text));
    }

    #[test]
    fn no_bytes_panic(oid in 0_u32..5000, bytes in vec(any::<u8>(), 0..48)) {
        if let Some(own) = Type::from_oid(oid) {
            let _ = read_binary(&own, &bytes);
        }
    }

    /// A plausible array header reaches the items.
    #[test]
    fn no_array_panics(item in prop_oneof![Just(16_u32), Just(20), Just(25), Just(1700), Just(2950), 0_u32..3000], rest in vec(any::<u8>(), 0..40)) {
        let head = [&1_u32.to_be_bytes()[..], &[0; 4], &item.to_be_bytes(), &2_u32.to_be_bytes(), &[0; 4]].concat();
        let _ = read_binary(&Type::INT4_ARRAY, &[head, rest].concat());
    }
}
