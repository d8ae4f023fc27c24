//! A column in the making: typed vectors that rows are appended to and taken back from. It must not know formats.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray, make_view,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use thalweg_core::{Error, Result};

use crate::encode::is_json;
use crate::time::{TimeError, parse_date, parse_timestamp};
use crate::value::{self, Fault, OUT_OF_RANGE};

/// The values so far.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Date {
        values: Vec<i32>,
        /// A number in JSON is taken as days since 1970.
        days: bool,
    },
    Timestamp {
        values: Vec<i64>,
        zone: Option<Arc<str>>,
        /// What a number in JSON counts.
        unit: Unit,
    },
    /// Only ever filled from validated UTF-8. `json`: the text is JSON and kept as it is written.
    Text {
        views: Vec<u128>,
        data: Vec<u8>,
        json: bool,
    },
    Binary {
        offsets: Vec<i32>,
        data: Vec<u8>,
    },
    List {
        offsets: Vec<i32>,
        item: Box<Column>,
        field: FieldRef,
    },
}

/// What a number that stands for a time counts since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    #[default]
    Millis,
    /// Microseconds.
    Micros,
    /// Seconds, milliseconds, microseconds or nanoseconds: the smallest that gives a time before the year 5138.
    Guess,
}

impl Unit {
    /// Microseconds since 1970.
    pub(crate) fn micros(self, number: i64) -> Result<i64, Fault> {
        let times = match self {
            Self::Millis => 1_000,
            Self::Micros => 1,
            Self::Guess => match number.unsigned_abs() {
                0..100_000_000_000 => 1_000_000,
                100_000_000_000..100_000_000_000_000 => 1_000,
                100_000_000_000_000..100_000_000_000_000_000 => 1,
                _ => return Ok(number.div_euclid(1_000)),
            },
        };
        number.checked_mul(times).ok_or(Fault("timestamp out of range"))
    }
}

/// A column in the making.
#[derive(Debug)]
pub(crate) struct Column {
    /// What is built.
    pub(crate) values: Values,
    /// NULL is allowed.
    nullable: bool,
    /// Rows so far.
    len: usize,
    /// Rows that are NULL, ascending.
    nulls: Vec<usize>,
}

impl Column {
    /// For `field`.
    pub(crate) fn new(field: &Field) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Date32 => Values::Date { values: Vec::new(), days: false },
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Values::Timestamp { values: Vec::new(), zone: zone.clone(), unit: Unit::Millis }
            }
            DataType::Utf8View => Values::Text { views: Vec::new(), data: Vec::new(), json: is_json(field) },
            DataType::Binary => Values::Binary { offsets: vec![0], data: Vec::new() },
            DataType::List(item) if !item.data_type().is_nested() => {
                let column = Box::new(Self::new(item)?);
                Values::List { offsets: vec![0], item: column, field: Arc::clone(item) }
            }
            other => {
                let message = format!("column {} of type {other} cannot be read from text", field.name());
                return Err(Error::invalid_with_hint(message, "Declare it as varchar and cast it in the query."));
            }
        };
        Ok(Self { values, nullable: field.is_nullable(), len: 0, nulls: Vec::new() })
    }

    /// Rows so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A value was appended to `values`.
    #[inline]
    pub(crate) fn grown(&mut self) {
        self.len += 1;
    }

    /// From now on numbers in JSON are dates and times as change data capture writes them.
    pub(crate) fn read_numbers_as(&mut self, as_unit: Unit) {
        match &mut self.values {
            Values::Date { days, .. } => *days = true,
            Values::Timestamp { unit, .. } => *unit = as_unit,
            _ => {}
        }
    }

    /// Appends NULL.
    pub(crate) fn push_null(&mut self) -> Result<(), Fault> {
        if !self.nullable {
            return Err(Fault("null in a NOT NULL column"));
        }
        self.nulls.push(self.len);
        self.push_zero();
        Ok(())
    }

    /// Appends a value that nobody will look at: NULL where it is allowed.
    pub(crate) fn push_blank(&mut self) {
        if self.nullable {
            self.nulls.push(self.len);
        }
        self.push_zero();
    }

    fn push_zero(&mut self) {
        match &mut self.values {
            Values::Boolean(v) => v.push(false),
            Values::Int16(v) => v.push(0),
            Values::Int32(v) => v.push(0),
            Values::Int64(v) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Date { values, .. } => values.push(0),
            Values::Timestamp { values, .. } => values.push(0),
            Values::Text { views, .. } => views.push(0),
            Values::Binary { offsets, .. } | Values::List { offsets, .. } => offsets.push(offsets[self.len]),
        }
        self.len += 1;
    }

    /// Appends what `text` says, for types whose text form is the same everywhere. `text` is valid UTF-8.
    pub(crate) fn push_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        match &mut self.values {
            Values::Text { views, data, .. } => push_str(views, data, text)?,
            other => other.push_trimmed(text.trim_ascii())?,
        }
        self.len += 1;
        Ok(())
    }

    /// Takes back every row from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(v) => v.truncate(rows),
            Values::Int16(v) => v.truncate(rows),
            Values::Int32(v) => v.truncate(rows),
            Values::Int64(v) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) => v.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Date { values, .. } => values.truncate(rows),
            Values::Timestamp { values, .. } => values.truncate(rows),
            // Bytes that no view points at stay until the batch is done: a batch is small.
            Values::Text { views, .. } => views.truncate(rows),
            Values::Binary { offsets, data } => {
                offsets.truncate(rows + 1);
                data.truncate(offsets[offsets.len() - 1] as usize);
            }
            Values::List { offsets, item, .. } => {
                offsets.truncate(rows + 1);
                item.truncate(offsets[offsets.len() - 1] as usize);
            }
        }
        while self.nulls.last().is_some_and(|row| *row >= rows) {
            self.nulls.pop();
        }
        self.len = rows.min(self.len);
    }

    /// The column; the builder is empty after it.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let nulls = self.take_nulls();
        self.len = 0;
        match &mut self.values {
            Values::Boolean(v) => {
                let values = std::mem::take(v);
                Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
            }
            Values::Int16(v) => Arc::new(Int16Array::new(take(v), nulls)),
            Values::Int32(v) => Arc::new(Int32Array::new(take(v), nulls)),
            Values::Int64(v) => Arc::new(Int64Array::new(take(v), nulls)),
            Values::Float32(v) => Arc::new(Float32Array::new(take(v), nulls)),
            Values::Float64(v) => Arc::new(Float64Array::new(take(v), nulls)),
            Values::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::new(take(values), nulls)
                    .with_precision_and_scale(*precision, *scale)
                    .expect("the type was valid in the schema"),
            ),
            Values::Date { values, .. } => Arc::new(Date32Array::new(take(values), nulls)),
            Values::Timestamp { values, zone, .. } => {
                Arc::new(TimestampMicrosecondArray::new(take(values), nulls).with_timezone_opt(zone.clone()))
            }
            Values::Text { views, data, .. } => Arc::new(text_array(take(views), take_bytes(data), nulls)),
            Values::Binary { offsets, data } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                Arc::new(BinaryArray::new(offsets, Buffer::from_vec(take_bytes(data)), nulls))
            }
            Values::List { offsets, item, field } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                Arc::new(ListArray::new(Arc::clone(field), offsets, item.finish(), nulls))
            }
        }
    }

    fn take_nulls(&mut self) -> Option<NullBuffer> {
        if self.nulls.is_empty() {
            return None;
        }
        let mut valid = arrow::array::BooleanBufferBuilder::new(self.len);
        valid.append_n(self.len, true);
        for row in self.nulls.drain(..) {
            valid.set_bit(row, false);
        }
        Some(NullBuffer::new(valid.finish()))
    }
}

impl Values {
    /// Appends a value other than text from its trimmed text.
    fn push_trimmed(&mut self, text: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Boolean(v) => v.push(value::boolean(text)?),
            Self::Int16(v) => v.push(i16::try_from(value::integer(text)?).map_err(|_| OUT_OF_RANGE)?),
            Self::Int32(v) => v.push(i32::try_from(value::integer(text)?).map_err(|_| OUT_OF_RANGE)?),
            Self::Int64(v) => v.push(value::integer(text)?),
            Self::Float32(v) => v.push(value::float32(text)?),
            Self::Float64(v) => v.push(value::float64(text)?),
            Self::Decimal { values, precision, scale } => values.push(value::decimal(text, *precision, *scale)?),
            Self::Date { values, .. } => values.push(parse_date(text).map_err(date_fault)?),
            Self::Timestamp { values, zone, .. } => {
                values.push(parse_timestamp(text, zone.is_some()).map_err(timestamp_fault)?);
            }
            Self::Binary { offsets, data } => {
                let start = data.len();
                if let Err(fault) = value::hex(text, data) {
                    data.truncate(start);
                    return Err(fault);
                }
                offsets.push(i32::try_from(data.len()).map_err(|_| Fault("too many bytes in a batch"))?);
            }
            Self::Text { .. } | Self::List { .. } => return Err(Fault("an array cannot be read from plain text")),
        }
        Ok(())
    }
}

/// Appends validated text.
#[inline]
pub(crate) fn push_str(views: &mut Vec<u128>, data: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    if text.len() <= 12 {
        views.push(make_view(text, 0, 0));
        return Ok(());
    }
    let offset =
        u32::try_from(data.len() + text.len()).map_err(|_| Fault("too much text in a batch"))? - text.len() as u32;
    data.extend_from_slice(text);
    views.push(make_view(text, 0, offset));
    Ok(())
}

/// The array over `views` into `data`.
#[expect(unsafe_code, reason = "validating each string again would cost as much as decoding it")]
fn text_array(views: ScalarBuffer<u128>, data: Vec<u8>, nulls: Option<NullBuffer>) -> StringViewArray {
    let buffers: Arc<[Buffer]> = if data.is_empty() { Arc::new([]) } else { Arc::new([Buffer::from_vec(data)]) };
    // SAFETY: each view was made by `make_view` over bytes that `push_str` then appended to `data` at that offset,
    // `data` only grows, and decoders pass only whole UTF-8 sequences of validated input.
    unsafe { StringViewArray::new_unchecked(views, buffers, nulls) }
}

fn take<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let capacity = values.len();
    ScalarBuffer::from(std::mem::replace(values, Vec::with_capacity(capacity)))
}

/// The bytes; room for as many is made at once, as the next batch is most likely alike.
fn take_bytes(data: &mut Vec<u8>) -> Vec<u8> {
    const MOST: usize = 4 * 1024 * 1024;
    let capacity = data.len().min(MOST);
    std::mem::replace(data, Vec::with_capacity(capacity))
}

/// A refused date, in words.
pub(crate) fn date_fault(error: TimeError) -> Fault {
    match error {
        TimeError::Syntax => Fault("not a date"),
        TimeError::Range => Fault("date out of range"),
    }
}

/// A refused timestamp, in words.
pub(crate) fn timestamp_fault(error: TimeError) -> Fault {
    match error {
        TimeError::Syntax => Fault("not a timestamp"),
        TimeError::Range => Fault("timestamp out of range"),
    }
}

/// Days since 1970 as a date.
pub(crate) fn date_of(days: i64) -> Result<i32, Fault> {
    i32::try_from(days).map_err(|_| Fault("date out of range"))
}
