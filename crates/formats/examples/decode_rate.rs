//! Megabytes a second that one core decodes: lines of bids as JSON and as CSV.
//! `cargo run --release -p thalweg-formats --example decode_rate`

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_formats::{CsvDecoder, CsvEncoder, CsvLayout, CsvStyle, Decoder, Input, JsonDecoder, JsonEncoder};

const ROWS: i64 = 200_000;
const PIECE: usize = 2 * 1024 * 1024;

fn schema() -> SchemaRef {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("bidder", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("channel", DataType::Utf8View, true),
        Field::new("url", DataType::Utf8View, true),
        Field::new("date_time", micros, true),
        Field::new("extra", DataType::Utf8View, true),
    ]))
}

fn bids() -> RecordBatch {
    let ints = |f: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let text = |f: &dyn Fn(i64) -> String| Arc::new(StringViewArray::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let time = TimestampMicrosecondArray::from_iter_values((0..ROWS).map(|i| 1_793_491_200_000_000 + i * 1000));
    let columns = vec![
        ints(|i| 1000 + i % 5000),
        ints(|i| 1000 + i % 997),
        ints(|i| (i * 7919) % 10_000_000),
        text(&|i| format!("channel-{}", i % 10_000)),
        text(&|i| format!("https://www.nexmark.com/abcde/fghij/item.htm?query=1&channel_id={i}")),
        Arc::new(time),
        text(&|i| format!("{}{i}", "abcdefghijklmnop".repeat(4))),
    ];
    RecordBatch::try_new(schema(), columns).expect("seven columns")
}

fn rate(name: &str, text: &[u8], decoder: &mut dyn Decoder) {
    let origin: Arc<str> = "bench".into();
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        let (mut at, mut rows) = (0, 0);
        while at < text.len() {
            let end = (at + PIECE).min(text.len());
            let input = Input { bytes: &text[at..end], origin: &origin, offset: at as u64, last: end == text.len() };
            let decoded = decoder.decode(input, 8192).expect("good input");
            assert!(decoded.dead.is_empty());
            rows += decoded.rows.num_rows();
            at += decoded.consumed;
        }
        assert_eq!(rows, ROWS as usize);
        best = best.min(start.elapsed().as_secs_f64());
    }
    let megabytes = text.len() as f64 / 1e6;
    println!(
        "{name}: {:.0} MB/s, {:.2} M rows/s, {} bytes a line",
        megabytes / best,
        ROWS as f64 / best / 1e6,
        text.len() / ROWS as usize
    );
}

fn main() {
    let bids = bids();
    let mut json = Vec::new();
    let start = Instant::now();
    JsonEncoder::new(&bids.schema()).encode(&bids, &mut json).expect("encodes");
    println!("JSON encode: {:.0} MB/s", json.len() as f64 / 1e6 / start.elapsed().as_secs_f64());
    rate("JSON decode, 7 of 7 columns", &json, &mut JsonDecoder::new(bids.schema()).expect("known types"));
    let three = Arc::new(schema().project(&[0, 2, 5]).expect("three columns"));
    rate("JSON decode, 3 of 7 columns", &json, &mut JsonDecoder::new(three).expect("known types"));
    let mut csv = Vec::new();
    CsvEncoder::new(CsvStyle::default()).encode(&bids, &mut csv).expect("encodes");
    let layout = CsvLayout { style: CsvStyle::default(), fields: 7, positions: (0..7).collect(), multiline: false };
    rate("CSV decode", &csv, &mut CsvDecoder::new(bids.schema(), layout).expect("known types"));
}
