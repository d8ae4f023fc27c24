//! One generated column: its options and how rows of it are made. It must not know rates, splits or offsets.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StringViewBuilder, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::{CastOptions, cast_with_options, nullif, take};
use arrow::datatypes::{DataType, Field};
use thalweg_core::{Error, Options, Result};

use super::noise::Noise;

const DAY: i64 = 86_400_000_000;

/// A cast that fails is an error, never a null.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// How a column is filled.
#[derive(Clone, Debug)]
pub(super) struct Column {
    kind: Kind,
    /// What `kind` makes is cast to this.
    data_type: DataType,
    noise: Noise,
    /// Share of nulls.
    nulls: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    /// `start + row`, from `start` again after `span` numbers.
    Sequence {
        start: i64,
        span: u64,
    },
    Integers {
        min: i64,
        span: u64,
    },
    Floats {
        min: f64,
        max: f64,
    },
    Booleans,
    Text {
        length: usize,
    },
    /// The row's time, less up to so many microseconds.
    Times {
        max_past: i64,
    },
    Choice {
        values: ArrayRef,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelt {
    Sequence,
    Random,
    Choice,
}

impl Column {
    /// From the options `fields.NAME.*`, which are taken.
    ///
    /// # Errors
    /// An option is wrong, or the type cannot be generated.
    pub fn new(field: &Field, seed: u64, options: &mut Options) -> Result<Self> {
        let (name, data_type) = (field.name().to_lowercase(), field.data_type().clone());
        let key = |option: &str| format!("fields.{name}.{option}");
        let timely = matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
        let choices = [("sequence", Spelt::Sequence), ("random", Spelt::Random), ("choice", Spelt::Choice)];
        let default = if timely { Spelt::Sequence } else { Spelt::Random };
        let spelt = options.choice(&key("kind"), &choices, default)?;
        let nulls = options.parse(&key("nulls"), 0.0, "a share from 0 to 1")?;
        if !(0.0..=1.0).contains(&nulls) {
            return Err(Error::invalid(format!("option {} must be from 0 to 1", key("nulls"))));
        }
        let kind = match spelt {
            Spelt::Choice => Kind::Choice { values: choice_values(&key("choices"), &data_type, options)? },
            _ if timely => {
                let given = ["max-past", "max.past", "max_past"].iter().find_map(|o| options.take(&key(o)));
                let default = if spelt == Spelt::Random { DAY } else { 0 };
                Kind::Times { max_past: given.map_or(Ok(default), |text| duration(&key("max-past"), &text))? }
            }
            Spelt::Sequence => sequence(&key, &data_type, options)?,
            Spelt::Random => random(&key, &data_type, options)?,
        };
        Ok(Self { kind, data_type, noise: Noise::new(seed, &name), nulls })
    }

    /// The column for `rows`, whose times are `times`.
    ///
    /// # Errors
    /// A number does not fit the column's type.
    pub fn make(&self, rows: &[u64], times: &[i64]) -> Result<ArrayRef> {
        let noise = self.noise;
        let made: ArrayRef = match &self.kind {
            Kind::Sequence { start, span } => {
                let nth = |row: u64| if *span == 0 { row } else { row % span };
                let value = |&row: &u64| start.wrapping_add_unsigned(nth(row));
                Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
            }
            Kind::Integers { min, span } => {
                let draw = |row| if *span == 0 { noise.bits(row) } else { noise.below(row, *span) };
                let value = |&row: &u64| min.wrapping_add_unsigned(draw(row));
                Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
            }
            Kind::Floats { min, max } => {
                let value = |&row: &u64| min + noise.unit(row) * (max - min);
                Arc::new(Float64Array::from_iter_values(rows.iter().map(value)))
            }
            Kind::Booleans => {
                Arc::new(BooleanArray::from_iter(rows.iter().map(|&row| Some(noise.bits(row) >> 63 == 1))))
            }
            Kind::Text { length } => self.text(rows, *length),
            Kind::Times { max_past } => {
                let span = max_past.unsigned_abs().saturating_add(1);
                let past = |row| i64::try_from(noise.below(row, span)).unwrap_or(i64::MAX);
                let value = |(&row, time): (&u64, &i64)| time.saturating_sub(past(row));
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().zip(times).map(value)))
            }
            Kind::Choice { values } => {
                let count = values.len() as u64;
                let pick = |&row: &u64| u32::try_from(noise.below(row, count)).unwrap_or(u32::MAX);
                take(values, &UInt32Array::from_iter_values(rows.iter().map(pick)), None)?
            }
        };
        let typed = cast_with_options(&made, &self.data_type, &STRICT)?;
        if self.nulls == 0.0 {
            return Ok(typed);
        }
        let lane = noise.other(1);
        let mask = BooleanArray::from_iter(rows.iter().map(|&row| Some(lane.unit(row) < self.nulls)));
        Ok(nullif(&typed, &mask)?)
    }

    fn text(&self, rows: &[u64], length: usize) -> ArrayRef {
        let mut builder = StringViewBuilder::with_capacity(rows.len());
        let mut word = String::with_capacity(length);
        for &row in rows {
            word.clear();
            for at in 0..length {
                // Thirteen letters of 26 fit one draw: 26^13 < 2^64.
                let draw = self.noise.other(2 + (at / 13) as u64).bits(row);
                let letter = draw / 26u64.pow(u32::try_from(at % 13).expect("below 13")) % 26;
                word.push(char::from(b'a' + u8::try_from(letter).expect("below 26")));
            }
            builder.append_value(&word);
        }
        Arc::new(builder.finish())
    }
}

fn sequence(key: &impl Fn(&str) -> String, data_type: &DataType, options: &mut Options) -> Result<Kind> {
    if *data_type == DataType::Boolean {
        return Err(Error::invalid(format!("option {} = 'sequence' is not for booleans", key("kind"))));
    }
    supported(data_type)?;
    let start = options.parse(&key("start"), 0, "a whole number")?;
    let end: Option<i64> = options.parse_opt(&key("end"), "a whole number")?;
    if end.is_some_and(|end| end < start) {
        return Err(Error::invalid(format!("option {} is below {}", key("end"), key("start"))));
    }
    let span = end.map_or(0, |end| (end.wrapping_sub(start) as u64).wrapping_add(1));
    Ok(Kind::Sequence { start, span })
}

fn random(key: &impl Fn(&str) -> String, data_type: &DataType, options: &mut Options) -> Result<Kind> {
    supported(data_type)?;
    let order = |ordered: bool| match ordered {
        true => Ok(()),
        false => Err(Error::invalid(format!("option {} is below {}", key("max"), key("min")))),
    };
    Ok(match data_type {
        DataType::Boolean => Kind::Booleans,
        DataType::Utf8View => Kind::Text { length: options.parse(&key("length"), 10, "a number of letters")? },
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let min = options.parse(&key("min"), 0.0, "a number")?;
            let max = options.parse(&key("max"), 1.0f64.max(min), "a number")?;
            order(min <= max)?;
            Kind::Floats { min, max }
        }
        _ => {
            let min: i64 = options.parse(&key("min"), 0, "a whole number")?;
            let max = options.parse(&key("max"), min.saturating_add(999), "a whole number")?;
            order(min <= max)?;
            // All 2^64 numbers are written as a span of 0.
            Kind::Integers { min, span: (max.wrapping_sub(min) as u64).wrapping_add(1) }
        }
    })
}

fn supported(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Boolean | DataType::Utf8View | DataType::Decimal128(..) => Ok(()),
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => Ok(()),
        other => Err(Error::Unsupported(format!("datagen for columns of type {other}; use kind = 'choice'"))),
    }
}

/// The values of `choices`, read as the column's type.
fn choice_values(key: &str, data_type: &DataType, options: &mut Options) -> Result<ArrayRef> {
    let text = options.require(key, "a,b,c")?;
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let values: ArrayRef = Arc::new(StringArray::from(words));
    cast_with_options(&values, data_type, &STRICT)
        .map_err(|e| Error::invalid(format!("option {key} = '{text}' has a value of the wrong type: {e}")))
}

/// Microseconds of `5 seconds`, `1h`, `250ms`.
fn duration(key: &str, text: &str) -> Result<i64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match text[digits..].trim().to_lowercase().as_str() {
        "us" | "microsecond" | "microseconds" => Some(1),
        "ms" | "millisecond" | "milliseconds" => Some(1_000),
        "s" | "sec" | "second" | "seconds" => Some(1_000_000),
        "m" | "min" | "minute" | "minutes" => Some(60_000_000),
        "h" | "hour" | "hours" => Some(3_600_000_000),
        "d" | "day" | "days" => Some(DAY),
        _ => None,
    };
    let count = text[..digits].parse::<i64>().ok();
    count.zip(unit).and_then(|(count, unit)| count.checked_mul(unit)).ok_or_else(|| {
        Error::invalid_with_hint(
            format!("option {key} = '{text}' is not a duration"),
            "Write '5 seconds', '1h' or '250ms'.",
        )
    })
}
