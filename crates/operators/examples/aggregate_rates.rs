//! Rows per second of the aggregation family on one core, without a runtime around it.
//! `cargo run --release -p thalweg-operators --example aggregate_rates`

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Result, SourceId, SourceProgress, Watermark, hash_columns};
use thalweg_operators::{Aggregate, KeyTable, Operator, Output, Session};
use thalweg_plan::{AggregateCall, AggregateFunction, AggregatePhase, Bound, Distribution, Properties, partial_schema};

const BATCH: usize = 8192;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n) as i64
    }
}

fn rate(name: &str, rows: usize, work: impl FnOnce() -> Result<String>) -> Result<()> {
    let start = Instant::now();
    let note = work()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:48} {:8.1} M rows/s  {note}", rows as f64 / seconds / 1e6);
    Ok(())
}

fn main() -> Result<()> {
    for keys in [10_000, 1_000_000, 8_000_000] {
        key_table(keys)?;
    }
    for (name, keys) in [("1 k keys", 1000), ("100 k keys", 100_000), ("1 M keys", 1_000_000)] {
        let single = AggregatePhase::Single;
        aggregate(
            &format!("count(*), max by bigint, {name}"),
            keys,
            single,
            &[AggregateFunction::Count, AggregateFunction::Max],
        )?;
        aggregate(
            &format!("sum, avg by bigint, {name}"),
            keys,
            single,
            &[AggregateFunction::Sum, AggregateFunction::Avg],
        )?;
        aggregate(&format!("partial count(*), {name}"), keys, AggregatePhase::Partial, &[AggregateFunction::Count])?;
    }
    distinct()?;
    sessions()
}

/// Random keys looked up and entered, against a hash map of the standard kind.
fn key_table(keys: u64) -> Result<()> {
    let rows = 20_000_000;
    let mut rng = Rng(1);
    let batches: Vec<ArrayRef> = (0..rows / BATCH)
        .map(|_| Arc::new(Int64Array::from_iter_values((0..BATCH).map(|_| rng.below(keys)))) as ArrayRef)
        .collect();
    let (mut hashes, mut groups) = (Vec::new(), Vec::new());
    rate(&format!("KeyTable, {keys} keys"), rows, || {
        let mut table = KeyTable::new(&[DataType::Int64])?;
        for column in &batches {
            hash_columns(std::slice::from_ref(column), BATCH, &mut hashes)?;
            table.intern(std::slice::from_ref(column), &hashes, &mut groups)?;
        }
        Ok(format!("{} MB", table.bytes() >> 20))
    })?;
    rate(&format!("hashbrown, inline keys, {keys} keys"), rows, || {
        let mut table: hashbrown::HashTable<(i64, u32)> = hashbrown::HashTable::new();
        let mut known: Vec<i64> = Vec::new();
        for column in &batches {
            hash_columns(std::slice::from_ref(column), BATCH, &mut hashes)?;
            let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column).values();
            groups.clear();
            for (value, hash) in values.iter().zip(&hashes) {
                let spread = |v: i64| (v as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
                let _ = hash;
                let entry = table.entry(spread(*value), |e| e.0 == *value, |e| spread(e.0)).or_insert_with(|| {
                    known.push(*value);
                    (*value, (known.len() - 1) as u32)
                });
                groups.push(entry.get().1);
            }
        }
        Ok(format!("{} MB", (table.capacity() * 20 + known.capacity() * 8) >> 20))
    })
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("value", DataType::Int64, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]))
}

fn batches(rows: usize, mut row: impl FnMut(usize) -> (i64, i64, i64)) -> Result<Vec<DeltaBatch>> {
    let mut batches = Vec::new();
    for first in (0..rows).step_by(BATCH) {
        let made: Vec<(i64, i64, i64)> = (first..first + BATCH).map(&mut row).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(made.iter().map(|r| r.0))),
            Arc::new(Int64Array::from_iter_values(made.iter().map(|r| r.1))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(made.iter().map(|r| r.2))),
        ];
        batches.push(DeltaBatch::insert(RecordBatch::try_new(schema(), columns)?));
    }
    Ok(batches)
}

fn properties() -> Properties {
    let schema = schema();
    Properties { schema, append_only: true, key: None, distribution: Distribution::Any, bounds: vec![None; 3] }
}

fn header(epoch: u64, watermark: Watermark) -> EpochHeader {
    let source = SourceProgress { watermark, ..SourceProgress::default() };
    EpochHeader { epoch: Epoch(epoch), wall_clock: 0, sources: vec![source], checkpoint: false }
}

fn call(function: AggregateFunction, distinct: bool) -> AggregateCall {
    let output = if function == AggregateFunction::Avg { DataType::Float64 } else { DataType::Int64 };
    let args = if function == AggregateFunction::Count && !distinct { vec![] } else { vec![1] };
    let output = Arc::new(Field::new(function.name(), output, true));
    AggregateCall { function, args, distinct, filter: None, order_by: Vec::new(), output }
}

/// Epochs of 16 batches.
fn run(operator: &mut dyn Operator, batches: &[DeltaBatch], watermark: impl Fn(usize) -> Watermark) -> Result<usize> {
    let mut out = Output::default();
    let mut emitted = 0;
    for (epoch, batches) in batches.chunks(16).enumerate() {
        for batch in batches {
            operator.on_delta(0, batch.clone(), &mut out)?;
        }
        operator.on_epoch(&header(epoch as u64, watermark(epoch)), &mut out)?;
        emitted += out.drain().map(|d| d.num_rows()).sum::<usize>();
    }
    Ok(emitted)
}

fn aggregate(name: &str, keys: u64, phase: AggregatePhase, functions: &[AggregateFunction]) -> Result<()> {
    let rows = 20_000_000;
    let mut rng = Rng(2);
    // Nine rows of ten go to one key of a hundred, as the hot keys of an auction house do.
    let input = batches(rows, |i| {
        let hot = rng.below(10) > 0;
        (rng.below(if hot { (keys / 100).max(1) } else { keys }), i as i64, 0)
    })?;
    let calls: Vec<AggregateCall> = functions.iter().map(|f| call(f.clone(), false)).collect();
    let output = if phase == AggregatePhase::Partial {
        partial_schema(&[0], &calls, &properties())
    } else {
        let mut fields = vec![Arc::clone(&schema().fields()[0])];
        fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
        Arc::new(Schema::new(fields))
    };
    let mut operator = Aggregate::new(&properties(), vec![0], calls, phase, None, None, output)?;
    rate(name, rows, || {
        let emitted = run(&mut operator, &input, |_| Watermark::START)?;
        Ok(format!("{emitted} rows out, {} MB", operator.state_bytes() >> 20))
    })
}

fn distinct() -> Result<()> {
    let rows = 10_000_000;
    let mut rng = Rng(3);
    let input = batches(rows, |_| (rng.below(2), rng.below(400_000), 0))?;
    let calls = vec![call(AggregateFunction::Count, true); 4];
    let mut fields = vec![Arc::clone(&schema().fields()[0])];
    fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
    let single = AggregatePhase::Single;
    let output = Arc::new(Schema::new(fields));
    let mut operator = Aggregate::new(&properties(), vec![0], calls, single, None, None, output)?;
    rate("4 × count(distinct) of 400 k values", rows, || {
        let emitted = run(&mut operator, &input, |_| Watermark::START)?;
        Ok(format!("{emitted} rows out, {} MB", operator.state_bytes() >> 20))
    })
}

fn sessions() -> Result<()> {
    let rows = 10_000_000;
    let mut rng = Rng(4);
    // A row each 100 us: in a gap of 10 s there are 100,000 rows.
    let step = 100;
    let input = batches(rows, |i| (rng.below(300_000), 1, i as i64 * step))?;
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let calls = vec![call(AggregateFunction::Count, false)];
    let mut fields = vec![Arc::clone(&schema().fields()[0])];
    fields.extend(["window_start", "window_end"].map(|n| Arc::new(Field::new(n, time.clone(), false))));
    fields.extend(calls.iter().map(|c| Arc::clone(&c.output)));
    let bound = Some(Bound::Source(SourceId(0)));
    let output = Arc::new(Schema::new(fields));
    for on_close in [true, false] {
        let given = properties();
        let (calls, bound) = (calls.clone(), bound.clone());
        let mut operator = Session::new(&given, vec![0], 2, 10_000_000, calls, bound, on_close, Arc::clone(&output))?;
        rate(if on_close { "sessions, emitted on close" } else { "sessions, updates" }, rows, || {
            let seen = |epoch: usize| Watermark((epoch * 16 * BATCH) as i64 * step);
            let emitted = run(&mut operator, &input, seen)?;
            Ok(format!("{emitted} rows out, {} MB", operator.state_bytes() >> 20))
        })?;
    }
    Ok(())
}
