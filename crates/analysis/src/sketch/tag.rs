//! What a top-k sketch counts: the types of its values, as counters' keys and as JSON. It must not know counters.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type,
};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};

use super::SketchError;
use super::hash::{float_bits, shortest};

/// A family of values that are counted together. The numbers are stored in users' tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Integer = 1,
    Double = 2,
    Boolean = 3,
    Date = 4,
    Timestamp = 5,
    TimestampTz = 6,
    Text = 7,
    Bytea = 8,
    Numeric = 9,
}

impl Tag {
    pub(crate) fn of(number: u8) -> Result<Self, SketchError> {
        let all = [
            Self::Integer,
            Self::Double,
            Self::Boolean,
            Self::Date,
            Self::Timestamp,
            Self::TimestampTz,
            Self::Text,
            Self::Bytea,
            Self::Numeric,
        ];
        let found = all.into_iter().find(|tag| *tag as u8 == number);
        found.ok_or(SketchError::Damaged("they count values of a type that this release does not know"))
    }

    /// The family of a column's type; none: such values are not counted.
    pub(crate) fn of_type(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Integer,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Self::Integer,
            DataType::Float32 | DataType::Float64 => Self::Double,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytea,
            DataType::Decimal128(_, _) => Self::Numeric,
            _ => return None,
        })
    }

    /// Its values are counted as words, not as bytes.
    pub(crate) fn is_word(self) -> bool {
        !matches!(self, Self::Text | Self::Bytea | Self::Numeric)
    }

    /// What a sketch of it is, in words.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Integer => "frequent integers",
            Self::Double => "frequent doubles",
            Self::Boolean => "frequent booleans",
            Self::Date => "frequent dates",
            Self::Timestamp => "frequent timestamps",
            Self::TimestampTz => "frequent timestamps with time zone",
            Self::Text => "frequent texts",
            Self::Bytea => "frequent byteas",
            Self::Numeric => "frequent numerics",
        }
    }

    /// Writes a word as JSON, as PostgreSQL's `to_jsonb` would.
    pub(crate) fn word_json(self, word: i64, out: &mut String) {
        let written = match self {
            Self::Double => match f64::from_bits(word as u64) {
                v if v.is_nan() => write!(out, "\"NaN\""),
                v if v.is_infinite() => write!(out, "\"{}Infinity\"", if v < 0.0 { "-" } else { "" }),
                v => write!(out, "{v}"),
            },
            Self::Boolean => write!(out, "{}", word != 0),
            Self::Date => match i32::try_from(word).ok().and_then(date32_to_datetime) {
                Some(date) => write!(out, "\"{}\"", date.format("%Y-%m-%d")),
                None => write!(out, "\"{word} days\""),
            },
            Self::Timestamp | Self::TimestampTz => match timestamp_us_to_datetime(word) {
                Some(time) => {
                    let zone = if self == Self::TimestampTz { "+00:00" } else { "" };
                    write!(out, "\"{}{zone}\"", time.format("%Y-%m-%dT%H:%M:%S%.f"))
                }
                None => write!(out, "\"{word} us\""),
            },
            _ => write!(out, "{word}"),
        };
        written.expect("a String takes everything");
    }

    /// Writes bytes as JSON.
    pub(crate) fn bytes_json(self, bytes: &[u8], out: &mut String) {
        match self {
            Self::Bytea => {
                out.push_str("\"\\\\x");
                bytes.iter().for_each(|b| write!(out, "{b:02x}").expect("a String takes everything"));
                out.push('"');
            }
            Self::Numeric if bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'.')) => {
                out.push_str(&String::from_utf8_lossy(bytes));
            }
            _ => quote(&String::from_utf8_lossy(bytes), out),
        }
    }
}

/// Writes a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes everything"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes the word of each row; what it writes for a null means nothing. Timestamps are microseconds.
pub(crate) fn words(column: &ArrayRef, out: &mut Vec<i64>) {
    out.clear();
    macro_rules! each {
        ($t:ty, $f:expr) => {
            each::<$t>(column, out, $f)
        };
    }
    match column.data_type() {
        DataType::Int8 => each!(Int8Type, i64::from),
        DataType::Int16 => each!(Int16Type, i64::from),
        DataType::Int32 => each!(Int32Type, i64::from),
        DataType::Int64 => each!(Int64Type, |v| v),
        DataType::UInt8 => each!(UInt8Type, i64::from),
        DataType::UInt16 => each!(UInt16Type, i64::from),
        DataType::UInt32 => each!(UInt32Type, i64::from),
        DataType::Float32 => each!(Float32Type, |v| float_bits(f64::from(v)) as i64),
        DataType::Float64 => each!(Float64Type, |v| float_bits(v) as i64),
        DataType::Date32 => each!(Date32Type, i64::from),
        DataType::Timestamp(TimeUnit::Second, _) => each!(TimestampSecondType, |v| v.saturating_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => each!(TimestampMillisecondType, |v| v.saturating_mul(1_000)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each!(TimestampMicrosecondType, |v| v),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => each!(TimestampNanosecondType, |v| v.div_euclid(1_000)),
        DataType::Boolean => out.extend(column.as_boolean().values().iter().map(i64::from)),
        _ => unreachable!("only for tags that are words"),
    }
}

fn each<T: ArrowPrimitiveType>(column: &ArrayRef, out: &mut Vec<i64>, word: impl Fn(T::Native) -> i64) {
    out.extend(column.as_primitive::<T>().values().iter().map(|v| word(*v)));
}

/// Calls `f(row, bytes)` for each row of a column of bytes, with nothing for a null.
///
/// # Errors
/// Those of `f`.
pub(crate) fn each_bytes(
    column: &ArrayRef,
    mut f: impl FnMut(usize, Option<&[u8]>) -> Result<(), SketchError>,
) -> Result<(), SketchError> {
    macro_rules! text {
        ($array:expr) => {
            $array.iter().enumerate().try_for_each(|(row, v)| f(row, v.map(str::as_bytes)))
        };
    }
    macro_rules! binary {
        ($array:expr) => {
            $array.iter().enumerate().try_for_each(|(row, v)| f(row, v))
        };
    }
    match column.data_type() {
        DataType::Utf8 => text!(column.as_string::<i32>()),
        DataType::LargeUtf8 => text!(column.as_string::<i64>()),
        DataType::Utf8View => text!(column.as_string_view()),
        DataType::Binary => binary!(column.as_binary::<i32>()),
        DataType::LargeBinary => binary!(column.as_binary::<i64>()),
        DataType::BinaryView => binary!(column.as_binary_view()),
        DataType::Decimal128(_, scale) => {
            let mut text = String::new();
            let column = column.as_primitive::<Decimal128Type>();
            column.iter().enumerate().try_for_each(|(row, v)| {
                text.clear();
                v.into_iter().for_each(|v| write_decimal(v, *scale, &mut text));
                f(row, v.map(|_| text.as_bytes()))
            })
        }
        _ => unreachable!("only for tags that are bytes"),
    }
}

/// Writes the shortest plain decimal of a number: 1.50 as 1.5, 2.00 as 2.
fn write_decimal(value: i128, scale: i8, out: &mut String) {
    let (digits, scale) = shortest(value, scale);
    let sign = if digits < 0 { "-" } else { "" };
    let digits = digits.unsigned_abs();
    let written = match u32::try_from(scale) {
        Ok(0) => write!(out, "{sign}{digits}"),
        Err(_) => write!(out, "{sign}{digits}{:0>1$}", "", usize::from(scale.unsigned_abs())),
        Ok(places) => {
            let places = places as usize;
            let text = format_args!("{digits:0>width$}", width = places + 1).to_string();
            let (whole, fraction) = text.split_at(text.len() - places);
            write!(out, "{sign}{whole}.{fraction}")
        }
    };
    written.expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_by_value() {
        let text = |value, scale| {
            let mut out = String::new();
            write_decimal(value, scale, &mut out);
            out
        };
        assert_eq!(text(150, 2), "1.5");
        assert_eq!(text(-5, 3), "-0.005");
        assert_eq!(text(200, 2), "2");
        assert_eq!(text(2_000, 2), "20");
        assert_eq!(text(0, 5), "0");
        assert_eq!(text(7, -2), "700");
    }

    #[test]
    fn values_are_json() {
        let word = |tag: Tag, word| {
            let mut out = String::new();
            tag.word_json(word, &mut out);
            out
        };
        assert_eq!(word(Tag::Integer, -3), "-3");
        assert_eq!(word(Tag::Double, 0.5_f64.to_bits() as i64), "0.5");
        assert_eq!(word(Tag::Double, f64::NEG_INFINITY.to_bits() as i64), "\"-Infinity\"");
        assert_eq!(word(Tag::Date, 19_000), "\"2022-01-08\"");
        assert_eq!(word(Tag::TimestampTz, 1_500_000), "\"1970-01-01T00:00:01.500+00:00\"");
        assert_eq!(word(Tag::Timestamp, i64::MAX), format!("\"{} us\"", i64::MAX));
        let bytes = |tag: Tag, bytes: &[u8]| {
            let mut out = String::new();
            tag.bytes_json(bytes, &mut out);
            out
        };
        assert_eq!(bytes(Tag::Text, "a\"b\\\n\u{1}é".as_bytes()), "\"a\\\"b\\\\\\n\\u0001é\"");
        assert_eq!(bytes(Tag::Bytea, &[0, 255]), "\"\\\\x00ff\"");
        assert_eq!(bytes(Tag::Numeric, b"-1.5"), "-1.5");
        assert_eq!(bytes(Tag::Numeric, b"1,\"x\""), "\"1,\\\"x\\\"\"");
    }
}
