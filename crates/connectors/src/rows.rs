//! What a sink makes of a change: rows that stand, or rows with their weight and epoch.
//! It must not know where they go.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Epoch, Error, Result};

/// The column of a changelog that holds the signed multiplicity.
pub(crate) const WEIGHT: &str = "weight";
/// The column of a changelog that holds the epoch.
pub(crate) const EPOCH: &str = "epoch";

/// The rows of an insert-only change, each as often as its weight says.
pub(crate) fn standing(delta: &DeltaBatch) -> Result<RecordBatch> {
    let Some(weights) = delta.weight_slice() else { return Ok(delta.rows.clone()) };
    if weights.iter().all(|w| *w == 1) {
        return Ok(delta.rows.clone());
    }
    let mut indices = Vec::with_capacity(weights.len());
    for (row, weight) in (0u32..).zip(weights) {
        let times = usize::try_from(*weight)
            .map_err(|_| Error::Internal("a retraction reached a sink that takes only insertions".to_owned()))?;
        indices.extend(std::iter::repeat_n(row, times));
    }
    Ok(take_record_batch(&delta.rows, &UInt32Array::from(indices))?)
}

/// The schema of a changelog of `schema`: its columns, then `weight` and `epoch`.
pub(crate) fn changelog_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    for name in [WEIGHT, EPOCH] {
        if schema.column_with_name(name).is_some() {
            return Err(Error::invalid_with_hint(
                format!("a changelog adds a column {name}, but the query has one already"),
                format!("Give the query's column another name: {name} AS …."),
            ));
        }
    }
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(WEIGHT, DataType::Int64, false)));
    fields.push(Arc::new(Field::new(EPOCH, DataType::Int64, false)));
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows of `delta` with their weights and `epoch`, in the schema of a changelog.
pub(crate) fn changelog_rows(delta: &DeltaBatch, epoch: Epoch, schema: &SchemaRef) -> Result<RecordBatch> {
    let number = i64::try_from(epoch.0).map_err(|_| Error::Internal("an epoch beyond 63 bits".to_owned()))?;
    let mut columns = delta.rows.columns().to_vec();
    columns.push(Arc::new(delta.weights_array()) as ArrayRef);
    columns.push(Arc::new(Int64Array::from(vec![number; delta.num_rows()])));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn delta(values: Vec<i64>, weights: Vec<i64>) -> DeltaBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        DeltaBatch::new(RecordBatch::try_from_iter([("a", column)]).expect("one column"), Some(weights.into()))
    }

    #[test]
    fn a_row_stands_as_often_as_its_weight() {
        let rows = standing(&delta(vec![7, 8], vec![2, 1])).expect("insertions");
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().as_ref(), &[7, 7, 8]);
        assert!(standing(&delta(vec![7], vec![-1])).is_err());
    }

    #[test]
    fn a_changelog_has_weight_and_epoch_and_refuses_to_hide_columns() {
        let change = delta(vec![7], vec![-1]);
        let schema = changelog_schema(&change.schema()).expect("no clash");
        let rows = changelog_rows(&change, Epoch(3), &schema).expect("fits");
        assert_eq!(rows.column(1).as_primitive::<Int64Type>().value(0), -1);
        assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), 3);
        assert!(changelog_schema(&schema).is_err());
    }
}
