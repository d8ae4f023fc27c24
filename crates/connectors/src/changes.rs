//! What a delivery does to its target: rows that are added, or what has become of every key. It must not know targets.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use thalweg_core::{DeltaBatch, EpochRows, Error, Result};

/// The rows that epochs add, in their order. `forced`: what is taken back is left out.
///
/// # Errors
/// A row is taken back.
pub(crate) fn added(epochs: &[&EpochRows], forced: bool) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for delta in epochs.iter().flat_map(|e| &e.deltas) {
        let mut picked = Vec::with_capacity(delta.num_rows());
        for (row, weight) in (0u32..).zip(weights(delta)) {
            if weight < 0 && !forced {
                return Err(Error::invalid_with_hint(
                    "a row was taken back, and a target without a key cannot say so",
                    "Use primary_key, or force_append_only = 'true' to leave such changes out.",
                ));
            }
            picked.extend(std::iter::repeat_n(row, usize::try_from(weight).unwrap_or(0)));
        }
        let unchanged = delta.weights.is_none() || picked.iter().copied().eq(0..delta.num_rows() as u32);
        let rows =
            if unchanged { delta.rows.clone() } else { take_record_batch(&delta.rows, &UInt32Array::from(picked))? };
        batches.push(rows);
    }
    Ok(batches)
}

fn weights(delta: &DeltaBatch) -> impl Iterator<Item = i64> {
    (0..delta.num_rows()).map(|row| delta.weight(row))
}

/// What has become of the keys that epochs change, each in the order of the keys.
#[derive(Debug)]
pub(crate) struct Net {
    /// The last rows of keys that are gone.
    pub(crate) gone: RecordBatch,
    /// The rows of those that are there.
    pub(crate) there: RecordBatch,
}

/// A row of one of the batches of [`Keyed`].
pub(crate) type Place = (usize, usize);

/// What an epoch does to a key: the row that it had, and the row that it has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) old: Option<Place>,
    pub(crate) new: Option<Place>,
}

/// Epochs looked at by key. Keys are in the form in which bytes are in the order of the values.
pub(crate) struct Keyed<'a> {
    schema: &'a SchemaRef,
    key: &'a [usize],
    converter: RowConverter,
    batches: Vec<&'a RecordBatch>,
}

impl<'a> Keyed<'a> {
    /// For rows of `schema`, whose key is in the columns `key`.
    ///
    /// # Errors
    /// A type of which there is no order.
    pub(crate) fn new(schema: &'a SchemaRef, key: &'a [usize]) -> Result<Self> {
        let fields = key.iter().map(|k| SortField::new(schema.field(*k).data_type().clone())).collect();
        Ok(Self { schema, key, converter: RowConverter::new(fields)?, batches: Vec::new() })
    }

    /// What `epoch` does to every key that it changes.
    ///
    /// # Errors
    /// A key has two rows, or NULL in a column.
    pub(crate) fn changes(&mut self, epoch: &'a EpochRows) -> Result<BTreeMap<Vec<u8>, Changed>> {
        let mut changes: BTreeMap<Vec<u8>, Changed> = BTreeMap::new();
        for delta in &epoch.deltas {
            let columns: Vec<_> = self.key.iter().map(|k| delta.column(*k).clone()).collect();
            for (column, at) in columns.iter().zip(self.key) {
                if column.logical_null_count() > 0 {
                    return Err(Error::invalid_with_hint(
                        format!("NULL in column {}, which is part of primary_key", self.schema.field(*at).name()),
                        "Give it a value in the query, as with coalesce(…), or leave such rows out.",
                    ));
                }
            }
            let keys = self.converter.convert_columns(&columns)?;
            for ((row, key), weight) in keys.iter().enumerate().zip(weights(delta)) {
                let change = changes.entry(key.as_ref().to_vec()).or_default();
                let side = if weight > 0 { &mut change.new } else { &mut change.old };
                if weight.abs() > 1 || side.replace((self.batches.len(), row)).is_some() {
                    return Err(Error::Data(
                        "two rows have the same primary_key; name columns that are unique, or add more to primary_key"
                            .to_owned(),
                    ));
                }
            }
            self.batches.push(&delta.rows);
        }
        Ok(changes)
    }

    /// The rows at `places`, as one batch.
    ///
    /// # Errors
    /// None that a place of this can cause.
    pub(crate) fn rows(&self, places: &[Place]) -> Result<RecordBatch> {
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        }
        Ok(interleave_record_batch(&self.batches, places)?)
    }
}

/// The net effect of `epochs` on rows of `schema`, whose key is in the columns `key`.
///
/// # Errors
/// A key has two rows, or NULL in a column.
pub(crate) fn net(schema: &SchemaRef, key: &[usize], epochs: &[&EpochRows]) -> Result<Net> {
    let mut keyed = Keyed::new(schema, key)?;
    let mut net: BTreeMap<Vec<u8>, (bool, Place)> = BTreeMap::new();
    for epoch in epochs {
        // A later epoch says what is there now.
        net.extend(keyed.changes(epoch)?.into_iter().filter_map(|(key, change)| {
            let there = change.new.map(|place| (true, place));
            Some((key, there.or(change.old.map(|place| (false, place)))?))
        }));
    }
    let pick = |wanted: bool| {
        let places: Vec<Place> = net.values().filter(|(there, _)| *there == wanted).map(|(_, place)| *place).collect();
        keyed.rows(&places)
    };
    Ok(Net { gone: pick(false)?, there: pick(true)? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use thalweg_core::Epoch;

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]))
    }

    fn epoch(number: u64, rows: &[(i64, &str, i64)]) -> EpochRows {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)));
        let batch = RecordBatch::try_new(schema(), vec![ids, names]).expect("one schema");
        let weights: Vec<i64> = rows.iter().map(|r| r.2).collect();
        EpochRows { epoch: Epoch(number), deltas: vec![DeltaBatch::new(batch, Some(weights.into()))] }
    }

    fn rows(batch: &RecordBatch) -> Vec<(i64, String)> {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let names = batch.column(1).as_string::<i32>();
        (0..batch.num_rows()).map(|i| (ids.value(i), names.value(i).to_owned())).collect()
    }

    #[test]
    fn epochs_come_down_to_what_is_there_after_the_last() {
        let epochs = [
            epoch(1, &[(9, "i", 1), (-1, "a", 1), (2, "b", 1)]),
            epoch(2, &[(2, "b", -1), (9, "i", -1), (9, "I", 1)]),
            epoch(3, &[(-1, "a", -1), (2, "B", 1), (5, "e", -1)]),
        ];
        let net = net(&schema(), &[0], &epochs.iter().collect::<Vec<_>>()).expect("unique");
        assert_eq!(rows(&net.gone), [(-1, "a".to_owned()), (5, "e".to_owned())]);
        assert_eq!(rows(&net.there), [(2, "B".to_owned()), (9, "I".to_owned())]);
    }

    #[test]
    fn what_the_table_cannot_say_is_refused() {
        let twice = epoch(1, &[(1, "a", 1), (1, "b", 1)]);
        let error = net(&schema(), &[0], &[&twice]).expect_err("not unique").to_string();
        assert!(error.contains("same primary_key"), "{error}");
        let back = epoch(1, &[(1, "a", -1), (2, "b", 2)]);
        assert!(added(&[&back], false).expect_err("taken back").to_string().contains("force_append_only"));
        let forced = added(&[&back], true).expect("left out");
        assert_eq!(rows(&forced[0]), vec![(2, "b".to_owned()); 2]);
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let batch = RecordBatch::try_new(schema(), vec![ids, names]).expect("one schema");
        let null = EpochRows { epoch: Epoch(1), deltas: vec![DeltaBatch::insert(batch)] };
        assert!(net(&schema(), &[0], &[&null]).expect_err("NULL").to_string().contains("column id"));
    }
}
