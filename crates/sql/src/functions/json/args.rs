//! Arguments of the JSON functions as columns: any kind of text, constants read once. It must not know JSON.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion::scalar::ScalarValue;

/// Whether `t` is text, whichever way Arrow keeps it; NULL is too.
pub(super) fn is_text(t: &DataType) -> bool {
    match t {
        DataType::Dictionary(_, of) => is_text(of),
        t => t.is_string() || t.is_null(),
    }
}

pub(super) fn is_text_list(t: &DataType) -> bool {
    match t {
        DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => is_text(of.data_type()),
        _ => false,
    }
}

/// What an argument is read as.
fn plain_type(t: &DataType) -> Option<DataType> {
    match t {
        t if is_text(t) => Some(DataType::Utf8View),
        t if t.is_integer() => Some(DataType::Int64),
        t if is_text_list(t) => Some(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)))),
        _ => None,
    }
}

fn plain(arg: &ColumnarValue) -> Result<ArrayRef> {
    let array = match arg {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(1)?,
    };
    match plain_type(array.data_type()) {
        Some(t) if t == *array.data_type() => Ok(array),
        Some(t) => Ok(cast(&array, &t)?),
        None => Err(DataFusionError::Execution(format!("{} is not text", array.data_type()))),
    }
}

/// A text argument: one for all rows, or one a row.
pub(super) struct Texts {
    texts: StringViewArray,
    constant: bool,
}

impl Texts {
    pub fn new(arg: &ColumnarValue) -> Result<Self> {
        let array = plain(arg)?;
        let texts = array.as_string_view_opt().cloned();
        let texts = texts.ok_or_else(|| DataFusionError::Execution("an argument that must be text is not".into()))?;
        Ok(Self { texts, constant: matches!(arg, ColumnarValue::Scalar(_)) })
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        let row = if self.constant { 0 } else { row };
        self.texts.is_valid(row).then(|| self.texts.value(row))
    }
}

/// An argument made into a `T`: once where it is constant, else for every row. NULL gives none.
pub(super) struct Prepared<T> {
    constant: Option<Option<T>>,
    array: ArrayRef,
    read: fn(&dyn Array, usize) -> Option<T>,
}

impl<T: Clone> Prepared<T> {
    pub fn new(arg: &ColumnarValue, read: fn(&dyn Array, usize) -> Option<T>) -> Result<Self> {
        let array = plain(arg)?;
        let one = |array: &ArrayRef| if array.is_valid(0) { read(array.as_ref(), 0) } else { None };
        let constant = matches!(arg, ColumnarValue::Scalar(_)).then(|| one(&array));
        Ok(Self { constant, array, read })
    }

    pub fn get(&self, row: usize) -> Option<Cow<'_, T>> {
        match &self.constant {
            Some(constant) => constant.as_ref().map(Cow::Borrowed),
            None if self.array.is_null(row) => None,
            None => (self.read)(self.array.as_ref(), row).map(Cow::Owned),
        }
    }
}

fn all_constant(args: &ScalarFunctionArgs) -> bool {
    args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)))
}

/// How many rows to compute: one where all is constant.
pub(super) fn rows(args: &ScalarFunctionArgs) -> usize {
    if all_constant(args) { 1 } else { args.number_rows }
}

/// The result of [`rows`] rows.
pub(super) fn result(args: &ScalarFunctionArgs, array: ArrayRef) -> Result<ColumnarValue> {
    if all_constant(args) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

/// Refuses arguments of other types; the error is PostgreSQL's.
pub(super) fn check(name: &str, types: &[DataType], fits: impl Fn(usize, &DataType) -> bool) -> Result<()> {
    if types.iter().enumerate().all(|(i, t)| fits(i, t)) {
        return Ok(());
    }
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    Err(DataFusionError::Plan(match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => format!("function {name}({}) does not exist", types.join(", ")),
        false => format!("operator does not exist: {}", types.join(&format!(" {name} "))),
    }))
}
