//! Functions that DataFusion lacks or that must not be folded at planning time. It must not know plans.

mod casts;
mod checked;
mod constant;
mod datetime;
mod detect;
mod from_text;
mod inner;
mod intervals;
mod json;
mod math;
mod ranks;
mod rewrite;
mod scaled;
mod simple;
mod sketch;
mod to_char;

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::types::UTC;

pub(crate) use casts::assign;
pub(crate) use datetime::at_time_zone_call;
pub(crate) use detect::{is_anomaly, parted};
pub(crate) use intervals::{SPAN, interval_in_words};
pub(crate) use rewrite::{Operators, meant};
pub(crate) use sketch::sketch_call;
pub(crate) use to_char::{TO_CHAR, Template};

/// `now()` as a marker: lowering puts the epoch's clock in its place, so that it is one value an epoch.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EpochNow {
    signature: Signature,
    aliases: Vec<String>,
}

/// The name under which lowering finds `now()`.
pub(crate) const NOW: &str = "now";

/// `now()`, `proctime()`, `current_timestamp`.
pub(crate) fn now() -> Arc<ScalarUDF> {
    let aliases = vec!["proctime".to_owned(), "current_timestamp".to_owned()];
    Arc::new(ScalarUDF::from(EpochNow { signature: Signature::nullary(Volatility::Volatile), aliases }))
}

impl ScalarUDFImpl for EpochNow {
    fn name(&self) -> &str {
        NOW
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Plan("now() can only be used in a continuous query".to_owned()))
    }
}

/// Two columns, a value and how many rows it is one of: the value, or an error when there are several.
pub(crate) fn only_row() -> ScalarUDF {
    let returns = |types: &[DataType]| Ok(types[0].clone());
    simple::any("only_row", 2, returns, crate::scalar::checked_value)
}

/// Adds ours to `state`, in the place of DataFusion's where both exist.
pub(crate) fn register(state: &mut SessionState) {
    // Registering cannot fail: it returns what was there before.
    json::register(state);
    ranks::register(state);
    detect::register(state);
    sketch::register(state);
    let _ = state.register_udf(now());
    let _ = state.register_udf(Arc::new(to_char::to_char()));
    let _ = state.register_function_rewrite(Arc::new(rewrite::Meaning));
    let ours = [math::modulo(), math::width_bucket(), datetime::at_time_zone()];
    for function in ours.into_iter().chain(replaced(state)) {
        let _ = state.register_udf(Arc::new(function));
    }
    let _ = state.register_udf(Arc::clone(&datetime::DATE_PART));
    for (name, alias) in [("bool_and", "every"), ("var_samp", "variance")] {
        if let Ok(aggregate) = state.udaf(name) {
            let _ = state.register_udaf(Arc::new(aggregate.as_ref().clone().with_aliases([alias])));
        }
    }
}

/// DataFusion's functions under one more name, or with PostgreSQL's errors and templates.
fn replaced(state: &SessionState) -> Vec<ScalarUDF> {
    let known = |name: &str| state.scalar_functions().get(name).cloned();
    let sign = known("signum").map(|signum| signum.as_ref().clone().with_aliases(["sign"]));
    let ceiling = known("ceil").map(|ceil| scaled::scaled(ceil).with_aliases(["ceiling"]));
    let scaled = ["floor", "trunc"].into_iter().filter_map(known).map(scaled::scaled);
    let checked = checked::NAMES.into_iter().filter_map(known).map(checked::checked);
    let from_text = ["to_date", "to_timestamp"].into_iter().filter_map(known).map(datetime::from_text);
    sign.into_iter().chain(ceiling).chain(scaled).chain(checked).chain(from_text).collect()
}
