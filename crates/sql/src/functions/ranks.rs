//! `row_number`, `rank`, `dense_rank` and `ntile` as BIGINT, which they are in PostgreSQL: DataFusion's are unsigned, and
//! unsigned numbers take part in arithmetic as decimals. It must not know how ranks are counted.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::scalar::ScalarValue;

/// Puts ours in the place of DataFusion's.
pub(super) fn register(state: &mut SessionState) {
    for name in ["row_number", "rank", "dense_rank", "ntile"] {
        if let Ok(counted) = state.udwf(name) {
            // Registering cannot fail: it returns what was there before.
            let _ = state.register_udwf(Arc::new(WindowUDF::from(Signed { counted })));
        }
    }
}

/// A ranking function whose results are signed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    counted: Arc<WindowUDF>,
}

impl WindowUDFImpl for Signed {
    fn name(&self) -> &str {
        self.counted.name()
    }

    fn aliases(&self) -> &[String] {
        self.counted.aliases()
    }

    fn signature(&self) -> &Signature {
        self.counted.signature()
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(SignedRanks { counted: self.counted.partition_evaluator_factory(args)? }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let counted = self.counted.field(args)?;
        Ok(Arc::new(Field::new(counted.name(), DataType::Int64, counted.is_nullable())))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.counted.sort_options()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.counted.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct SignedRanks {
    counted: Box<dyn PartitionEvaluator>,
}

impl PartitionEvaluator for SignedRanks {
    fn get_range(&self, idx: usize, n_rows: usize) -> Result<Range<usize>> {
        self.counted.get_range(idx, n_rows)
    }

    fn is_causal(&self) -> bool {
        self.counted.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        Ok(cast(&self.counted.evaluate_all(values, num_rows)?, &DataType::Int64)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.counted.evaluate(values, range)?.cast_to(&DataType::Int64)
    }

    fn evaluate_all_with_rank(&self, num_rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        Ok(cast(&self.counted.evaluate_all_with_rank(num_rows, ranks)?, &DataType::Int64)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.counted.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.counted.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.counted.include_rank()
    }
}
