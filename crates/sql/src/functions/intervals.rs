//! Intervals as PostgreSQL reads, multiplies and prints them. It must not know when the planner calls for them.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast;

use super::simple;

const DAY_MICROS: i64 = 86_400_000_000;
const DAY_NANOS: f64 = 86_400e9;

/// The type of intervals.
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// A difference of timestamps as an interval of days and a time.
pub(crate) static SPAN: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(simple::any("span", 1, |_| Ok(INTERVAL), |args, _| span(&args[0]))));

pub(super) fn span(durations: &ArrayRef) -> Result<ArrayRef> {
    let micros = cast(durations, &DataType::Duration(TimeUnit::Microsecond))?;
    let split = |micros: i64| {
        let days = i32::try_from(micros / DAY_MICROS).ok()?;
        Some(IntervalMonthDayNano::new(0, days, micros % DAY_MICROS * 1000))
    };
    let split = micros.as_primitive::<DurationMicrosecondType>().iter().map(|m| m.and_then(split));
    Ok(Arc::new(split.collect::<IntervalMonthDayNanoArray>()))
}

/// `interval * number`.
pub(super) static TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let run: simple::Run = |args, _| scaled(&args[0], &args[1], Ok);
    Arc::new(simple::exact("interval_mul", vec![INTERVAL, DataType::Float64], |_| Ok(INTERVAL), run))
});

/// `interval / number`.
pub(super) static PARTS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let run: simple::Run = |args, _| {
        scaled(&args[0], &args[1], |by| {
            if by == 0.0 { Err(DataFusionError::Execution("division by zero".to_owned())) } else { Ok(1.0 / by) }
        })
    };
    Arc::new(simple::exact("interval_div", vec![INTERVAL, DataType::Float64], |_| Ok(INTERVAL), run))
});

fn scaled(intervals: &ArrayRef, by: &ArrayRef, factor: impl Fn(f64) -> Result<f64>) -> Result<ArrayRef> {
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
    let by = by.as_primitive::<Float64Type>();
    let at = |row: usize| {
        if intervals.is_null(row) || by.is_null(row) {
            return Ok(None);
        }
        let out = times(intervals.value(row), factor(by.value(row))?);
        out.map(Some).ok_or_else(|| DataFusionError::Execution("interval out of range".to_owned()))
    };
    Ok(Arc::new((0..intervals.len()).map(at).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// A part of a month is days, thirty to the month; a part of a day is time.
fn times(interval: IntervalMonthDayNano, factor: f64) -> Option<IntervalMonthDayNano> {
    let whole = |x: f64| (x.abs() <= f64::from(i32::MAX)).then_some(x as i32);
    // What a float cannot hold shows far behind the microseconds.
    let tidy = |x: f64| (x * 1e6).round() / 1e6;
    let months = f64::from(interval.months) * factor;
    let month_days = tidy(months.fract() * 30.0);
    let days = f64::from(interval.days) * factor;
    let part_of_day = tidy((days.fract() + month_days.fract()) * 86_400.0) / 86_400.0;
    let days = days.trunc() + month_days.trunc() + part_of_day.trunc();
    let time = interval.nanoseconds as f64 * factor + part_of_day.fract() * DAY_NANOS;
    // Below 2^63 nanoseconds, and to the microsecond.
    let time = (time.abs() < 9.2e18).then(|| (time / 1000.0).round_ties_even() as i64 * 1000)?;
    Some(IntervalMonthDayNano::new(whole(months)?, whole(days)?, time))
}

/// An interval's text in words only: `1 day 02:03:04` is `1 day 2 hours 3 minutes 4 seconds`.
pub(super) fn in_words(text: &str) -> Option<String> {
    if !text.contains(':') {
        return None;
    }
    let words = text
        .split_whitespace()
        .map(|word| if word.contains(':') { clock_in_words(word) } else { Some(word.to_owned()) });
    Some(words.collect::<Option<Vec<_>>>()?.join(" "))
}

fn clock_in_words(clock: &str) -> Option<String> {
    let (sign, digits) = match clock.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", clock.strip_prefix('+').unwrap_or(clock)),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let number = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !parts.iter().all(number) {
        return None;
    }
    match parts[..] {
        [h, m] => Some(format!("{sign}{h} hours {sign}{m} minutes")),
        [h, m, s] => Some(format!("{sign}{h} hours {sign}{m} minutes {sign}{s} seconds")),
        _ => None,
    }
}

/// `INTERVAL '1 day 02:03:04'` in words, which the planner knows.
pub(crate) fn interval_in_words(expr: ast::Expr) -> ast::Expr {
    let ast::Expr::Interval(mut interval) = expr else { return expr };
    if interval.leading_field.is_none()
        && let ast::Expr::Value(value) = interval.value.as_mut()
        && let ast::Value::SingleQuotedString(text) = &mut value.value
        && let Some(words) = in_words(text)
    {
        *text = words;
    }
    ast::Expr::Interval(interval)
}

#[cfg(test)]
mod tests {
    use arrow::array::DurationMicrosecondArray;

    use super::*;

    #[test]
    fn days_are_split_off() {
        let durations: ArrayRef = Arc::new(DurationMicrosecondArray::from(vec![Some(DAY_MICROS + 1), Some(-1), None]));
        let spans = span(&durations).expect("durations are intervals");
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        assert_eq!(spans.value(0), IntervalMonthDayNano::new(0, 1, 1000));
        assert_eq!(spans.value(1), IntervalMonthDayNano::new(0, 0, -1000));
        assert!(spans.is_null(2));
    }

    #[test]
    fn parts_of_months_and_days_go_down() {
        let hour = 3_600_000_000_000;
        assert_eq!(times(IntervalMonthDayNano::new(1, 0, 0), 0.5), Some(IntervalMonthDayNano::new(0, 15, 0)));
        assert_eq!(times(IntervalMonthDayNano::new(0, 1, 0), 0.5), Some(IntervalMonthDayNano::new(0, 0, 12 * hour)));
        assert_eq!(times(IntervalMonthDayNano::new(0, 0, hour), 2.0), Some(IntervalMonthDayNano::new(0, 0, 2 * hour)));
        assert_eq!(times(IntervalMonthDayNano::new(0, i32::MAX, 0), 2.0), None);
    }

    #[test]
    fn clocks_in_words() {
        assert_eq!(in_words("1 day 02:03:04").as_deref(), Some("1 day 02 hours 03 minutes 04 seconds"));
        assert_eq!(in_words("-00:30").as_deref(), Some("-00 hours -30 minutes"));
        assert_eq!(in_words("1 day"), None);
        assert_eq!(in_words("a:b"), None);
    }
}
