//! What holds of every function: scores depend on the rows of the key alone; damaged state is an error.

use arrow::array::{Array, BinaryArray};
use proptest::prelude::*;
use rand::Rng;
use rand::rngs::SmallRng;
use thalweg_analysis::detect::{DetectError, MAX_SCORE};

use crate::series::{Rows, bits, detector, each, random};

const ROWS: usize = 900;

/// Cuts of rows into calls, some of them empty.
fn cuts(rng: &mut SmallRng, rows: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..rng.random_range(1..40)).map(|_| rng.random_range(0..=rows)).collect();
    cuts.extend([0, rows]);
    cuts.sort_unstable();
    cuts
}

#[test]
fn how_rows_are_cut_into_calls_changes_nothing() {
    for seed in 0..12 {
        let rng = &mut random("cuts", seed);
        for (name, columns, parameters) in each() {
            let rows = Rows::wild(rng, ROWS, columns, 3);
            let whole = rows.score(&mut *detector(name, columns, &parameters));
            assert!(whole.iter().flatten().count() > ROWS / 5, "{name} scores something");
            let mut pieces = detector(name, columns, &parameters);
            let cut = cuts(rng, ROWS);
            let parts: Vec<_> = cut.windows(2).flat_map(|c| rows.part(c[0]..c[1]).score(&mut *pieces)).collect();
            assert_eq!(bits(&whole), bits(&parts), "{name}");
        }
    }
}

#[test]
fn a_saved_state_goes_on_elsewhere_under_other_numbers() {
    for seed in 0..12 {
        let rng = &mut random("save", seed);
        for (name, columns, parameters) in each() {
            let mut rows = Rows::wild(rng, ROWS, columns, 4);
            let whole = rows.score(&mut *detector(name, columns, &parameters));
            let mut from = detector(name, columns, &parameters);
            let mut scores = Vec::new();
            let mut cut = cuts(rng, ROWS);
            cut.truncate(6);
            cut.push(ROWS);
            for c in cut.windows(2) {
                scores.extend(rows.part(c[0]..c[1]).score(&mut *from));
                let states = from.save(&[0, 1, 2, 3]);
                let shift = rng.random_range(1..9);
                let moved: Vec<u32> = (0..4).map(|k| (k * 7 + shift) % 31).collect();
                let mut to = detector(name, columns, &parameters);
                to.load(&moved, &states).expect("what was saved");
                assert_eq!(to.save(&moved), states, "{name}");
                // Back to the numbers that the rows have.
                let mut back = detector(name, columns, &parameters);
                back.load(&[0, 1, 2, 3], &to.save(&moved)).expect("what was saved");
                from = back;
            }
            assert_eq!(bits(&whole), bits(&scores), "{name}");
            // And on under other numbers, for good.
            let half = ROWS / 2;
            let mut first = detector(name, columns, &parameters);
            rows.part(0..half).score(&mut *first);
            let mut second = detector(name, columns, &parameters);
            second.load(&[90, 80, 70, 60], &first.save(&[0, 1, 2, 3])).expect("what was saved");
            rows.keys.iter_mut().for_each(|k| *k = 90 - 10 * *k);
            assert_eq!(bits(&whole[half..]), bits(&rows.part(half..ROWS).score(&mut *second)), "{name}");
        }
    }
}

#[test]
fn keys_do_not_know_each_other() {
    for seed in 0..12 {
        let rng = &mut random("keys", seed);
        for (name, columns, parameters) in each() {
            let rows = Rows::wild(rng, ROWS, columns, 5);
            let together = rows.score(&mut *detector(name, columns, &parameters));
            for key in 0..5 {
                let mut alone = rows.of_key(key);
                alone.keys.iter_mut().for_each(|k| *k = 17);
                let alone = alone.score(&mut *detector(name, columns, &parameters));
                let of_key: Vec<_> = (0..ROWS).filter(|i| rows.keys[*i] == key).map(|i| together[i]).collect();
                assert_eq!(bits(&of_key), bits(&alone), "{name}");
            }
        }
    }
}

#[test]
fn a_forgotten_key_begins_anew_and_its_memory_is_given_back() {
    let rng = &mut random("forget", 1);
    for (name, columns, parameters) in each() {
        let rows = Rows::wild(rng, 300, columns, 2);
        let mut detector = detector(name, columns, &parameters);
        let first = rows.score(&mut *detector);
        let full = detector.bytes();
        detector.forget(&[0, 1, 99]);
        assert!(detector.save(&[0, 1]).iter().all(|state| state.is_none()), "{name}");
        assert!(detector.bytes() <= full, "{name}");
        assert_eq!(bits(&first), bits(&rows.score(&mut *detector)), "{name}");
        assert_eq!(detector.bytes(), full, "{name}");
        let states = detector.save(&[0, 7]);
        detector.load(&[1, 0], &states).expect("what was saved");
        assert!(detector.save(&[0]).is_null(0), "a NULL forgets");
    }
}

#[test]
fn bad_values_are_null_and_change_nothing() {
    for seed in 0..6 {
        let rng = &mut random("bad", seed);
        for (name, columns, parameters) in each() {
            let clean = Rows::wild(rng, ROWS, columns, 1);
            let whole = clean.score(&mut *detector(name, columns, &parameters));
            let mut dirty = Rows { columns: vec![Vec::new(); columns], ..Rows::default() };
            let mut good = Vec::new();
            for i in 0..ROWS {
                while rng.random_ratio(1, 4) {
                    let bad = [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)];
                    let at = rng.random_range(0..columns);
                    good.push(false);
                    dirty.keys.push(0);
                    dirty.times.push(clean.times[i]);
                    for (c, column) in dirty.columns.iter_mut().enumerate() {
                        column.push(if c == at { bad[rng.random_range(0..4)] } else { Some(1e6) });
                    }
                }
                good.push(true);
                dirty.keys.push(0);
                dirty.times.push(clean.times[i]);
                for (column, from) in dirty.columns.iter_mut().zip(&clean.columns) {
                    column.push(from[i]);
                }
            }
            let scores = dirty.score(&mut *detector(name, columns, &parameters));
            let (kept, bad): (Vec<_>, Vec<_>) = scores.iter().zip(&good).partition(|(_, good)| **good);
            assert!(bad.iter().all(|(score, _)| score.is_none()), "{name}");
            let kept: Vec<Option<f64>> = kept.into_iter().map(|(score, _)| *score).collect();
            assert_eq!(bits(&whole), bits(&kept), "{name}");
        }
    }
}

#[test]
fn huge_and_tiny_values_give_finite_scores() {
    const ODD: [f64; 12] = [
        f64::MAX,
        f64::MIN,
        1e300,
        -1e150,
        1e-300,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.0,
        1e16,
        1.0,
        1.000_000_000_000_000_2,
    ];
    for seed in 0..20 {
        let rng = &mut random("huge", seed);
        let variety = rng.random_range(1..=ODD.len());
        for (name, columns, mut parameters) in each() {
            // Gains for which Holt-Winters is not stable.
            if seed % 4 == 0 && name.starts_with("anomaly_seasonal") {
                parameters = vec![Some(3.0), Some(1.0), Some(1.0), Some(1.0)];
            }
            let mut rows = Rows::wild(rng, ROWS, columns, 1);
            for column in &mut rows.columns {
                column.iter_mut().for_each(|v| *v = Some(ODD[rng.random_range(0..variety)]));
            }
            let mut all = detector(name, columns, &parameters);
            let scores = rows.score(&mut *all);
            let most = if name.ends_with("expected") { f64::MAX } else { MAX_SCORE };
            assert!(scores.iter().flatten().all(|s| s.abs() <= most), "{name}");
            assert!(scores.iter().flatten().count() > 0, "{name}");
            let mut other = detector(name, columns, &parameters);
            other.load(&[0], &all.save(&[0])).expect("what was saved can be read");
        }
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let rows = Rows::wild(&mut random("else", 3), 200, 1, 1);
    for (name, _, parameters) in each() {
        let mut one = detector(name, 1, &parameters);
        rows.score(&mut *one);
        let states = one.save(&[0]);
        for (other, _, parameters) in each().filter(|(other, ..)| *other != name) {
            let fault = detector(other, 1, &parameters).load(&[0], &states).expect_err("of another function");
            let text = fault.to_string();
            assert!(text.starts_with(&format!("{other}: saved state 0 cannot be used: it is of another")), "{text}");
        }
        let mut changed = parameters.clone();
        let last = changed.len() - 1;
        changed[last] = Some(11.0);
        assert!(detector(name, 1, &changed).load(&[0], &states).is_err(), "{name} with another parameter");
        let lengths = detector(name, 1, &parameters).load(&[0, 1], &states);
        assert!(matches!(lengths, Err(DetectError::Lengths { .. })), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_bytes_are_an_error_and_change_nothing(
        seed in 0u64..1000, rows in 1usize..400, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()), tail in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        for (name, columns, parameters) in each() {
            let rows = Rows::wild(&mut random("damage", seed), rows, columns, 1);
            let mut one = detector(name, columns, &parameters);
            rows.score(&mut *one);
            let states = one.save(&[0]);
            if states.is_null(0) {
                continue;
            }
            let whole = states.value(0).to_vec();
            let mut bytes = whole.clone();
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(&tail);
            for (at, bit) in &flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            let damaged = BinaryArray::from_vec(vec![whole.as_slice(), bytes.as_slice()]);
            if bytes != whole {
                prop_assert!(one.load(&[0, 5], &damaged).is_err(), "{}", name);
                prop_assert_eq!(one.save(&[0, 5]).is_null(1), true);
                prop_assert_eq!(one.save(&[0]), states);
            }
        }
    }

    #[test]
    fn any_bytes_at_all_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (name, columns, parameters) in each() {
            let states = BinaryArray::from_vec(vec![bytes.as_slice()]);
            prop_assert!(detector(name, columns, &parameters).load(&[0], &states).is_err(), "{}", name);
        }
    }
}
