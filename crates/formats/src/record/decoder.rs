//! `RecordDecoder`: the batch of rows that a batch of records is. It must not know encodings.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeadLetter, Error, Result, writes_schema};

use super::body::Body;
use super::key::KeyBody;
use super::{Encoding, Envelope, Metadata, Reason, Record, WriteKind};
use crate::avro::AvroBody;
use crate::column::{Column, Unit};
use crate::json::Fields;
use crate::value::Fault;

/// How records are to be read.
#[derive(Clone, Debug)]
pub struct RecordLayout {
    /// What values say.
    pub envelope: Envelope,
    /// How values are written.
    pub encoding: Encoding,
    /// Columns that are filled by something else than the value.
    pub metadata: Vec<(usize, Metadata)>,
    /// Columns that the key fills. Empty: those that a key which is an object names.
    pub key: Vec<usize>,
    /// Keys are Avro too.
    pub key_avro: Option<crate::AvroReader>,
    /// What numbers that stand for times count.
    pub unit: Unit,
}

/// What became of records.
#[derive(Debug)]
pub struct DecodedRecords {
    /// The good ones; a record of an envelope may have none.
    pub rows: RecordBatch,
    /// The bad ones.
    pub dead: Vec<DeadLetter>,
}

/// Records to rows of declared columns, followed by [`thalweg_core::WRITE_COLUMN`] where the envelope has deletions. It keeps no rows
/// between calls.
#[derive(Debug)]
pub struct RecordDecoder {
    schema: SchemaRef,
    names: SchemaRef,
    envelope: Envelope,
    columns: Vec<Column>,
    writes: Vec<i8>,
    body: Body,
    key: Option<KeyBody>,
    metadata: Vec<(usize, Metadata)>,
}

impl RecordDecoder {
    /// For rows of `declared`.
    ///
    /// # Errors
    /// A column type that cannot be filled, or a layout that does not fit.
    pub fn new(declared: SchemaRef, layout: RecordLayout) -> Result<Self> {
        let RecordLayout { envelope, encoding, metadata, key, key_avro, unit } = layout;
        let taken: HashSet<usize> = metadata.iter().map(|(c, _)| *c).collect();
        if let Some(column) = taken.iter().chain(&key).find(|c| **c >= declared.fields().len()) {
            return Err(Error::Internal(format!("column {column} is not declared")));
        }
        match (envelope, &encoding) {
            (Envelope::Debezium, Encoding::Json | Encoding::Avro(_)) => {}
            (Envelope::Debezium, _) => {
                return Err(Error::Unsupported("format = 'debezium' with another encoding than json or avro".into()));
            }
            (Envelope::Upsert, Encoding::Csv(_))
                if key.is_empty() && metadata.iter().all(|(_, m)| *m != Metadata::Key) =>
            {
                return Err(Error::invalid_with_hint(
                    "format = 'upsert' with csv needs the columns of the key",
                    "Add key.columns = 'name', or include = 'key as name'.",
                ));
            }
            _ => {}
        }
        let mut columns: Vec<Column> = declared.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        if envelope == Envelope::Debezium || unit != Unit::Millis {
            columns.iter_mut().for_each(|c| c.read_numbers_as(unit));
        }
        let key = match (envelope.has_writes() || !key.is_empty(), key_avro) {
            (false, _) => None,
            (true, avro) => {
                let fields = || Fields::new(declared.fields().iter().enumerate().map(|(i, f)| (f.name().as_str(), i)));
                let avro = avro.map(|reader| AvroBody::new(&reader, fields())).transpose()?;
                Some(KeyBody::new(&declared, &key, &taken, avro))
            }
        };
        let body = Body::new(&encoding, &declared, &taken)?;
        let schema = if envelope.has_writes() { writes_schema(&declared) } else { Arc::clone(&declared) };
        Ok(Self { schema, names: declared, envelope, columns, writes: Vec::new(), body, key, metadata })
    }

    /// The columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Headers of records are looked at.
    pub fn wants_headers(&self) -> bool {
        self.metadata.iter().any(|(_, m)| matches!(m, Metadata::Headers | Metadata::Header(_)))
    }

    /// The schema of the registry that `record` needs and [`RecordDecoder::add_schema`] has not brought yet.
    pub fn missing_schema(&self, record: &Record<'_>) -> Option<u32> {
        let value = record.value.and_then(|v| self.body.missing_schema(v));
        value.or_else(|| record.key.and_then(|k| self.key.as_ref()?.missing_schema(k)))
    }

    /// Makes the schema `id` known, or that it cannot be had: its records are then dead letters for that reason.
    pub fn add_schema(&mut self, id: u32, text: std::result::Result<&str, String>) {
        self.body.add_schema(id, text.clone());
        if let Some(key) = &mut self.key {
            key.add_schema(id, text);
        }
    }

    /// Decodes `records`, which are of `origin`.
    ///
    /// # Errors
    /// Never because of a record.
    pub fn decode(&mut self, records: &[Record<'_>], origin: &Arc<str>) -> Result<DecodedRecords> {
        let mut dead = Vec::new();
        let mut rows = 0;
        for record in records {
            match self.row(record, rows) {
                Ok(None) => {}
                Ok(Some(write)) => {
                    rows += 1;
                    self.writes.push(write as i8);
                }
                Err(reason) => {
                    self.columns.iter_mut().for_each(|c| c.truncate(rows));
                    dead.push(self.dead_letter(record, origin, reason));
                }
            }
        }
        let mut columns: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        let writes = std::mem::take(&mut self.writes);
        if self.envelope.has_writes() {
            columns.push(Arc::new(Int8Array::from(writes)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(DecodedRecords { rows: RecordBatch::try_new_with_options(self.schema(), columns, &options)?, dead })
    }

    /// The row of one record at the end of every column; on a fault the caller takes it back.
    fn row(&mut self, record: &Record<'_>, row: usize) -> Result<Option<WriteKind>, Reason> {
        let mut keyed = true;
        let write = match (self.envelope, record.value) {
            (Envelope::Plain, None) => {
                return Err(Fault("a record without a value; format = 'upsert' takes it as a deletion").into());
            }
            (Envelope::Upsert, None) => {
                keyed = self.fill_key(record, row)?;
                WriteKind::Delete
            }
            (Envelope::Debezium, None) => return Ok(None),
            (Envelope::Plain | Envelope::Upsert, Some(value)) => {
                let whole = self.body.whole(value)?;
                self.body.fill(whole, &mut self.columns, row)?;
                self.fill_key(record, row)?;
                WriteKind::Upsert
            }
            (Envelope::Debezium, Some(value)) => {
                let Some(change) = self.body.change(value)? else { return Ok(None) };
                match (change.op, change.before, change.after) {
                    (b'c' | b'r' | b'u', _, Some(after)) => {
                        self.body.fill(after, &mut self.columns, row)?;
                        WriteKind::Upsert
                    }
                    (b'd', Some(before), _) => {
                        self.body.fill(before, &mut self.columns, row)?;
                        WriteKind::Delete
                    }
                    (b'd', None, _) => {
                        keyed = self.fill_key(record, row)?;
                        WriteKind::Delete
                    }
                    // A message of the database's log that is no change of a row.
                    (b'm', ..) => return Ok(None),
                    (b't', ..) => return Err(Fault("TRUNCATE is not applied").into()),
                    (b'c' | b'r' | b'u', _, None) => return Err(Fault("a change without its row in after").into()),
                    _ => return Err(Fault("not a change of Debezium: op is none of c, r, u, d").into()),
                }
            }
        };
        for (column, metadata) in &self.metadata {
            let target = &mut self.columns[*column];
            // A field of the key may have the same name.
            target.truncate(row);
            let pushed = metadata.push(record, target);
            pushed.map_err(|r| Reason { column: Some(*column), ..r })?;
        }
        if !keyed && self.metadata.iter().all(|(_, m)| *m != Metadata::Key) {
            return Err(Fault("a deletion whose key fills no column").into());
        }
        for (c, column) in self.columns.iter_mut().enumerate() {
            if column.len() > row {
                continue;
            }
            if write == WriteKind::Delete {
                column.push_blank();
            } else {
                column.push_null().map_err(|_| Reason::at(c, Fault("missing, and NOT NULL")))?;
            }
        }
        Ok(Some(write))
    }

    /// The columns of the key; `false` when it fills none.
    fn fill_key(&mut self, record: &Record<'_>, row: usize) -> Result<bool, Reason> {
        match (&mut self.key, record.key) {
            (Some(body), Some(key)) => Ok(body.fill(key, &mut self.columns, row)? > 0),
            _ => Ok(false),
        }
    }

    fn dead_letter(&self, record: &Record<'_>, origin: &Arc<str>, reason: Reason) -> DeadLetter {
        let raw = record.value.or(record.key).unwrap_or_default();
        let reason = match reason.column {
            Some(c) => format!("column {}: {}", self.names.field(c).name(), reason.text),
            None => reason.text.into_owned(),
        };
        let raw = raw[..raw.len().min(DeadLetter::MAX_RAW_BYTES)].to_vec();
        DeadLetter { raw, origin: Arc::clone(origin), offset: record.offset, reason }
    }
}
