//! The benchmark's tables as files: `DIR/{person,auction,bid}/part-NN.{parquet,ndjson}`. It must not know options.

use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use thalweg_core::{Error, Result};

use super::sequence::{BLOCK_EVENTS, Sequence};
use super::table::{Rows, Table, Text};

/// 2026-01-01 00:00:00 UTC in milliseconds: the midnight in the middle of the data.
const MIDNIGHT: u64 = 1_767_225_600_000;

/// Rows of a Parquet row group.
const ROW_GROUP_ROWS: usize = 122_880;

/// Rows turned into columns at once.
const BATCH_ROWS: usize = 8 * 1024;

/// A file format of [`generate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet with Snappy.
    Parquet,
    /// One JSON object a line.
    Ndjson,
}

impl FileFormat {
    /// The name and the file extension.
    pub fn name(self) -> &'static str {
        match self {
            FileFormat::Parquet => "parquet",
            FileFormat::Ndjson => "ndjson",
        }
    }
}

impl FromStr for FileFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = [FileFormat::Parquet, FileFormat::Ndjson].into_iter().find(|format| format.name() == name.trim());
        known.ok_or_else(|| {
            Error::invalid_with_hint(format!("'{name}' is no format to generate"), "Choices: parquet, ndjson.")
        })
    }
}

/// What [`generate`] writes.
#[derive(Clone, Debug)]
pub struct GenerateSpec {
    /// The folder; it is made if missing, files of the same names are replaced.
    pub dir: PathBuf,
    /// Events of all tables in total, midnight UTC in the middle.
    pub events: u64,
    /// Events of all tables per second of event time, at least 1.
    pub rate: u64,
    /// Files a table and format, each a stretch of time, at least 1.
    pub files: u64,
    /// Formats to write.
    pub formats: Vec<FileFormat>,
    /// Threads to use, at least 1.
    pub threads: usize,
}

impl GenerateSpec {
    /// 10,000 events a second in 20 Parquet files a table, on every core.
    pub fn new(dir: impl Into<PathBuf>, events: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { dir: dir.into(), events, rate: 10_000, files: 20, formats: vec![FileFormat::Parquet], threads }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Rows of each table: person, auction, bid.
    pub rows: [u64; 3],
    /// Files of all formats.
    pub files: usize,
}

/// Writes the benchmark's tables.
///
/// # Errors
/// A folder or file cannot be written.
pub fn generate(spec: &GenerateSpec) -> Result<Generated> {
    let files = spec.files.max(1);
    let rate = spec.rate.max(1);
    let half = u64::try_from(u128::from(spec.events) * 500 / u128::from(rate)).unwrap_or(u64::MAX);
    let sequence = Sequence { rate, base_time: MIDNIGHT.saturating_sub(half), seed: 0 };
    for table in Table::ALL {
        let dir = spec.dir.join(table.name());
        create_dir_all(&dir).map_err(|e| Error::io(dir, e))?;
    }
    // The largest files first, so that the threads end together.
    let mut jobs = Vec::new();
    for table in [Table::Bid, Table::Auction, Table::Person] {
        for file in 0..files {
            let cut = |part: u64| u64::try_from(u128::from(spec.events) * u128::from(part) / u128::from(files));
            let (from, to) = (cut(file).unwrap_or(u64::MAX), cut(file + 1).unwrap_or(u64::MAX));
            jobs.push(Job { dir: &spec.dir, sequence, table, file, from, to });
        }
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Generated> {
        let mut done = Generated::default();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.rows[job.table as usize] += job.write(&spec.formats)?;
            done.files += spec.formats.len();
        }
        Ok(done)
    };
    let parts = thread::scope(|scope| {
        let threads: Vec<_> = (0..spec.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|t| t.join());
        joined.map(|t| t.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Result<Vec<_>>>()
    })?;
    Ok(parts.iter().fold(Generated::default(), |sum, part| Generated {
        rows: [0, 1, 2].map(|i| sum.rows[i] + part.rows[i]),
        files: sum.files + part.files,
    }))
}

/// One file of one table, in every format.
struct Job<'a> {
    dir: &'a Path,
    sequence: Sequence,
    table: Table,
    file: u64,
    from: u64,
    to: u64,
}

impl Job<'_> {
    fn write(&self, formats: &[FileFormat]) -> Result<u64> {
        let mut writers = formats.iter().map(|f| Writer::create(self, *f)).collect::<Result<Vec<_>>>()?;
        let schema = self.table.schema_with(Text::Plain);
        let mut rows = Rows::new(self.table, BATCH_ROWS);
        let mut written = 0;
        let mut flush = |rows: &mut Rows| -> Result<()> {
            let columns = (0..schema.fields().len()).map(|at| rows.column(at, Text::Plain)).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
            written += batch.num_rows() as u64;
            rows.clear();
            writers.iter_mut().try_for_each(|writer| writer.write(&batch))
        };
        for block in self.from / BLOCK_EVENTS..self.to.div_ceil(BLOCK_EVENTS) {
            for (number, event) in self.sequence.block(block, self.table.kind()) {
                if (self.from..self.to).contains(&number) {
                    rows.push(event);
                    if rows.len() == BATCH_ROWS {
                        flush(&mut rows)?;
                    }
                }
            }
        }
        if rows.len() > 0 {
            flush(&mut rows)?;
        }
        writers.into_iter().try_for_each(Writer::close)?;
        Ok(written)
    }
}

/// An open file.
enum Writer {
    Parquet(PathBuf, Box<ArrowWriter<File>>),
    Ndjson(PathBuf, BufWriter<File>, Vec<u8>),
}

impl Writer {
    fn create(job: &Job<'_>, format: FileFormat) -> Result<Self> {
        let name = format!("part-{:02}.{}", job.file, format.name());
        let path = job.dir.join(job.table.name()).join(name);
        let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        Ok(match format {
            FileFormat::Ndjson => Writer::Ndjson(path, BufWriter::with_capacity(1 << 20, file), Vec::new()),
            FileFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_statistics_enabled(EnabledStatistics::Chunk)
                    // Random letters: a dictionary would only be built and thrown away.
                    .set_column_dictionary_enabled(ColumnPath::from("extra"), false)
                    .build();
                let writer = ArrowWriter::try_new(file, job.table.schema_with(Text::Plain), Some(properties));
                let writer = writer.map_err(|e| parquet_error(&path, e))?;
                Writer::Parquet(path, Box::new(writer))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Writer::Parquet(path, writer) => writer.write(batch).map_err(|e| parquet_error(path, e)),
            Writer::Ndjson(path, file, buffer) => {
                buffer.clear();
                ndjson(batch, buffer);
                file.write_all(buffer).map_err(|e| Error::io(path.as_path(), e))
            }
        }
    }

    fn close(self) -> Result<()> {
        match self {
            Writer::Parquet(path, writer) => writer.close().map(|_| ()).map_err(|e| parquet_error(&path, e)),
            Writer::Ndjson(path, mut file, _) => file.flush().map_err(|e| Error::io(path, e)),
        }
    }
}

fn parquet_error(path: &Path, error: parquet::errors::ParquetError) -> Error {
    Error::io(path, std::io::Error::other(error))
}

/// The rows as JSON lines. The benchmark's texts have no character that JSON escapes.
fn ndjson(batch: &RecordBatch, out: &mut Vec<u8>) {
    let schema = batch.schema();
    let keys: Vec<String> = schema.fields().iter().map(|f| format!("\"{}\":", f.name())).collect();
    for row in 0..batch.num_rows() {
        for (at, (key, column)) in keys.iter().zip(batch.columns()).enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            out.extend_from_slice(key.as_bytes());
            match column.data_type() {
                DataType::Int64 => integer(column.as_primitive::<Int64Type>().value(row), out),
                DataType::Timestamp(..) => time(column.as_primitive::<TimestampMicrosecondType>().value(row), out),
                _ => {
                    out.push(b'"');
                    out.extend_from_slice(column.as_string::<i32>().value(row).as_bytes());
                    out.push(b'"');
                }
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a vector takes every write");
}

/// `"2026-01-01 00:00:00.123"`.
fn time(micros: i64, out: &mut Vec<u8>) {
    match arrow::temporal_conversions::timestamp_us_to_datetime(micros) {
        Some(time) => write!(out, "\"{}\"", time.format("%Y-%m-%d %H:%M:%S%.3f")).expect("a vector takes every write"),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn files_hold_every_event_once_in_time_order_around_midnight() {
        let dir = std::env::temp_dir().join(format!("thalweg-nexmark-{}", std::process::id()));
        let formats = vec![FileFormat::Parquet, FileFormat::Ndjson];
        let spec = GenerateSpec { files: 3, formats, threads: 2, ..GenerateSpec::new(&dir, 12_345) };
        let done = generate(&spec).expect("writes");
        assert_eq!(done, Generated { rows: [247, 741, 11_357], files: 18 });

        let mut times = Vec::new();
        let mut lines = 0;
        for part in 0..3 {
            let path = dir.join(format!("bid/part-{part:02}.parquet"));
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("exists")).expect("parquet");
            for batch in reader.build().expect("reads") {
                let batch = batch.expect("reads");
                assert_eq!(batch.schema().field(3).data_type(), &DataType::Utf8);
                times.extend_from_slice(batch.column(5).as_primitive::<TimestampMicrosecondType>().values());
            }
            let text = std::fs::read_to_string(dir.join(format!("bid/part-{part:02}.ndjson"))).expect("exists");
            lines += text.lines().count();
            assert!(text.starts_with("{\"auction\":1") && text.ends_with("\"}\n"), "{}", &text[..80]);
        }
        std::fs::remove_dir_all(&dir).expect("was made here");
        assert!(times.is_sorted());
        assert_eq!((times.len(), lines), (11_357, 11_357));
        let midnight = i64::try_from(MIDNIGHT).expect("fits") * 1000;
        assert!(times[0] < midnight && times[times.len() - 1] > midnight);
    }
}
