//! Dates and times as PostgreSQL reads, splits and shifts them. It must not know when the planner calls for them.

use std::fmt::Write;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringViewBuilder, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::IntervalUnit;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Timelike};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast as cast_expr, lit,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;

use super::inner::as_inner;
use super::intervals::{INTERVAL, SPAN, span};
use super::simple::{self, over_arrays};
use super::to_char::Template;
use crate::types::UTC;

const AT_TIME_ZONE: &str = "at_time_zone";

fn naive() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// `t AT TIME ZONE 'zone'` as a call: the planner's own reading of it does not depend on the type of `t`.
pub(crate) fn at_time_zone_call(expr: ast::Expr) -> ast::Expr {
    let ast::Expr::AtTimeZone { timestamp, time_zone } = expr else { return expr };
    let arg = |e: ast::Expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e));
    ast::Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![ast::Ident::new(AT_TIME_ZONE)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![arg(*timestamp), arg(*time_zone)],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `at_time_zone(timestamp, zone)`: the moment when clocks there show it; of a moment, what clocks there show.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

pub(super) fn at_time_zone() -> ScalarUDF {
    ScalarUDF::from(AtTimeZone { signature: Signature::any(2, Volatility::Immutable) })
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        AT_TIME_ZONE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match &args[0] {
            DataType::Timestamp(_, Some(_)) => Ok(naive()),
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Null => Ok(utc()),
            other => Err(DataFusionError::Plan(format!("AT TIME ZONE takes a timestamp, not {other}"))),
        }
    }

    /// For UTC it is a plain cast, which what is known of a column's watermark survives.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let zone = args.get(1).and_then(Expr::as_literal).and_then(|z| z.try_as_str().flatten());
        if !zone.is_some_and(|z| z.eq_ignore_ascii_case("utc") || z == UTC) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let to = self.return_type(&[info.get_data_type(&args[0])?])?;
        Ok(ExprSimplifyResult::Simplified(cast_expr(args.swap_remove(0), to)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = match &args.args[1] {
            ColumnarValue::Scalar(s) => s.try_as_str().flatten().map(str::to_owned),
            ColumnarValue::Array(_) => None,
        };
        let Some(zone) = zone else {
            return Err(DataFusionError::NotImplemented("AT TIME ZONE with a zone that is not a constant".to_owned()));
        };
        let out = args.return_field.data_type().clone();
        over_arrays(&args.args[..1], |times| in_zone(&times[0], &zone, &out))
    }
}

fn in_zone(times: &ArrayRef, zone: &str, out: &DataType) -> Result<ArrayRef> {
    let known = Tz::from_str(zone).map_err(|_| {
        DataFusionError::Execution(format!(
            "time zone \"{zone}\" is not known\n  hint: Write a name such as 'Europe/Berlin'."
        ))
    })?;
    if matches!(times.data_type(), DataType::Timestamp(_, Some(_))) {
        let moments = cast(times, &utc())?;
        let local = |t: i64| {
            let utc = DateTime::from_timestamp_micros(t)?.naive_utc();
            Some(known.from_utc_datetime(&utc).naive_local().and_utc().timestamp_micros())
        };
        return Ok(Arc::new(
            moments.as_primitive::<TimestampMicrosecondType>().unary_opt::<_, TimestampMicrosecondType>(local),
        ));
    }
    let there = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    Ok(cast(&cast(&cast(times, &naive())?, &there)?, out)?)
}

/// `date_part`, whose seconds and milliseconds have a fraction.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart {
    inner: Arc<ScalarUDF>,
}

/// `date_part(text, timestamp)` and `extract`.
pub(super) static DATE_PART: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(DatePart { inner: datafusion::functions::datetime::date_part() })));

const MICROSECOND: &str = "microsecond";

/// Microseconds in the part, when it is one that DataFusion cuts to an integer.
fn micros_in(part: &ScalarValue) -> Option<f64> {
    let part = part.try_as_str().flatten()?.trim_matches(['\'', '"']);
    match IntervalUnit::from_str(part).ok()? {
        IntervalUnit::Second => Some(1_000_000.0),
        IntervalUnit::Millisecond => Some(1_000.0),
        _ => None,
    }
}

impl ScalarUDFImpl for DatePart {
    as_inner!();

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.scalar_arguments.first().copied().flatten().and_then(micros_in) {
            Some(_) => Ok(Arc::new(Field::new(self.name(), DataType::Float64, true))),
            None => self.inner.return_field_from_args(args),
        }
    }

    /// At run time only DataFusion's function is left.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let micros = args.first().and_then(Expr::as_literal).and_then(micros_in);
        if micros.is_some() {
            args[0] = lit(MICROSECOND);
        }
        // DataFusion drops the fraction of a duration's seconds, and PostgreSQL has days apart.
        if let Some(of) = args.pop() {
            let span = matches!(info.get_data_type(&of)?, DataType::Duration(_));
            args.push(if span { SPAN.call(vec![of]) } else { of });
        }
        let whole = self.inner.call(args);
        Ok(ExprSimplifyResult::Simplified(match micros {
            Some(micros) => cast_expr(whole, DataType::Float64) / lit(micros),
            None => whole,
        }))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [_, of] = &mut args.args[..]
            && matches!(of.data_type(), DataType::Duration(_))
        {
            *of = over_arrays(std::slice::from_ref(of), |durations| span(&durations[0]))?;
            args.arg_fields[1] = Arc::new(Field::new("", INTERVAL, true));
        }
        let micros = match args.args.first() {
            Some(ColumnarValue::Scalar(part)) => micros_in(part),
            _ => None,
        };
        let Some(micros) = micros else { return self.inner.invoke_with_args(args) };
        args.args[0] = ColumnarValue::Scalar(ScalarValue::from(MICROSECOND));
        args.return_field = Arc::new(Field::new(self.name(), DataType::Int32, true));
        let whole = self.inner.invoke_with_args(args)?;
        over_arrays(&[whole], |parts| {
            let parts = cast(&parts[0], &DataType::Float64)?;
            Ok(Arc::new(parts.as_primitive::<Float64Type>().unary::<_, Float64Type>(|p| p / micros)))
        })
    }
}

/// `to_date` or `to_timestamp`: with a template PostgreSQL's, else DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FromText {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

/// `inner` with PostgreSQL's templates as its second argument.
pub(super) fn from_text(inner: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::from(FromText { inner, signature: Signature::variadic_any(Volatility::Immutable) })
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args.len() {
            2 if self.name() == "to_date" => Ok(DataType::Date32),
            2 => Ok(utc()),
            _ => self.inner.return_type(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [texts, template] = &args.args[..] else { return self.inner.invoke_with_args(args) };
        let template = match template {
            ColumnarValue::Scalar(s) => s.try_as_str().flatten().map(Template::parse).transpose()?,
            ColumnarValue::Array(_) => {
                let message = format!("{} with a format that is not constant", self.name());
                return Err(DataFusionError::NotImplemented(message));
            }
        };
        let Some(template) = template else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(args.return_field.data_type())?));
        };
        let dates = self.name() == "to_date";
        over_arrays(std::slice::from_ref(texts), |texts| read(&template, &texts[0], dates))
    }
}

fn read(template: &Template, texts: &ArrayRef, dates: bool) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8View)?;
    let times = texts.as_string_view().iter().map(|t| t.map(|t| template.read(t)).transpose());
    if dates {
        let days = |t: NaiveDateTime| t.date().signed_duration_since(NaiveDate::default()).num_days() as i32;
        return Ok(Arc::new(times.map(|t| Ok(t?.map(days))).collect::<Result<Date32Array>>()?));
    }
    let micros = |t: NaiveDateTime| t.and_utc().timestamp_micros();
    let times = times.map(|t| Ok(t?.map(micros))).collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(Arc::new(times.with_timezone(UTC)))
}

/// A timestamp as text: `2024-02-29 13:45:30.5`, of a moment with `+00` after it.
pub(super) static TIME_TEXT: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(simple::any("time_text", 1, |_| Ok(DataType::Utf8View), |args, _| time_text(&args[0]))));

fn time_text(times: &ArrayRef) -> Result<ArrayRef> {
    let zone = if matches!(times.data_type(), DataType::Timestamp(_, Some(_))) { "+00" } else { "" };
    let times = cast(times, &naive())?;
    let mut out = StringViewBuilder::with_capacity(times.len());
    let mut text = String::new();
    for time in times.as_primitive::<TimestampMicrosecondType>() {
        let Some(t) = time.and_then(DateTime::from_timestamp_micros) else {
            out.append_null();
            continue;
        };
        text.clear();
        // Writing to a String cannot fail.
        let _ = write!(text, "{:04}-{:02}-{:02} ", t.year(), t.month(), t.day());
        let _ = write!(text, "{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second());
        let micros = t.timestamp_subsec_micros();
        if micros > 0 {
            let _ = write!(text, ".{micros:06}");
            text.truncate(text.trim_end_matches('0').len());
        }
        text.push_str(zone);
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

/// A timestamp's text with the seconds that Arrow wants and PostgreSQL does not.
pub(super) fn with_seconds(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let like = |pattern: &str| {
        pattern.bytes().zip(bytes).all(|(p, b)| match p {
            b'0' => b.is_ascii_digit(),
            b' ' => matches!(b, b' ' | b'T'),
            other => *b == other,
        })
    };
    // Nothing or a time zone may follow the minutes.
    let short = bytes.len() >= 16 && like("0000-00-00 00:00") && !matches!(bytes.get(16), Some(b':' | b'0'..=b'9'));
    short.then(|| format!("{}:00{}", &text[..16], &text[16..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29 13:45:30.5 UTC
    const LEAP: i64 = 1_709_214_330_500_000;

    fn times(zone: Option<&str>) -> ArrayRef {
        let times = TimestampMicrosecondArray::from(vec![Some(LEAP), None]);
        Arc::new(times.with_timezone_opt(zone))
    }

    #[test]
    fn a_zone_is_taken_off_or_put_on() {
        let shown = in_zone(&times(Some(UTC)), "+02:00", &naive()).expect("a known zone");
        assert_eq!(shown.as_primitive::<TimestampMicrosecondType>().value(0), LEAP + 7_200_000_000);
        let moment = in_zone(&times(None), "+02:00", &utc()).expect("a known zone");
        assert_eq!(moment.as_primitive::<TimestampMicrosecondType>().value(0), LEAP - 7_200_000_000);
        assert_eq!((shown.data_type(), moment.data_type()), (&naive(), &utc()));
        assert!(shown.is_null(1) && in_zone(&times(None), "Atlantis", &utc()).is_err());
    }

    #[test]
    fn times_as_text() {
        let moment = time_text(&times(Some(UTC))).expect("a moment has a text");
        assert_eq!(moment.as_string_view().value(0), "2024-02-29 13:45:30.5+00");
        assert!(moment.is_null(1));
        let time = time_text(&times(None)).expect("a timestamp has a text");
        assert_eq!(time.as_string_view().value(0), "2024-02-29 13:45:30.5");
    }

    #[test]
    fn seconds_are_added_where_they_are_missing() {
        assert_eq!(with_seconds("2024-05-06 07:08").as_deref(), Some("2024-05-06 07:08:00"));
        assert_eq!(with_seconds("2024-05-06T07:08+02").as_deref(), Some("2024-05-06T07:08:00+02"));
        assert_eq!(with_seconds("2024-05-06 07:08:09"), None);
        assert_eq!(with_seconds("2024-05-06"), None);
        assert_eq!(with_seconds("2024-05-06 07:0é"), None);
    }
}
