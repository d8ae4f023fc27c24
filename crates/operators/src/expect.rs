//! `Expect`: lets the rows of a source through that are as expected, or those that are set aside. Stateless.
//! It must not know what expressions mean.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result};
use thalweg_plan::{Expectations, Verdict};

use crate::operator::{Operator, Output};

/// Judges rows that are only ever inserted.
pub struct Expect {
    expectations: Expectations,
    quarantined: bool,
    output: SchemaRef,
}

impl Expect {
    /// With `quarantined`, what is set aside goes on, and `output` has one column more.
    pub fn new(expectations: Expectations, quarantined: bool, output: SchemaRef) -> Self {
        Self { expectations, quarantined, output }
    }

    fn judged(&self, delta: DeltaBatch) -> Result<Option<DeltaBatch>> {
        // Every row is judged once for its counters: by the operator that lets it through.
        let verdict = self.expectations.judge(&delta.rows, !self.quarantined).map_err(Error::from)?;
        let (keep, aside, violated) = match verdict {
            Verdict::Good => return Ok((!self.quarantined).then_some(delta)),
            Verdict::Mixed { keep, aside, violated } => (keep, aside, violated),
        };
        if !self.quarantined {
            return Ok((keep.true_count() > 0).then_some(delta.filter(&keep)?));
        }
        if violated.is_empty() {
            return Ok(None);
        }
        let mut columns = filter_record_batch(&delta.rows, &aside)?.columns().to_vec();
        columns.push(Arc::new(StringArray::from(violated)));
        Ok(Some(DeltaBatch::insert(RecordBatch::try_new(Arc::clone(&self.output), columns)?)))
    }
}

impl Operator for Expect {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        self.judged(delta)?.into_iter().for_each(|good| out.push(good));
        Ok(())
    }

    fn on_epoch(&mut self, _header: &EpochHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::logical_expr::Operator as Op;
    use datafusion::physical_expr::expressions::{BinaryExpr, col, lit};
    use thalweg_plan::{Expectation, Expr, OnViolation};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]))
    }

    fn rows(values: Vec<Option<i64>>) -> DeltaBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        DeltaBatch::insert(RecordBatch::try_new(schema(), vec![column]).expect("one column"))
    }

    fn compared(op: Op, with: i64) -> Expr {
        Arc::new(BinaryExpr::new(col("a", &schema()).expect("a column"), op, lit(with)))
    }

    fn expectations(on: OnViolation) -> Expectations {
        let one = |name: &str, check, on| Expectation { name: name.into(), check, on, counter: Arc::default() };
        let list = vec![
            one("positive", compared(Op::Gt, 0), on),
            one("small", compared(Op::Lt, 100), OnViolation::Drop),
            // 100 / a > 0: cannot be computed for 0.
            one(
                "divides",
                Arc::new(BinaryExpr::new(
                    Arc::new(BinaryExpr::new(lit(100_i64), Op::Divide, col("a", &schema()).expect("a column"))),
                    Op::Gt,
                    lit(-1_000_i64),
                )),
                OnViolation::Drop,
            ),
        ];
        Expectations { relation: "s".into(), list }
    }

    fn through(expectations: &Expectations, quarantined: bool, delta: DeltaBatch) -> Result<Option<DeltaBatch>> {
        let output = if quarantined { Expectations::quarantine_schema(&schema()) } else { schema() };
        Expect::new(expectations.clone(), quarantined, output).judged(delta)
    }

    fn values(delta: &DeltaBatch) -> Vec<Option<i64>> {
        delta.column(0).as_primitive::<Int64Type>().iter().collect()
    }

    #[test]
    fn what_violates_is_set_aside_dropped_or_lets_nothing_through() {
        let given = || rows(vec![Some(1), Some(-1), None, Some(200), Some(0), Some(7)]);
        let aside = expectations(OnViolation::Quarantine);
        let good = through(&aside, false, given()).expect("judged").expect("some are good");
        assert_eq!(values(&good), [Some(1), None, Some(7)], "null does not violate");
        let bad = through(&aside, true, given()).expect("judged").expect("some are set aside");
        assert_eq!(values(&bad), [Some(-1), Some(0)]);
        let why: Vec<_> = bad.column(1).as_string::<i32>().iter().flatten().collect();
        assert_eq!(why, ["positive", "positive, divides"]);
        let counted: Vec<u64> = aside.list.iter().map(|e| e.counter.load(Ordering::Relaxed)).collect();
        assert_eq!(counted, [2, 1, 1], "once, although two operators judge");
        let message = through(&expectations(OnViolation::Fail), false, given()).expect_err("it fails").to_string();
        assert!(message.contains("2 of 6 rows for s violate expectation positive"), "{message}");
        assert!(message.contains("a: -1"), "{message}");
    }

    #[test]
    fn good_rows_pass_as_they_are() {
        let expectations = expectations(OnViolation::Fail);
        let good = through(&expectations, false, rows(vec![Some(1), Some(2)])).expect("judged").expect("all");
        assert_eq!(values(&good), [Some(1), Some(2)]);
        assert!(through(&expectations, true, rows(vec![Some(1)])).expect("judged").is_none());
    }
}
