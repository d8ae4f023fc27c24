//! What a delivery does to a table: rows that are added, or what has become of every key. It must not know SQL.

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
pub(super) fn added(epochs: &[&EpochRows], forced: bool) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for delta in epochs.iter().flat_map(|e| &e.deltas) {
        let mut picked = Vec::with_capacity(delta.num_rows());
        for (row, weight) in (0u32..).zip(weights(delta)) {
            if weight < 0 && !forced {
                return Err(Error::invalid_with_hint(
                    "a row was taken back, and a table without a key cannot say so",
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
pub(super) struct Net {
    /// The last rows of keys that are gone.
    pub(super) gone: RecordBatch,
    /// The rows of those that are there.
    pub(super) there: RecordBatch,
}

/// A row of a batch.
type Place = (usize, usize);

/// What an epoch does to a key.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    old: Option<Place>,
    new: Option<Place>,
}

/// The net effect of `epochs` on rows of `schema`, whose key is in the columns `key`.
///
/// # Errors
/// A key has two rows, or NULL in a column.
pub(super) fn net(schema: &SchemaRef, key: &[usize], epochs: &[&EpochRows]) -> Result<Net> {
    let fields = key.iter().map(|k| SortField::new(schema.field(*k).data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut batches: Vec<&RecordBatch> = Vec::new();
    let mut net: BTreeMap<Vec<u8>, (bool, Place)> = BTreeMap::new();
    for epoch in epochs {
        let mut changes: BTreeMap<Vec<u8>, Changed> = BTreeMap::new();
        for delta in &epoch.deltas {
            let columns: Vec<_> = key.iter().map(|k| delta.column(*k).clone()).collect();
            for (column, at) in columns.iter().zip(key) {
                if column.logical_null_count() > 0 {
                    return Err(Error::invalid_with_hint(
                        format!("NULL in column {}, which is part of primary_key", schema.field(*at).name()),
                        "Give it a value in the query, as with coalesce(…), or leave such rows out.",
                    ));
                }
            }
            let keys = converter.convert_columns(&columns)?;
            for ((row, key), weight) in keys.iter().enumerate().zip(weights(delta)) {
                let change = changes.entry(key.as_ref().to_vec()).or_default();
                let side = if weight > 0 { &mut change.new } else { &mut change.old };
                if weight.abs() > 1 || side.replace((batches.len(), row)).is_some() {
                    return Err(Error::Data(
                        "two rows have the same primary_key; name columns that are unique, or add more to primary_key"
                            .to_owned(),
                    ));
                }
            }
            batches.push(&delta.rows);
        }
        // A later epoch says what is there now.
        net.extend(changes.into_iter().filter_map(|(key, change)| {
            let there = change.new.map(|place| (true, place));
            Some((key, there.or(change.old.map(|place| (false, place)))?))
        }));
    }
    let pick = |wanted: bool| -> Result<RecordBatch> {
        let places: Vec<Place> = net.values().filter(|(there, _)| *there == wanted).map(|(_, place)| *place).collect();
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        Ok(interleave_record_batch(&batches, &places)?)
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
