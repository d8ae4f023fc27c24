//! `Body`: what a webhook sends, by default or by a template; in JSON, a template's values cannot break out of their
//! place. It must not know how it is sent.

use arrow::array::RecordBatch;
use thalweg_core::{Error, Options, Result};

use super::about::{About, json_value, text};
use super::message::Message;
use crate::template::{Part, Template, Texts};

/// What is sent.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The object that says all of the message.
    Default,
    /// Text with values in it as they are.
    Plain(Template),
    /// JSON with values in it.
    Json(JsonTemplate),
}

impl Body {
    /// Takes the option `body`, for content of `content_type`.
    ///
    /// # Errors
    /// A template that names what there is not, or is not JSON though the content is to be.
    pub(super) fn take(options: &mut Options, about: &About, content_type: &str) -> Result<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = essence == "application/json" || essence.ends_with("+json");
        match about.template("body", options)? {
            None if is_json => Ok(Self::Default),
            None => Err(Error::invalid_with_hint(
                format!("option content_type = '{content_type}' needs a body of that type"),
                "Add body = '…', with {{column}} where a value goes.",
            )),
            Some(template) if is_json => JsonTemplate::new(template).map(Self::Json),
            Some(template) => Ok(Self::Plain(template)),
        }
    }

    /// The bytes for `message`.
    ///
    /// # Errors
    /// None that a stream of the schema of `about` can cause.
    pub(super) fn fill(&self, about: &About, message: &Message) -> Result<Vec<u8>> {
        match self {
            Self::Default => about.json(message),
            Self::Plain(template) => about.fill(template, message, str::to_owned).map(String::into_bytes),
            Self::Json(template) => template.fill(&about.values(message)?),
        }
    }
}

/// A template that is JSON: a column between quotes is text within them, elsewhere it is a value of its own.
#[derive(Clone, Debug)]
pub(super) struct JsonTemplate {
    template: Template,
    /// Which parts stand between quotes.
    quoted: Vec<bool>,
}

impl JsonTemplate {
    /// # Errors
    /// It is not JSON with values in the places of its columns.
    fn new(template: Template) -> Result<Self> {
        let mut in_string = false;
        let mut escaped = false;
        let mut quoted = Vec::with_capacity(template.parts.len());
        for part in &template.parts {
            quoted.push(in_string);
            let Part::Text(text) = part else {
                escaped = false;
                continue;
            };
            for c in text.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if in_string => escaped = true,
                    '"' => in_string = !in_string,
                    _ => {}
                }
            }
        }
        let parts = template.parts.iter().zip(&quoted);
        let sample: String = parts
            .map(|(part, quoted)| match part {
                Part::Text(text) => text,
                Part::Column(_) if *quoted => "x",
                Part::Column(_) => "null",
            })
            .collect();
        serde_json::from_str::<serde_json::Value>(&sample).map_err(|e| {
            Error::invalid_with_hint(
                format!("option body is not JSON: {e}"),
                "{{column}} stands for a value with its quotes, \"{{column}}\" for text; another content_type takes \
                 any text.",
            )
        })?;
        Ok(Self { template, quoted })
    }

    fn fill(&self, values: &RecordBatch) -> Result<Vec<u8>> {
        let texts = Texts::new(values)?;
        let mut out = Vec::new();
        for (part, quoted) in self.template.parts.iter().zip(&self.quoted) {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Column(column) if *quoted => {
                    let string = serde_json::Value::from(text(&texts, *column)).to_string();
                    out.extend_from_slice(&string.as_bytes()[1..string.len() - 1]);
                }
                Part::Column(column) => out.extend_from_slice(&json_value(values, *column)?),
            }
        }
        Ok(out)
    }
}
