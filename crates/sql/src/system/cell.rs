//! One value of a system relation or function, and columns made of them. It must not know what the values mean.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    ListArray, RecordBatch, RecordBatchOptions, StringViewBuilder, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use datafusion::error::Result;

use crate::types::UTC;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Cell {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Cell>),
}

impl Cell {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, also one written as text.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "numbers of objects are small")]
            Self::Float(number) => Some(*number as i64),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Text(text) => match text.trim().to_lowercase().as_str() {
                "t" | "true" | "on" | "yes" | "1" => Some(true),
                "f" | "false" | "off" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Cell]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Cell>> From<Vec<T>> for Cell {
    fn from(value: Vec<T>) -> Self {
        Self::List(value.into_iter().map(Into::into).collect())
    }
}

/// A row: its values by the columns' names; what is not named is null.
pub(super) type Row = Vec<(&'static str, Cell)>;

/// `row! { "oid" => 1, "relname" => name }`
macro_rules! row {
    ($($name:literal => $value:expr),* $(,)?) => { vec![$(($name, $crate::system::cell::Cell::from($value))),*] };
}
pub(super) use row;

/// Rows as a batch of `schema`.
pub(super) fn batch(schema: &SchemaRef, rows: Vec<Row>) -> Result<RecordBatch> {
    let count = rows.len();
    let mut columns: Vec<Vec<Cell>> = schema.fields().iter().map(|_| vec![Cell::Null; count]).collect();
    for (at, row) in rows.into_iter().enumerate() {
        for (name, value) in row {
            let column = schema.index_of(name);
            debug_assert!(column.is_ok(), "{name} is not a column of {schema}");
            if let Ok(column) = column {
                columns[column][at] = value;
            }
        }
    }
    let arrays = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, cells)| array(field.data_type(), cells))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

/// Values as an array; what does not fit the type is null.
pub(super) fn array(of: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $value:expr) => {{
            let mut builder = $builder;
            cells.iter().for_each(|cell| builder.append_option($value(cell)));
            Arc::new(builder.finish())
        }};
    }
    Ok(match of {
        DataType::Boolean => build!(BooleanBuilder::new(), |c: &Cell| c.bool()),
        DataType::Int16 => build!(Int16Builder::new(), |c: &Cell| c.int().and_then(|n| n.try_into().ok())),
        DataType::Int32 => build!(Int32Builder::new(), |c: &Cell| c.int().and_then(|n| n.try_into().ok())),
        DataType::Int64 => build!(Int64Builder::new(), |c: &Cell| c.int()),
        #[expect(clippy::cast_possible_truncation, reason = "the column's type is narrow")]
        DataType::Float32 => build!(Float32Builder::new(), |c: &Cell| float(c).map(|f| f as f32)),
        DataType::Float64 => build!(Float64Builder::new(), float),
        DataType::Utf8View => build!(StringViewBuilder::new(), |c: &Cell| as_text(c)),
        DataType::Binary => build!(BinaryBuilder::new(), |c: &Cell| c.text().map(|text| text.as_bytes().to_vec())),
        DataType::Timestamp(_, Some(_)) => {
            let builder = TimestampMicrosecondBuilder::new().with_timezone(UTC);
            build!(builder, |c: &Cell| c.int())
        }
        DataType::List(item) => list(item, cells)?,
        other => {
            let rows = cells.len();
            if cells.iter().all(Cell::is_null) {
                new_null_array(other, rows)
            } else {
                cast(&array(&DataType::Utf8View, cells)?, other)?
            }
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn float(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(number) => Some(*number),
        Cell::Int(number) => Some(*number as f64),
        _ => None,
    }
}

fn as_text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        Cell::Int(number) => Some(number.to_string()),
        Cell::Float(number) => Some(number.to_string()),
        Cell::Bool(truth) => Some(if *truth { "t" } else { "f" }.to_owned()),
        Cell::Null | Cell::List(_) => None,
    }
}

fn list(item: &Arc<Field>, cells: &[Cell]) -> Result<ArrayRef> {
    let lists = cells.iter().map(Cell::list);
    let items: Vec<Cell> = lists.clone().flatten().flatten().cloned().collect();
    let offsets = OffsetBuffer::from_lengths(lists.clone().map(|l| l.map_or(0, <[Cell]>::len)));
    let nulls = NullBuffer::from_iter(lists.map(|l| l.is_some()));
    let values = array(item.data_type(), &items)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, Some(nulls))?))
}

/// The values of an array.
pub(super) fn cells(array: &ArrayRef) -> Result<Vec<Cell>> {
    use arrow::array::{Array, AsArray};
    let rows = 0..array.len();
    let valid = |at: usize| array.is_valid(at);
    Ok(match array.data_type() {
        DataType::Null => vec![Cell::Null; array.len()],
        DataType::Boolean => {
            let values = array.as_boolean();
            rows.map(|at| valid(at).then(|| values.value(at)).into()).collect()
        }
        of if of.is_integer() => {
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            rows.map(|at| values.is_valid(at).then(|| values.value(at)).into()).collect()
        }
        of if of.is_floating() => {
            let values = cast(array, &DataType::Float64)?;
            let values = values.as_primitive::<arrow::datatypes::Float64Type>();
            rows.map(|at| valid(at).then(|| values.value(at)).into()).collect()
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>();
            let item = |at: usize| if valid(at) { Ok(Cell::List(cells(&values.value(at))?)) } else { Ok(Cell::Null) };
            rows.map(item).collect::<Result<_>>()?
        }
        DataType::Timestamp(_, _) => {
            let values = cast(array, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None))?;
            let values = cast(&values, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            rows.map(|at| valid(at).then(|| values.value(at)).into()).collect()
        }
        _ => {
            let values = cast(array, &DataType::Utf8View).map_err(|e: ArrowError| e)?;
            let values = values.as_string_view();
            rows.map(|at| values.is_valid(at).then(|| values.value(at)).into()).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::types::arrow_type;

    #[test]
    fn cells_go_into_arrays_and_come_back() {
        for (of, given) in [
            ("int2", vec![Cell::Int(3), Cell::Null]),
            ("bool", vec![Cell::Bool(true), Cell::Null]),
            ("text", vec![Cell::from("x"), Cell::Null]),
            ("float8", vec![Cell::Float(1.5)]),
            ("timestamptz", vec![Cell::Int(1_000_000), Cell::Null]),
            ("int2vector", vec![Cell::from(vec![1, 2]), Cell::Null, Cell::List(vec![])]),
            ("_text", vec![Cell::from(vec!["a"]), Cell::List(vec![Cell::Null])]),
        ] {
            let made = array(&arrow_type(of), &given).expect("an array");
            assert_eq!(cells(&made).expect("cells"), given, "{of}");
        }
    }
}
