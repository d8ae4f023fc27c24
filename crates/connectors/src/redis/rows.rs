//! Changes as commands: hashes, strings, entries of a stream. It must not know how far a sink is.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{Epoch, EpochRows, Error, SinkError};
use thalweg_formats::JsonEncoder;

use super::key::KeyFormat;
use super::options::{OP, Row, Shape, SinkOptions, Stream, VALUE, Value};
use super::stream::EntryId;
use super::transaction::Transaction;
use crate::changes::{Keyed, Place, added, net};
use crate::template::Texts;

/// Why rows did not become commands.
pub(super) enum Failure {
    /// It is about the rows.
    Rows(Error),
    /// It is about the target.
    Target(SinkError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Rows(error)
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        Self::Target(error)
    }
}

/// Adds what `epochs` change. Returns the last entry of a stream, if there is one.
pub(super) fn write(
    options: &SinkOptions,
    epochs: &[&EpochRows],
    to: &mut Transaction<'_>,
) -> Result<Option<EntryId>, Failure> {
    match &options.shape {
        Shape::Stream(stream) => write_entries(stream, options, epochs, to),
        Shape::Hash(row) => write_rows(row, None, options, epochs, to).map(|()| None),
        Shape::String(row, value) => write_rows(row, Some(value), options, epochs, to).map(|()| None),
    }
}

/// Keys of rows that are gone are deleted, those of the others written anew.
fn write_rows(
    row: &Row,
    value: Option<&Value>,
    options: &SinkOptions,
    epochs: &[&EpochRows],
    to: &mut Transaction<'_>,
) -> Result<(), Failure> {
    let net = net(&options.schema, &options.key, epochs)?;
    let texts = Texts::new(&net.gone)?;
    for n in 0..net.gone.num_rows() {
        to.push([&b"DEL"[..], &key(&row.format, &texts, n)])?;
    }
    let texts = Texts::new(&net.there)?;
    let ttl = row.ttl.map(|ttl| ttl.to_string());
    let ttl = ttl.as_deref().map(str::as_bytes);
    match value {
        None => {
            for n in 0..net.there.num_rows() {
                let key = key(&row.format, &texts, n);
                // Whatever was there before, with all of its fields: a hash cannot be written over a string.
                to.push([&b"DEL"[..], &key])?;
                let mut words = vec![b"HSET".to_vec(), key];
                fields(&options.schema, &texts, n, &mut words);
                let key = words[1].clone();
                to.push(words)?;
                if let Some(ttl) = ttl {
                    to.push([&b"PEXPIRE"[..], &key, ttl])?;
                }
            }
        }
        Some(value) => {
            let mut put = |n: usize, value: &[u8]| {
                let key = key(&row.format, &texts, n);
                let words = [&b"SET"[..], &key, value].into_iter();
                to.push(words.chain(ttl.into_iter().flat_map(|ttl| [&b"PX"[..], ttl])).collect::<Vec<_>>())
            };
            match value {
                Value::Template(template) => {
                    for n in 0..net.there.num_rows() {
                        let mut text = Vec::new();
                        template.write(&texts, n, &mut text);
                        put(n, &text)?;
                    }
                }
                Value::Json => each_json(&options.schema, &net.there, put)?,
            }
        }
    }
    Ok(())
}

/// Calls `each` with every row of `batch` as an object.
fn each_json(
    schema: &SchemaRef,
    batch: &RecordBatch,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), SinkError>,
) -> Result<(), Failure> {
    let mut failed = None;
    let encoded = JsonEncoder::new(schema).encode_each(batch, |n, object| {
        each(n, object).map_err(|error| {
            failed = Some(error);
            Error::Internal("a row was not taken".to_owned())
        })
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(encoded?),
    }
}

fn key(format: &KeyFormat, texts: &Texts, row: usize) -> Vec<u8> {
    let mut key = Vec::new();
    format.write(texts, row, &mut key);
    key
}

/// The columns that are not NULL, each a name and a value.
fn fields(schema: &SchemaRef, texts: &Texts, row: usize, words: &mut Vec<Vec<u8>>) {
    for (column, field) in schema.fields().iter().enumerate() {
        if !texts.is_null(column, row) {
            let mut value = Vec::new();
            texts.write(column, row, &mut value);
            words.extend([field.name().clone().into_bytes(), value]);
        }
    }
}

/// Every change is an entry, in the order of epochs and keys.
fn write_entries(
    stream: &Stream,
    options: &SinkOptions,
    epochs: &[&EpochRows],
    to: &mut Transaction<'_>,
) -> Result<Option<EntryId>, Failure> {
    let mut last = None;
    let mut keyed = Keyed::new(&options.schema, &options.key)?;
    for epoch in epochs {
        let mut entries = Entries { stream, schema: &options.schema, id: EntryId::before(epoch.epoch), to: &mut *to };
        if stream.upsert {
            let changes = keyed.changes(epoch)?;
            let told: Vec<(&str, Place)> = changes
                .values()
                .filter_map(|change| match (change.old, change.new) {
                    (Some(_), Some(new)) => Some(("update", new)),
                    (None, Some(new)) => Some(("insert", new)),
                    (Some(old), None) => Some(("delete", old)),
                    (None, None) => None,
                })
                .collect();
            let places: Vec<Place> = told.iter().map(|(_, place)| *place).collect();
            let ops: Vec<&str> = told.iter().map(|(op, _)| *op).collect();
            entries.add(&keyed.rows(&places)?, Some(&ops))?;
        } else {
            for batch in added(&[epoch], stream.forced)? {
                entries.add(&batch, None)?;
            }
        }
        if entries.id > EntryId::before(epoch.epoch) {
            last = Some(entries.id);
        }
    }
    Ok(last)
}

/// The entries of one epoch.
struct Entries<'a, 'b> {
    stream: &'a Stream,
    schema: &'a SchemaRef,
    /// The last one so far.
    id: EntryId,
    to: &'a mut Transaction<'b>,
}

impl Entries<'_, '_> {
    /// Adds an entry for each row of `batch`, to which has happened what `ops` say.
    fn add(&mut self, batch: &RecordBatch, ops: Option<&[&str]>) -> Result<(), Failure> {
        let texts = Texts::new(batch)?;
        for row in 0..batch.num_rows() {
            self.id = self.id.next();
            let mut words = vec![b"XADD".to_vec(), self.stream.name.clone().into_bytes()];
            if let Some(keep) = self.stream.keep {
                words.extend([b"MAXLEN".to_vec(), b"~".to_vec(), keep.to_string().into_bytes()]);
            }
            words.push(self.id.to_string().into_bytes());
            let before = words.len();
            if let Some(ops) = ops {
                words.extend([OP.as_bytes().to_vec(), ops[row].as_bytes().to_vec()]);
            }
            match &self.stream.value {
                Some(template) => {
                    let mut value = Vec::new();
                    template.write(&texts, row, &mut value);
                    words.extend([VALUE.as_bytes().to_vec(), value]);
                }
                None => fields(self.schema, &texts, row, &mut words),
            }
            if words.len() == before {
                // An entry has a field at least, and a row may have none but NULLs.
                words.extend([VALUE.as_bytes().to_vec(), Vec::new()]);
            }
            self.to.push(words)?;
        }
        Ok(())
    }
}

/// Epochs that are delivered together: as many from the first on as have less than `bytes`, and one at least.
pub(super) fn together<'a, 'b>(
    epochs: &'b [&'a EpochRows],
    bytes: usize,
) -> (&'b [&'a EpochRows], &'b [&'a EpochRows]) {
    let mut sum = 0;
    let fits = |epoch: &&&EpochRows| {
        sum += epoch.deltas.iter().map(|d| d.rows.get_array_memory_size()).sum::<usize>();
        sum < bytes
    };
    let count = epochs.iter().take_while(fits).count().max(1).min(epochs.len());
    epochs.split_at(count)
}

/// The last epoch of `epochs`.
pub(super) fn last(epochs: &[&EpochRows]) -> Option<Epoch> {
    epochs.last().map(|e| e.epoch)
}
