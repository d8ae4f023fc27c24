//! The functions over columns: every kind of text, constants, hostile documents.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion::scalar::ScalarValue;

use super::facts::{Question, fact};
use super::get::{Way, get};

fn run(function: &ScalarUDF, args: Vec<ColumnarValue>, number_rows: usize) -> ArrayRef {
    let types: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
    let arg_fields = types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
    let return_field = Arc::new(Field::new("", function.return_type(&types).expect("a type"), true));
    let args = ScalarFunctionArgs {
        args,
        arg_fields,
        number_rows,
        return_field,
        config_options: Arc::new(ConfigOptions::new()),
    };
    let result = function.invoke_with_args(args).expect("hostile documents are no errors");
    result.into_array(number_rows).expect("one value a row")
}

fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string_view().iter().collect()
}

fn text(text: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(text))
}

#[test]
fn every_kind_of_text() {
    let documents = vec![Some("{\"a\": \"x\"}"), None, Some("{\"a\": null}"), Some("not JSON"), Some("[\"y\"]")];
    let kinds: [ArrayRef; 3] = [
        Arc::new(StringArray::from(documents.clone())),
        Arc::new(LargeStringArray::from(documents.clone())),
        Arc::new(StringViewArray::from(documents)),
    ];
    for kind in kinds {
        let document = || ColumnarValue::Array(Arc::clone(&kind));
        let quoted = run(&get("->", None, Way::Steps, false), vec![document(), text("a")], 5);
        assert_eq!(texts(&quoted), [Some("\"x\""), None, Some("null"), None, None]);
        let unquoted = run(&get("->>", None, Way::Steps, true), vec![document(), text("a")], 5);
        assert_eq!(texts(&unquoted), [Some("x"), None, None, None, None]);
        let path = run(&get("#>>", None, Way::Path, true), vec![document(), text("{0}")], 5);
        assert_eq!(texts(&path), [None, None, None, None, Some("y")]);
        let kinds = run(&fact(Question::TypeOf), vec![document()], 5);
        assert_eq!(texts(&kinds), [Some("object"), None, Some("object"), None, Some("array")]);
        let has = run(&fact(Question::HasKey), vec![document(), text("a")], 5);
        assert_eq!(has.as_boolean().iter().collect::<Vec<_>>(), [Some(true), None, Some(true), None, Some(false)]);
    }
}

#[test]
fn steps_from_columns() {
    let document = text("{\"a\": [1, {\"b\": 2}], \"b\": 3}");
    let keys: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("")]));
    let arrow = get("->", None, Way::Steps, false);
    let found = run(&arrow, vec![document.clone(), ColumnarValue::Array(keys)], 4);
    assert_eq!(texts(&found), [Some("[1, {\"b\": 2}]"), Some("3"), None, None]);
    let indexes: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(-2), Some(i64::MIN), None]));
    let found = run(&arrow, vec![document, text("a"), ColumnarValue::Array(indexes)], 4);
    assert_eq!(texts(&found), [Some("{\"b\": 2}"), Some("1"), None, None]);
}

#[test]
fn constants_give_a_constant() {
    let found = run(&get("#>", None, Way::Path, false), vec![text(" [1, 2] "), text("{}")], 3);
    assert_eq!(texts(&found), [Some("[1, 2]"); 3]);
    let null = ColumnarValue::Scalar(ScalarValue::Null);
    let found = run(&get("->", None, Way::Steps, false), vec![null, text("a")], 2);
    assert_eq!(texts(&found), [None, None]);
}

#[test]
fn hostile_documents_give_null() {
    let deep = "[".repeat(100_000);
    let closed = deep.clone() + &"]".repeat(100_000);
    let keys = "{\"a\":".repeat(100_000);
    let documents = ["", "{", "\u{0}", "{\"a\":\"\\", "\"\\ud8", "{\"a\":1}}", &deep, &closed, &keys, "\u{feff}{}"];
    let rows = documents.len();
    let column = || ColumnarValue::Array(Arc::new(StringViewArray::from(documents.to_vec())) as ArrayRef);
    let results = [
        run(&get("->", None, Way::Steps, false), vec![column(), text("a")], rows),
        run(&get("->>", None, Way::Steps, true), vec![column(), ColumnarValue::Scalar(0_i64.into())], rows),
        run(&get("#>", None, Way::Path, false), vec![column(), text("{}")], rows),
        run(&get("#>", None, Way::Path, false), vec![text("{}"), column()], rows),
        run(&fact(Question::TypeOf), vec![column()], rows),
        run(&fact(Question::ArrayLength), vec![column()], rows),
        run(&fact(Question::HasKey), vec![column(), text("a")], rows),
        run(&fact(Question::HasAny), vec![text("{}"), column()], rows),
        run(&fact(Question::Contains), vec![column(), text("[]")], rows),
        run(&fact(Question::ContainedIn), vec![column(), text("[]")], rows),
    ];
    for result in results {
        assert_eq!(result.null_count(), rows, "{result:?}");
    }
}

#[test]
fn a_constant_path_that_is_no_array_is_refused() {
    let arg = text("a,b");
    assert!(super::get::check_list(&arg).is_err_and(|e| e.to_string().contains("malformed array literal: \"a,b\"")));
}
