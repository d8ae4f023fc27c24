//! Measures joins and Top-N on made-up auctions and bids, one thread, in processor time:
//! `cargo run --release -p thalweg-operators --example speed -- [bids]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Result, SourceProgress, Watermark};
use thalweg_operators::{Collect, Join, Operator, Output, TopN};
use thalweg_plan::{Distribution, JoinKind, OrderKey, Properties};

const BATCH: usize = 8192;
const EPOCH_BATCHES: usize = 16;

fn random(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn properties(columns: &[(&str, DataType)]) -> Properties {
    let fields: Vec<Field> = columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let bounds = vec![None; columns.len()];
    Properties { schema, append_only: true, key: None, distribution: Distribution::Any, bounds }
}

fn bid_columns() -> Vec<(&'static str, DataType)> {
    let (int, text) = (DataType::Int64, DataType::Utf8View);
    vec![
        ("auction", int.clone()),
        ("bidder", int.clone()),
        ("price", int),
        ("channel", text.clone()),
        ("url", text.clone()),
        ("date_time", time()),
        ("extra", text),
    ]
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    let mut builder = StringViewBuilder::new();
    values.for_each(|v| builder.append_value(v));
    Arc::new(builder.finish()) as ArrayRef
}

/// Half of the bids go to the newest hot auction; bids are for auctions that exist.
fn bids(schema: &SchemaRef, from: u64, rows: usize) -> RecordBatch {
    let ids = from..from + rows as u64;
    let auction = |i: u64| {
        let newest = i * 3 / 46;
        let r = random(i);
        (if r.is_multiple_of(2) { newest / 100 * 100 } else { newest.saturating_sub(r % 100) }) as i64
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone().map(auction))),
        Arc::new(Int64Array::from_iter_values(ids.clone().map(|i| (i / 46 + random(i ^ 1) % 1000) as i64))),
        Arc::new(Int64Array::from_iter_values(ids.clone().map(|i| (random(i ^ 2) % 1_000_000) as i64))),
        Arc::new(StringViewArray::from_iter_values(
            ids.clone().map(|i| ["Google", "Baidu", "Apple"][(i % 3) as usize]),
        )),
        texts(
            ids.clone()
                .map(|i| format!("https://www.nexmark.com/abcd/efgh/{i}/item.htm?query=1&channel_id={}", i % 97)),
        ),
        Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone().map(|i| i as i64 * 100))),
        texts(ids.map(|i| format!("{:032x}", random(i)))),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns of the schema")
}

fn header(epoch: u64, ended: bool) -> EpochHeader {
    let watermark = if ended { Watermark::END } else { Watermark::START };
    let source = SourceProgress { watermark, ended, ..SourceProgress::default() };
    EpochHeader { epoch: Epoch(epoch), wall_clock: 0, sources: vec![source], checkpoint: false }
}

/// This thread's time on a processor, where the system tells it; else the wall clock's.
fn cpu(start: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|s| s.split_whitespace().next().and_then(|n| n.parse().ok()));
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Feeds batches made outside the measured time; returns what was spent inside the operator.
fn feed(
    name: &str,
    operator: &mut dyn Operator,
    port: usize,
    batches: usize,
    make: &dyn Fn(usize) -> RecordBatch,
    mut then: Option<&mut dyn Operator>,
) -> Result<()> {
    let (mut spent, mut rows, mut results, mut downstream) = (Duration::ZERO, 0, 0, Duration::ZERO);
    let origin = Instant::now();
    let mut out = Output::default();
    let mut sink = Output::default();
    for i in 0..batches {
        let batch = make(i);
        rows += batch.num_rows();
        let start = cpu(origin);
        operator.on_delta(port, DeltaBatch::insert(batch), &mut out)?;
        if i % EPOCH_BATCHES == EPOCH_BATCHES - 1 || i + 1 == batches {
            operator.on_epoch(&header(i as u64, false), &mut out)?;
        }
        spent += cpu(origin) - start;
        let start = cpu(origin);
        for delta in out.drain() {
            results += delta.num_rows();
            if let Some(then) = &mut then {
                then.on_delta(0, delta, &mut sink)?;
            }
        }
        downstream += cpu(origin) - start;
    }
    let rate = rows as f64 / spent.as_secs_f64() / 1e6;
    println!(
        "{name}: {rows} rows in {:.2} s ({rate:.2} M rows/s), {results} results, state {} MB",
        spent.as_secs_f64(),
        operator.state_bytes() >> 20
    );
    if let Some(then) = then {
        let start = cpu(origin);
        then.on_epoch(&header(0, true), &mut sink)?;
        let rows: usize = sink.drain().map(|d| d.num_rows()).sum();
        let end = (cpu(origin) - start).as_secs_f64();
        println!(
            "{name}, collected: {:.2} s while running, {end:.2} s at the end, {rows} rows",
            downstream.as_secs_f64()
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let total: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4_600_000);
    let bid = properties(&bid_columns());
    let batches = total.div_ceil(BATCH);
    let make = |i: usize| bids(&bid.schema, (i * BATCH) as u64, BATCH);

    let mut columns = vec![("id", DataType::Int64)];
    columns.extend([("item", DataType::Utf8View), ("opened", time()), ("category", DataType::Int64)]);
    let auction = properties(&columns);
    let auctions = total * 3 / 46 + BATCH;
    let fields: Vec<_> = bid.schema.fields().iter().chain(auction.schema.fields()).cloned().collect();
    let pairs = Arc::new(Schema::new(fields));
    let mut join = Join::new(&bid, &auction, JoinKind::Inner, &[(0, 0)], None, false, None, None, false, true, pairs)?;
    let make_auctions = |i: usize| {
        let ids = (i * BATCH) as i64..((i + 1) * BATCH) as i64;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(ids.clone())),
            texts(ids.clone().map(|i| format!("an item with a long name and number {i}"))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone())),
            Arc::new(Int64Array::from_iter_values(ids.map(|i| i % 5))),
        ];
        RecordBatch::try_new(Arc::clone(&auction.schema), columns).expect("columns of the schema")
    };
    feed("join, auctions stored", &mut join, 1, auctions.div_ceil(BATCH), &make_auctions, None)?;
    feed("join, bids probe", &mut join, 0, batches, &make, None)?;

    let key = |column, descending| OrderKey { column, descending, nulls_first: descending };
    let top = |partition: &[usize], order: &[OrderKey], limit| {
        TopN::new(&bid, partition, order, 0, limit, None, None, Arc::clone(&bid.schema))
    };
    let mut collect = Collect::new(Arc::clone(&bid.schema), Vec::new());
    feed(
        "last bid per bidder and auction",
        &mut top(&[1, 0], &[key(5, true)], 1)?,
        0,
        batches,
        &make,
        Some(&mut collect),
    )?;
    feed("best bid per auction", &mut top(&[0], &[key(2, true), key(5, false)], 1)?, 0, batches, &make, None)?;
    feed("ten best bids per auction", &mut top(&[0], &[key(2, true)], 10)?, 0, batches, &make, None)
}
