//! What casts to and from text and bytes mean in PostgreSQL where Arrow's mean something else. It must not know plans.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringViewArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;

use super::{datetime, intervals, math, simple};

/// Text as bytes: `\x` and hex digits, or text with octal escapes.
pub(super) static BYTES: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(simple::any("bytes_of", 1, |_| Ok(DataType::Binary), |args, _| bytes_of(&args[0]))));

/// Bytes as text.
pub(super) static BYTES_TEXT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(simple::any("bytes_text", 1, |_| Ok(DataType::Utf8View), |args, _| bytes_text(&args[0])))
});

/// Floats as text.
pub(super) static FLOAT_TEXT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(simple::any("float_text", 1, |_| Ok(DataType::Utf8View), |args, _| float_text(&args[0])))
});

/// The type is text.
pub(super) fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// `values` as INSERT puts them into a column of type `to`.
///
/// # Errors
/// A value that `to` does not have.
pub(crate) fn assign(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let from = values.data_type();
    if is_text(from) && *to == DataType::Binary {
        return bytes_of(values);
    }
    let values = if is_text(from) { as_arrow_reads(values, to)? } else { math::rounded_for(values, to)? };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(&values, to, &strict)?)
}

/// A text that PostgreSQL reads as a value of type `to` as Arrow reads it; none when it is the same.
pub(super) fn spelled_for(text: &str, to: &DataType) -> Option<String> {
    match to {
        DataType::Timestamp(_, _) => datetime::with_seconds(text),
        DataType::Interval(_) => intervals::in_words(text),
        _ => None,
    }
}

fn as_arrow_reads(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if !matches!(to, DataType::Timestamp(_, _) | DataType::Interval(_)) {
        return Ok(Arc::clone(values));
    }
    let texts = cast(values, &DataType::Utf8View)?;
    let spelled = texts.as_string_view().iter().map(|t| t.map(|t| spelled_for(t, to).unwrap_or_else(|| t.to_owned())));
    Ok(Arc::new(spelled.collect::<StringViewArray>()))
}

fn bytes_of(values: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(values, &DataType::Utf8View)?;
    let bytes = texts.as_string_view().iter().map(|t| t.map(bytes).transpose());
    Ok(Arc::new(bytes.collect::<Result<BinaryArray>>()?))
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let wrong = || DataFusionError::Execution(format!("invalid input syntax for type bytea: \"{text}\""));
    match text.strip_prefix("\\x") {
        Some(hex) => from_hex(hex).ok_or_else(wrong),
        None => from_escapes(text).ok_or_else(wrong),
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        hex.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

/// `\\` is a backslash, `\101` the byte of that octal number.
fn from_escapes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
        } else if after.first() == Some(&b'\\') {
            out.push(b'\\');
            rest = &after[1..];
        } else {
            let octal = std::str::from_utf8(after.get(..3)?).ok()?;
            out.push(u8::from_str_radix(octal, 8).ok()?);
            rest = &after[3..];
        }
    }
    Some(out)
}

fn bytes_text(values: &ArrayRef) -> Result<ArrayRef> {
    let values = cast(values, &DataType::Binary)?;
    let text = |bytes: &[u8]| {
        let mut out = String::with_capacity(2 + bytes.len() * 2);
        out.push_str("\\x");
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
        out
    };
    let texts = values.as_binary::<i32>().iter().map(|b| b.map(text));
    Ok(Arc::new(texts.collect::<StringViewArray>()))
}

fn float_text(values: &ArrayRef) -> Result<ArrayRef> {
    let texts: StringViewArray = match values.data_type() {
        DataType::Float32 => {
            let shown = |v: f32| shown(&format!("{v:e}"), 6);
            values.as_primitive::<Float32Type>().iter().map(|v| v.map(shown)).collect()
        }
        _ => {
            let values = cast(values, &DataType::Float64)?;
            let shown = |v: f64| shown(&format!("{v:e}"), 15);
            values.as_primitive::<Float64Type>().iter().map(|v| v.map(shown)).collect()
        }
    };
    Ok(Arc::new(texts))
}

/// The shortest digits that tell the float, given as `1.5e-7`; with an exponent from `10^most` on and below 10^-4.
fn shown(scientific: &str, most: i32) -> String {
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = unsigned.split_once('e') else {
        return format!("{sign}{}", if unsigned == "inf" { "Infinity" } else { "NaN" });
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= most {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{direction}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let before = usize::try_from(exponent + 1).unwrap_or(0);
    if before == 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    match digits.get(before..) {
        None | Some("") => format!("{sign}{digits:0<before$}"),
        Some(after) => format!("{sign}{}.{after}", &digits[..before]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_from_text_and_back() {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("\\xDEad be"), Some("a\\\\\\101"), None]));
        let bytes = bytes_of(&texts).expect("all are bytes");
        assert_eq!(bytes.as_binary::<i32>().value(0), [0xde, 0xad, 0xbe]);
        assert_eq!(bytes.as_binary::<i32>().value(1), *b"a\\A");
        let back = bytes_text(&bytes).expect("bytes have a text");
        assert_eq!(back.as_string_view().value(0), "\\xdeadbe");
        assert!(back.is_null(2));
        assert!(super::bytes("\\xabc").is_err() && super::bytes("\\xé").is_err() && super::bytes("\\9é").is_err());
    }

    #[test]
    fn floats_as_text() {
        let text = |v: f64| shown(&format!("{v:e}"), 15);
        assert_eq!(text(0.0), "0");
        assert_eq!(text(-0.5), "-0.5");
        assert_eq!(text(1234.5), "1234.5");
        assert_eq!(text(120.0), "120");
        assert_eq!(text(0.0001), "0.0001");
        assert_eq!(text(0.00001), "1e-05");
        assert_eq!(text(1e15), "1e+15");
        assert_eq!(text(123_456_789_012_345.0), "123456789012345");
        assert_eq!(text(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(text(f64::NAN), "NaN");
    }
}
