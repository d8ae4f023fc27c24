//! `to_char(timestamp, format)` with PostgreSQL's template patterns. It must not know who groups by it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::temporal_conversions::timestamp_us_to_datetime;
use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

/// The name under which the planner finds it.
pub(crate) const TO_CHAR: &str = "to_char";

const DAY: i64 = 86_400_000_000;

/// `to_char(timestamp | timestamptz | date, text)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    signature: Signature,
}

pub(crate) fn to_char() -> ScalarUDF {
    ScalarUDF::from(ToChar { signature: Signature::any(2, Volatility::Immutable) })
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        TO_CHAR
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match &args[0] {
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Null => Ok(DataType::Utf8View),
            other => Err(DataFusionError::Plan(format!("to_char takes a timestamp or a date, not {other}"))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let format = match &args.args[1] {
            ColumnarValue::Scalar(s) => s.try_as_str().flatten().map(str::to_owned),
            ColumnarValue::Array(_) => {
                return Err(DataFusionError::NotImplemented("to_char with a format that is not constant".to_owned()));
            }
        };
        let Some(format) = format else { return Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(None))) };
        let template = Template::parse(&format)?;
        let scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let times = args.args[0].clone().into_array(if scalar { 1 } else { args.number_rows })?;
        let text = template.format(&times)?;
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&text, 0)?));
        }
        Ok(ColumnarValue::Array(text))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Year4,
    Year2,
    Month,
    MonthName,
    MonthShort,
    Day,
    DayOfYear,
    DayName,
    DayShort,
    Quarter,
    Hour24,
    Hour12,
    Minute,
    Second,
    Millis,
    Micros,
    Meridiem { upper: bool },
    Char(char),
}

/// Patterns, longest first where one begins another.
const PATTERNS: [(&str, Part); 18] = [
    ("YYYY", Part::Year4),
    ("YY", Part::Year2),
    ("MM", Part::Month),
    ("Month", Part::MonthName),
    ("Mon", Part::MonthShort),
    ("DDD", Part::DayOfYear),
    ("DD", Part::Day),
    ("Day", Part::DayName),
    ("Dy", Part::DayShort),
    ("Q", Part::Quarter),
    ("HH24", Part::Hour24),
    ("HH12", Part::Hour12),
    ("HH", Part::Hour12),
    ("MI", Part::Minute),
    ("SS", Part::Second),
    ("MS", Part::Millis),
    ("US", Part::Micros),
    ("AM", Part::Meridiem { upper: true }),
];

/// A parsed format.
pub(crate) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Text in double quotes stands for itself.
    pub fn parse(format: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                parts.extend(quoted[..end].chars().map(Part::Char));
                rest = quoted.get(end + 1..).unwrap_or("");
                continue;
            }
            let lower = [
                ("PM", Part::Meridiem { upper: true }),
                ("am", Part::Meridiem { upper: false }),
                ("pm", Part::Meridiem { upper: false }),
            ];
            let exact = PATTERNS.iter().chain(&lower).find(|(p, _)| rest.starts_with(p));
            // Numeric patterns are the same in lower case.
            let found = exact.or_else(|| {
                PATTERNS.iter().find(|(p, part)| {
                    !matches!(
                        part,
                        Part::Meridiem { .. } | Part::MonthName | Part::MonthShort | Part::DayName | Part::DayShort
                    ) && rest.get(..p.len()).is_some_and(|r| r.eq_ignore_ascii_case(p))
                })
            });
            match found {
                Some((pattern, part)) => {
                    parts.push(*part);
                    rest = &rest[pattern.len()..];
                }
                None if first.is_ascii_alphabetic() => {
                    return Err(DataFusionError::Plan(format!(
                        "to_char does not know the pattern at '{rest}'\n  hint: Put plain text in double quotes."
                    )));
                }
                None => {
                    parts.push(Part::Char(first));
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        Ok(Self { parts })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Two times give the same text exactly when they are in the same day.
    pub fn tells_days(&self) -> bool {
        let has = |part| self.parts.contains(&part);
        self.unit() == DAY && has(Part::Year4) && has(Part::Month) && has(Part::Day)
    }

    /// Microseconds within which the text does not change.
    fn unit(&self) -> i64 {
        let of = |part: &Part| match part {
            Part::Micros => 1,
            Part::Millis => 1_000,
            Part::Second => 1_000_000,
            Part::Minute => 60_000_000,
            Part::Hour24 | Part::Hour12 | Part::Meridiem { .. } => 3_600_000_000,
            _ => DAY,
        };
        self.parts.iter().map(of).min().unwrap_or(DAY)
    }

    fn format(&self, times: &ArrayRef) -> Result<ArrayRef> {
        let times = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let unit = self.unit();
        let mut out = StringViewBuilder::with_capacity(times.len());
        let mut text = String::new();
        // Neighbours in a stream mostly share their day or minute: format each once.
        let mut formatted: Option<i64> = None;
        for time in times.iter() {
            let Some(time) = time else {
                out.append_null();
                continue;
            };
            let cell = time.div_euclid(unit);
            if formatted != Some(cell) {
                let Some(datetime) = timestamp_us_to_datetime(time) else {
                    return Err(DataFusionError::Execution(format!("timestamp {time} us is out of range")));
                };
                text.clear();
                self.write(datetime, &mut text);
                formatted = Some(cell);
            }
            out.append_value(&text);
        }
        Ok(Arc::new(out.finish()))
    }

    fn write(&self, t: NaiveDateTime, out: &mut String) {
        for part in &self.parts {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Year4 => write!(out, "{:04}", t.year()),
                Part::Year2 => write!(out, "{:02}", t.year().rem_euclid(100)),
                Part::Month => write!(out, "{:02}", t.month()),
                Part::MonthName => write!(out, "{:<9}", t.format("%B").to_string()),
                Part::MonthShort => write!(out, "{}", t.format("%b")),
                Part::Day => write!(out, "{:02}", t.day()),
                Part::DayOfYear => write!(out, "{:03}", t.ordinal()),
                Part::DayName => write!(out, "{:<9}", t.format("%A").to_string()),
                Part::DayShort => write!(out, "{}", t.format("%a")),
                Part::Quarter => write!(out, "{}", t.month0() / 3 + 1),
                Part::Hour24 => write!(out, "{:02}", t.hour()),
                Part::Hour12 => write!(out, "{:02}", t.hour12().1),
                Part::Minute => write!(out, "{:02}", t.minute()),
                Part::Second => write!(out, "{:02}", t.second()),
                Part::Millis => write!(out, "{:03}", t.and_utc().timestamp_subsec_millis()),
                Part::Micros => write!(out, "{:06}", t.and_utc().timestamp_subsec_micros()),
                Part::Meridiem { upper } => {
                    let text = if t.hour12().0 { "pm" } else { "am" };
                    if *upper { write!(out, "{}", text.to_uppercase()) } else { out.write_str(text) }
                }
                Part::Char(c) => out.write_char(*c),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    fn text(format: &str, micros: i64) -> String {
        let times = Arc::new(TimestampMicrosecondArray::from(vec![micros])) as ArrayRef;
        let text = Template::parse(format).and_then(|t| t.format(&times)).expect("a known format");
        text.as_string_view().value(0).to_owned()
    }

    #[test]
    fn patterns_as_postgresql_has_them() {
        // 2026-11-03 14:05:09.123456 UTC
        let t = 1_793_714_709_123_456;
        assert_eq!(text("YYYY-MM-DD HH24:MI:SS.US", t), "2026-11-03 14:05:09.123456");
        assert_eq!(text("DD Mon YY, HH12:MI am, \"Q\"Q", t), "03 Nov 26, 02:05 pm, Q4");
        assert_eq!(text("yyyy/mm/dd", t), "2026/11/03");
        assert_eq!(text("YYYY-MM-DD", -1), "1969-12-31");
    }

    #[test]
    fn an_unknown_pattern_is_refused() {
        assert!(Template::parse("YYYY-xx").is_err());
    }

    #[test]
    fn formats_that_tell_days() {
        let tells = |f| Template::parse(f).map(|t| t.tells_days()).unwrap_or(false);
        assert!(tells("YYYY-MM-DD") && tells("DD.MM.YYYY"));
        assert!(!tells("YYYY-MM") && !tells("YYYY-MM-DD HH24") && !tells("YY-MM-DD"));
    }
}
