//! The key table against a plain map.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringViewArray};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use thalweg_core::hash_columns;

use super::KeyTable;

type Key = (Option<i64>, Option<i32>, Option<String>);

fn columns(shape: usize, keys: &[Key]) -> Vec<ArrayRef> {
    let wide: ArrayRef = Arc::new(Int64Array::from_iter(keys.iter().map(|k| k.0)));
    let narrow: ArrayRef = Arc::new(Int32Array::from_iter(keys.iter().map(|k| k.1)));
    let text: ArrayRef = Arc::new(StringViewArray::from_iter(keys.iter().map(|k| k.2.clone())));
    match shape {
        0 => vec![narrow],
        1 => vec![wide],
        2 => vec![wide, narrow],
        _ => vec![narrow, text],
    }
}

fn cut(shape: usize, key: &Key) -> Key {
    match shape {
        0 => (None, key.1, None),
        1 => (key.0, None, None),
        2 => (key.0, key.1, None),
        _ => (None, key.1, key.2.clone()),
    }
}

fn key() -> impl Strategy<Value = Key> {
    let text = proptest::option::weighted(0.9, "[a-c]{0,2}(a long tail of text)?");
    (proptest::option::weighted(0.9, -20i64..20), proptest::option::weighted(0.9, -3i32..3), text)
}

proptest! {
    #[test]
    fn it_agrees_with_a_map(
        shape in 0usize..4,
        steps in prop::collection::vec((prop::collection::vec(key(), 0..80), any::<u16>()), 1..12),
    ) {
        let types: Vec<DataType> = columns(shape, &[]).iter().map(|c| c.data_type().clone()).collect();
        let mut table = KeyTable::new(&types).expect("key types");
        let mut model: HashMap<Key, u32> = HashMap::new();
        let (mut hashes, mut groups) = (Vec::new(), Vec::new());
        for (keys, pick) in steps {
            let cols = columns(shape, &keys);
            hash_columns(&cols, keys.len(), &mut hashes).expect("hashable");
            table.lookup(&cols, &hashes, &mut groups).expect("lookup");
            for (key, group) in keys.iter().zip(&groups) {
                prop_assert_eq!(*group, model.get(&cut(shape, key)).copied().unwrap_or(KeyTable::ABSENT));
            }
            table.intern(&cols, &hashes, &mut groups).expect("intern");
            for (key, group) in keys.iter().zip(&groups) {
                let known = *model.entry(cut(shape, key)).or_insert(*group);
                prop_assert_eq!(known, *group);
            }
            let mut live: Vec<u32> = model.values().copied().collect();
            live.sort_unstable();
            let mut listed = table.groups();
            listed.sort_unstable();
            prop_assert_eq!(&listed, &live, "groups are distinct and listed");
            prop_assert!(table.len() == live.len() && live.iter().all(|g| (*g as usize) < table.capacity()));

            let back = table.keys(&live).expect("keys");
            hash_columns(&back, live.len(), &mut hashes).expect("hashable");
            table.lookup(&back, &hashes, &mut groups).expect("lookup");
            prop_assert_eq!(&groups, &live, "keys read back find their groups");

            let leaves = |g: &u32| (g.wrapping_mul(40503) ^ u32::from(pick)).is_multiple_of(3);
            let gone: Vec<u32> = live.iter().copied().filter(leaves).collect();
            table.remove(&gone).expect("remove");
            model.retain(|_, group| !gone.contains(group));
        }
    }
}

#[test]
fn both_zeros_and_every_nan_are_one_key() {
    let quiet = f64::from_bits(0x7ff8_0000_0000_0001);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, quiet, -f64::NAN, 1.0]));
    let text: ArrayRef = Arc::new(StringViewArray::from(vec!["x"; 6]));
    for cols in [vec![Arc::clone(&floats)], vec![floats, text]] {
        let types: Vec<DataType> = cols.iter().map(|c| c.data_type().clone()).collect();
        let mut table = KeyTable::new(&types).expect("key types");
        let (mut hashes, mut groups) = (Vec::new(), Vec::new());
        hash_columns(&cols, 6, &mut hashes).expect("hashable");
        table.intern(&cols, &hashes, &mut groups).expect("intern");
        assert_eq!(groups, vec![0, 0, 1, 1, 1, 2]);
    }
}

#[test]
fn without_columns_every_row_is_in_one_group() {
    let mut table = KeyTable::new(&[]).expect("no key");
    let (mut hashes, mut groups) = (Vec::new(), Vec::new());
    hash_columns(&[], 3, &mut hashes).expect("hashable");
    table.intern(&[], &hashes, &mut groups).expect("intern");
    assert_eq!(groups, vec![0, 0, 0]);
    assert_eq!((table.len(), table.keys(&[0]).expect("keys").len()), (1, 0));
}
