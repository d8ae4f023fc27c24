//! `now()` inside expressions: one value an epoch, set by the operator that evaluates. It must not read a clock itself.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::scalar::ScalarValue;

use crate::Expr;

/// `now()`: the wall clock of the epoch's header, as timestamptz.
#[derive(Clone, Debug, Default)]
pub struct Now {
    micros: Arc<AtomicI64>,
}

impl Now {
    fn value_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
    }
}

impl PartialEq for Now {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Now {}

impl Hash for Now {
    fn hash<H: Hasher>(&self, state: &mut H) {
        "now".hash(state);
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("now()")
    }
}

impl PhysicalExpr for Now {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(Self::value_type())
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, _batch: &RecordBatch) -> Result<ColumnarValue> {
        let micros = self.micros.load(Ordering::Relaxed);
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(micros), Some("+00:00".into()))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The clock of one operator: what its `now()`s read.
#[derive(Clone, Debug)]
pub struct EpochClock(Now);

impl EpochClock {
    /// Gives the `now()`s in `exprs` a clock of their own; `None` when there are none.
    pub fn bind<'a>(exprs: impl Iterator<Item = &'a mut Expr>) -> Option<Self> {
        let now = Now::default();
        let mut found = false;
        for expr in exprs {
            let bound = Arc::clone(expr)
                .transform_up(|e| {
                    if e.downcast_ref::<Now>().is_none() {
                        return Ok(Transformed::no(e));
                    }
                    found = true;
                    Ok(Transformed::yes(Arc::new(now.clone()) as Expr))
                })
                .data();
            if let Ok(bound) = bound {
                *expr = bound;
            }
        }
        found.then_some(Self(now))
    }

    /// Sets what `now()` returns: microseconds since 1970-01-01 UTC.
    pub fn set(&self, micros: i64) {
        self.0.micros.store(micros, Ordering::Relaxed);
    }
}
