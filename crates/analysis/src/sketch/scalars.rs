//! Scalar functions over stored sketches, by whole columns. It must not know SQL text or groups.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Float64Builder, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datasketches::common::NumStdDev;

use super::any::AnySketch;
use super::build::{accepted, parameter_values, signature};
use super::groups::binary;
use super::hash::hash_values;
use super::json::{describe_json, top_json};
use super::limits::MOST_ARRAY_BYTES;
use super::number::number;
use super::quantiles::rank_error;
use super::signatures::Role;
use super::{Interval, SketchError};

/// A scalar function over columns: `arguments` as its [`Signature`](super::Signature) says, each with a value a row; an
/// array of one value stands for a constant. `parameters` are the constants after them. NULL gives NULL.
///
/// A sketch that repeats from row to row is read once.
///
/// # Errors
/// No such function, wrong types, a parameter out of its range, bytes that are no sketch, or a kind of sketch that the
/// function does not work on.
pub fn call(function: &str, arguments: &[ArrayRef], parameters: &[f64]) -> Result<ArrayRef, SketchError> {
    let signature = signature(function, Role::Scalar)?;
    let types: Vec<DataType> = arguments.iter().map(|a| a.data_type().clone()).collect();
    accepted(signature, &types)?;
    let parameters = parameter_values(signature, parameters)?;
    let rows = rows_of(arguments)?;
    let first = binary_column(&arguments[0])?;
    let sketches = Stored { column: &first, rows };
    Ok(match signature.name {
        "sketch_union" => Arc::new(union(&sketches, &binary_column(&arguments[1])?)?),
        "sketch_estimate" => sketches.doubles(|s| Ok(Some(estimate(s))))?,
        "sketch_lower" => {
            let deviations = deviations(parameters[0]);
            sketches.doubles(|s| Ok(Some(bounds(s, deviations).lower)))?
        }
        "sketch_upper" => {
            let deviations = deviations(parameters[0]);
            sketches.doubles(|s| Ok(Some(bounds(s, deviations).upper)))?
        }
        "sketch_error" => sketches.doubles(|s| Ok(Some(error(s))))?,
        "sketch_percentile" => percentile(&sketches, &arguments[1])?,
        "sketch_contains" => contains(&sketches, &arguments[1])?,
        "sketch_top" => sketches.texts(top)?,
        _ => sketches.texts(|sketch, bytes, out| {
            describe_json(sketch, bytes, out);
            Ok(())
        })?,
    })
}

/// The rows of a call: constants repeat.
fn rows_of(arguments: &[ArrayRef]) -> Result<usize, SketchError> {
    let rows = arguments.iter().map(|a| a.len()).find(|rows| *rows != 1).unwrap_or(1);
    let odd = arguments.iter().map(|a| a.len()).find(|n| *n != 1 && *n != rows);
    odd.map_or(Ok(rows), |odd| Err(SketchError::Rows(rows, odd)))
}

fn binary_column(column: &ArrayRef) -> Result<BinaryArray, SketchError> {
    let plain = cast(column, &DataType::Binary).map_err(|_| SketchError::TooManyBytes { limit: MOST_ARRAY_BYTES })?;
    Ok(plain.as_binary::<i32>().clone())
}

/// A column of sketches, each read once as long as it repeats.
struct Stored<'a> {
    column: &'a BinaryArray,
    rows: usize,
}

/// The place of a row in a column or constant.
fn place(column: &dyn Array, row: usize) -> usize {
    if column.len() == 1 { 0 } else { row }
}

impl Stored<'_> {
    /// Calls `f` for each row, with the sketch and its bytes; nothing for NULL.
    fn each(
        &self,
        mut f: impl FnMut(usize, Option<(&AnySketch, &[u8])>) -> Result<(), SketchError>,
    ) -> Result<(), SketchError> {
        let mut last: Option<(&[u8], AnySketch)> = None;
        for row in 0..self.rows {
            let at = place(self.column, row);
            if self.column.is_null(at) {
                f(row, None)?;
                continue;
            }
            let bytes = self.column.value(at);
            let sketch = match last.take() {
                Some((known, sketch)) if std::ptr::eq(known, bytes) || known == bytes => sketch,
                _ => AnySketch::decode(bytes)?,
            };
            f(row, Some((&sketch, bytes)))?;
            last = Some((bytes, sketch));
        }
        Ok(())
    }

    fn doubles(&self, f: impl Fn(&AnySketch) -> Result<Option<f64>, SketchError>) -> Result<ArrayRef, SketchError> {
        let mut out = Float64Builder::with_capacity(self.rows);
        self.each(|_, sketch| {
            out.append_option(sketch.map(|(s, _)| f(s)).transpose()?.flatten());
            Ok(())
        })?;
        Ok(Arc::new(out.finish()))
    }

    fn texts(
        &self,
        f: impl Fn(&AnySketch, usize, &mut String) -> Result<(), SketchError>,
    ) -> Result<ArrayRef, SketchError> {
        let mut out: Vec<Option<String>> = Vec::with_capacity(self.rows);
        let mut total = 0;
        self.each(|_, sketch| {
            let Some((sketch, bytes)) = sketch else {
                out.push(None);
                return Ok(());
            };
            let mut text = String::new();
            f(sketch, bytes.len(), &mut text)?;
            total += text.len();
            out.push(Some(text));
            if total > MOST_ARRAY_BYTES { Err(SketchError::TooManyBytes { limit: MOST_ARRAY_BYTES }) } else { Ok(()) }
        })?;
        Ok(Arc::new(StringArray::from(out)))
    }
}

fn union(sketches: &Stored<'_>, others: &BinaryArray) -> Result<BinaryArray, SketchError> {
    let mut out = Vec::with_capacity(sketches.rows);
    sketches.each(|row, sketch| {
        let at = place(others, row);
        out.push(match sketch {
            Some((sketch, _)) if others.is_valid(at) => {
                let mut merged = sketch.clone();
                merged.merge(AnySketch::decode(others.value(at))?)?;
                Some(merged.encode())
            }
            _ => None,
        });
        Ok(())
    })?;
    binary(out.into_iter())
}

fn estimate(sketch: &AnySketch) -> f64 {
    match sketch {
        AnySketch::Distinct(s) => s.estimate(),
        AnySketch::Filter(s) => s.estimate(),
        AnySketch::Quantiles(s) => s.rows() as f64,
        AnySketch::Words(s) => s.rows() as f64,
        AnySketch::Texts(s) => s.rows() as f64,
    }
}

/// The least of 1, 2 and 3 standard deviations with this confidence: 68.27 %, 95.45 %, 99.73 %.
fn deviations(confidence: f64) -> NumStdDev {
    match confidence {
        c if c <= 0.6827 => NumStdDev::One,
        c if c <= 0.9545 => NumStdDev::Two,
        _ => NumStdDev::Three,
    }
}

fn bounds(sketch: &AnySketch, deviations: NumStdDev) -> Interval {
    match sketch {
        AnySketch::Distinct(s) => s.bounds(deviations),
        AnySketch::Filter(s) => s.bounds(f64::from(deviations.as_u8())),
        // Rows are counted, not estimated.
        other => Interval { lower: estimate(other), upper: estimate(other) },
    }
}

fn error(sketch: &AnySketch) -> f64 {
    let share = |error: u64, rows: u64| if rows == 0 { 0.0 } else { error as f64 / rows as f64 };
    match sketch {
        AnySketch::Distinct(s) => {
            let (estimate, bounds) = (s.estimate(), s.bounds(NumStdDev::Two));
            if estimate == 0.0 { 0.0 } else { (bounds.upper - estimate).max(estimate - bounds.lower) / estimate }
        }
        AnySketch::Filter(s) => s.false_positive_rate(),
        AnySketch::Quantiles(s) if s.is_exact() => 0.0,
        AnySketch::Quantiles(s) => rank_error(s.k()),
        AnySketch::Words(s) => share(s.error(), s.rows()),
        AnySketch::Texts(s) => share(s.error(), s.rows()),
    }
}

fn percentile(sketches: &Stored<'_>, fractions: &ArrayRef) -> Result<ArrayRef, SketchError> {
    let function = "sketch_percentile";
    let fractions = cast(fractions, &DataType::Float64).expect("real and double become double");
    let fractions: &Float64Array = fractions.as_primitive::<Float64Type>();
    let mut out = Float64Builder::with_capacity(sketches.rows);
    sketches.each(|row, sketch| {
        let at = place(fractions, row);
        let Some((sketch, _)) = sketch.filter(|_| fractions.is_valid(at)) else {
            out.append_null();
            return Ok(());
        };
        let AnySketch::Quantiles(sketch) = sketch else {
            return Err(SketchError::WrongKind { function, kind: sketch.kind(), mend: "quantile_sketch()" });
        };
        let fraction = fractions.value(at);
        if !(0.0..=1.0).contains(&fraction) {
            let (name, whole) = ("fraction", "");
            return Err(SketchError::Parameter { function, name, value: fraction, whole, least: 0.0, most: 1.0 });
        }
        out.append_option(sketch.at(std::iter::once(fraction)).map(|keys| number(keys[0])));
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

fn contains(sketches: &Stored<'_>, values: &ArrayRef) -> Result<ArrayRef, SketchError> {
    let mut hashes = Vec::new();
    assert!(hash_values(values, &mut hashes), "the signature takes only what has a hash");
    let nulls = values.logical_nulls();
    let mut out = Vec::with_capacity(sketches.rows);
    sketches.each(|row, sketch| {
        let at = place(values, row);
        out.push(match sketch {
            Some((AnySketch::Filter(filter), _)) if nulls.as_ref().is_none_or(|n| n.is_valid(at)) => {
                Some(filter.contains(hashes[at]))
            }
            Some((AnySketch::Filter(_), _)) | None => None,
            Some((other, _)) => {
                let (function, mend) = ("sketch_contains", "bloom_sketch()");
                return Err(SketchError::WrongKind { function, kind: other.kind(), mend });
            }
        });
        Ok(())
    })?;
    Ok(Arc::new(BooleanArray::from(out)))
}

fn top(sketch: &AnySketch, _: usize, out: &mut String) -> Result<(), SketchError> {
    match sketch {
        AnySketch::Words(s) => top_json(s, out),
        AnySketch::Texts(s) => top_json(s, out),
        other => {
            return Err(SketchError::WrongKind { function: "sketch_top", kind: other.kind(), mend: "top_k_sketch()" });
        }
    }
    Ok(())
}
