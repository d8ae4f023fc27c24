//! `Bin`: the start of the window that holds a timestamp, as a physical expression. It must not know which windows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Schema, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::scalar::ScalarValue;
use thalweg_plan::Expr;

/// `floor((arg − origin) / width) · width + origin + offset`, in microseconds; null for null. `width` 1 only adds.
#[derive(Debug, Clone, Eq)]
pub(crate) struct Bin {
    pub arg: Expr,
    pub width: i64,
    pub origin: i64,
    pub offset: i64,
}

impl PartialEq for Bin {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.origin, self.offset) == (other.width, other.origin, other.offset)
            && self.arg.as_ref() == other.arg.as_ref()
    }
}

impl Hash for Bin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.width, self.origin, self.offset).hash(state);
        self.arg.hash(state);
    }
}

impl Bin {
    fn at(&self, t: i64) -> i64 {
        let start = if self.width == 1 { t } else { t - (t.wrapping_sub(self.origin)).rem_euclid(self.width) };
        start.saturating_add(self.offset)
    }
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.width, self.origin) {
            (1, _) => write!(f, "{}", self.arg)?,
            (width, 0) => write!(f, "bin({}, {}us)", self.arg, width)?,
            (width, origin) => write!(f, "bin({}, {}us, {}us)", self.arg, width, origin)?,
        }
        if self.offset == 0 { Ok(()) } else { write!(f, " + {}us", self.offset) }
    }
}

impl PhysicalExpr for Bin {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.arg.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.arg.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.arg.evaluate(batch)? {
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(t, zone)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(t.map(|t| self.at(t)), zone)))
            }
            ColumnarValue::Array(array) => {
                let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() else {
                    return Err(DataFusionError::Internal("a window over a column that is no timestamp".to_owned()));
                };
                let starts: TimestampMicrosecondArray = times.unary(|t| self.at(t));
                Ok(ColumnarValue::Array(Arc::new(starts.with_data_type(array.data_type().clone()))))
            }
            ColumnarValue::Scalar(_) => {
                Err(DataFusionError::Internal("a window over a value that is no timestamp".to_owned()))
            }
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.arg]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let arg = children.pop().ok_or_else(|| DataFusionError::Internal("Bin has one argument".to_owned()))?;
        Ok(Arc::new(Self { arg, ..(*self).clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
