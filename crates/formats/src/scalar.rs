//! A value of a typed encoding on its way to a column: what fits where, and as text or JSON. It must not know encodings.

use crate::column::{Column, Values, date_of};
use crate::encode::write_string;
use crate::encode::{decimal, float32, float64};
use crate::record::metadata::{push_valid_text, write_hex_string};
use crate::time::{write_date, write_time, write_timestamp};
use crate::value::{self, Fault, OUT_OF_RANGE};

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float32(f32),
    Float64(f64),
    /// Unscaled, and digits after the point.
    Decimal(i128, i8),
    /// Days since 1970.
    Date(i64),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970; `true`: an instant, printed with its zone.
    Timestamp(i64, bool),
    Text(&'a str),
    Bytes(&'a [u8]),
}

const MISFIT: Fault = Fault("the value's type does not fit the column");

impl Scalar<'_> {
    /// Appends it to `column`.
    pub(crate) fn push(self, column: &mut Column) -> Result<(), Fault> {
        match (&mut column.values, self) {
            (_, Self::Null) => return column.push_null(),
            (_, Self::Text(text)) => {
                if let Values::Text { json: true, .. } = &column.values {
                    let mut quoted = Vec::with_capacity(text.len() + 2);
                    write_string(text, &mut quoted);
                    return column.push_text(&quoted);
                }
                return push_valid_text(column, text);
            }
            (Values::Text { json, .. }, scalar) => {
                let mut text = Vec::new();
                if *json {
                    scalar.write_json(&mut text)
                } else {
                    scalar.write_text(&mut text)
                }
                return column.push_text(&text);
            }
            (Values::Boolean(v), Self::Boolean(b)) => v.push(b),
            (Values::Int16(v), scalar) => v.push(i16::try_from(scalar.integer()?).map_err(|_| OUT_OF_RANGE)?),
            (Values::Int32(v), scalar) => v.push(i32::try_from(scalar.integer()?).map_err(|_| OUT_OF_RANGE)?),
            (Values::Int64(v), scalar) => v.push(scalar.integer()?),
            (Values::Float64(v), scalar) => v.push(scalar.float()?),
            (Values::Float32(v), Self::Float32(f)) => v.push(f),
            (Values::Float32(v), scalar) => {
                let wide = scalar.float()?;
                let narrow = wide as f32;
                if narrow.is_infinite() && wide.is_finite() {
                    return Err(OUT_OF_RANGE);
                }
                v.push(narrow);
            }
            (Values::Decimal { values, precision, scale }, number) => {
                let mut text = Vec::new();
                match number {
                    Self::Integer(_) | Self::Unsigned(_) | Self::Float32(_) | Self::Float64(_) | Self::Decimal(..) => {
                        number.write_text(&mut text);
                    }
                    _ => return Err(MISFIT),
                }
                values.push(value::decimal(&text, *precision, *scale)?);
            }
            (Values::Date { values, .. }, Self::Date(days)) => values.push(date_of(days)?),
            (Values::Date { values, .. }, Self::Timestamp(micros, _)) => {
                values.push(date_of(micros.div_euclid(86_400_000_000))?);
            }
            (Values::Date { values, days: true }, Self::Integer(days)) => values.push(date_of(days)?),
            (Values::Timestamp { values, .. }, Self::Timestamp(micros, _)) => values.push(micros),
            (Values::Timestamp { values, .. }, Self::Date(days)) => {
                values.push(days.checked_mul(86_400_000_000).ok_or(Fault("timestamp out of range"))?);
            }
            (Values::Timestamp { values, unit, .. }, Self::Integer(number)) => values.push(unit.micros(number)?),
            (Values::Binary { offsets, data }, Self::Bytes(bytes)) => {
                data.extend_from_slice(bytes);
                offsets.push(i32::try_from(data.len()).map_err(|_| Fault("too many bytes in a batch"))?);
            }
            _ => return Err(MISFIT),
        }
        column.grown();
        Ok(())
    }

    fn integer(self) -> Result<i64, Fault> {
        match self {
            Self::Integer(n) => Ok(n),
            Self::Unsigned(n) => i64::try_from(n).map_err(|_| OUT_OF_RANGE),
            _ => Err(MISFIT),
        }
    }

    fn float(self) -> Result<f64, Fault> {
        match self {
            Self::Float64(f) => Ok(f),
            Self::Float32(f) => Ok(f64::from(f)),
            Self::Integer(n) => Ok(n as f64),
            Self::Unsigned(n) => Ok(n as f64),
            _ => Err(MISFIT),
        }
    }

    /// As PostgreSQL prints it; nothing for NULL.
    pub(crate) fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Boolean(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
            Self::Integer(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Self::Unsigned(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Self::Float32(f) => float32(f, out),
            Self::Float64(f) => float64(f, out),
            Self::Decimal(unscaled, scale) => decimal(unscaled, scale, out),
            Self::Date(days) => match i32::try_from(days) {
                Ok(days) => write_date(days, out),
                Err(_) => out.extend_from_slice(itoa::Buffer::new().format(days).as_bytes()),
            },
            Self::Time(micros) => {
                if micros < 0 {
                    out.push(b'-');
                }
                write_time(micros.saturating_abs(), out);
            }
            Self::Timestamp(micros, zoned) => {
                write_timestamp(micros, b' ', if zoned { b"+00" } else { b"" }, out);
            }
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) => {
                let mut quoted = Vec::new();
                write_hex_string(bytes, &mut quoted);
                // The JSON form between its quotes, with one backslash instead of two.
                out.extend_from_slice(&quoted[2..quoted.len() - 1]);
            }
        }
    }

    /// As JSON.
    pub(crate) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(text) => write_string(text, out),
            Self::Bytes(bytes) => write_hex_string(bytes, out),
            Self::Timestamp(micros, zoned) => {
                out.push(b'"');
                write_timestamp(micros, b'T', if zoned { b"+00:00" } else { b"" }, out);
                out.push(b'"');
            }
            Self::Date(_) | Self::Time(_) => self.write_quoted(out),
            Self::Float32(f) if !f.is_finite() => self.write_quoted(out),
            Self::Float64(f) if !f.is_finite() => self.write_quoted(out),
            _ => self.write_text(out),
        }
    }

    fn write_quoted(self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.write_text(out);
        out.push(b'"');
    }
}
