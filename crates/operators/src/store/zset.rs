//! Equal rows of a batch brought together: the z-set normal form. It must not know stored rows.

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::array::{DynComparator, make_comparator};
use arrow::compute::SortOptions;
use thalweg_core::{DeltaBatch, Result, hash_columns};

use super::NONE;

/// Numbers the distinct rows: the number of each row, and the first row of each number.
pub(crate) fn group_rows(columns: &[ArrayRef], hashes: &[u64]) -> Result<(Vec<u32>, Vec<u32>)> {
    let size = (hashes.len() * 2).next_power_of_two().max(2);
    let mut table = vec![NONE; size];
    let mut comparators: Option<Vec<DynComparator>> = None;
    let (mut groups, mut firsts): (Vec<u32>, Vec<u32>) = (Vec::with_capacity(hashes.len()), Vec::new());
    for (row, hash) in hashes.iter().enumerate() {
        let mut at = (*hash as usize) & (size - 1);
        loop {
            let group = table[at];
            if group == NONE {
                table[at] = firsts.len() as u32;
                groups.push(firsts.len() as u32);
                firsts.push(row as u32);
                break;
            }
            let first = firsts[group as usize] as usize;
            if hashes[first] == *hash {
                if comparators.is_none() {
                    let make = |c: &ArrayRef| make_comparator(c, c, SortOptions::default());
                    comparators = Some(columns.iter().map(make).collect::<Result<_, _>>()?);
                }
                if comparators.iter().flatten().all(|equal| equal(first, row).is_eq()) {
                    groups.push(group);
                    break;
                }
            }
            at = (at + 1) & (size - 1);
        }
    }
    Ok((groups, firsts))
}

/// The first row of each distinct row with the sum of the weights; sums of 0 are left out.
pub(crate) fn distinct_rows(
    columns: &[ArrayRef],
    hashes: &[u64],
    weight: impl Fn(usize) -> i64,
) -> Result<(Vec<u32>, Vec<i64>)> {
    let (groups, mut rows) = group_rows(columns, hashes)?;
    let mut weights = vec![0i64; rows.len()];
    for (row, group) in groups.iter().enumerate() {
        weights[*group as usize] += weight(row);
    }
    if weights.contains(&0) {
        let mut keep = weights.iter().map(|w| *w != 0);
        rows.retain(|_| keep.next().unwrap_or(false));
        weights.retain(|w| *w != 0);
    }
    Ok((rows, weights))
}

/// The same change with each row once and no weight of 0.
///
/// # Errors
/// A kernel fails.
pub fn consolidate(delta: &DeltaBatch) -> Result<DeltaBatch> {
    let mut hashes = Vec::new();
    hash_columns(delta.rows.columns(), delta.num_rows(), &mut hashes)?;
    let (rows, weights) = distinct_rows(delta.rows.columns(), &hashes, |row| delta.weight(row))?;
    let taken = DeltaBatch::insert(delta.rows.clone()).take(&UInt32Array::from(rows))?;
    let weights = if weights.iter().all(|w| *w == 1) { None } else { Some(Int64Array::from(weights)) };
    Ok(DeltaBatch::new(taken.rows, weights))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    #[test]
    fn equal_rows_meet_and_zero_sums_vanish() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let values = Int64Array::from(vec![Some(1), None, Some(1), Some(2), None, Some(2)]);
        let rows = RecordBatch::try_new(schema, vec![Arc::new(values)]).expect("one column");
        let delta = DeltaBatch::new(rows, Some(Int64Array::from(vec![1, 1, -1, 1, 1, 1])));
        let out = consolidate(&delta).expect("consolidates");
        assert_eq!(out.weight_slice(), Some([2, 2].as_slice()));
        assert!(out.column(0).is_null(0));
        assert_eq!(out.column(0).as_primitive::<Int64Type>().value(1), 2);
    }
}
