//! The source and its readers: options to splits, row numbers to batches at a rate. It must not know column types.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Offset, Options, Polled, Result, Source, Split, SplitReader};

use super::column::Column;

/// Rows a poll yields at most.
const MAX_POLL_ROWS: u64 = 16 * 1024;

/// Event time between two rows where no rate is set, in microseconds.
const UNPACED_STEP: f64 = 1_000.0;

/// Generated rows as a source. An offset is a row number: every row of the split before it was read.
#[derive(Debug)]
pub struct DatagenSource {
    plan: Arc<Plan>,
}

/// What every reader needs.
#[derive(Debug)]
struct Plan {
    /// Row after the last one.
    end: u64,
    /// Rows per second of wall time.
    rate: Option<f64>,
    /// Microseconds since 1970 of row 0.
    base_time: i64,
    /// Microseconds from one row to the next.
    step: f64,
    splits: u64,
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl DatagenSource {
    /// The source that `options` describe, yielding the columns `projection` of `declared`.
    ///
    /// # Errors
    /// An option is unknown or wrong, or a column's type cannot be generated.
    pub fn new(mut options: Options, declared: &SchemaRef, projection: &[usize]) -> Result<Self> {
        let rows = options.parse("rows", 0, "a number of rows")?;
        let seed = options.parse("seed", 0, "a whole number")?;
        let splits = options.parse("splits", 1, "a number of splits")?;
        if !(1..=1024).contains(&splits) {
            return Err(Error::invalid("option splits must be from 1 to 1024"));
        }
        let mut rate: Option<f64> = None;
        for key in ["rows-per-second", "rows.per.second", "rows_per_second"] {
            rate = options.parse_opt(key, "a number of rows per second")?.or(rate);
        }
        if rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return Err(Error::invalid("option rows-per-second must be above 0"));
        }
        let rate = if rows == 0 { rate.or(Some(10.0)) } else { rate };
        let base = ["base-time", "base.time", "base_time"].iter().find_map(|key| options.take(key));
        let base_time = base.map_or_else(|| Ok(now()), |text| base_time(&text))?;
        // Every declared column takes its options, read or not: an unused one is not a mistake.
        let columns =
            declared.fields().iter().map(|f| Column::new(f, seed, &mut options)).collect::<Result<Vec<_>>>()?;
        options.finish()?;
        let plan = Plan {
            end: if rows == 0 { u64::MAX } else { rows },
            rate,
            base_time,
            step: rate.map_or(UNPACED_STEP, |rate| 1e6 / rate),
            splits,
            columns: projection.iter().map(|&i| columns[i].clone()).collect(),
            schema: Arc::new(declared.project(projection)?),
        };
        Ok(Self { plan: Arc::new(plan) })
    }
}

impl Source for DatagenSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.plan.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let splits = self.plan.splits;
        Ok((0..splits).map(|i| Split { id: format!("{i}/{splits}").into(), lower_bound: None }).collect())
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let index = split.id.split_once('/').and_then(|(index, _)| index.parse::<u64>().ok());
        let index = index.ok_or_else(|| Error::Internal(format!("datagen has no split {}", split.id)))?;
        let splits = self.plan.splits;
        let next = from.0 + (index + splits - from.0 % splits) % splits;
        Ok(Box::new(Reader { plan: Arc::clone(&self.plan), next, from: from.0, started: Instant::now() }))
    }

    fn bounded(&self) -> bool {
        self.plan.end != u64::MAX
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn base_time(text: &str) -> Result<i64> {
    if text.trim().eq_ignore_ascii_case("now") {
        return Ok(now());
    }
    string_to_timestamp_nanos(text.trim()).map(|nanos| nanos.div_euclid(1000)).map_err(|_| {
        Error::invalid_with_hint(
            format!("option base-time = '{text}' is not a time"),
            "Write a timestamp such as '2026-01-01 00:00:00', or 'now'.",
        )
    })
}

/// Yields the rows of one split: every n-th.
struct Reader {
    plan: Arc<Plan>,
    /// The next row of the split.
    next: u64,
    /// Where this reader began, and when: pacing counts from there.
    from: u64,
    started: Instant,
}

impl SplitReader for Reader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let plan = &self.plan;
        let limit = match plan.rate {
            None => plan.end,
            Some(rate) => {
                let due = (self.started.elapsed().as_secs_f64() * rate) as u64;
                plan.end.min(self.from.saturating_add(due).saturating_add(1))
            }
        };
        if self.next >= limit {
            return Ok(if limit < plan.end { Polled::Idle } else { Polled::End });
        }
        let most = u64::try_from(max_rows).unwrap_or(u64::MAX).clamp(1, MAX_POLL_ROWS);
        let stop = limit.min(self.next.saturating_add(most * plan.splits));
        let stride = usize::try_from(plan.splits).expect("at most 1024");
        let rows: Vec<u64> = (self.next..stop).step_by(stride).collect();
        let time = |&row: &u64| plan.base_time.saturating_add((row as f64 * plan.step) as i64);
        let times: Vec<i64> = rows.iter().map(time).collect();
        let columns = plan.columns.iter().map(|c| c.make(&rows, &times)).collect::<Result<Vec<_>>>()?;
        let bytes = columns.iter().map(|c| c.get_array_memory_size()).sum();
        let counted = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&plan.schema), columns, &counted)?;
        self.next += rows.len() as u64 * plan.splits;
        Ok(Polled::Rows { rows: batch, dead: Vec::new(), bytes })
    }

    fn offset(&self) -> Offset {
        Offset(self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{Array, AsArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("n", DataType::Int32, true),
            Field::new("word", DataType::Utf8View, true),
            Field::new("colour", DataType::Utf8View, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("price", DataType::Decimal128(10, 2), true),
        ]))
    }

    fn source(pairs: &[(&str, &str)]) -> Result<DatagenSource> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        DatagenSource::new(Options::new(pairs), &schema(), &[0, 1, 2, 3, 4, 5])
    }

    const FULL: &[(&str, &str)] = &[
        ("rows", "1000"),
        ("seed", "7"),
        ("base-time", "2026-01-01 00:00:00"),
        ("fields.id.kind", "sequence"),
        ("fields.id.start", "1"),
        ("fields.id.end", "400"),
        ("fields.n.min", "-5"),
        ("fields.n.max", "5"),
        ("fields.n.nulls", "0.25"),
        ("fields.word.length", "20"),
        ("fields.colour.kind", "choice"),
        ("fields.colour.choices", "red, green,blue"),
        ("fields.at.max-past", "5 seconds"),
        ("fields.price.max", "100"),
    ];

    fn read(source: &DatagenSource, split: &Split, from: u64, poll: usize) -> RecordBatch {
        let mut reader = source.open(split, Offset(from)).expect("opens");
        let mut batches = Vec::new();
        while let Polled::Rows { rows, .. } = reader.poll(poll).expect("polls") {
            batches.push(rows);
        }
        concat_batches(&source.schema(), &batches).expect("one schema")
    }

    #[test]
    fn every_column_keeps_to_its_options() {
        let source = source(FULL).expect("valid");
        assert!(source.bounded());
        let rows = read(&source, &source.splits().expect("splits")[0], 0, 300);
        assert_eq!(rows.num_rows(), 1000);
        let ids = rows.column(0).as_primitive::<Int64Type>();
        assert_eq!((ids.value(0), ids.value(399), ids.value(400)), (1, 400, 1));
        let n = rows.column(1).as_primitive::<Int32Type>();
        assert!((200..300).contains(&n.null_count()), "{}", n.null_count());
        assert_eq!(n.iter().flatten().collect::<BTreeSet<_>>(), (-5..=5).collect());
        let words: BTreeSet<&str> = rows.column(2).as_string_view().iter().flatten().collect();
        assert!(words.len() == 1000 && words.iter().all(|w| w.len() == 20));
        let colours: BTreeSet<&str> = rows.column(3).as_string_view().iter().flatten().collect();
        assert_eq!(colours, BTreeSet::from(["red", "green", "blue"]));
        let base = base_time("2026-01-01 00:00:00").expect("a time");
        for (row, at) in (0i64..).zip(rows.column(4).as_primitive::<TimestampMicrosecondType>().values()) {
            let time = base + row * 1000;
            assert!((time - 5_000_000..=time).contains(at));
        }
    }

    #[test]
    fn splits_polls_and_restarts_never_change_a_row() {
        let whole = source(FULL).expect("valid");
        let split = &whole.splits().expect("splits")[0];
        let rows = read(&whole, split, 0, 1000);
        assert_eq!(read(&whole, split, 123, 77), rows.slice(123, 877));
        let mut pairs = FULL.to_vec();
        pairs.push(("splits", "3"));
        let parts = source(&pairs).expect("valid");
        for (i, split) in parts.splits().expect("splits").iter().enumerate() {
            let part = read(&parts, split, 0, 10);
            for row in 0..part.num_rows() {
                assert_eq!(part.slice(row, 1), rows.slice(i + row * 3, 1));
            }
        }
        let mut other = FULL.to_vec();
        other[1] = ("seed", "8");
        let other = source(&other).expect("valid");
        assert_ne!(read(&other, split, 0, 1000), rows);
    }

    #[test]
    fn a_rate_is_kept() {
        let paced = source(&[("rows.per.second", "200")]).expect("valid");
        assert!(!paced.bounded());
        let mut reader = paced.open(&paced.splits().expect("splits")[0], Offset(0)).expect("opens");
        let started = Instant::now();
        let mut rows = 0;
        while started.elapsed().as_millis() < 300 {
            match reader.poll(1000).expect("polls") {
                Polled::Rows { rows: batch, .. } => rows += batch.num_rows(),
                Polled::Idle => std::thread::park_timeout(std::time::Duration::from_millis(1)),
                Polled::End => panic!("an unbounded source does not end"),
            }
        }
        assert!(rows > 20 && rows as f64 <= started.elapsed().as_secs_f64() * 200.0 + 1.0, "{rows}");
    }

    #[test]
    fn a_wrong_option_says_how_to_mend_it() {
        let message = |pairs: &[(&str, &str)]| source(pairs).expect_err("invalid").to_string();
        assert!(message(&[("fields.id.knd", "random")]).contains("Did you mean fields.id.kind?"));
        assert!(message(&[("fields.id.kind", "randon")]).contains("Did you mean 'random'?"));
        assert!(message(&[("fields.colour.kind", "choice")]).contains("fields.colour.choices is required"));
        assert!(message(&[("fields.n.min", "9"), ("fields.n.max", "1")]).contains("is below"));
        assert!(message(&[("fields.at.max-past", "a while")]).contains("not a duration"));
        assert!(message(&[("rows-per-second", "0")]).contains("above 0"));
        let choice = [("fields.n.kind", "choice"), ("fields.n.choices", "1,two")];
        assert!(message(&choice).contains("wrong type"), "{}", message(&choice));
    }
}
