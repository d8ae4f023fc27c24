//! What the tests of sketches share: short ways to build, feed and ask.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use thalweg_analysis::sketch::{GroupSketches, build, call};

/// Every way to make a sketch, with its type of argument and parameters.
pub const MAKERS: [(&str, DataType, &[f64]); 6] = [
    ("hll_sketch", DataType::Int64, &[10.0]),
    ("quantile_sketch", DataType::Int64, &[50.0]),
    ("top_k_sketch", DataType::Int64, &[3.0]),
    ("top_k_sketch", DataType::Utf8, &[3.0]),
    ("bloom_sketch", DataType::Int64, &[1000.0, 0.01]),
    ("bloom_sketch", DataType::Utf8, &[5000.0, 0.001]),
];

pub fn start(maker: &(&str, DataType, &[f64])) -> Box<dyn GroupSketches> {
    build(maker.0, &maker.1, maker.2).expect("a maker")
}

pub fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// The values as the maker takes them.
pub fn column(kind: &DataType, values: &[i64]) -> ArrayRef {
    match kind {
        DataType::Int64 => ints(values.iter().copied()),
        _ => Arc::new(StringArray::from_iter_values(values.iter().map(|v| format!("value {v}")))),
    }
}

pub fn stored(sketches: &dyn GroupSketches, group: u32) -> BinaryArray {
    sketches.save(&[group]).expect("small")
}

pub fn one(bytes: &[u8]) -> ArrayRef {
    Arc::new(BinaryArray::from(vec![bytes]))
}

pub fn number(function: &str, sketch: &ArrayRef, parameters: &[f64]) -> f64 {
    call(function, &[Arc::clone(sketch)], parameters).expect("a sketch").as_primitive::<Float64Type>().value(0)
}

pub fn percentiles(sketch: &ArrayRef, fractions: &[f64]) -> Vec<f64> {
    let fractions: ArrayRef = Arc::new(Float64Array::from(fractions.to_vec()));
    let got = call("sketch_percentile", &[Arc::clone(sketch), fractions], &[]).expect("quantiles");
    got.as_primitive::<Float64Type>().values().to_vec()
}

pub fn text(array: &ArrayRef, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.as_string::<i32>().value(row).to_owned())
}
