//! Random rows, written and read back; random lines corrupted: exactly those are dead.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int32Type, SchemaRef};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use thalweg_core::DeadLetter;
use thalweg_formats::record::{Encoding, Envelope, Record, RecordDecoder, RecordLayout};
use thalweg_formats::{
    AvroEncoder, AvroReader, CsvDecoder, CsvEncoder, CsvLayout, CsvStyle, Decoder, Input, JsonDecoder, JsonEncoder,
    Unit, frame, smoke,
};

const ROWS: usize = 20;

fn some<T: Arbitrary>() -> impl Strategy<Value = Vec<Option<T>>> {
    vec(weighted(0.8, any::<T>()), ROWS)
}

/// A batch of [`smoke::schema`].
fn batch() -> impl Strategy<Value = RecordBatch> {
    let text = vec(weighted(0.8, "[^\0]{0,40}"), ROWS);
    let decimals = vec(weighted(0.8, -99_999_999_999_999_999_999i128..=99_999_999_999_999_999_999), ROWS);
    let bytes = vec(weighted(0.8, vec(any::<u8>(), 0..20)), ROWS);
    let list = vec(weighted(0.8, vec(weighted(0.8, any::<i32>()), 0..5)), ROWS);
    let times = vec(weighted(0.8, any::<i64>()), ROWS);
    let days = vec(weighted(0.8, -1_000_000i32..100_000_000), ROWS);
    (
        (vec(any::<i64>(), ROWS), some::<i32>(), some::<i16>(), some::<f32>(), some::<f64>(), decimals),
        (some::<bool>(), text, bytes, days, times.clone(), times, list),
    )
        .prop_map(|((a, b, c, d, e, f), (g, h, i, j, k, l, m))| {
            let decimal = Decimal128Array::from(f).with_precision_and_scale(20, 4).expect("in range");
            let zoned = TimestampMicrosecondArray::from(l).with_timezone("+00:00");
            let binary = BinaryArray::from_iter(i);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(a)),
                Arc::new(Int32Array::from(b)),
                Arc::new(Int16Array::from(c)),
                Arc::new(Float32Array::from(d)),
                Arc::new(Float64Array::from(e)),
                Arc::new(decimal),
                Arc::new(BooleanArray::from(g)),
                Arc::new(StringViewArray::from_iter(h)),
                Arc::new(binary),
                Arc::new(Date32Array::from(j)),
                Arc::new(TimestampMicrosecondArray::from(k)),
                Arc::new(zoned),
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(m)),
            ];
            let schema = smoke::schema();
            let columns = columns.into_iter().zip(schema.fields()).map(|(c, f)| {
                if f.data_type().is_nested() { arrow::compute::cast(&c, f.data_type()).expect("same list") } else { c }
            });
            RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("one schema")
        })
}

fn decode(decoder: &mut dyn Decoder, text: &[u8]) -> (RecordBatch, Vec<DeadLetter>) {
    let origin: Arc<str> = "test".into();
    let input = Input { bytes: text, origin: &origin, offset: 0, last: true };
    let decoded = decoder.decode(input, usize::MAX).expect("never fails as a whole");
    assert_eq!(decoded.consumed, text.len());
    (decoded.rows, decoded.dead)
}

/// Lines with some of them spoilt, and the rows that are left.
fn spoil(lines: &[Vec<u8>], spoilt: &[Option<u8>], breaks: &[&[u8]]) -> (Vec<u8>, Vec<u32>, Vec<u64>) {
    let (mut text, mut good, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for (row, line) in (0u32..).zip(lines) {
        match spoilt[row as usize] {
            None => {
                good.push(row);
                text.extend_from_slice(line);
            }
            Some(how) => {
                bad.push(text.len() as u64);
                text.extend_from_slice(breaks[usize::from(how) % breaks.len()]);
                text.extend_from_slice(line);
            }
        }
    }
    (text, good, bad)
}

fn lines_of(batch: &RecordBatch, encode: impl Fn(&RecordBatch, &mut Vec<u8>)) -> Vec<Vec<u8>> {
    (0..batch.num_rows())
        .map(|row| {
            let mut line = Vec::new();
            encode(&batch.slice(row, 1), &mut line);
            line
        })
        .collect()
}

fn check(
    batch: &RecordBatch,
    decoder: &mut dyn Decoder,
    spoilt: &[Option<u8>],
    lines: &[Vec<u8>],
    breaks: &[&[u8]],
) -> Result<(), TestCaseError> {
    let (text, good, bad) = spoil(lines, spoilt, breaks);
    let (rows, dead) = decode(decoder, &text);
    let expected = take_record_batch(batch, &UInt32Array::from(good)).expect("in range");
    prop_assert_eq!(dead.iter().map(|d| d.offset).collect::<Vec<_>>(), bad);
    prop_assert_eq!(rows, expected);
    Ok(())
}

fn flat(batch: &RecordBatch) -> (RecordBatch, SchemaRef) {
    let schema = smoke::flat_schema();
    (
        RecordBatch::try_new(Arc::clone(&schema), batch.columns()[..schema.fields().len()].to_vec()).expect("a part"),
        schema,
    )
}

/// A decoder of Avro data of `schema`'s own types, framed with schema 1.
fn avro_decoder(schema: SchemaRef, encoder: &AvroEncoder) -> RecordDecoder {
    let layout = RecordLayout {
        envelope: Envelope::Plain,
        encoding: Encoding::Avro(AvroReader { framed: true, schema: None }),
        metadata: Vec::new(),
        key: Vec::new(),
        key_avro: None,
        unit: Unit::Millis,
    };
    let mut decoder = RecordDecoder::new(schema, layout).expect("known types");
    decoder.add_schema(1, Ok(encoder.schema()));
    decoder
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn avro_reads_what_it_writes(batch in batch(), spoilt in vec(weighted(0.2, any::<u8>()), ROWS)) {
        let encoder = AvroEncoder::new(&batch.schema(), "row").expect("Avro types");
        let mut values = Vec::new();
        encoder.encode(&batch, &frame(1), |_, datum| { values.push(datum.to_vec()); Ok(()) }).expect("encodes");
        let mut good = Vec::new();
        for (row, value) in (0u32..).zip(&mut values) {
            match spoilt[row as usize].map(|how| how % 4) {
                None => good.push(row),
                Some(0) => drop(value.pop()),
                Some(1) => value.push(0),
                Some(2) => value[0] = 1,
                Some(_) => value.clear(),
            }
        }
        let records: Vec<Record<'_>> =
            (0u64..).zip(&values).map(|(offset, v)| Record { value: Some(v), offset, ..Record::default() }).collect();
        let origin: Arc<str> = "test".into();
        let decoded = avro_decoder(batch.schema(), &encoder).decode(&records, &origin).expect("never fails as a whole");
        let bad: Vec<u64> = (0..ROWS as u64).filter(|row| !good.contains(&(*row as u32))).collect();
        prop_assert_eq!(decoded.dead.iter().map(|d| d.offset).collect::<Vec<_>>(), bad);
        let expected = take_record_batch(&batch, &UInt32Array::from(good)).expect("in range");
        prop_assert_eq!(decoded.rows, expected);
    }

    #[test]
    fn json_reads_what_it_writes(batch in batch(), spoilt in vec(weighted(0.2, any::<u8>()), ROWS)) {
        let lines = lines_of(&batch, |row, out| JsonEncoder::new(&row.schema()).encode(row, out).expect("encodes"));
        let breaks: &[&[u8]] =
            &[b"x", b"{", b"{\"i64\":1.5,\"x\":", b"\xff", b"[", b"{\"i64\":99999999999999999999,\"y\":", b"\"", b"{}{"];
        let mut decoder = JsonDecoder::new(smoke::schema()).expect("known types");
        check(&batch, &mut decoder, &spoilt, &lines, breaks)?;
    }

    #[test]
    fn csv_reads_what_it_writes(batch in batch(), spoilt in vec(weighted(0.2, any::<u8>()), ROWS), multiline: bool) {
        let (mut batch, schema) = flat(&batch);
        if !multiline {
            let texts: StringViewArray = batch.column(7).as_any().downcast_ref::<StringViewArray>().expect("text")
                .iter().map(|t| t.map(|t| t.replace('\n', " "))).collect();
            let mut columns = batch.columns().to_vec();
            columns[7] = Arc::new(texts);
            batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("same types");
        }
        let lines = lines_of(&batch, |row, out| CsvEncoder::new(CsvStyle::default()).encode(row, out).expect("encodes"));
        // A spoilt record is on one line: one that holds line ends falls into several when its start is wrong.
        let breaks: &[&[u8]] = &[b"x", b"1,", b"\xff", b"1.5", b"99999999999999999999"];
        let spoilt: Vec<Option<u8>> = spoilt.iter().zip(&lines)
            .map(|(s, line)| s.filter(|_| memchr(line) == Some(line.len() - 1))).collect();
        let fields = schema.fields().len();
        let layout = CsvLayout { style: CsvStyle::default(), fields, positions: (0..fields).collect(), multiline };
        let mut decoder = CsvDecoder::new(schema, layout).expect("known types");
        check(&batch, &mut decoder, &spoilt, &lines, breaks)?;
    }
}

fn memchr(line: &[u8]) -> Option<usize> {
    line.iter().position(|b| *b == b'\n')
}

/// A small generator of pseudo-random numbers: the corpus is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"\n",
        b"\r\n",
        b"null",
        b"\\ud800",
        b"\\u0000",
        b"1e999",
        b"-",
        b"\xff",
        b"\xc3",
        b"9223372036854775808",
        b"NaN",
        b"294276-01-01 00:00:00",
        b"\"\"",
        b"\xef\xbb\xbf",
        b" BC",
        b"\\x",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            1 => {
                let end = (at + random.below(12)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => {
                let from = random.below(bytes.len() + 1);
                let copy = bytes[from..(from + random.below(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at.max(1)),
            _ => {
                bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn the_fuzz_entries_hold_over_mutated_seeds() {
    let json = concat!(
        r#"{"i64":1,"i32":7,"i16":-3,"f32":1.5,"f64":"NaN","dec":"12.34567","flag":true,"text":"caf\u00e9 \"\ud83d\ude00\"","#,
        r#""bytes":"\\x00ff","day":"2026-11-01","at":"2026-11-01 00:00:00.123","atz":"2026-11-01T02:00:00+02:00","#,
        r#""list":[1,null,3],"other":{"a":[{},[[]],"x"]}}"#,
        "\n{\"i64\":2,\"text\":{\"a\":1}}\n\n{\"i64\":3,\"at\":1000}\n{}\n"
    );
    let csv = "1,7,-3,1.5,NaN,12.34567,true,\"say \"\"hi\"\",\nyes\",\\x00ff,2026-11-01,2026-11-01 00:00:00.123,\
               2026-11-01T02:00:00+02:00\n2,,,,,,,\"\",,,,\r\n\n3,1,1,1,1,1,f,plain,,0044-03-15 BC,,\n";
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..4_000 {
        smoke::json(&mutate(json.as_bytes(), &mut random));
        smoke::csv(&mutate(csv.as_bytes(), &mut random));
    }
}

#[test]
fn the_fuzz_entries_of_records_hold_over_mutated_seeds() {
    let bytes = |hex: &str| -> Vec<u8> {
        let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).expect("ASCII"), 16).expect("hex");
        hex.as_bytes().chunks(2).map(pair).collect()
    };
    // Written by fastavro and by protoc's classes: see tests/data/README.md.
    let avro = bytes(concat!(
        "8180808080808020020e9a9999999999b93f0000c03f0102085a6fc3ab0400ff08f8a432eb00000000000026adacc40280a3c087e302f6",
        "a1bfc6b268018a9889e0adcbaf064831323334353637382d313233342d353637382d313233342d3536373831323334353637380406020200",
        "020500020261066222630002027804020279060000"
    ));
    let message = bytes(concat!(
        "08fbffffffffffffffff011000199a9999999999b93f250000c03f280132045a6fc3ab3a0200ff40ffffffffffffffffff014a0b088082",
        "9ad70610c0a9d33a50025a02020562050a0161100162050a016210026a0a0a017810021a030a017972040a026869"
    ));
    let change = concat!(
        r#"{"schema":{"a":[1]},"payload":{"before":{"i64":1},"after":{"i64":1,"day":20758,"at":1793491200000},"#,
        r#""source":{"lsn":1},"op":"u","ts_ms":1}}"#
    );
    let schema = include_bytes!("data/order.avsc");
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for turn in 0..4_000 {
        smoke::avro(&mutate(&avro, &mut random));
        smoke::protobuf(&mutate(&message, &mut random));
        smoke::envelopes(&mutate(change.as_bytes(), &mut random));
        if turn % 8 == 0 {
            smoke::avro(&mutate(schema, &mut random));
            smoke::protobuf(&mutate(include_bytes!("data/shop.pb"), &mut random));
        }
    }
}
