//! The source and its readers: options to splits, splits to batches. It must not know files or the registry.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::SchemaRef;
use nexmark::event::Event;
use thalweg_core::{Error, Offset, Options, Polled, Result, Source, Split, SplitReader, Watermark};

use super::sequence::{BLOCK_EVENTS, Sequence};
use super::table::{Rows, Table, Text};

/// 2026-01-01 00:00:00 UTC in milliseconds.
const DEFAULT_BASE_TIME: u64 = 1_767_225_600_000;

/// Rows a poll yields at most: a few milliseconds of work.
const MAX_POLL_ROWS: usize = 16 * 1024;

/// One table of the benchmark as a source. An offset is an event number: every event of the split before it was read.
#[derive(Debug)]
pub struct NexmarkSource {
    sequence: Sequence,
    table: Table,
    events: u64,
    splits: u64,
    realtime: bool,
    /// Columns of the table that are read, in the order of `schema`.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl NexmarkSource {
    /// The source that `options` describe, yielding the columns `projection` of `declared`.
    ///
    /// # Errors
    /// An option is unknown, missing or wrong, or `declared` has a column that the table has not.
    pub fn new(mut options: Options, declared: &SchemaRef, projection: &[usize]) -> Result<Self> {
        let table = take_table(&mut options)?;
        let events = options.parse("events", 0, "a number of events")?;
        let rate = options.parse("rate", 10_000, "a number of events per second")?;
        if rate == 0 {
            return Err(Error::invalid("option rate must be at least 1 event per second"));
        }
        let seed = options.parse("seed", 0, "a whole number from 0 to 4294967295")?;
        let splits = options.parse("splits", 1, "a number of splits")?;
        if !(1..=1024).contains(&splits) {
            return Err(Error::invalid("option splits must be from 1 to 1024"));
        }
        let base_time = options.take("base_time").map_or(Ok(DEFAULT_BASE_TIME), |text| base_time(&text))?;
        let realtime = options.choice("realtime", &[("true", true), ("false", false)], false)?;
        options.finish()?;

        let columns = projection
            .iter()
            .map(|&i| table.column(declared.field(i).name(), declared.field(i).data_type()))
            .collect::<Result<Vec<_>>>()?;
        for field in declared.fields() {
            table.column(field.name(), field.data_type())?;
        }
        let schema = Arc::new(declared.project(projection)?);
        Ok(Self { sequence: Sequence { rate, base_time, seed }, table, events, splits, realtime, columns, schema })
    }
}

impl Source for NexmarkSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let start = i64::try_from(self.sequence.base_time).unwrap_or(i64::MAX).saturating_mul(1000);
        let split = |i| Split { id: format!("{i}/{}", self.splits).into(), lower_bound: Some(Watermark(start)) };
        Ok((0..self.splits).map(split).collect())
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let index = split.id.split_once('/').and_then(|(index, _)| index.parse::<u64>().ok());
        let index = index.ok_or_else(|| Error::Internal(format!("nexmark has no split {}", split.id)))?;
        Ok(Box::new(Reader {
            sequence: self.sequence,
            table: self.table,
            end: if self.events == 0 { u64::MAX } else { self.events },
            clock: self.realtime.then(|| (Instant::now(), from.0)),
            columns: self.columns.clone(),
            schema: Arc::clone(&self.schema),
            splits: self.splits,
            block: first_block(from.0, index, self.splits),
            next: from.0,
            events: None,
            ahead: None,
        }))
    }

    fn bounded(&self) -> bool {
        self.events != 0
    }
}

/// The table that the options name.
pub(super) fn take_table(options: &mut Options) -> Result<Table> {
    let choices = Table::ALL.map(|table| (table.name(), Some(table)));
    options.choice("table", &choices, None)?.ok_or_else(|| {
        Error::invalid_with_hint("option table is required", "Add table = 'person', 'auction' or 'bid'.")
    })
}

/// The first block of split `index` that may have events at or after `from`.
fn first_block(from: u64, index: u64, splits: u64) -> u64 {
    let block = from / BLOCK_EVENTS;
    block + (index + splits - block % splits) % splits
}

/// The time of event 0 in milliseconds, as the user spells it.
fn base_time(text: &str) -> Result<u64> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        return Ok(u64::try_from(now).unwrap_or(u64::MAX));
    }
    if let Ok(millis) = text.parse::<u64>() {
        return Ok(millis);
    }
    string_to_timestamp_nanos(text).ok().and_then(|nanos| u64::try_from(nanos / 1_000_000).ok()).ok_or_else(|| {
        Error::invalid_with_hint(
            format!("option base_time = '{text}' is not a time since 1970"),
            "Write milliseconds, a timestamp such as '2026-01-01 00:00:00', or 'now'.",
        )
    })
}

/// Reads the blocks of one split in order.
struct Reader {
    sequence: Sequence,
    table: Table,
    /// First event that does not exist.
    end: u64,
    /// When pacing began, and at which event.
    clock: Option<(Instant, u64)>,
    columns: Vec<usize>,
    schema: SchemaRef,
    splits: u64,
    /// The block being read.
    block: u64,
    /// Every event of the split before this one was yielded.
    next: u64,
    /// The rest of the block.
    events: Option<Box<dyn Iterator<Item = (u64, Event)> + Send>>,
    /// Made, but its time has not come.
    ahead: Option<(u64, Event)>,
}

impl Reader {
    /// The next event of the split before event `limit`.
    fn next_event(&mut self, limit: u64) -> Option<(u64, Event)> {
        loop {
            let event = match self.ahead.take() {
                Some(event) => event,
                None => {
                    if self.block.saturating_mul(BLOCK_EVENTS) >= limit {
                        return None;
                    }
                    let (sequence, block, kind) = (self.sequence, self.block, self.table.kind());
                    let events = self.events.get_or_insert_with(|| Box::new(sequence.block(block, kind)));
                    let Some(event) = events.next() else {
                        self.events = None;
                        self.block += self.splits;
                        self.next = self.next.max(self.block * BLOCK_EVENTS);
                        continue;
                    };
                    event
                }
            };
            if event.0 < self.next {
                continue;
            }
            if event.0 >= limit {
                self.ahead = Some(event);
                return None;
            }
            self.next = event.0 + 1;
            return Some(event);
        }
    }
}

impl SplitReader for Reader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let limit = match self.clock {
            None => self.end,
            Some((started, from)) => {
                let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.end.min(from.saturating_add(self.sequence.due_after(elapsed)))
            }
        };
        let most = max_rows.clamp(1, MAX_POLL_ROWS);
        let mut rows = Rows::new(self.table, most.min(1024));
        while rows.len() < most {
            let Some((_, event)) = self.next_event(limit) else { break };
            rows.push(event);
        }
        if rows.len() == 0 {
            return Ok(if limit < self.end { Polled::Idle } else { Polled::End });
        }
        let columns = self.columns.iter().map(|&at| rows.column(at, Text::View)).collect::<Vec<_>>();
        let bytes = columns.iter().map(|c| c.get_array_memory_size()).sum();
        let counted = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &counted)?;
        Ok(Polled::Rows { rows, dead: Vec::new(), bytes })
    }

    fn offset(&self) -> Offset {
        Offset(self.next)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    use super::*;

    fn source(table: Table, pairs: &[(&str, &str)], projection: &[usize]) -> Result<NexmarkSource> {
        let mut pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        pairs.push(("table".to_owned(), table.name().to_owned()));
        NexmarkSource::new(Options::new(pairs), &table.schema(), projection)
    }

    fn read(source: &NexmarkSource, split: &Split, from: Offset, poll: usize) -> Vec<(RecordBatch, Offset)> {
        let mut reader = source.open(split, from).expect("opens");
        let mut out = Vec::new();
        loop {
            match reader.poll(poll).expect("polls") {
                Polled::Rows { rows, .. } => out.push((rows, reader.offset())),
                Polled::End => return out,
                Polled::Idle => panic!("an unpaced source is never idle"),
            }
        }
    }

    fn all(source: &NexmarkSource) -> RecordBatch {
        let splits = source.splits().expect("splits");
        let batches: Vec<RecordBatch> =
            splits.iter().flat_map(|s| read(source, s, Offset(0), 1000)).map(|(rows, _)| rows).collect();
        concat_batches(&source.schema(), &batches).expect("one schema")
    }

    #[test]
    fn twelve_thousand_events_have_the_benchmark_s_proportions() {
        for (table, expected) in [(Table::Person, 240), (Table::Auction, 720), (Table::Bid, 11_040)] {
            let columns: Vec<usize> = (0..table.schema().fields().len()).collect();
            let one = all(&source(table, &[("events", "12000")], &columns).expect("valid"));
            assert_eq!((one.num_rows(), one.schema()), (expected, table.schema()));
            let splits = all(&source(table, &[("events", "12000"), ("splits", "3")], &[0]).expect("valid"));
            let sorted = |batch: &RecordBatch| {
                let mut ids = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
                ids.sort_unstable();
                ids
            };
            assert_eq!(sorted(&one), sorted(&splits), "splits are a partition");
        }
    }

    #[test]
    fn reading_on_from_any_offset_yields_exactly_the_rest() {
        let source = source(Table::Bid, &[("events", "23456"), ("splits", "2")], &[5, 2]).expect("valid");
        for split in source.splits().expect("splits") {
            let whole = read(&source, &split, Offset(0), 777);
            for at in [0, 3, whole.len() - 1] {
                let rest = read(&source, &split, whole[at].1, 50_000);
                let rest = concat_batches(&source.schema(), rest.iter().map(|(b, _)| b)).expect("one schema");
                let expected = concat_batches(&source.schema(), whole[at + 1..].iter().map(|(b, _)| b));
                assert_eq!(rest, expected.expect("one schema"));
            }
            let times = concat_batches(&source.schema(), whole.iter().map(|(b, _)| b)).expect("one schema");
            assert!(times.column(0).as_primitive::<TimestampMicrosecondType>().values().is_sorted());
        }
    }

    #[test]
    fn a_paced_reader_yields_only_what_is_due() {
        let source = source(Table::Bid, &[("realtime", "true"), ("rate", "50"), ("base_time", "now")], &[0]);
        let source = source.expect("valid");
        assert!(!source.bounded());
        let mut reader = source.open(&source.splits().expect("splits")[0], Offset(0)).expect("opens");
        // The first cycle begins with a person and three auctions: no bid before 80 ms have passed.
        assert!(matches!(reader.poll(100).expect("polls"), Polled::Idle));
        let later = std::time::Instant::now() + std::time::Duration::from_millis(150);
        while std::time::Instant::now() < later {
            std::thread::park_timeout(std::time::Duration::from_millis(150));
        }
        match reader.poll(100).expect("polls") {
            Polled::Rows { rows, .. } => assert!((1..=50).contains(&rows.num_rows())),
            other => panic!("bids are due, got {other:?}"),
        }
    }

    #[test]
    fn a_wrong_option_or_column_says_how_to_mend_it() {
        let message = |result: Result<NexmarkSource>| result.expect_err("invalid").to_string();
        assert!(message(source(Table::Bid, &[("event", "5")], &[])).contains("Did you mean events?"));
        assert!(message(source(Table::Bid, &[("rate", "0")], &[])).contains("at least 1"));
        assert!(message(source(Table::Bid, &[("base_time", "soon")], &[])).contains("not a time"));
        let none = NexmarkSource::new(Options::default(), &Table::Bid.schema(), &[]);
        assert!(message(none).contains("option table is required"));
        let bid = Options::new([("table".to_owned(), "bid".to_owned())]);
        let wrong = message(NexmarkSource::new(bid, &Table::Person.schema(), &[0]));
        assert!(wrong.contains("has no column id") && wrong.contains("auction, bidder"), "{wrong}");
    }
}
