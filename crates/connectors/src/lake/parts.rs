//! Epochs as files: which rows go into which, and the bytes of each. The same epochs give the same files. It must not
//! know where files are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use thalweg_core::{Epoch, EpochRows, Error, Result, hash_bytes};
use thalweg_formats::{Cells, JsonEncoder};

use super::commits::Part;
use super::options::{Format, LakeOptions};
use crate::rows::standing;

/// Rows that are written before the size of a file is looked at.
const STEP_ROWS: usize = 8192;

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 256 * 1024;

/// A folder's name may not be longer than this (bytes).
const MAX_FOLDER_BYTES: usize = 255;

/// How Hive calls the folder of NULL, and with it everyone else.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file in the making.
pub(super) enum Body {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Json(JsonEncoder, Vec<u8>),
}

impl Body {
    /// An empty one.
    pub(super) fn new(format: Format, schema: &SchemaRef) -> Result<Self> {
        Ok(match format {
            Format::Json => Self::Json(JsonEncoder::new(schema), Vec::new()),
            Format::Parquet(codec) => {
                let properties = WriterProperties::builder()
                    .set_compression(codec)
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_created_by("thalweg".to_owned())
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(parquet_error)?))
            }
        })
    }

    /// Writes a row of NULLs, for the writer says only then that it does not have a type.
    ///
    /// # Errors
    /// A column of a type that the format does not have.
    pub(super) fn check(format: Format, schema: &SchemaRef) -> Result<()> {
        for field in schema.fields() {
            let nullable = Arc::new(Schema::new(vec![field.as_ref().clone().with_nullable(true)]));
            let row = RecordBatch::try_new(nullable.clone(), vec![new_null_array(field.data_type(), 1)])?;
            let written = Self::new(format, &nullable).and_then(|mut body| {
                body.write(&row)?;
                body.finish()
            });
            written.map_err(|e| {
                Error::invalid_with_hint(format!("column {}: {e}", field.name()), "CAST it in the query.")
            })?;
        }
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match self {
            Self::Json(encoder, bytes) => encoder.encode(rows, bytes),
            Self::Parquet(writer) => writer.write(rows).map_err(parquet_error),
        }
    }

    /// About as large as it will be.
    fn size(&self) -> usize {
        match self {
            Self::Json(_, bytes) => bytes.len(),
            Self::Parquet(writer) => writer.bytes_written() + writer.in_progress_size(),
        }
    }

    fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::Json(_, bytes) => Ok(bytes),
            Self::Parquet(writer) => writer.into_inner().map_err(parquet_error),
        }
    }
}

fn parquet_error(error: parquet::errors::ParquetError) -> Error {
    Error::Data(format!("rows cannot be written as Parquet: {error}"))
}

/// The files of `epochs`, of which the delivery reaches up to `upto`.
///
/// # Errors
/// A row that cannot be written, or a value that cannot name a folder.
pub(super) fn parts(options: &LakeOptions, epochs: &[&EpochRows], upto: Epoch) -> Result<Vec<(Part, Vec<u8>)>> {
    let mut batches = Vec::new();
    let mut folders: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for delta in epochs.iter().flat_map(|e| &e.deltas) {
        let rows = standing(delta)?;
        let names = folder_names(options, &rows)?;
        for (row, name) in names.into_iter().enumerate() {
            folders.entry(name).or_default().push((batches.len(), row));
        }
        batches.push(rows.project(&options.columns)?);
    }
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut files = Vec::new();
    for (folder, places) in &folders {
        let mut open: Option<(Body, u64)> = None;
        for step in places.chunks(STEP_ROWS) {
            let (mut body, rows) = match open.take() {
                Some(open) => open,
                None => (Body::new(options.format, &options.schema)?, 0),
            };
            body.write(&interleave_record_batch(&batches, step)?)?;
            let rows = rows + step.len() as u64;
            if body.size() as u64 >= options.file_bytes {
                files.push(file(options, folder, files.len(), upto, body, rows)?);
            } else {
                open = Some((body, rows));
            }
        }
        if let Some((body, rows)) = open {
            files.push(file(options, folder, files.len(), upto, body, rows)?);
        }
    }
    Ok(files)
}

fn file(
    options: &LakeOptions,
    folder: &str,
    number: usize,
    upto: Epoch,
    body: Body,
    rows: u64,
) -> Result<(Part, Vec<u8>)> {
    let bytes = body.finish()?;
    let hash = hash_bytes(&bytes);
    let extension = if options.format == Format::Json { "ndjson" } else { "parquet" };
    let path = format!("{folder}part-{:020}-{number:05}-{hash:016x}.{extension}", upto.0);
    Ok((Part { path, bytes: bytes.len() as u64, rows, hash }, bytes))
}

/// For each row the folders that it goes into, with `/` behind each; nothing without partitions.
fn folder_names(options: &LakeOptions, rows: &RecordBatch) -> Result<Vec<String>> {
    let mut names = vec![String::new(); rows.num_rows()];
    for column in &options.partition_by {
        let values: &ArrayRef = rows.column(*column);
        let cells = Cells::new(values)?;
        let schema = rows.schema();
        let column = schema.field(*column).name();
        for (row, name) in names.iter_mut().enumerate() {
            let mut text = Vec::new();
            cells.write_text(row, &mut text);
            let value = if cells.is_null(row) { NULL_FOLDER.to_owned() } else { escaped(&text) };
            let folder = format!("{}={value}", escaped(column.as_bytes()));
            if folder.len() > MAX_FOLDER_BYTES {
                return Err(Error::invalid_with_hint(
                    format!("a value of column {column} has more than fit into the name of a folder"),
                    "Partition by a column of short values.",
                ));
            }
            name.push_str(&folder);
            name.push('/');
        }
    }
    Ok(names)
}

/// `text` with `%XX` for what may not be in a path, or means something there.
fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b' ' | b'+' | b'~' => {
                out.push(char::from(*byte))
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
