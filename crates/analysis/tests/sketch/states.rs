//! States: batches, groups, saving, merging, forgetting, types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use proptest::prelude::*;
use thalweg_analysis::sketch::{Role, SketchError, build, signatures};

use crate::support::{MAKERS, column, ints, number, percentiles, start, stored, text};

fn rows() -> impl Strategy<Value = Vec<(u32, i64)>> {
    prop_oneof![
        prop::collection::vec((0_u32..3, 0_i64..40), 1..300),
        prop::collection::vec((0_u32..2, 0_i64..1_000_000), 1..3000),
    ]
}

fn split(rows: &[(u32, i64)], kind: &DataType) -> (Vec<u32>, ArrayRef) {
    let values: Vec<i64> = rows.iter().map(|r| r.1).collect();
    (rows.iter().map(|r| r.0).collect(), column(kind, &values))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn batches_do_not_matter_and_a_restored_state_goes_on_alike(rows in rows(), size in 1_usize..500, stop in 0_usize..3000) {
        for maker in &MAKERS {
            let (groups, values) = split(&rows, &maker.1);
            let mut whole = start(maker);
            whole.update(&groups, &values).expect("update");
            let mut parts = start(maker);
            for (i, batch) in rows.chunks(size).enumerate() {
                if i == stop % rows.len().div_ceil(size) {
                    let saved = parts.save(&[0, 1, 2]).expect("save");
                    parts = start(maker);
                    parts.merge(&[0, 1, 2], &saved).expect("restore");
                }
                let (groups, values) = split(batch, &maker.1);
                parts.update(&groups, &values).expect("update");
            }
            prop_assert_eq!(whole.save(&[0, 1, 2]).expect("save"), parts.save(&[0, 1, 2]).expect("save"));
        }
    }

    #[test]
    fn sets_have_one_state_however_rows_and_merges_are_ordered(rows in rows(), workers in 1_usize..5, turn in 0_usize..5) {
        for maker in MAKERS.iter().filter(|m| m.0 == "hll_sketch" || m.0 == "bloom_sketch") {
            let (groups, values) = split(&rows, &maker.1);
            let mut whole = start(maker);
            whole.update(&groups, &values).expect("update");
            let mut total = start(maker);
            for worker in 0..workers {
                let worker = (worker + turn) % workers;
                let mut mine: Vec<(u32, i64)> = rows.iter().skip(worker).step_by(workers).copied().collect();
                mine.reverse();
                mine.extend_from_within(..mine.len() / 2);
                let (groups, values) = split(&mine, &maker.1);
                let mut part = start(maker);
                part.update(&groups, &values).expect("update");
                total.merge(&[0, 1, 2], &part.save(&[0, 1, 2]).expect("save")).expect("merge");
            }
            prop_assert_eq!(whole.save(&[0, 1, 2]).expect("save"), total.save(&[0, 1, 2]).expect("save"));
        }
    }

    #[test]
    fn merged_top_k_keeps_its_promise(rows in prop::collection::vec(0_i64..5000, 1..4000), workers in 1_usize..5) {
        let mut total = start(&MAKERS[2]);
        for worker in 0..workers {
            let mine: Vec<i64> = rows.iter().skip(worker).step_by(workers).copied().collect();
            let mut part = start(&MAKERS[2]);
            part.update(&vec![0; mine.len()], &ints(mine)).expect("update");
            total.merge(&[0], &stored(part.as_ref(), 0)).expect("merge");
        }
        let error = number("sketch_error", &(Arc::new(stored(total.as_ref(), 0)) as ArrayRef), &[]);
        prop_assert!(error <= 1.0 / 257.0, "{}", error);
    }

    #[test]
    fn memory_is_kept_account_of(rows in rows()) {
        for maker in &MAKERS {
            let (groups, values) = split(&rows, &maker.1);
            let mut sketches = start(maker);
            sketches.update(&groups, &values).expect("update");
            let saved = sketches.save(&[0, 1, 2]).expect("save");
            let full = sketches.bytes();
            sketches.forget(&[0, 1, 2, 900]);
            let empty = sketches.bytes();
            prop_assert!(empty <= full && empty <= 4 * 120, "{} {}", empty, full);
            sketches.merge(&[2, 0, 1], &saved).expect("merge");
            sketches.forget(&[0, 1, 2]);
            prop_assert_eq!(sketches.bytes(), empty);
        }
    }
}

#[test]
fn one_value_costs_tens_of_bytes() {
    for maker in &MAKERS {
        let mut sketches = start(maker);
        let values: Vec<i64> = (0..1024).collect();
        let groups: Vec<u32> = (0..1024).collect();
        sketches.update(&groups, &column(&maker.1, &values)).expect("update");
        let each = sketches.bytes() / 1024;
        assert!(each <= 160, "{}: {each} bytes a group", maker.0);
        let saved = sketches.save(&groups).expect("save");
        assert!(saved.value(0).len() <= 64, "{}: {} bytes stored", maker.0, saved.value(0).len());
    }
}

fn distinct(columns: &[ArrayRef]) -> i64 {
    let mut sketches = build("approx_count_distinct", columns[0].data_type(), &[]).expect("an aggregate");
    for column in columns {
        sketches.update(&vec![0; column.len()], column).expect("update");
    }
    sketches.result(&[0]).expect("result").as_primitive::<Int64Type>().value(0)
}

#[test]
fn equal_values_of_any_type_are_one() {
    let numeric = |v: Vec<i128>, s| Arc::new(Decimal128Array::from(v).with_precision_and_scale(20, s).expect("fits"));
    assert_eq!(
        distinct(&[
            Arc::new(Int16Array::from(vec![1, 2])),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(2)])),
            Arc::new(Float32Array::from(vec![1.0, 2.0])),
            Arc::new(Float64Array::from(vec![1.0, 2.0])),
            numeric(vec![100, 200], 2),
            numeric(vec![1, 2], 0),
        ]),
        2
    );
    assert_eq!(distinct(&[Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]))]), 2);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
    assert_eq!(distinct(&[text, Arc::new(StringViewArray::from(vec!["a", "b"]))]), 2);
    assert_eq!(distinct(&[Arc::new(BooleanArray::from(vec![Some(true), None, Some(true)]))]), 1);
    assert_eq!(distinct(&[Arc::new(BinaryArray::from(vec![&b"a"[..], b"b", b""]))]), 3);
    let midnight: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![86_400_000_000]).with_timezone("+00:00"));
    assert_eq!(distinct(&[Arc::new(Date32Array::from(vec![1])), midnight]), 1);
}

#[test]
fn results_are_what_sql_expects() {
    let mut median = build("approx_percentile", &DataType::Int64, &[0.5]).expect("an aggregate");
    median.update(&[0, 0, 0, 0, 2], &ints([4, 1, 3, 2, 9])).expect("update");
    let got = median.result(&[0, 1, 2]).expect("result");
    assert_eq!(got.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(2.0), None, Some(9.0)]);

    let mut top = build("approx_top_k", &DataType::Utf8, &[2.0]).expect("an aggregate");
    let names: ArrayRef =
        Arc::new(StringArray::from(vec![Some("b"), Some("a"), None, Some("a"), Some("c"), Some("b")]));
    top.update(&[0; 6], &names).expect("update");
    let got = top.result(&[0, 7]).expect("result");
    let a_and_b = r#"[{"value": "a", "lower": 2, "upper": 2}, {"value": "b", "lower": 2, "upper": 2}]"#;
    assert_eq!((text(&got, 0).as_deref(), text(&got, 1)), (Some(a_and_b), None));

    let count = build("approx_count_distinct", &DataType::Date32, &[]).expect("an aggregate");
    assert_eq!(count.result(&[3]).expect("result").as_primitive::<Int64Type>().value(0), 0);
}

#[test]
fn sketch_merge_joins_what_was_stored() {
    let mut hours = start(&("hll_sketch", DataType::Int64, &[12.0]));
    hours.update(&[0, 0, 1, 1], &ints([1, 2, 2, 3])).expect("update");
    let mut days = build("sketch_merge", &DataType::Binary, &[]).expect("an aggregate");
    let saved: ArrayRef = Arc::new(hours.save(&[0, 1]).expect("save"));
    days.update(&[5, 5], &saved).expect("update");
    let merged = days.result(&[5, 4]).expect("result");
    assert!(merged.is_null(1));
    assert_eq!(number("sketch_estimate", &merged.slice(0, 1), &[]).round(), 3.0);
    let other = start(&("quantile_sketch", DataType::Int64, &[20.0]));
    let refused = days.merge(&[5], &stored(other.as_ref(), 0));
    assert!(matches!(refused, Err(SketchError::Kinds { .. })), "{refused:?}");
    days.forget(&[5]);
    assert!(days.result(&[5]).expect("result").is_null(0));
}

#[test]
fn mixed_precisions_merge_to_the_coarser_in_any_order() {
    let sketch = |precision: f64, values: std::ops::Range<i64>| {
        let mut made = build("hll_sketch", &DataType::Int64, &[precision]).expect("an aggregate");
        made.update(&vec![0; values.clone().count()], &ints(values)).expect("update");
        stored(made.as_ref(), 0)
    };
    for few in [0..1, 0..5, 0..100, 0..20_000] {
        let (fine, coarse) = (sketch(14.0, few.clone()), sketch(9.0, 10_000..30_000));
        let merged = |first: &BinaryArray, second: &BinaryArray| {
            let mut all = build("sketch_merge", &DataType::Binary, &[]).expect("an aggregate");
            all.merge(&[0], first).expect("merge");
            all.merge(&[0], second).expect("merge");
            stored(all.as_ref(), 0)
        };
        let mut whole = build("hll_sketch", &DataType::Int64, &[9.0]).expect("an aggregate");
        for part in [few.clone(), 10_000..30_000] {
            whole.update(&vec![0; part.clone().count()], &ints(part)).expect("update");
        }
        assert_eq!(merged(&fine, &coarse), merged(&coarse, &fine));
        assert_eq!(merged(&fine, &coarse), stored(whole.as_ref(), 0));
    }
}

#[test]
fn quantiles_are_exact_until_k_and_keep_the_extremes() {
    let mut sketches = start(&("quantile_sketch", DataType::Float64, &[20.0]));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values((0..20).map(|i| f64::from(i * 7 % 20))));
    sketches.update(&[0; 20], &values).expect("update");
    let few: ArrayRef = Arc::new(stored(sketches.as_ref(), 0));
    assert_eq!(percentiles(&few, &[0.0, 0.05, 0.5, 0.51, 1.0]), [0.0, 0.0, 9.0, 10.0, 19.0]);
    assert_eq!(number("sketch_error", &few, &[]), 0.0);
    let more: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100_000).map(|i| f64::from(i * 7919 % 100_000))));
    sketches.update(&vec![0; 100_000], &more).expect("update");
    let many: ArrayRef = Arc::new(stored(sketches.as_ref(), 0));
    assert_eq!(percentiles(&many, &[0.0, 1.0]), [0.0, 99_999.0]);
    assert_eq!(number("sketch_estimate", &many, &[]), 100_020.0);
}

#[test]
fn every_signature_is_honoured() {
    for signature in signatures().iter().filter(|s| s.role == Role::Aggregate) {
        let kind = if signature.name == "sketch_merge" { DataType::Binary } else { DataType::Int64 };
        let usual: Vec<f64> = signature.parameters.iter().map(|p| p.default.unwrap_or(p.least)).collect();
        let state = build(signature.name, &kind, &usual).expect("parameters within their ranges");
        assert_eq!(*state.result(&[0]).expect("result").data_type(), signature.result, "{}", signature.name);
        assert!(build(signature.name, &DataType::Null, &usual).is_err(), "{}", signature.name);
        for (i, parameter) in signature.parameters.iter().enumerate() {
            for wrong in [parameter.least - 1.0, parameter.most + 1.0, f64::NAN] {
                let mut values = usual.clone();
                values[i] = wrong;
                assert!(build(signature.name, &kind, &values).is_err(), "{} {wrong}", signature.name);
            }
        }
    }
}

#[test]
fn limits_are_errors_that_say_what_to_do() {
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1025)]));
    let mut top = build("approx_top_k", &DataType::Utf8, &[2.0]).expect("an aggregate");
    let error = top.update(&[0], &long).expect_err("too long").to_string();
    assert!(error.contains("1024 bytes") && error.contains("left("), "{error}");
    let error = build("bloom_sketch", &DataType::Int64, &[1e7, 0.0001]).err().expect("too large").to_string();
    assert!(error.contains("16777216 bytes"), "{error}");
    let error = build("approx_percentile", &DataType::Utf8, &[0.5]).err().expect("text").to_string();
    assert!(error.contains("approx_percentile") && error.contains("timestamp"), "{error}");
    assert!(matches!(top.update(&[0, 1], &long), Err(SketchError::Rows(2, 1))));
}
