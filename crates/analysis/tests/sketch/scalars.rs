//! Scalar functions over stored sketches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, Int32Array};
use arrow::datatypes::DataType;
use thalweg_analysis::sketch::{SketchError, build, call};

use crate::support::{MAKERS, column, ints, number, one, start, stored, text};

fn filled(maker: usize, values: &[i64]) -> ArrayRef {
    let maker = &MAKERS[maker];
    let mut sketches = start(maker);
    sketches.update(&vec![0; values.len()], &column(&maker.1, values)).expect("update");
    Arc::new(stored(sketches.as_ref(), 0))
}

#[test]
fn bounds_widen_with_confidence_and_hold_the_estimate() {
    let values: Vec<i64> = (0..50_000).collect();
    for maker in [0, 4] {
        let sketch = filled(maker, &values[..if maker == 4 { 900 } else { 50_000 }]);
        let estimate = number("sketch_estimate", &sketch, &[]);
        let mut last = 0.0;
        for confidence in [0.5, 0.95, 0.9973] {
            let (low, high) =
                (number("sketch_lower", &sketch, &[confidence]), number("sketch_upper", &sketch, &[confidence]));
            assert!(low < estimate && estimate < high && high - low > last, "{low} {estimate} {high}");
            last = high - low;
        }
        assert!(call("sketch_lower", &[Arc::clone(&sketch)], &[0.999]).is_err(), "more than three deviations");
    }
    let rows = filled(1, &values);
    assert_eq!(number("sketch_lower", &rows, &[]), 50_000.0, "rows are counted");
}

#[test]
fn a_filter_never_denies_what_it_saw_whatever_the_width() {
    for values in [0..50, 0..1000] {
        let values: Vec<i64> = values.collect();
        let filter = filled(4, &values);
        let probes: ArrayRef = Arc::new(Int32Array::from_iter_values(values.iter().map(|v| *v as i32)));
        let got = call("sketch_contains", &[Arc::clone(&filter), probes], &[]).expect("a filter");
        assert_eq!(got.as_boolean().true_count(), values.len());
        let others = ints(1_000_000..1_010_000);
        let got = call("sketch_contains", &[filter, others], &[]).expect("a filter");
        let claimed = got.as_boolean().true_count();
        assert!(claimed < 150, "{claimed} of 10000 at 1 %");
        assert!(values.len() > 50 || claimed == 0, "few values are kept exactly");
    }
}

#[test]
fn top_and_describe_are_json_in_the_values_types() {
    let top = |column: ArrayRef| {
        let mut sketches = build("top_k_sketch", column.data_type(), &[1.0]).expect("an aggregate");
        sketches.update(&vec![0; column.len()], &column).expect("update");
        let sketch: ArrayRef = Arc::new(stored(sketches.as_ref(), 0));
        let described = call("sketch_describe", &[Arc::clone(&sketch)], &[]).expect("describe");
        (text(&call("sketch_top", &[sketch], &[]).expect("top"), 0).expect("text"), text(&described, 0).expect("text"))
    };
    let (dates, described) = top(Arc::new(Date32Array::from(vec![0, 0, 1])));
    assert_eq!(dates, r#"[{"value": "1970-01-01", "lower": 2, "upper": 2}]"#);
    assert!(
        described.starts_with(r#"{"kind": "frequent dates", "k": 1, "rows": 3, "count_error": 0, "#),
        "{described}"
    );
    let numeric = Decimal128Array::from(vec![150, 150]).with_precision_and_scale(10, 2).expect("fits");
    assert_eq!(top(Arc::new(numeric)).0, r#"[{"value": 1.5, "lower": 2, "upper": 2}]"#);
}

#[test]
fn nulls_constants_and_wrong_kinds() {
    let sketch = filled(0, &[1, 2, 3]);
    let column: ArrayRef = Arc::new(BinaryArray::from(vec![Some(sketch.as_binary::<i32>().value(0)), None]));
    let got = call("sketch_estimate", &[Arc::clone(&column)], &[]).expect("estimates");
    assert!(got.is_valid(0) && got.is_null(1));
    let joined = call("sketch_union", &[column, filled(0, &[3, 4])], &[]).expect("union");
    assert!(joined.is_null(1));
    assert_eq!(number("sketch_estimate", &joined.slice(0, 1), &[]).round(), 4.0);
    let wrong = call("sketch_contains", &[Arc::clone(&sketch), ints([1])], &[]);
    assert!(matches!(wrong, Err(SketchError::WrongKind { mend: "bloom_sketch()", .. })), "{wrong:?}");
    assert!(matches!(call("sketch_top", &[sketch], &[]), Err(SketchError::WrongKind { .. })));
    assert!(matches!(call("sketch_estimate", &[one(b"no sketch")], &[]), Err(SketchError::Damaged(_))));
    assert!(matches!(call("sketch_guess", &[one(b"")], &[]), Err(SketchError::UnknownFunction(_))));
    let wide = filled(4, &[1]);
    let mut other = build("bloom_sketch", &DataType::Int64, &[10.0, 0.5]).expect("an aggregate");
    other.update(&[0], &ints([1])).expect("update");
    let refused = call("sketch_union", &[wide, Arc::new(stored(other.as_ref(), 0))], &[]);
    assert!(matches!(refused, Err(SketchError::Filters)), "{refused:?}");
}
