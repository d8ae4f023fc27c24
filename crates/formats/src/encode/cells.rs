//! A column made ready to be written value by value, as PostgreSQL text or as JSON. The type is looked at once a
//! batch, not once a value. It must not know rows or files.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, IntervalMonthDayNanoArray, LargeStringArray, ListArray,
    StringArray, StringViewArray, StructArray,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use thalweg_core::{Error, Result};

use super::json::write_string;
use super::number::{decimal, float32, float64, integer};
use crate::time::{write_date, write_time, write_timestamp};

/// A column's values, typed.
#[derive(Clone, Debug)]
enum Values {
    Null,
    Boolean(BooleanArray),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>, i8),
    Date(ScalarBuffer<i32>),
    Timestamp(ScalarBuffer<i64>, bool),
    Interval(IntervalMonthDayNanoArray),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    List(ListArray, Box<Cells>),
    Struct(Vec<(String, Cells)>),
}

/// A column whose values can be written.
#[derive(Clone, Debug)]
pub struct Cells {
    nulls: Option<NullBuffer>,
    values: Values,
    /// Text that is JSON already and goes into JSON as it is.
    json: bool,
}

impl Cells {
    /// Looks at the column's type.
    ///
    /// # Errors
    /// A type that has no text form here.
    pub fn new(column: &ArrayRef) -> Result<Self> {
        let values = match column.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(column.as_boolean().clone()),
            DataType::Int8 => Values::Int8(column.as_primitive::<Int8Type>().values().clone()),
            DataType::Int16 => Values::Int16(column.as_primitive::<Int16Type>().values().clone()),
            DataType::Int32 => Values::Int32(column.as_primitive::<Int32Type>().values().clone()),
            DataType::Int64 => Values::Int64(column.as_primitive::<Int64Type>().values().clone()),
            DataType::UInt8 => Values::UInt8(column.as_primitive::<UInt8Type>().values().clone()),
            DataType::UInt16 => Values::UInt16(column.as_primitive::<UInt16Type>().values().clone()),
            DataType::UInt32 => Values::UInt32(column.as_primitive::<UInt32Type>().values().clone()),
            DataType::UInt64 => Values::UInt64(column.as_primitive::<UInt64Type>().values().clone()),
            DataType::Float32 => Values::Float32(column.as_primitive::<Float32Type>().values().clone()),
            DataType::Float64 => Values::Float64(column.as_primitive::<Float64Type>().values().clone()),
            DataType::Decimal128(_, scale) => {
                Values::Decimal(column.as_primitive::<Decimal128Type>().values().clone(), *scale)
            }
            DataType::Date32 => Values::Date(column.as_primitive::<Date32Type>().values().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Values::Timestamp(column.as_primitive::<TimestampMicrosecondType>().values().clone(), zone.is_some())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Values::Interval(column.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            DataType::Utf8 => Values::Utf8(column.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Values::LargeUtf8(column.as_string::<i64>().clone()),
            DataType::Utf8View => Values::Utf8View(column.as_string_view().clone()),
            DataType::Binary => Values::Binary(column.as_binary::<i32>().clone()),
            DataType::List(_) => {
                let list = column.as_list::<i32>().clone();
                let items = Self::new(list.values())?;
                Values::List(list, Box::new(items))
            }
            DataType::Struct(_) => Values::Struct(members(column.as_struct())?),
            other => {
                let simpler =
                    simpler(other).ok_or_else(|| Error::Unsupported(format!("type {other} as text; cast it first")))?;
                return Self::new(&cast(column, &simpler)?);
            }
        };
        Ok(Self { nulls: column.logical_nulls(), values, json: false })
    }

    /// Marks a text column as JSON: its values go into JSON without quotes.
    pub fn as_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Row `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|n| n.is_null(row))
    }

    /// Numbers are set to the right in a table.
    pub fn is_number(&self) -> bool {
        use Values as V;
        matches!(
            self.values,
            V::Int8(_)
                | V::Int16(_)
                | V::Int32(_)
                | V::Int64(_)
                | V::UInt8(_)
                | V::UInt16(_)
                | V::UInt32(_)
                | V::UInt64(_)
                | V::Float32(_)
                | V::Float64(_)
                | V::Decimal(_, _)
        )
    }

    /// Writes row `row` as PostgreSQL prints it; nothing for NULL.
    pub fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match &self.values {
            Values::Boolean(values) => out.push(if values.value(row) { b't' } else { b'f' }),
            Values::Float32(values) => float32(values[row], out),
            Values::Float64(values) => float64(values[row], out),
            Values::Timestamp(values, zoned) => {
                write_timestamp(values[row], b' ', if *zoned { b"+00" } else { b"" }, out)
            }
            Values::Utf8(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::LargeUtf8(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Utf8View(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Binary(values) => write_hex(b"\\x", values.value(row), out),
            Values::List(list, items) => {
                out.push(b'{');
                for (i, item) in item_range(list, row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    items.write_array_item(item, out);
                }
                out.push(b'}');
            }
            Values::Struct(_) => self.write_json(row, out),
            _ => self.write_plain(row, out),
        }
    }

    /// Writes row `row` as JSON.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.values {
            Values::Boolean(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Float32(values) if values[row].is_finite() => float32(values[row], out),
            Values::Float64(values) if values[row].is_finite() => float64(values[row], out),
            Values::Float32(_) | Values::Float64(_) | Values::Date(_) | Values::Interval(_) => {
                out.push(b'"');
                self.write_text(row, out);
                out.push(b'"');
            }
            Values::Timestamp(values, zoned) => {
                out.push(b'"');
                write_timestamp(values[row], b'T', if *zoned { b"+00:00" } else { b"" }, out);
                out.push(b'"');
            }
            Values::Utf8View(values) if self.json => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Utf8(values) => write_string(values.value(row), out),
            Values::LargeUtf8(values) => write_string(values.value(row), out),
            Values::Utf8View(values) => write_string(values.value(row), out),
            Values::Binary(values) => {
                out.push(b'"');
                write_hex(b"\\\\x", values.value(row), out);
                out.push(b'"');
            }
            Values::List(list, items) => {
                out.push(b'[');
                for (i, item) in item_range(list, row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    items.write_json(item, out);
                }
                out.push(b']');
            }
            Values::Struct(members) => {
                out.push(b'{');
                for (i, (name, cells)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_string(name, out);
                    out.push(b':');
                    cells.write_json(row, out);
                }
                out.push(b'}');
            }
            _ => self.write_plain(row, out),
        }
    }

    /// Values that look the same in text and in JSON.
    fn write_plain(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Int8(values) => integer(values[row], out),
            Values::Int16(values) => integer(values[row], out),
            Values::Int32(values) => integer(values[row], out),
            Values::Int64(values) => integer(values[row], out),
            Values::UInt8(values) => integer(values[row], out),
            Values::UInt16(values) => integer(values[row], out),
            Values::UInt32(values) => integer(values[row], out),
            Values::UInt64(values) => integer(values[row], out),
            Values::Decimal(values, scale) => decimal(values[row], *scale, out),
            Values::Date(values) => write_date(values[row], out),
            Values::Interval(values) => write_interval(values.value(row), out),
            _ => {}
        }
    }

    /// An item of `{…}`: quoted when it could be misread.
    fn write_array_item(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"NULL");
            return;
        }
        let mut text = Vec::new();
        self.write_text(row, &mut text);
        let nested = matches!(self.values, Values::List(_, _));
        let special = |b: &u8| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || b.is_ascii_whitespace();
        if nested || !(text.is_empty() || text.eq_ignore_ascii_case(b"null") || text.iter().any(special)) {
            out.extend_from_slice(&text);
            return;
        }
        out.push(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
}

fn members(array: &StructArray) -> Result<Vec<(String, Cells)>> {
    array.fields().iter().zip(array.columns()).map(|(f, c)| Ok((f.name().clone(), Cells::new(c)?))).collect()
}

/// A type with the same values that can be written.
fn simpler(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date64 => DataType::Date32,
        DataType::Float16 => DataType::Float32,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => DataType::List(item.clone()),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) | DataType::Decimal256(_, _) => {
            DataType::Utf8View
        }
        _ => return None,
    })
}

fn item_range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn write_hex(prefix: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(prefix);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// `1 year 2 mons -3 days +04:05:06.789`: a part behind a negative one tells its sign.
fn write_interval(value: arrow::datatypes::IntervalMonthDayNano, out: &mut Vec<u8>) {
    let start = out.len();
    let mut after_negative = false;
    let parts = [(value.months / 12, "year"), (value.months % 12, "mon"), (value.days, "day")];
    for (count, unit) in parts {
        if count != 0 {
            if out.len() > start {
                out.push(b' ');
            }
            if after_negative && count > 0 {
                out.push(b'+');
            }
            integer(count, out);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if count != 1 {
                out.push(b's');
            }
            after_negative = count < 0;
        }
    }
    let micros = value.nanoseconds / 1000;
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(b' ');
        }
        if micros < 0 {
            out.push(b'-');
        } else if after_negative {
            out.push(b'+');
        }
        write_time(micros.saturating_abs(), out);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Int32Type, IntervalMonthDayNano};

    use super::*;

    fn both(column: ArrayRef, row: usize) -> (String, String) {
        let cells = Cells::new(&column).expect("a known type");
        let (mut text, mut json) = (Vec::new(), Vec::new());
        cells.write_text(row, &mut text);
        cells.write_json(row, &mut json);
        (String::from_utf8(text).expect("UTF-8"), String::from_utf8(json).expect("UTF-8"))
    }

    fn pair(text: &str, json: &str) -> (String, String) {
        (text.to_owned(), json.to_owned())
    }

    #[test]
    fn values_as_text_and_as_json() {
        assert_eq!(both(Arc::new(Int64Array::from(vec![None, Some(-7)])), 1), pair("-7", "-7"));
        assert_eq!(both(Arc::new(Int64Array::from(vec![None, Some(-7)])), 0), pair("", "null"));
        assert_eq!(both(Arc::new(Float64Array::from(vec![f64::NAN])), 0), pair("NaN", "\"NaN\""));
        assert_eq!(both(Arc::new(BooleanArray::from(vec![true])), 0), pair("t", "true"));
        assert_eq!(both(Arc::new(StringArray::from(vec!["a\"b\n"])), 0), pair("a\"b\n", "\"a\\\"b\\n\""));
        assert_eq!(both(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), 0), pair("\\x00ff", "\"\\\\x00ff\""));
        let plain = TimestampMicrosecondArray::from(vec![1_500_000]);
        assert_eq!(both(Arc::new(plain.clone()), 0), pair("1970-01-01 00:00:01.5", "\"1970-01-01T00:00:01.5\""));
        assert_eq!(
            both(Arc::new(plain.with_timezone("+00:00")), 0),
            pair("1970-01-01 00:00:01.5+00", "\"1970-01-01T00:00:01.5+00:00\"")
        );
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
        assert_eq!(both(Arc::new(list), 0), pair("{1,NULL}", "[1,null]"));
        // As PostgreSQL 15 prints them.
        for (months, days, nanos, text) in [
            (14, 3, 4_000_000_000, "1 year 2 mons 3 days 00:00:04"),
            (14, -3, 1_000, "1 year 2 mons -3 days +00:00:00.000001"),
            (-1, 0, 86_400_000_000_000, "-1 mons +24:00:00"),
            (-14, 3, -1_000_000_000, "-1 years -2 mons +3 days -00:00:01"),
        ] {
            let interval = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]);
            assert_eq!(both(Arc::new(interval), 0).0, text);
        }
    }
}
