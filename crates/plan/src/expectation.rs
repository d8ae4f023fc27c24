//! `Expectations`: what the rows of a source or table are expected to be, and what becomes of those that are not.
//! It must not know who brings rows or where they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{not, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use thalweg_core::{Error, Result};

use crate::Expr;

/// What becomes of a row that violates an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnViolation {
    /// Whoever brings it is refused, with all that came with it; a job that reads it stops.
    Fail,
    /// It is counted and goes no further.
    Drop,
    /// It is set aside in `<name>$quarantine`.
    Quarantine,
}

impl OnViolation {
    /// As it is written in SQL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "FAIL",
            Self::Drop => "DROP",
            Self::Quarantine => "QUARANTINE",
        }
    }
}

/// `name CHECK (…) ON VIOLATION …`. As for a CHECK of PostgreSQL, only false violates it: null does not.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its name.
    pub name: Arc<str>,
    /// What holds of every good row.
    pub check: Expr,
    /// What becomes of the others.
    pub on: OnViolation,
    /// How often it was violated.
    pub counter: Arc<AtomicU64>,
}

/// The expectations of one relation.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// Whose, for messages.
    pub relation: Arc<str>,
    /// Each.
    pub list: Vec<Expectation>,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Verdict {
    /// Every row is as expected.
    Good,
    /// Not every row is.
    Mixed {
        /// The rows that go on.
        keep: BooleanArray,
        /// The rows that are set aside; what is in neither is dropped.
        aside: BooleanArray,
        /// Of each row that is set aside, the names of what it violates.
        violated: Vec<String>,
    },
}

/// Why a batch was not judged.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A row violates an expectation that is to fail.
    #[error("{rows} of {of} rows for {relation} violate expectation {expectation}")]
    Violated {
        /// Of which relation.
        relation: Arc<str>,
        /// Which.
        expectation: Arc<str>,
        /// How many rows.
        rows: usize,
        /// Of how many.
        of: usize,
        /// The first of them, for a person.
        first: String,
    },
    /// A kernel fails.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Violated { first, .. } => Self::Data(format!("{refusal}\n  detail: the first is ({first})")),
            Refusal::Failed(_) => match refusal {
                Refusal::Failed(error) => error,
                Refusal::Violated { .. } => Self::Internal(refusal.to_string()),
            },
        }
    }
}

impl Expectations {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Some set rows aside.
    pub fn quarantines(&self) -> bool {
        self.list.iter().any(|e| e.on == OnViolation::Quarantine)
    }

    /// The columns of what is set aside: those of the rows, then what they violate.
    pub fn quarantine_schema(rows: &Schema) -> SchemaRef {
        let loose = |f: &Arc<Field>| Arc::new(f.as_ref().clone().with_nullable(true));
        let violated = Arc::new(Field::new("violated", DataType::Utf8, false));
        Arc::new(Schema::new(rows.fields().iter().map(loose).chain([violated]).collect::<Vec<_>>()))
    }

    /// Judges rows whose columns are those that the checks were compiled over. With `count` the violations are counted.
    /// A row that violates several expectations is refused rather than set aside, and set aside rather than dropped.
    ///
    /// # Errors
    /// A row violates one that is to fail; a kernel fails.
    pub fn judge(&self, rows: &RecordBatch, count: bool) -> std::result::Result<Verdict, Refusal> {
        let mut violations = Vec::new();
        for expectation in &self.list {
            let bad = expectation.violated(rows)?;
            let n = bad.true_count();
            if n == 0 {
                continue;
            }
            if count {
                expectation.counter.fetch_add(n as u64, Ordering::Relaxed);
            }
            if expectation.on == OnViolation::Fail {
                let first = bad.iter().position(|b| b == Some(true)).unwrap_or_default();
                return Err(Refusal::Violated {
                    relation: Arc::clone(&self.relation),
                    expectation: Arc::clone(&expectation.name),
                    rows: n,
                    of: rows.num_rows(),
                    first: shown(rows, first),
                });
            }
            violations.push((expectation, bad));
        }
        if violations.is_empty() {
            return Ok(Verdict::Good);
        }
        let any = |i: usize, on: Option<OnViolation>| {
            violations.iter().any(|(e, bad)| bad.value(i) && on.is_none_or(|on| e.on == on))
        };
        let bad: BooleanArray = (0..rows.num_rows()).map(|i| Some(any(i, None))).collect();
        let aside: BooleanArray = (0..rows.num_rows()).map(|i| Some(any(i, Some(OnViolation::Quarantine)))).collect();
        let names = |i: usize| {
            let names = violations.iter().filter(|(_, bad)| bad.value(i)).map(|(e, _)| e.name.as_ref());
            names.collect::<Vec<_>>().join(", ")
        };
        let violated = (0..rows.num_rows()).filter(|i| aside.value(*i)).map(names).collect();
        Ok(Verdict::Mixed { keep: not(&bad).map_err(Error::from)?, aside, violated })
    }
}

impl Expectation {
    /// Where it is violated: where its check is false, or cannot be computed.
    fn violated(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        if let Ok(bad) = self.breaks(rows) {
            return Ok(bad);
        }
        // One row's error must not be all rows' error.
        let one = |i: usize| Some(self.breaks(&rows.slice(i, 1)).map_or(true, |bad| bad.value(0)));
        Ok((0..rows.num_rows()).map(one).collect())
    }

    fn breaks(&self, rows: &RecordBatch) -> std::result::Result<BooleanArray, datafusion::error::DataFusionError> {
        let holds = self.check.evaluate(rows)?.into_array(rows.num_rows())?;
        let Some(holds) = holds.as_boolean_opt() else {
            return datafusion::common::internal_err!("the check of expectation {} is not boolean", self.name);
        };
        // Null does not violate.
        let bad = not(holds)?;
        Ok(if bad.null_count() == 0 { bad } else { prep_null_mask_filter(&bad) })
    }
}

/// A row for a message, cut to a length that a log bears.
fn shown(rows: &RecordBatch, row: usize) -> String {
    const MAX_SHOWN_CHARS: usize = 200;
    let cell = |i: usize| {
        let text = array_value_to_string(rows.column(i), row).unwrap_or_default();
        format!("{}: {text}", rows.schema().field(i).name())
    };
    let all = (0..rows.num_columns()).map(cell).collect::<Vec<_>>().join(", ");
    if all.chars().count() <= MAX_SHOWN_CHARS {
        return all;
    }
    format!("{}…", all.chars().take(MAX_SHOWN_CHARS).collect::<String>())
}
