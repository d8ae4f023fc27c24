//! `json_typeof`, `json_array_length`, `?`, `?|`, `?&`, `@>` and `<@`: what is so of a document. It must not know
//! parsing of SQL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Int32Builder, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::args::{Prepared, Texts, check, is_text, is_text_list, result, rows};
use super::contain::Pattern;
use super::get::{check_list, read_list};
use super::value::{Children, Kind, Value};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    TypeOf,
    ArrayLength,
    /// `?`
    HasKey,
    /// `?|`
    HasAny,
    /// `?&`
    HasAll,
    /// `@>`
    Contains,
    /// `<@`
    ContainedIn,
}

/// A question about a document.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fact {
    name: &'static str,
    aliases: Vec<String>,
    question: Question,
    signature: Signature,
}

pub(super) fn fact(question: Question) -> Arc<ScalarUDF> {
    let (name, alias) = match question {
        Question::TypeOf => ("jsonb_typeof", Some("json_typeof")),
        Question::ArrayLength => ("jsonb_array_length", Some("json_array_length")),
        Question::HasKey => ("jsonb_exists", None),
        Question::HasAny => ("jsonb_exists_any", None),
        Question::HasAll => ("jsonb_exists_all", None),
        Question::Contains => ("jsonb_contains", None),
        Question::ContainedIn => ("jsonb_contained", None),
    };
    let aliases = alias.map(str::to_owned).into_iter().collect();
    let signature = Signature::variadic_any(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Fact { name, aliases, question, signature }))
}

impl ScalarUDFImpl for Fact {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let count = if matches!(self.question, Question::TypeOf | Question::ArrayLength) { 1 } else { 2 };
        let lists = matches!(self.question, Question::HasAny | Question::HasAll);
        check(self.name, types, |i, t| types.len() == count && (is_text(t) || lists && i == 1 && is_text_list(t)))?;
        Ok(match self.question {
            Question::TypeOf => DataType::Utf8View,
            Question::ArrayLength => DataType::Int32,
            _ => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = match (self.question, args.args.as_slice()) {
            (Question::TypeOf, [document]) => type_of(document, rows(&args))?,
            (Question::ArrayLength, [document]) => array_length(document, rows(&args))?,
            (Question::HasKey, [document, key]) => {
                ask(document, key, rows(&args), read_key, |keys, v| all_exist(keys, v))?
            }
            (Question::HasAny, [document, keys]) => {
                check_list(keys)?;
                ask(document, keys, rows(&args), read_keys, |keys, v| keys.iter().any(|k| exists(k, v)))?
            }
            (Question::HasAll, [document, keys]) => {
                check_list(keys)?;
                ask(document, keys, rows(&args), read_keys, |keys, v| all_exist(keys, v))?
            }
            (Question::Contains, [document, pattern]) | (Question::ContainedIn, [pattern, document]) => {
                ask(document, pattern, rows(&args), read_pattern, Pattern::is_in)?
            }
            _ => return Err(DataFusionError::Execution(format!("{} has too few or too many arguments", self.name))),
        };
        result(&args, array)
    }
}

fn type_of(document: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let documents = Texts::new(document)?;
    let mut out = StringViewBuilder::with_capacity(rows);
    for row in 0..rows {
        let kind = documents.get(row).and_then(Value::document).map(Value::kind);
        out.append_option(kind.map(|kind| match kind {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Null => "null",
        }));
    }
    Ok(Arc::new(out.finish()))
}

/// PostgreSQL refuses what is not an array; one row must not end a stream, so it gives NULL here.
fn array_length(document: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let documents = Texts::new(document)?;
    let mut out = Int32Builder::with_capacity(rows);
    for row in 0..rows {
        let length = documents.get(row).map(Value::unchecked).filter(|v| v.kind() == Kind::Array).and_then(|value| {
            let mut children = Children::of(value)?;
            let count = children.by_ref().count();
            children.complete().then(|| i32::try_from(count).ok())?
        });
        out.append_option(length);
    }
    Ok(Arc::new(out.finish()))
}

/// A boolean of a document and what is asked of it; NULL where either is NULL or not JSON.
fn ask<T: Clone>(
    document: &ColumnarValue,
    asked: &ColumnarValue,
    rows: usize,
    read: fn(&dyn Array, usize) -> Option<T>,
    answer: fn(&T, Value) -> bool,
) -> Result<ArrayRef> {
    let documents = Texts::new(document)?;
    let asked = Prepared::new(asked, read)?;
    let mut out = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        let value = documents.get(row).and_then(Value::document);
        out.append_option(value.zip(asked.get(row)).map(|(value, asked)| answer(&asked, value)));
    }
    Ok(Arc::new(out.finish()))
}

fn read_key(array: &dyn Array, row: usize) -> Option<Vec<String>> {
    Some(vec![array.as_string_view().value(row).to_owned()])
}

/// NULLs in the array are passed over.
fn read_keys(array: &dyn Array, row: usize) -> Option<Vec<String>> {
    read_list(array, row).map(|keys| keys.into_iter().flatten().collect())
}

fn read_pattern(array: &dyn Array, row: usize) -> Option<Pattern> {
    Pattern::parse(array.as_string_view().value(row))
}

fn all_exist(keys: &[String], value: Value) -> bool {
    keys.iter().all(|key| exists(key, value))
}

/// A key of an object, a string in an array, or the string itself.
fn exists(key: &str, value: Value) -> bool {
    match Children::of(value) {
        Some(mut children) => children.any(|(k, v)| match k {
            Some(k) => k.is(key),
            None => v.is_string(key),
        }),
        None => value.is_string(key),
    }
}
