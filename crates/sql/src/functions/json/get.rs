//! `->`, `->>`, `#>`, `#>>` and `json_extract_path`: a value out of a document. It must not know parsing of SQL.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::args::{Prepared, Texts, check, is_text, is_text_list, result, rows};
use super::path::{Step, parse_array};
use super::value::Value;

/// What stands after the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// Keys and indexes, one an argument: chains of `->` are one call, so that nothing between is copied.
    Steps,
    /// One array of path elements.
    Path,
    /// Path elements, one an argument.
    Elements,
}

/// A value out of a document.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Get {
    name: &'static str,
    aliases: Vec<String>,
    way: Way,
    /// Strings without quotes, NULL for JSON's null.
    unquoted: bool,
    signature: Signature,
}

pub(super) fn get(name: &'static str, alias: Option<&str>, way: Way, unquoted: bool) -> Arc<ScalarUDF> {
    let aliases = alias.map(str::to_owned).into_iter().collect();
    let signature = Signature::variadic_any(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Get { name, aliases, way, unquoted, signature }))
}

impl Get {
    /// Whether this is `->` or `->>`.
    pub fn takes_steps(&self) -> bool {
        self.way == Way::Steps
    }

    /// Whether this is `->`, into which what follows can be put.
    pub fn is_arrow(&self) -> bool {
        self.way == Way::Steps && !self.unquoted
    }

    fn reader(&self) -> fn(&dyn Array, usize) -> Option<Vec<Step>> {
        match self.way {
            Way::Steps => |array, row| match array.data_type() {
                DataType::Int64 => Some(vec![Step::Index(array.as_primitive::<Int64Type>().value(row))]),
                _ => Some(vec![Step::Key(array.as_string_view().value(row).to_owned())]),
            },
            // A NULL in the path makes all of it NULL.
            Way::Path => |array, row| read_list(array, row)?.into_iter().map(|e| e.map(Step::element)).collect(),
            Way::Elements => |array, row| Some(vec![Step::element(array.as_string_view().value(row).to_owned())]),
        }
    }
}

/// A list of text, or PostgreSQL's text of one.
pub(super) fn read_list(array: &dyn Array, row: usize) -> Option<Vec<Option<String>>> {
    match array.as_list_opt::<i32>() {
        Some(lists) => {
            let texts = lists.value(row);
            Some(texts.as_string_view().iter().map(|t| t.map(str::to_owned)).collect())
        }
        None => parse_array(array.as_string_view().value(row)),
    }
}

/// Refuses a constant that is no array, as PostgreSQL does.
pub(super) fn check_list(arg: &ColumnarValue) -> Result<()> {
    let ColumnarValue::Scalar(scalar) = arg else { return Ok(()) };
    match scalar.try_as_str().flatten() {
        Some(text) if parse_array(text).is_none() => Err(DataFusionError::Plan(format!(
            "malformed array literal: \"{text}\"\n  hint: Write the elements in braces: '{{a,b}}'."
        ))),
        _ => Ok(()),
    }
}

impl ScalarUDFImpl for Get {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Also the name of a result's column.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let Some((document, way)) = args.split_first().filter(|_| self.way != Way::Elements) else {
            let args = args.iter().map(operand).collect::<Vec<_>>();
            return Ok(format!("{}({})", self.name, args.join(",")));
        };
        let mut name = operand(document);
        for (i, step) in way.iter().enumerate() {
            // Before the last step of a chain all are `->`.
            let operator = if i + 1 == way.len() { self.name } else { "->" };
            name = format!("{name} {operator} {}", operand(step));
        }
        Ok(name)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let enough = if self.way == Way::Path { types.len() == 2 } else { types.len() >= 2 };
        check(self.name, types, |i, t| {
            let step = match self.way {
                Way::Steps => t.is_integer(),
                Way::Path => is_text_list(t),
                Way::Elements => false,
            };
            enough && (is_text(t) || i > 0 && step)
        })?;
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((document, way)) = args.args.split_first() else {
            return Err(DataFusionError::Execution(format!("{} needs a document", self.name)));
        };
        if self.way == Way::Path {
            way.iter().try_for_each(check_list)?;
        }
        let documents = Texts::new(document)?;
        let paths: Vec<Prepared<Vec<Step>>> =
            way.iter().map(|arg| Prepared::new(arg, self.reader())).collect::<Result<_>>()?;
        let rows = rows(&args);
        let mut out = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let found = documents.get(row).and_then(|text| find(text, &paths, row));
            match found {
                Some(value) if self.unquoted => out.append_option(value.unquoted()),
                value => out.append_option(value.map(Value::text)),
            }
        }
        result(&args, Arc::new(out.finish()))
    }
}

/// An argument as it is written in SQL.
fn operand(arg: &Expr) -> String {
    match arg {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => format!("'{}'", text.replace('\'', "''")),
            _ => value.to_string(),
        },
        Expr::Column(_) => arg.schema_name().to_string(),
        _ => format!("({})", arg.schema_name()),
    }
}

fn find<'a>(text: &'a str, paths: &[Prepared<Vec<Step>>], row: usize) -> Option<Value<'a>> {
    let mut value = Value::unchecked(text);
    let mut checked = false;
    for path in paths {
        for step in path.get(row)?.iter() {
            value = step.apply(value)?;
            checked = true;
        }
    }
    // A path without elements is the document itself.
    if checked { Some(value) } else { Value::document(text) }
}
