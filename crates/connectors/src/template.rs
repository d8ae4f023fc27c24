//! `Template`: text with columns in it, `order {id} of {day}`; and how a value is written as text. It must not know what
//! the text is for.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use thalweg_core::{Error, Result, nearest};
use thalweg_formats::Cells;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Itself.
    Text(String),
    /// The value of this column.
    Column(usize),
}

/// Pieces in a row; no two texts follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

/// How columns stand out of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `{column}`; braces themselves are doubled.
    #[cfg(any(feature = "redis", test))]
    Single,
    /// `{{column}}`; braces that are alone are themselves, as in JSON.
    #[cfg(any(feature = "notify", test))]
    Double,
}

impl Template {
    /// Reads the value of `option`, in which `marks` set off columns of `schema`.
    ///
    /// # Errors
    /// A column that there is not, or a brace that is alone.
    pub(crate) fn parse(option: &str, text: &str, schema: &SchemaRef, marks: Marks) -> Result<Self> {
        let column = |name: &str| column(option, name.trim(), schema, marks);
        let parts = match marks {
            #[cfg(any(feature = "redis", test))]
            Marks::Single => single(option, text, column)?,
            #[cfg(any(feature = "notify", test))]
            Marks::Double => double(option, text, column)?,
        };
        Ok(Self { parts })
    }

    /// The columns in it, as often as they are.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(*column),
            Part::Text(_) => None,
        })
    }

    /// Appends what it is for row `row`; nothing for NULL.
    pub(crate) fn write(&self, texts: &Texts, row: usize, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Column(column) => texts.write(*column, row, out),
            }
        }
    }
}

#[cfg(any(feature = "redis", test))]
fn single(option: &str, text: &str, column: impl Fn(&str) -> Result<usize>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.next_if_eq(&c).is_some() => plain.push(c),
            '{' => {
                let name: String = rest.by_ref().take_while(|c| *c != '}').collect();
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Column(column(&name)?));
            }
            '}' => {
                return Err(Error::invalid_with_hint(
                    format!("option {option} has a }} without a {{"),
                    "Braces are doubled: {{ and }}.",
                ));
            }
            other => plain.push(other),
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

#[cfg(any(feature = "notify", test))]
fn double(option: &str, text: &str, column: impl Fn(&str) -> Result<usize>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").ok_or_else(|| {
            Error::invalid_with_hint(
                format!("option {option} has {{{{ without }}}}"),
                "Write {{column}}; braces that are not meant so are divided by a space: { {.",
            )
        })?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Column(column(name)?));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn column(option: &str, name: &str, schema: &SchemaRef, marks: Marks) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let marked = |name: &str| match marks {
            #[cfg(any(feature = "redis", test))]
            Marks::Single => format!("{{{name}}}"),
            #[cfg(any(feature = "notify", test))]
            Marks::Double => format!("{{{{{name}}}}}"),
        };
        let hint = match nearest(name, schema.fields().iter().map(|f| f.name().as_str())) {
            Some(near) => format!("Did you mean {}?", marked(near)),
            None => format!("Columns of the query are written as {}.", marked("column")),
        };
        Error::invalid_with_hint(format!("option {option} names column {name}, which there is not"), hint)
    })
}

/// The values of a batch as text: as PostgreSQL casts them to text, but arrays and what is nested as JSON.
pub(crate) struct Texts {
    columns: Vec<(Cells, bool)>,
}

impl Texts {
    /// # Errors
    /// A type that has no text.
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self> {
        let as_json = |of: &DataType| matches!(of, DataType::Boolean | DataType::List(_) | DataType::Struct(_));
        let column = |c| Ok((Cells::new(c)?, as_json(c.data_type())));
        Ok(Self { columns: batch.columns().iter().map(column).collect::<Result<_>>()? })
    }

    /// The value is NULL.
    pub(crate) fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns[column].0.is_null(row)
    }

    /// Appends the value; nothing for NULL.
    pub(crate) fn write(&self, column: usize, row: usize, out: &mut Vec<u8>) {
        let (cells, as_json) = &self.columns[column];
        if *as_json && !cells.is_null(row) {
            cells.write_json(row, out);
        } else {
            cells.write_text(row, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int64Array::from(vec![7]))),
            ("name", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("ok", Arc::new(BooleanArray::from(vec![true]))),
        ];
        RecordBatch::try_from_iter(columns).expect("one row")
    }

    #[test]
    fn columns_take_the_place_of_their_names() {
        let batch = batch();
        let texts = Texts::new(&batch).expect("text");
        for (template, expected) in
            [("", ""), ("x", "x"), ("{id}", "7"), ("a{{{id}}}-{ ok }{name}!", "a{7}-true!"), ("{id}{id}", "77")]
        {
            let mut out = Vec::new();
            let template = Template::parse("o", template, &batch.schema(), Marks::Single).expect("valid");
            template.write(&texts, 0, &mut out);
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
        for (template, expected) in
            [("", ""), ("{x}", "{x}"), ("{\"a\":{{id}}}", "{\"a\":7}"), ("{{ ok }}{{name}}!", "true!")]
        {
            let mut out = Vec::new();
            let template = Template::parse("o", template, &batch.schema(), Marks::Double).expect("valid");
            template.write(&texts, 0, &mut out);
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    #[test]
    fn what_is_no_column_is_refused() {
        for (marks, template, part) in [
            (Marks::Single, "{nam}", "Did you mean {name}?"),
            (Marks::Single, "{", "column , which there is not"),
            (Marks::Single, "a}b", "without"),
            (Marks::Single, "{zzzzzz", "column zzzzzz"),
            (Marks::Double, "{{nam}}", "Did you mean {{name}}?"),
            (Marks::Double, "a{{name}", "without"),
            (Marks::Double, "{{zzzzzz}}", "written as {{column}}"),
        ] {
            let message = Template::parse("o", template, &batch().schema(), marks).expect_err("wrong").to_string();
            assert!(message.contains(part) && message.contains("option o"), "{message}");
        }
    }
}
