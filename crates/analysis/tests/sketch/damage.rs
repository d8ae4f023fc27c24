//! Damaged and forged bytes: an error or a harmless sketch, never a panic or a large allocation.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use proptest::prelude::*;
use thalweg_analysis::sketch::{build, call};

use crate::support::{MAKERS, column, ints, one, start, stored};

fn sketches(rows: i64) -> Vec<Vec<u8>> {
    let values: Vec<i64> = (0..rows).collect();
    let made = MAKERS.iter().map(|maker| {
        let mut sketches = start(maker);
        sketches.update(&vec![0; values.len()], &column(&maker.1, &values)).expect("update");
        stored(sketches.as_ref(), 0).value(0).to_vec()
    });
    made.collect()
}

/// Asks everything of bytes that may be anything; tells whether they were taken for a sketch.
fn ask(bytes: &[u8]) -> bool {
    let sketch = one(bytes);
    let fractions: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 0.3, 1.0]));
    for name in ["sketch_lower", "sketch_upper", "sketch_error", "sketch_top", "sketch_describe"] {
        let _ = call(name, &[Arc::clone(&sketch)], &[]);
    }
    let _ = call("sketch_percentile", &[Arc::clone(&sketch), fractions], &[]);
    let _ = call("sketch_contains", &[Arc::clone(&sketch), ints([1, 2, 3])], &[]);
    let _ = call("sketch_union", &[Arc::clone(&sketch), Arc::clone(&sketch)], &[]);
    for (maker, whole) in MAKERS.iter().zip(sketches(100)) {
        let mut state = build(maker.0, &maker.1, maker.2).expect("a maker");
        let states = [one(bytes), one(&whole), one(bytes)];
        for state_bytes in &states {
            let bytes = arrow::array::AsArray::as_binary::<i32>(state_bytes);
            let _ = state.merge(&[0], bytes);
            let values = column(&maker.1, &(0..300).collect::<Vec<_>>());
            state.update(&[0; 300], &values).expect("update");
        }
        let _ = state.result(&[0]);
    }
    call("sketch_estimate", &[sketch], &[]).is_ok()
}

/// The bytes with a checksum that matches: what only malice makes.
fn forged(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(4);
    let checksum = thalweg_core::hash_bytes(&bytes[..end]) as u32;
    bytes.truncate(end);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn whole_sketches_are_taken() {
    for rows in [0, 1, 5, 100, 20_000] {
        assert!(sketches(rows).iter().all(|bytes| ask(bytes)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_change_is_refused(which in 0_usize..6, rows in prop::sample::select(vec![0_i64, 1, 100, 3000]),
                             at in any::<prop::sample::Index>(), bits in 1_u8..) {
        let whole = sketches(rows).swap_remove(which);
        let mut changed = whole.clone();
        let at = at.index(changed.len());
        changed[at] ^= bits;
        prop_assert!(!ask(&changed));
        prop_assert!(!ask(&whole[..at]));
    }

    #[test]
    fn forged_bytes_do_no_harm(which in 0_usize..6, rows in prop::sample::select(vec![0_i64, 1, 100, 3000]),
                               changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
                               early in any::<bool>(), cut in 0_usize..3) {
        let mut bytes = sketches(rows).swap_remove(which);
        for (at, byte) in changes {
            let reach = if early { bytes.len().min(32) } else { bytes.len() };
            let at = at.index(reach);
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        ask(&forged(bytes));
    }

    #[test]
    fn noise_does_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..6, detail in 0_u8..11) {
        prop_assert!(!ask(&bytes));
        if bytes.len() >= 12 {
            bytes[..6].copy_from_slice(&[b'T', b'W', b'S', 1, kind, detail]);
            ask(&forged(bytes));
        }
    }
}
