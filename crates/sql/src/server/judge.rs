//! Rows on their way into a table or source are judged by its expectations: those that go on, those that are set aside.
//! It must not know queues or sessions.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use thalweg_core::{Error, SqlError, SqlState};
use thalweg_plan::{Expectations, Refusal, Verdict, Write};

use super::database::Database;
use super::objects::{Object, Oid, SourceObject};
use super::writes::marked;
use crate::catalog::SourceEntry;
use crate::declare::MEMORY;

/// What the name of a quarantine ends with.
pub const QUARANTINE: &str = "$quarantine";
/// The columns that a quarantine has beside those of its relation.
const ADDED: usize = 2;

/// What became of rows.
pub(super) struct Judged {
    /// The rows that go on; `None`: all do.
    pub keep: Option<BooleanArray>,
    /// Rows for the quarantine, ready for its queue.
    pub aside: Option<(Oid, RecordBatch)>,
}

impl SourceObject {
    /// What rows are expected to be.
    pub fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// The texts of the checks, in the order of the expectations.
    pub fn checks(&self) -> impl Iterator<Item = String> {
        self.entry.expectations.iter().map(|e| e.check.to_string())
    }

    /// The table of what is set aside: the writable columns, what each row violates, and when it came.
    pub fn quarantine_table(&self) -> Self {
        let loose = |f: &Arc<Field>| Arc::new(f.as_ref().clone().with_nullable(true));
        let when = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let added = [Field::new("violated", DataType::Utf8, true), Field::new("quarantined_at", when, true)];
        let fields = self.entry.declared.fields().iter().map(loose).chain(added.map(Arc::new));
        let declared = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let entry = SourceEntry {
            name: format!("{}{QUARANTINE}", self.entry.name),
            connector: MEMORY.to_owned(),
            options: Default::default(),
            schema: Arc::clone(&declared),
            generated: Vec::new(),
            watermark: None,
            primary_key: Vec::new(),
            expectations: Vec::new(),
            declared,
            writes: false,
        };
        let defaults = vec![None; entry.declared.fields().len()];
        Self { entry, defaults, expectations: Expectations::default(), quarantine: None }
    }
}

impl Database {
    /// Judges `rows`, the writable columns of a relation.
    pub(super) fn judged(
        &self,
        table: &Object,
        source: &SourceObject,
        rows: &RecordBatch,
        now: i64,
    ) -> Result<Judged, SqlError> {
        if source.expectations.is_empty() || rows.num_rows() == 0 {
            return Ok(Judged { keep: None, aside: None });
        }
        let whole = self.generated(source, rows)?;
        match source.expectations.judge(&whole, true).map_err(refused)? {
            Verdict::Good => Ok(Judged { keep: None, aside: None }),
            Verdict::Mixed { keep, aside, violated } => {
                let aside = match source.quarantine {
                    Some(oid) if !violated.is_empty() => Some((oid, set_aside(source, rows, &aside, violated, now)?)),
                    None if !violated.is_empty() => {
                        let message = format!("{} has no quarantine", table.name);
                        return Err(SqlError::new(SqlState::INTERNAL_ERROR, message));
                    }
                    _ => None,
                };
                Ok(Judged { keep: Some(keep), aside })
            }
        }
    }

    /// Rows of a quarantine that are as expected now: for the relation's queue, and for the quarantine's, which gives
    /// them up. The others stay.
    ///
    /// # Errors
    /// A row violates an expectation that is to fail.
    pub fn replayed(
        &self,
        table: &Object,
        quarantine: &SourceObject,
        rows: &RecordBatch,
        now: i64,
    ) -> Result<Replayed, SqlError> {
        let source = table.source().ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "not a source"))?;
        let columns: Vec<usize> = (0..rows.num_columns() - ADDED).collect();
        let given = rows.project(&columns).map_err(Error::from)?;
        let verdict = source.expectations.judge(&self.generated(source, &given)?, false).map_err(refused)?;
        let keep = match verdict {
            Verdict::Good => BooleanArray::from(vec![true; rows.num_rows()]),
            Verdict::Mixed { keep, .. } => keep,
        };
        let gone = filter_record_batch(rows, &keep).map_err(Error::from)?;
        let good = filter_record_batch(&given, &keep).map_err(Error::from)?;
        let written = self.handed(table, &columns, &good, now)?;
        let taken = super::writes::assigned(&quarantine.entry.declared, gone.columns(), &quarantine.entry.name)?;
        let left = (rows.num_rows() - good.num_rows()) as u64;
        Ok(Replayed { rows: written.rows, taken: marked(&taken, Write::Delete)?, count: good.num_rows() as u64, left })
    }
}

/// See [`Database::replayed`].
pub struct Replayed {
    /// For the queue of the relation.
    pub rows: RecordBatch,
    /// For the queue of the quarantine.
    pub taken: RecordBatch,
    /// Rows that went on.
    pub count: u64,
    /// Rows that stay.
    pub left: u64,
}

fn set_aside(
    source: &SourceObject,
    rows: &RecordBatch,
    aside: &BooleanArray,
    violated: Vec<String>,
    now: i64,
) -> Result<RecordBatch, SqlError> {
    let mut columns = filter_record_batch(rows, aside).map_err(Error::from)?.columns().to_vec();
    let when = TimestampMicrosecondArray::from(vec![now; violated.len()]).with_timezone("+00:00");
    columns.extend([Arc::new(StringArray::from(violated)) as ArrayRef, Arc::new(when)]);
    let schema = Arc::clone(&source.quarantine_table().entry.declared);
    let whole = RecordBatch::try_new(schema, columns).map_err(Error::from)?;
    marked(&whole, Write::Upsert)
}

fn refused(refusal: Refusal) -> SqlError {
    match &refusal {
        Refusal::Violated { relation, expectation, first, .. } => {
            let message = format!("new row for relation \"{relation}\" violates expectation \"{expectation}\"");
            let error = SqlError::new(SqlState("23514"), message).detail(format!("{refusal}; the first is ({first})."));
            error.hint("Mend the rows, or let the expectation DROP or QUARANTINE them.")
        }
        Refusal::Failed(_) => SqlError::from(Error::from(refusal)),
    }
}
