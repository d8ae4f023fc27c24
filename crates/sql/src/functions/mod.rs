//! Functions that DataFusion lacks or that must not be folded at planning time. It must not know plans.

mod to_char;

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::types::UTC;

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

/// Adds ours to `state`, in the place of DataFusion's where both exist.
pub(crate) fn register(state: &mut SessionState) {
    // Registering cannot fail: it returns what was there before.
    let _ = state.register_udf(now());
    let _ = state.register_udf(Arc::new(to_char::to_char()));
}
