//! `$1`, `$2`, …: their types, told by the client, by a cast, by where they stand, or by the planner; and their values.
//! It must not know protocols.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Expr, Value, Visit, Visitor};
use thalweg_core::{SqlError, SqlState};

use super::errors::sql_error;
use crate::types::arrow_type;

/// Parameters of a statement at most; the protocol's own limit.
const MAX_PARAMETERS: usize = 65_535;

/// The types known before planning: those that the client gave, then those of casts (`$1::int`).
pub(crate) fn known(statement: &impl Visit, given: &[Option<DataType>]) -> Result<Vec<Option<FieldRef>>, SqlError> {
    let mut casts = Casts(BTreeMap::new());
    if let ControlFlow::Break(error) = statement.visit(&mut casts) {
        return Err(error);
    }
    let count = casts.0.keys().next_back().copied().unwrap_or(0).max(given.len());
    let one = |i: usize| given.get(i).cloned().flatten().or_else(|| casts.0.get(&(i + 1)).cloned().flatten());
    Ok((0..count).map(|i| one(i).map(|t| Arc::new(Field::new(format!("${}", i + 1), t, true)))).collect())
}

/// The highest number of a parameter, and what each is cast to.
struct Casts(BTreeMap<usize, Option<DataType>>);

impl Casts {
    fn saw(&mut self, text: &str, data_type: Option<DataType>) -> ControlFlow<SqlError> {
        match text.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
            Some(n) if (1..=MAX_PARAMETERS).contains(&n) => {
                let entry = self.0.entry(n).or_default();
                if entry.is_none() {
                    *entry = data_type;
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(SqlError::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter {text}"),
            )),
        }
    }
}

impl Visitor for Casts {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Cast { expr, data_type, .. } => match placeholder(expr) {
                Some(text) => self.saw(text, arrow_type(data_type).ok()),
                None => ControlFlow::Continue(()),
            },
            other => match placeholder(other) {
                Some(text) => self.saw(text, None),
                None => ControlFlow::Continue(()),
            },
        }
    }
}

/// The text of `$n`, if `expr` is one.
pub(crate) fn placeholder(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

/// The types of all parameters of a plan: text where nothing tells.
pub(crate) fn types(plan: &LogicalPlan, known: &[Option<FieldRef>]) -> Result<Vec<FieldRef>, SqlError> {
    let found = plan.get_parameter_fields().map_err(|e| sql_error(&e))?;
    let highest = found.keys().filter_map(|k| k[1..].parse::<usize>().ok()).max().unwrap_or(0);
    let one = |i: usize| {
        let name = format!("${}", i + 1);
        let told = known.get(i).cloned().flatten().or_else(|| found.get(&name).cloned().flatten());
        let data_type = told.map_or(DataType::Utf8View, |f| f.data_type().clone());
        Arc::new(Field::new(name, if data_type == DataType::Null { DataType::Utf8View } else { data_type }, true))
    };
    Ok((0..highest.max(known.len())).map(one).collect())
}

/// `plan` with values for its parameters; `values` are arrays of one cell, text where the client sent text.
pub(crate) fn bound(plan: LogicalPlan, types: &[FieldRef], values: &[ArrayRef]) -> Result<LogicalPlan, SqlError> {
    if types.is_empty() && values.is_empty() {
        return Ok(plan);
    }
    let scalars = scalars(types, values)?;
    plan.with_param_values(ParamValues::from(scalars)).map_err(|e| sql_error(&e))
}

/// `values` (text where the client sent text) as values of `types`.
///
/// # Errors
/// There are too few or too many, or one does not read as its type.
pub fn scalars(types: &[FieldRef], values: &[ArrayRef]) -> Result<Vec<ScalarValue>, SqlError> {
    if values.len() != types.len() {
        let message = format!("{} parameters are given, the statement has {}", values.len(), types.len());
        return Err(SqlError::new(SqlState::PROTOCOL_VIOLATION, message));
    }
    types.iter().zip(values).map(|(field, value)| scalar(field, value)).collect()
}

fn scalar(field: &FieldRef, value: &ArrayRef) -> Result<ScalarValue, SqlError> {
    let wrong = |what: String| {
        let message = format!("invalid input for parameter {}: {what}", field.name());
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let to = field.data_type();
    let value = match (value.data_type(), to) {
        (from, to) if from == to => Arc::clone(value),
        (DataType::Utf8, DataType::Boolean) => boolean(value).ok_or_else(|| wrong("it is no boolean".to_owned()))?,
        (DataType::Utf8, DataType::Binary) => bytes(value).ok_or_else(|| wrong("it is no bytea".to_owned()))?,
        (DataType::Utf8, DataType::List(item)) if value.is_valid(0) => list(value, item, to)?,
        (DataType::Utf8, _) if value.is_valid(0) => {
            let text = value.as_string::<i32>().value(0).trim().to_owned();
            let trimmed: ArrayRef = if matches!(to, DataType::Utf8View) {
                Arc::clone(value)
            } else {
                Arc::new(arrow::array::StringArray::from(vec![text]))
            };
            cast_with_options(&trimmed, to, &options).map_err(|e| wrong(e.to_string()))?
        }
        _ => cast_with_options(value, to, &options).map_err(|e| wrong(e.to_string()))?,
    };
    ScalarValue::try_from_array(&value, 0).map_err(|e| wrong(e.to_string()))
}

/// Text values as values of declared types; those beyond the declared ones stay text.
///
/// # Errors
/// A type is not known, or a value does not read as its type.
pub fn typed_values(
    types: &[datafusion::sql::sqlparser::ast::DataType],
    values: Vec<ArrayRef>,
) -> Result<Vec<ArrayRef>, SqlError> {
    let one = |(i, value): (usize, ArrayRef)| match types.get(i) {
        None => Ok(value),
        Some(t) => {
            let field = Arc::new(Field::new(format!("${}", i + 1), arrow_type(t)?, true));
            scalar(&field, &value)?.to_array().map_err(|e| sql_error(&e))
        }
    };
    values.into_iter().enumerate().map(one).collect()
}

/// The elements of a text like `{1,NULL,"a b"}` as a list.
fn list(value: &ArrayRef, item: &FieldRef, to: &DataType) -> Result<ArrayRef, SqlError> {
    let text = value.as_string::<i32>().value(0);
    let elements = crate::system::array_literal(text).ok_or_else(|| {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{text}\""))
    })?;
    let one = |e: &Option<String>| {
        let cell: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![e.clone()]));
        scalar(item, &cell)
    };
    let cells = elements.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let list = ScalarValue::new_list(&cells, item.data_type(), true);
    arrow::compute::cast(&(list as ArrayRef), to).map_err(|e| thalweg_core::Error::from(e).into())
}

fn boolean(value: &ArrayRef) -> Option<ArrayRef> {
    let text = value.as_string::<i32>();
    let cell = match text.is_valid(0).then(|| text.value(0).trim().to_lowercase()) {
        None => None,
        Some(t) if ["t", "true", "y", "yes", "on", "1"].contains(&t.as_str()) => Some(true),
        Some(t) if ["f", "false", "n", "no", "off", "0"].contains(&t.as_str()) => Some(false),
        Some(_) => return None,
    };
    Some(Arc::new(arrow::array::BooleanArray::from(vec![cell])))
}

/// `\x…` as PostgreSQL writes bytes, or the text's own.
fn bytes(value: &ArrayRef) -> Option<ArrayRef> {
    let text = value.as_string::<i32>();
    let cell = match text.is_valid(0).then(|| text.value(0)) {
        None => None,
        Some(t) => Some(match t.strip_prefix("\\x") {
            Some(hex) if hex.len().is_multiple_of(2) && hex.is_ascii() => (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok())
                .collect::<Option<Vec<u8>>>()?,
            Some(_) => return None,
            None => t.as_bytes().to_vec(),
        }),
    };
    Some(Arc::new(arrow::array::BinaryArray::from_iter([cell])))
}
