//! Parquet as a source: one split a row group. It must not know how a file's columns are checked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use thalweg_core::{DeadLetter, Error, Offset, Polled, Result, Source, Split, SplitReader};
use thalweg_formats::JsonEncoder;

use super::parquet_file::{ParquetFile, contained, corrupt, open_all};
use super::watch::Whole;

/// Rows a batch: enough to pay for a call, few enough to stay in the cache.
const BATCH_ROWS: usize = 8192;

/// Parquet files, their footers read and checked.
pub(crate) struct ParquetSource {
    schema: SchemaRef,
    files: Vec<Arc<ParquetFile>>,
    splits: Vec<Split>,
    places: HashMap<Arc<str>, (usize, usize)>,
}

impl ParquetSource {
    /// Opens every file of `paths`; `schema` is what to read, `event_time` the column whose statistics bound a split.
    pub(crate) fn new(paths: &[PathBuf], schema: SchemaRef, event_time: Option<&Field>) -> Result<Self> {
        let files: Vec<Arc<ParquetFile>> = open_all(paths, &schema)?.into_iter().map(Arc::new).collect();
        let mut splits = Vec::new();
        let mut places = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            let bounds = match event_time {
                Some(field) => file.lower_bounds(field),
                None => vec![None; file.row_groups()],
            };
            for (group, lower_bound) in bounds.into_iter().enumerate() {
                let id: Arc<str> = format!("{}#{group}", file.path.display()).into();
                places.insert(Arc::clone(&id), (number, group));
                splits.push(Split { id, lower_bound });
            }
        }
        // Event-time order keeps the watermark close behind the reading; a stable sort keeps name order among equals.
        if splits.iter().all(|s| s.lower_bound.is_some()) {
            splits.sort_by_key(|s| s.lower_bound);
        }
        Ok(Self { schema, files, splits, places })
    }
}

impl Source for ParquetSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(self.splits.clone())
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let (file, group) = *self
            .places
            .get(&split.id)
            .ok_or_else(|| Error::Data(format!("{} is no longer there: the file was replaced or cut", split.id)))?;
        Ok(Box::new(RowGroupReader::open(&self.files[file], &self.schema, group, from.0)?))
    }

    fn bounded(&self) -> bool {
        true
    }
}

/// Opens the file at `path`, called `name`, as one split, of which `from` rows were read before; and its end.
pub(crate) fn open_whole(path: &Path, name: &Path, schema: &SchemaRef, from: Offset) -> Result<Whole> {
    let file = Arc::new(ParquetFile::open(path, schema)?.named(name));
    let rows = (0..file.row_groups()).map(|group| file.rows_of(group).0).sum();
    let (schema, next) = (Arc::clone(schema), from.0.min(rows));
    let reader = FileReader { schema, file, next_group: 0, group: None, next };
    Ok(Whole { reader: Box::new(reader), end: Some(Offset(rows)) })
}

/// Reads the row groups of a file one after the other.
struct FileReader {
    schema: SchemaRef,
    file: Arc<ParquetFile>,
    /// The group to be opened next.
    next_group: usize,
    group: Option<RowGroupReader>,
    /// The row of the file that comes next.
    next: u64,
}

impl SplitReader for FileReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        loop {
            if let Some(group) = &mut self.group {
                let polled = group.poll(max_rows)?;
                self.next = group.before + group.next;
                if !matches!(polled, Polled::End) {
                    return Ok(polled);
                }
                self.group = None;
            }
            if self.next_group == self.file.row_groups() {
                return Ok(Polled::End);
            }
            let (rows, before) = self.file.rows_of(self.next_group);
            let skip = self.next.saturating_sub(before);
            if skip < rows {
                self.group = Some(RowGroupReader::open(&self.file, &self.schema, self.next_group, skip)?);
            }
            self.next_group += 1;
        }
    }

    fn offset(&self) -> Offset {
        Offset(self.next)
    }
}

/// Reads one row group. Without wanted columns it only counts.
struct RowGroupReader {
    schema: SchemaRef,
    file: Arc<ParquetFile>,
    origin: Arc<str>,
    reader: Option<ParquetRecordBatchReader>,
    pending: Option<RecordBatch>,
    rows: u64,
    before: u64,
    next: u64,
    bytes_per_row: f64,
}

impl RowGroupReader {
    /// Reads row group `group` of `file` behind its first `skip` rows.
    fn open(file: &Arc<ParquetFile>, schema: &SchemaRef, group: usize, skip: u64) -> Result<Self> {
        let (rows, before) = file.rows_of(group);
        let origin: Arc<str> = file.name.display().to_string().into();
        let skip = skip.min(rows);
        let reader = if schema.fields().is_empty() { None } else { Some(file.read(group, skip, BATCH_ROWS)?) };
        let bytes_per_row = file.bytes_of(group) as f64 / rows.max(1) as f64;
        let (schema, file) = (Arc::clone(schema), Arc::clone(file));
        Ok(Self { schema, file, origin, reader, pending: None, rows, before, next: skip, bytes_per_row })
    }

    /// The next rows as they are in the file, at most `max_rows`.
    fn raw(&mut self, max_rows: usize) -> Result<Option<RecordBatch>> {
        let batch = match (self.pending.take(), &mut self.reader) {
            (Some(batch), _) => batch,
            (None, Some(reader)) => {
                let next = contained(|| reader.next().transpose());
                let next = next.and_then(|n| n.map_err(|e| e.to_string()));
                match next.map_err(|reason| corrupt(&self.file.path, &reason))? {
                    Some(batch) => batch,
                    None if self.next < self.rows => {
                        let reason = format!("a row group ends after {} of {} rows", self.next, self.rows);
                        return Err(corrupt(&self.file.path, &reason));
                    }
                    None => return Ok(None),
                }
            }
            (None, None) => {
                let left = usize::try_from(self.rows - self.next).unwrap_or(usize::MAX).min(max_rows).min(BATCH_ROWS);
                if left == 0 {
                    return Ok(None);
                }
                let options = RecordBatchOptions::new().with_row_count(Some(left));
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), Vec::new(), &options)?
            }
        };
        if batch.num_rows() <= max_rows {
            return Ok(Some(batch));
        }
        self.pending = Some(batch.slice(max_rows, batch.num_rows() - max_rows));
        Ok(Some(batch.slice(0, max_rows)))
    }

    /// The declared columns of `batch`, and the rows that break the declaration.
    fn convert(&self, batch: &RecordBatch, dead: &mut Vec<DeadLetter>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.file.columns.len());
        let mut faults: Vec<(NullBuffer, String)> = Vec::new();
        for (column, field) in self.file.columns.iter().zip(self.schema.fields()) {
            let raw = batch.column(column.position);
            let converted = column.conversion.apply(Arc::clone(raw), field.data_type())?;
            if column.conversion.can_fail() && converted.null_count() > raw.null_count() {
                let valid = converted.logical_nulls().expect("it has nulls that the raw column has not");
                let fits = match raw.logical_nulls() {
                    Some(raw) => NullBuffer::new(valid.inner() | &!raw.inner()),
                    None => valid,
                };
                faults.push((fits, format!("column {}: value out of range", field.name())));
            }
            if !field.is_nullable() && raw.logical_null_count() > 0 {
                let valid = raw.logical_nulls().expect("its null count is not zero");
                faults.push((valid, format!("column {}: null in a NOT NULL column", field.name())));
            }
            columns.push(converted);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        if faults.is_empty() {
            return Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        }
        self.reject(batch, columns, &faults, dead)
    }

    fn reject(
        &self,
        raw: &RecordBatch,
        columns: Vec<ArrayRef>,
        faults: &[(NullBuffer, String)],
        dead: &mut Vec<DeadLetter>,
    ) -> Result<RecordBatch> {
        let mut encoder = JsonEncoder::new(&raw.schema());
        let mut keep = vec![true; raw.num_rows()];
        for (row, keep) in keep.iter_mut().enumerate() {
            let Some((_, reason)) = faults.iter().find(|(valid, _)| valid.is_null(row)) else { continue };
            *keep = false;
            let mut bytes = Vec::new();
            encoder.encode(&raw.slice(row, 1), &mut bytes)?;
            bytes.truncate(bytes.len().saturating_sub(1).min(DeadLetter::MAX_RAW_BYTES));
            dead.push(DeadLetter {
                raw: bytes,
                origin: Arc::clone(&self.origin),
                offset: self.before + self.next + row as u64,
                reason: reason.clone(),
            });
        }
        let fields: Vec<Field> = self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let loose = RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns)?;
        let kept = filter_record_batch(&loose, &keep.into())?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), kept.columns().to_vec())?)
    }
}

impl SplitReader for RowGroupReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let Some(batch) = self.raw(max_rows.max(1))? else { return Ok(Polled::End) };
        let mut dead = Vec::new();
        let rows = self.convert(&batch, &mut dead)?;
        self.next += batch.num_rows() as u64;
        let bytes = (self.bytes_per_row * batch.num_rows() as f64) as usize;
        Ok(Polled::Rows { rows, dead, bytes })
    }

    fn offset(&self) -> Offset {
        Offset(self.next)
    }
}
