//! Tests of file sources and sinks on real files.

use std::fs;
use std::io::Write;
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use thalweg_core::{DeadLetter, Offset, Polled, Source, Split, Watermark};

use super::*;

fn options(pairs: &[(&str, &str)]) -> Options {
    Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn request(pairs: &[(&str, &str)], declared: &SchemaRef, projection: &[usize]) -> SourceRequest {
    SourceRequest {
        name: "events".to_owned(),
        connector: "file".to_owned(),
        options: options(pairs),
        declared: Arc::clone(declared),
        projection: projection.to_vec(),
        event_time: declared.fields().iter().position(|f| f.name() == "at"),
        workers: 2,
    }
}

fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(n, t, null)| Field::new(*n, t.clone(), *null)).collect::<Vec<_>>()))
}

fn numbers() -> SchemaRef {
    schema(&[("n", DataType::Int64, false), ("t", DataType::Utf8View, true)])
}

/// Everything that a reader yields until it ends or idles.
fn drain(
    source: &dyn Source,
    split: &Split,
    from: Offset,
    at_once: usize,
) -> (Vec<RecordBatch>, Vec<DeadLetter>, Offset) {
    let mut reader = source.open(split, from).expect("opens");
    let (mut batches, mut letters) = (Vec::new(), Vec::new());
    loop {
        match reader.poll(at_once).expect("readable") {
            Polled::Rows { rows, dead, .. } => {
                assert!(rows.num_rows() <= at_once);
                batches.push(rows);
                letters.extend(dead);
            }
            Polled::Idle | Polled::End => return (batches, letters, reader.offset()),
        }
    }
}

fn column(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn all(source: &dyn Source, at_once: usize) -> (Vec<i64>, Vec<DeadLetter>) {
    let (mut values, mut letters) = (Vec::new(), Vec::new());
    for split in source.splits().expect("listed") {
        let (batches, dead, _) = drain(source, &split, Offset(0), at_once);
        values.extend(column(&batches));
        letters.extend(dead);
    }
    (values, letters)
}

fn write_parquet(path: &Path, batch: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).expect("created"), batch.schema(), Some(properties))
        .expect("writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
}

fn sample() -> RecordBatch {
    let n: ArrayRef = Arc::new(Int32Array::from((0..1000).map(|i| (i % 100 != 7).then_some(i)).collect::<Vec<_>>()));
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values((0..1000).map(|i| i * 10)));
    let text: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..1000).map(|i| format!("a text of some length {i}"))));
    RecordBatch::try_from_iter_with_nullable([("N", n, true), ("at", at, true), ("text", text, true)])
        .expect("three columns")
}

fn path_of(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

#[test]
fn parquet_row_groups_casts_bounds_and_not_null() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.parquet");
    write_parquet(Path::new(&path), &sample(), 300);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let declared = schema(&[("n", DataType::Int64, false), ("at", micros, true), ("text", DataType::Utf8View, true)]);
    let source = source(request(&[("path", &path)], &declared, &[0, 2, 1])).expect("fits");
    let splits = source.splits().expect("listed");
    assert_eq!(
        splits.iter().map(|s| s.lower_bound).collect::<Vec<_>>(),
        [0, 3_000_000, 6_000_000, 9_000_000].map(|t| Some(Watermark(t)))
    );
    assert!(source.bounded());
    for at_once in [1, 7, 250, 100_000] {
        let (values, dead) = all(source.as_ref(), at_once);
        assert_eq!(values, (0..1000).filter(|i| i % 100 != 7).collect::<Vec<i64>>());
        assert_eq!(
            dead.iter().map(|d| d.offset).collect::<Vec<_>>(),
            (0..10).map(|i| i * 100 + 7).collect::<Vec<u64>>()
        );
        assert_eq!(dead[3].reason, "column n: null in a NOT NULL column");
        let raw = String::from_utf8_lossy(&dead[3].raw);
        assert!(raw.contains("\"text\":\"a text of some length 307\""), "{raw}");
    }
    let (batches, _, end) = drain(source.as_ref(), &splits[1], Offset(120), 50);
    assert_eq!(column(&batches)[0], 420);
    assert_eq!(batches[0].column(2).as_primitive::<TimestampMicrosecondType>().value(0), 4_200_000);
    assert_eq!(batches[0].column(1).as_string_view().value(0), "a text of some length 420");
    assert_eq!(end, Offset(300));
}

#[test]
fn parquet_counts_rows_without_columns() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.parquet");
    write_parquet(Path::new(&path), &sample(), 300);
    let declared = schema(&[("n", DataType::Int64, true)]);
    let source = source(request(&[("path", &path)], &declared, &[])).expect("fits");
    let rows: usize = source
        .splits()
        .expect("listed")
        .iter()
        .flat_map(|s| drain(source.as_ref(), s, Offset(0), 128).0)
        .map(|b| b.num_rows())
        .sum();
    assert_eq!(rows, 1000);
}

#[test]
fn parquet_that_does_not_fit_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.parquet");
    write_parquet(Path::new(&path), &sample(), 300);
    for (name, data_type, part) in [
        ("txt", DataType::Utf8View, "has no column txt"),
        ("text", DataType::Int64, "column text is declared as bigint, but"),
        ("n", DataType::Int16, "column n is declared as smallint"),
    ] {
        let declared = schema(&[(name, data_type, true)]);
        let message = source(request(&[("path", &path)], &declared, &[0])).err().expect("refused").to_string();
        assert!(message.contains(part), "{message}");
    }
    let inferred = infer(options(&[("path", &path)])).expect("readable");
    assert_eq!(inferred.field(1).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
    assert_eq!(inferred.field(2).data_type(), &DataType::Utf8View);
}

#[test]
fn damaged_parquet_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.parquet");
    write_parquet(Path::new(&path), &sample(), 300);
    let whole = fs::read(&path).expect("readable");
    let declared = schema(&[("n", DataType::Int64, true), ("text", DataType::Utf8View, true)]);
    let read = |bytes: &[u8]| -> Result<usize> {
        fs::write(&path, bytes).expect("written");
        let source = source(request(&[("path", &path)], &declared, &[0, 1]))?;
        let mut rows = 0;
        for split in source.splits()? {
            let mut reader = source.open(&split, Offset(0))?;
            while let Polled::Rows { rows: batch, .. } = reader.poll(1000)? {
                rows += batch.num_rows();
            }
        }
        Ok(rows)
    };
    assert_eq!(read(&whole).expect("sound"), 1000);
    for length in [0, 3, 12, whole.len() / 2, whole.len() - 1] {
        let message = read(&whole[..length]).expect_err("truncated").to_string();
        assert!(message.contains("a.parquet") && message.contains("not a readable Parquet file"), "{message}");
    }
    // Any damage is an error or other rows, never a panic.
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        if let Err(error) = read(&bytes) {
            assert!(error.to_string().contains("a.parquet"), "{error}");
        }
    }
}

/// A source over one file with small splits.
fn text(path: &str, more: &[(&str, &str)], split_bytes: u64) -> TextSource {
    let pairs: Vec<(&str, &str)> = [("path", path)].into_iter().chain(more.iter().copied()).collect();
    let parsed = FileOptions::parse(options(&pairs)).expect("valid options");
    let files = list::list(&parsed).expect("there");
    let format = common_format(&parsed, &files).expect("one format");
    TextSource::new(parsed, format, files, &numbers(), vec![0, 1], split_bytes).expect("fits")
}

fn json_lines(rows: std::ops::Range<i64>) -> String {
    rows.map(|i| format!("{{\"n\":{i},\"t\":\"{}\"}}\n", "x".repeat((i % 37) as usize))).collect()
}

#[test]
fn text_ranges_cover_each_line_once_and_resume_anywhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.json");
    let body = json_lines(0..200);
    fs::write(&path, body.trim_end()).expect("written");
    let expected: Vec<i64> = (0..200).collect();
    for split_bytes in [1, 2, 13, 40, 100, 1000, 1 << 20] {
        let source = text(&path, &[], split_bytes);
        let (values, dead) = all(&source, 7);
        assert_eq!((values, dead.len()), (expected.clone(), 0), "{split_bytes}");
    }
    let source = text(&path, &[], 1000);
    let split = &source.splits().expect("listed")[1];
    let whole = column(&drain(&source, split, Offset(0), 1000).0);
    let mut reader = source.open(split, Offset(0)).expect("opens");
    let mut seen = Vec::new();
    loop {
        let rest = column(&drain(&source, split, reader.offset(), 1000).0);
        assert_eq!([seen.clone(), rest].concat(), whole);
        match reader.poll(3).expect("readable") {
            Polled::Rows { rows, .. } => seen.extend(column(&[rows])),
            _ => break,
        }
    }
    assert_eq!(seen, whole);
}

#[test]
fn compressed_text_reads_and_resumes() {
    let dir = tempfile::tempdir().expect("a directory");
    let body = json_lines(0..5000);
    let gz = path_of(&dir, "a.json.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(&gz).expect("created"), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).and_then(|()| encoder.finish().map(drop)).expect("written");
    let zst = path_of(&dir, "b.json.zst");
    fs::write(&zst, zstd::encode_all(body.as_bytes(), 1).expect("compressed")).expect("written");
    for path in [gz.as_str(), zst.as_str()] {
        let source = text(path, &[], 100);
        let splits = source.splits().expect("listed");
        assert_eq!(splits.len(), 1);
        assert_eq!(all(&source, 1000).0, (0..5000).collect::<Vec<_>>());
        let mut reader = source.open(&splits[0], Offset(0)).expect("opens");
        let Polled::Rows { rows, .. } = reader.poll(1234).expect("readable") else { panic!("rows first") };
        let rest = column(&drain(&source, &splits[0], reader.offset(), 10_000).0);
        assert_eq!(rest, (rows.num_rows() as i64..5000).collect::<Vec<_>>());
    }
    fs::write(&gz, &fs::read(&gz).expect("readable")[..100]).expect("cut");
    let source = text(&gz, &[], 100);
    let mut reader = source.open(&source.splits().expect("listed")[0], Offset(0)).expect("opens");
    let error = loop {
        match reader.poll(100) {
            Ok(Polled::Rows { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("a.json.gz"), "{error}");
}

#[test]
fn csv_with_header_ranges_and_quoted_line_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = path_of(&dir, "plain.csv");
    let rows: String = (0..300).map(|i| format!("{i},text {i},z\r\n")).collect();
    fs::write(&plain, format!("N,T,rest\r\n{rows}")).expect("written");
    for split_bytes in [1, 50, 5000, 1 << 20] {
        let source = text(&plain, &[], split_bytes);
        assert_eq!(source.splits().expect("listed").len() > 1, split_bytes < 5000);
        let (values, dead) = all(&source, 10);
        assert_eq!((values, dead.len()), ((0..300).collect(), 0));
    }
    let quoted = path_of(&dir, "quoted.csv");
    let rows: String = (0..300).map(|i| format!("\"a\nb {i}\";{i}\n")).collect();
    fs::write(&quoted, format!("t;n\n{rows}7;x;\n")).expect("written");
    let source = text(&quoted, &[("delimiter", ";")], 100);
    assert_eq!(source.splits().expect("listed").len(), 1);
    let (values, dead) = all(&source, 10);
    assert_eq!(values, (0..300).collect::<Vec<_>>());
    assert_eq!(dead.len(), 1);
    let parsed = FileOptions::parse(options(&[("path", &plain)])).expect("valid");
    let wrong = schema(&[("missing", DataType::Int64, true)]);
    let refused = TextSource::new(parsed, FileFormat::Csv, vec![plain.into()], &wrong, vec![0], 100);
    let message = refused.err().expect("no such column").to_string();
    assert!(
        message.contains("plain.csv: the header has no column missing") && message.contains("N, T, rest"),
        "{message}"
    );
}

#[test]
fn a_line_beyond_all_bounds_is_one_dead_letter() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = path_of(&dir, "a.json");
    let mut file = fs::File::create(&path).expect("created");
    file.write_all(b"{\"n\":1}\n{\"n\":2,\"t\":\"").expect("written");
    for _ in 0..50 {
        file.write_all(&vec![b'x'; 1 << 20]).expect("written");
    }
    file.write_all(b"\"}\n{\"n\":3}\n").expect("written");
    for split_bytes in [8 << 20, 1 << 40] {
        let source = text(&path, &[], split_bytes);
        let (values, dead) = all(&source, 1000);
        assert_eq!(values, [1, 3]);
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0].offset, dead[0].raw.len()), (8, DeadLetter::MAX_RAW_BYTES));
        assert!(dead[0].reason.contains("longer than 16 MiB"), "{}", dead[0].reason);
    }
}

#[test]
fn columns_of_text_are_found_by_looking() {
    let dir = tempfile::tempdir().expect("a directory");
    let json = path_of(&dir, "a.ndjson");
    fs::write(&json, "{\"a\":1,\"b\":\"2026-11-01 00:00:00\"}\n{\"a\":1.5,\"c\":{\"x\":1}}\n").expect("written");
    let found = infer(options(&[("path", &json)])).expect("readable");
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let types: Vec<_> = found.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
    assert_eq!(types, [("a", DataType::Float64), ("b", micros), ("c", DataType::Utf8View)]);
    let csv = path_of(&dir, "a.csv");
    fs::write(&csv, "id,day,zip\n1,2026-11-01,01234\n,,\n").expect("written");
    let found = infer(options(&[("path", &csv)])).expect("readable");
    let types: Vec<_> = found.fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Date32, DataType::Utf8View]);
}

/// A driver as the engine is one: lists splits again and again, opens new ones, polls all.
struct Driver {
    source: TextSource,
    readers: Vec<(Arc<str>, Box<dyn thalweg_core::SplitReader>)>,
    seen: Vec<i64>,
}

impl Driver {
    fn step(&mut self) -> Vec<i64> {
        let before = self.seen.len();
        for split in self.source.splits().expect("listed") {
            if !self.readers.iter().any(|(id, _)| *id == split.id) {
                let reader = self.source.open(&split, Offset(0)).expect("opens");
                self.readers.push((split.id, reader));
            }
        }
        for (_, reader) in &mut self.readers {
            while let Polled::Rows { rows, dead, .. } = reader.poll(100).expect("readable") {
                assert!(dead.is_empty(), "{dead:?}");
                self.seen.extend(column(&[rows]));
            }
        }
        self.seen[before..].to_vec()
    }
}

#[test]
fn growing_files_are_followed_through_rotation_and_truncation() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("app.log");
    let append = |path: &Path, text: &str| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all(text.as_bytes()).expect("appended");
    };
    let pattern = path_of(&dir, "*.log");
    let source = text(&pattern, &[("mode", "follow"), ("format", "ndjson")], 1 << 20);
    assert!(!source.bounded());
    let mut driver = Driver { source, readers: Vec::new(), seen: Vec::new() };
    assert_eq!(driver.step(), Vec::<i64>::new());
    append(&log, "{\"n\":1}\n{\"n\":");
    assert_eq!(driver.step(), [1], "a partial line waits");
    append(&log, "2}\n");
    assert_eq!(driver.step(), [2]);
    // Renamed away: what is still written to the old file comes, then the new one's lines.
    fs::rename(&log, dir.path().join("app.log.1")).expect("renamed");
    append(&dir.path().join("app.log.1"), "{\"n\":3}\n");
    append(&log, "{\"n\":4}\n");
    let mut both = driver.step();
    both.sort_unstable();
    assert_eq!(both, [3, 4]);
    // Copied and cut: it starts again at its start.
    fs::write(&log, "").expect("cut");
    assert_eq!(driver.step(), Vec::<i64>::new());
    append(&log, "{\"n\":5}\n");
    assert_eq!(driver.step(), [5]);
    append(&dir.path().join("other.log"), "{\"n\":6}\n");
    assert_eq!(driver.step(), [6]);
    // A restart goes on where it stopped, also in the file that was renamed.
    let old = driver.readers.iter().find(|(_, r)| r.offset().0 == 24).expect("app.log.1 has three lines");
    let split = Split { id: Arc::clone(&old.0), lower_bound: None };
    append(&dir.path().join("app.log.1"), "{\"n\":7}\n");
    assert_eq!(column(&drain(&driver.source, &split, Offset(16), 100).0), [3, 7]);
}

#[test]
fn what_was_added_to_a_file_before_it_was_renamed_is_read_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("app.log");
    fs::write(&log, "{\"n\":1}\n{\"n\":2}\n").expect("written");
    let follow = [("mode", "follow"), ("format", "ndjson")];
    let source = text(&path_of(&dir, "*.log"), &follow, 1 << 20);
    let split = source.splits().expect("listed").remove(0);
    // It was read up to the first line; then it is rotated away.
    let offsets = std::collections::BTreeMap::from([(Arc::clone(&split.id), Offset(8))]);
    fs::rename(&log, dir.path().join("app.log.1")).expect("renamed");
    fs::write(&log, "{\"n\":3}\n").expect("written");
    let source = text(&path_of(&dir, "*.log"), &follow, 1 << 20);
    source.resume(&offsets).expect("it is there");
    let mut seen = Vec::new();
    for split in source.splits().expect("listed") {
        let from = offsets.get(&split.id).copied().unwrap_or_default();
        seen.extend(column(&drain(&source, &split, from, 100).0));
    }
    seen.sort_unstable();
    assert_eq!(seen, [2, 3]);
}
