//! One split being read: rows, generated columns, late rows, its watermark. It must not know epochs or other splits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::aggregate::{max, min};
use arrow::datatypes::TimestampMicrosecondType;
use thalweg_core::{DeadLetter, Error, Offset, Polled, Result, Split, SplitReader, Watermark};
use thalweg_plan::SourceSpec;

/// What one read brought.
pub(crate) enum Read {
    Rows { rows: RecordBatch, dead: Vec<DeadLetter>, bytes: usize, late: usize },
    Idle,
    End,
}

/// A split with its reader and clock.
pub(crate) struct Partition {
    id: Arc<str>,
    reader: Box<dyn SplitReader>,
    lower_bound: Option<Watermark>,
    latest: Option<i64>,
    delay: i64,
    idle_since: Option<Instant>,
    read: bool,
}

impl Partition {
    pub fn new(split: Split, reader: Box<dyn SplitReader>, delay: i64) -> Self {
        Self {
            id: split.id,
            reader,
            lower_bound: split.lower_bound,
            latest: None,
            delay,
            idle_since: None,
            read: false,
        }
    }

    /// Which split it is.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The latest event time read; the order in which splits of several sources are read.
    pub fn event_time(&self) -> i64 {
        self.latest.or(self.lower_bound.map(|b| b.0)).unwrap_or(i64::MIN)
    }

    /// No later row of this split is below it; `END` for a split that has been quiet for `idle_timeout`.
    pub fn watermark(&self, idle_timeout: Duration) -> Watermark {
        if self.idle_since.is_some_and(|since| since.elapsed() >= idle_timeout) {
            return Watermark::END;
        }
        let seen = self.latest.map_or(Watermark::START, |t| Watermark(t.saturating_sub(self.delay)));
        seen.max(self.lower_bound.unwrap_or(Watermark::START))
    }

    /// Where the reader stands, if it read anything since the last call.
    pub fn moved_to(&mut self) -> Option<(Arc<str>, Offset)> {
        std::mem::take(&mut self.read).then(|| (Arc::clone(&self.id), self.reader.offset()))
    }

    /// Reads up to `max_rows` and drops rows below `floor`, the watermark that has been announced.
    pub fn read(&mut self, max_rows: usize, spec: &SourceSpec, floor: Watermark) -> Result<Read> {
        match self.reader.poll(max_rows)? {
            Polled::End => Ok(Read::End),
            Polled::Idle => {
                // Rows that are on their way would be late if others went on without them.
                if !self.reader.is_awaited() {
                    self.idle_since.get_or_insert_with(Instant::now);
                }
                Ok(Read::Idle)
            }
            Polled::Rows { rows, dead, bytes } => {
                self.idle_since = None;
                self.read = true;
                let rows = generate(rows, spec)?;
                let (rows, late) = self.observe(rows, spec, floor)?;
                Ok(Read::Rows { rows, dead, bytes, late })
            }
        }
    }

    fn observe(&mut self, rows: RecordBatch, spec: &SourceSpec, floor: Watermark) -> Result<(RecordBatch, usize)> {
        let Some(watermark) = spec.watermark else { return Ok((rows, 0)) };
        let column = rows.column(watermark.column);
        let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
            return Err(Error::Internal(format!(
                "watermark column of {} is not a timestamp in microseconds",
                spec.name
            )));
        };
        let Some(latest) = max(times) else { return Ok((rows, 0)) };
        self.latest = Some(self.latest.map_or(latest, |t| t.max(latest)));
        if min(times).is_none_or(|earliest| earliest >= floor.0) {
            return Ok((rows, 0));
        }
        let mask: BooleanArray = times.iter().map(|t| Some(t.is_none_or(|t| t >= floor.0))).collect();
        let kept = filter_record_batch(&rows, &mask)?;
        let late = rows.num_rows() - kept.num_rows();
        Ok((kept, late))
    }
}

fn generate(rows: RecordBatch, spec: &SourceSpec) -> Result<RecordBatch> {
    if spec.generated.is_empty() {
        return Ok(rows);
    }
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    for (_, expr) in &spec.generated {
        columns.push(thalweg_operators::evaluate(expr, &rows)?);
    }
    Ok(RecordBatch::try_new(Arc::clone(&spec.schema), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has nothing at the moment.
    struct Silent {
        awaited: bool,
    }

    impl SplitReader for Silent {
        fn poll(&mut self, _: usize) -> Result<Polled> {
            Ok(Polled::Idle)
        }

        fn offset(&self) -> Offset {
            Offset(0)
        }

        fn is_awaited(&self) -> bool {
            self.awaited
        }
    }

    #[test]
    fn what_is_on_its_way_holds_time_and_what_is_quiet_does_not() {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let spec = SourceSpec {
            name: "s".to_owned(),
            connector: String::new(),
            options: thalweg_core::Options::default(),
            declared: Arc::clone(&schema),
            projection: Vec::new(),
            generated: Vec::new(),
            watermark: None,
            schema,
            dead_used: false,
            relation: None,
        };
        for (awaited, expected) in [(true, Watermark::START), (false, Watermark::END)] {
            let split = Split { id: "a".into(), lower_bound: None };
            let mut partition = Partition::new(split, Box::new(Silent { awaited }), 0);
            assert!(matches!(partition.read(1, &spec, Watermark::START), Ok(Read::Idle)));
            assert_eq!(partition.watermark(Duration::ZERO), expected);
        }
    }
}
