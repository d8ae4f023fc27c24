//! What a sink makes of an epoch: the records that say it, in the order of their keys. It must not know brokers.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, Error, Result};
use thalweg_formats::{AvroEncoder, Cells, JsonEncoder, MessageDescriptor, ProtobufEncoder};

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutRecord {
    pub(super) key: Option<Vec<u8>>,
    /// Without one it is a tombstone.
    pub(super) value: Option<Vec<u8>>,
}

/// What a record of the sink says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A new row. `forced`: what is taken back is left out.
    Append { forced: bool },
    /// The row that its key has now; a tombstone for one that is gone.
    Upsert,
    /// A change in Debezium's envelope.
    Debezium,
}

/// How a row is written.
#[derive(Clone, Debug)]
pub(super) enum RowEncoder {
    Json(JsonEncoder),
    Avro {
        encoder: AvroEncoder,
        prefix: Vec<u8>,
    },
    Protobuf {
        encoder: ProtobufEncoder,
        prefix: Vec<u8>,
    },
    /// The text of the one column.
    Text,
}

impl RowEncoder {
    /// JSON for rows of `schema`.
    pub(super) fn json(schema: &SchemaRef) -> Self {
        Self::Json(JsonEncoder::new(schema))
    }

    /// Avro for rows of `schema`, framed once a schema's id is known.
    pub(super) fn avro(schema: &SchemaRef, name: &str) -> Result<Self> {
        Ok(Self::Avro { encoder: AvroEncoder::new(schema, name)?, prefix: Vec::new() })
    }

    /// Messages of one type.
    pub(super) fn protobuf(schema: &SchemaRef, message: MessageDescriptor) -> Result<Self> {
        Ok(Self::Protobuf { encoder: ProtobufEncoder::new(schema, message)?, prefix: Vec::new() })
    }

    /// The bytes of every row.
    fn encode(&self, batch: &RecordBatch) -> Result<Vec<Option<Vec<u8>>>> {
        let mut rows = Vec::with_capacity(batch.num_rows());
        let push = |_: usize, bytes: &[u8]| {
            rows.push(Some(bytes.to_vec()));
            Ok(())
        };
        match self {
            Self::Json(encoder) => encoder.encode_each(batch, push)?,
            Self::Avro { encoder, prefix } => encoder.encode(batch, prefix, push)?,
            Self::Protobuf { encoder, prefix } => encoder.encode(batch, prefix, push)?,
            Self::Text => {
                let column = batch.column(0);
                let cells = Cells::new(column)?;
                for row in 0..batch.num_rows() {
                    let mut text = Vec::new();
                    cells.write_text(row, &mut text);
                    rows.push((!column.is_null(row)).then_some(text));
                }
            }
        }
        Ok(rows)
    }
}

/// Makes records of epochs.
#[derive(Clone, Debug)]
pub(super) struct RecordEncoder {
    pub(super) style: Style,
    pub(super) value: RowEncoder,
    /// The columns of the key and how it is written.
    pub(super) key: Option<(Vec<usize>, RowEncoder)>,
}

/// A row of a batch of an epoch.
type Place = (usize, u32);

/// What happened to a key.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    old: Option<Place>,
    new: Option<Place>,
}

impl RecordEncoder {
    /// The records of one epoch.
    ///
    /// # Errors
    /// A row is taken back from a sink that only appends, or a key has two rows.
    pub(super) fn encode(&self, deltas: &[DeltaBatch]) -> Result<Vec<OutRecord>> {
        match self.style {
            Style::Append { forced } => self.appended(deltas, forced),
            Style::Upsert | Style::Debezium => self.changed(deltas),
        }
    }

    fn keys(&self, rows: &RecordBatch) -> Result<Vec<Option<Vec<u8>>>> {
        match &self.key {
            Some((columns, encoder)) => encoder.encode(&rows.project(columns)?),
            None => Ok(vec![None; rows.num_rows()]),
        }
    }

    fn appended(&self, deltas: &[DeltaBatch], forced: bool) -> Result<Vec<OutRecord>> {
        let mut records = Vec::new();
        for delta in deltas {
            let mut picked = Vec::with_capacity(delta.num_rows());
            for row in 0..delta.num_rows() as u32 {
                let weight = delta.weight(row as usize);
                if weight < 0 && !forced {
                    return Err(Error::Data(
                        "a row was taken back, and type = 'append-only' cannot say so; use type = 'upsert' with \
                         primary_key, or force_append_only = 'true' to leave such changes out"
                            .to_owned(),
                    ));
                }
                picked.extend(std::iter::repeat_n(row, usize::try_from(weight).unwrap_or(0)));
            }
            let rows = take_record_batch(&delta.rows, &UInt32Array::from(picked))?;
            let (keys, values) = (self.keys(&rows)?, self.value.encode(&rows)?);
            records.extend(keys.into_iter().zip(values).map(|(key, value)| OutRecord { key, value }));
        }
        Ok(records)
    }

    fn changed(&self, deltas: &[DeltaBatch]) -> Result<Vec<OutRecord>> {
        let mut changes: BTreeMap<Vec<u8>, Changed> = BTreeMap::new();
        for (batch, delta) in deltas.iter().enumerate() {
            for (row, key) in (0u32..).zip(self.keys(&delta.rows)?) {
                let key = key.ok_or_else(|| Error::Data("NULL in the primary_key of a sink".to_owned()))?;
                let change = changes.entry(key).or_default();
                let weight = delta.weight(row as usize);
                let side = if weight > 0 { &mut change.new } else { &mut change.old };
                if weight.abs() > 1 || side.replace((batch, row)).is_some() {
                    return Err(Error::Data(
                        "two rows have the same primary_key; name columns that are unique, or add more to primary_key"
                            .to_owned(),
                    ));
                }
            }
        }
        let wanted = |place: fn(&Changed) -> Option<Place>| self.values(deltas, changes.values().filter_map(place));
        let mut new = wanted(|c| c.new)?.into_iter();
        let mut old = if self.style == Style::Debezium { wanted(|c| c.old)? } else { Vec::new() }.into_iter();
        let mut records = Vec::with_capacity(changes.len());
        for (key, change) in &changes {
            let after = change.new.and_then(|_| new.next()).flatten();
            let value = match self.style {
                Style::Debezium => {
                    let before = change.old.and_then(|_| old.next()).flatten();
                    Some(envelope(before.as_deref(), after.as_deref()))
                }
                _ => after,
            };
            records.push(OutRecord { key: Some(key.clone()), value });
        }
        Ok(records)
    }

    /// The encoded rows at `places`, in that order.
    fn values(&self, deltas: &[DeltaBatch], places: impl Iterator<Item = Place>) -> Result<Vec<Option<Vec<u8>>>> {
        let places: Vec<Place> = places.collect();
        let mut encoded = vec![None; places.len()];
        for (batch, delta) in deltas.iter().enumerate() {
            let here = places.iter().enumerate().filter(|(_, p)| p.0 == batch);
            let (at, rows): (Vec<usize>, Vec<u32>) = here.map(|(i, p)| (i, p.1)).unzip();
            if rows.is_empty() {
                continue;
            }
            let picked = take_record_batch(&delta.rows, &UInt32Array::from(rows))?;
            for (i, bytes) in at.into_iter().zip(self.value.encode(&picked)?) {
                encoded[i] = bytes;
            }
        }
        Ok(encoded)
    }
}

/// A change as Debezium writes it in JSON.
fn envelope(before: Option<&[u8]>, after: Option<&[u8]>) -> Vec<u8> {
    let op = match (before, after) {
        (None, _) => b'c',
        (Some(_), Some(_)) => b'u',
        (Some(_), None) => b'd',
    };
    let mut out = b"{\"before\":".to_vec();
    out.extend_from_slice(before.unwrap_or(b"null"));
    out.extend_from_slice(b",\"after\":");
    out.extend_from_slice(after.unwrap_or(b"null"));
    out.extend_from_slice(b",\"op\":\"");
    out.push(op);
    out.extend_from_slice(b"\"}");
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn delta(ids: Vec<i64>, names: Vec<&str>, weights: Vec<i64>) -> DeltaBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let names: ArrayRef = Arc::new(StringArray::from(names));
        let rows = RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("two columns");
        DeltaBatch::new(rows, Some(weights.into()))
    }

    fn encoder(style: Style) -> RecordEncoder {
        let schema = delta(vec![], vec![], vec![]).schema();
        let key = Arc::new(schema.project(&[0]).expect("a column"));
        RecordEncoder { style, value: RowEncoder::json(&schema), key: Some((vec![0], RowEncoder::json(&key))) }
    }

    fn texts(records: &[OutRecord]) -> Vec<(String, String)> {
        let text = |b: &Option<Vec<u8>>| b.as_ref().map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
        records.iter().map(|r| (text(&r.key), text(&r.value))).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn an_update_is_one_record_and_a_deletion_a_tombstone_in_key_order() {
        let deltas =
            [delta(vec![3, 1, 2], vec!["c", "old", "gone"], vec![1, -1, -1]), delta(vec![1], vec!["new"], vec![1])];
        assert_eq!(
            texts(&encoder(Style::Upsert).encode(&deltas).expect("unique")),
            [
                pair("{\"id\":1}", "{\"id\":1,\"name\":\"new\"}"),
                pair("{\"id\":2}", "-"),
                pair("{\"id\":3}", "{\"id\":3,\"name\":\"c\"}"),
            ]
        );
        let changes = texts(&encoder(Style::Debezium).encode(&deltas).expect("unique"));
        assert_eq!(
            changes[0].1,
            "{\"before\":{\"id\":1,\"name\":\"old\"},\"after\":{\"id\":1,\"name\":\"new\"},\"op\":\"u\"}"
        );
        assert_eq!(changes[1].1, "{\"before\":{\"id\":2,\"name\":\"gone\"},\"after\":null,\"op\":\"d\"}");
        assert_eq!(changes[2].1, "{\"before\":null,\"after\":{\"id\":3,\"name\":\"c\"},\"op\":\"c\"}");
    }

    #[test]
    fn two_rows_of_one_key_and_retractions_of_an_append_only_sink_are_refused() {
        let twice = [delta(vec![1, 1], vec!["a", "b"], vec![1, 1])];
        let error = encoder(Style::Upsert).encode(&twice).expect_err("not unique").to_string();
        assert!(error.contains("same primary_key"), "{error}");
        let back = [delta(vec![1, 2], vec!["a", "b"], vec![-1, 2])];
        let error = encoder(Style::Append { forced: false }).encode(&back).expect_err("taken back").to_string();
        assert!(error.contains("force_append_only"), "{error}");
        let forced = encoder(Style::Append { forced: true }).encode(&back).expect("left out");
        assert_eq!(texts(&forced), vec![pair("{\"id\":2}", "{\"id\":2,\"name\":\"b\"}"); 2]);
    }
}
