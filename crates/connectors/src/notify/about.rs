//! `About`: what a message says unless its template says otherwise, as JSON and as lines of text; and what templates may
//! name. It must not know where messages go.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_core::{Error, Options, Result, nearest};
use thalweg_formats::JsonEncoder;

use super::message::{Changes, Message, Op};
use crate::template::{Marks, Part, Template, Texts};

/// The columns that the stream of an alert has besides those of its query.
const TRANSITION: &str = "transition";
const INSTANCE: &str = "alert_instance";
const AT: &str = "at";

/// What templates may name besides columns.
const ALERT_NAME: &str = "alert.name";
const ALERT_SEVERITY: &str = "alert.severity";
const MESSAGE_KEY: &str = "message.key";
const MESSAGE_OP: &str = "message.op";

/// The alert whose transitions are told.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) severity: String,
    transition: usize,
    instance: usize,
    at: usize,
}

/// What messages of a sink are about.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) sink: String,
    pub(super) alert: Option<Alert>,
    schema: SchemaRef,
    changes: Changes,
    /// The columns that are told as the row.
    rest: Vec<usize>,
}

impl About {
    /// Takes the options that name an alert.
    ///
    /// # Errors
    /// Half of them, columns that an alert's stream has and this has not, or values that have no text.
    pub(super) fn take(sink: &str, schema: &SchemaRef, changes: Changes, options: &mut Options) -> Result<Self> {
        let alert = match (options.take(ALERT_NAME), options.take(ALERT_SEVERITY)) {
            (None, None) => None,
            (Some(name), Some(severity)) => Some(Alert {
                name,
                severity,
                transition: alert_column(schema, TRANSITION)?,
                instance: alert_column(schema, INSTANCE)?,
                at: alert_column(schema, AT)?,
            }),
            _ => return Err(Error::invalid("options alert.name and alert.severity are given together or not at all")),
        };
        let own = |a: &Alert| [a.transition, a.instance, a.at];
        let own = alert.as_ref().map(own);
        let rest = (0..schema.fields().len()).filter(|c| own.is_none_or(|own| !own.contains(c))).collect();
        // A type that has no text is refused before anything is told.
        Texts::new(&RecordBatch::new_empty(Arc::clone(schema)))?;
        Ok(Self { sink: sink.to_owned(), alert, schema: Arc::clone(schema), changes, rest })
    }

    /// Takes the template in `option`, if it is given.
    ///
    /// # Errors
    /// It names what there is not.
    pub(super) fn template(&self, option: &str, options: &mut Options) -> Result<Option<Template>> {
        let parse = |text: String| Template::parse(option, &text, &self.names(), Marks::Double);
        options.take(option).map(parse).transpose()
    }

    /// What templates may name: columns, and what is known of the message.
    fn names(&self) -> SchemaRef {
        let known = self.known(None).into_iter().map(|(name, _)| Arc::new(Field::new(name, DataType::Utf8, true)));
        Arc::new(Schema::new(self.schema.fields().iter().cloned().chain(known).collect::<Vec<_>>()))
    }

    /// The values of what templates may name.
    ///
    /// # Errors
    /// None that a stream of this schema can cause.
    pub(super) fn values(&self, message: &Message) -> Result<RecordBatch> {
        let known = self.known(Some(message)).into_iter();
        let known = known.map(|(_, text)| Arc::new(StringArray::from(vec![text])) as ArrayRef);
        let columns = message.row.columns().iter().cloned().chain(known).collect();
        Ok(RecordBatch::try_new(self.names(), columns)?)
    }

    /// `template` with the values of `message`, each of which goes through `clean`.
    ///
    /// # Errors
    /// As [`About::values`].
    pub(super) fn fill(
        &self,
        template: &Template,
        message: &Message,
        clean: impl Fn(&str) -> String,
    ) -> Result<String> {
        let texts = Texts::new(&self.values(message)?)?;
        let mut filled = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Column(column) => filled.push_str(&clean(&text(&texts, *column))),
            }
        }
        Ok(filled)
    }

    fn known<'a>(&'a self, message: Option<&'a Message>) -> Vec<(&'static str, Option<&'a str>)> {
        let mut known = vec![(MESSAGE_KEY, message.map(|m| m.key.as_str()))];
        if self.changes == Changes::All {
            known.push((MESSAGE_OP, message.and_then(|m| m.op).map(Op::name)));
        }
        if let Some(alert) = &self.alert {
            known.push((ALERT_NAME, Some(&alert.name)));
            known.push((ALERT_SEVERITY, Some(&alert.severity)));
        }
        known
    }

    /// The message as a JSON object.
    ///
    /// # Errors
    /// None that a stream of this schema can cause.
    pub(super) fn json(&self, message: &Message) -> Result<Vec<u8>> {
        let row = self.row(message)?;
        let mut out = b"{".to_vec();
        match &self.alert {
            None => {
                member("sink", &self.sink, &mut out);
                out.extend_from_slice(format!("\"epoch\":{},", message.epoch.0).as_bytes());
            }
            Some(alert) => {
                member("alert", &alert.name, &mut out);
                member("severity", &alert.severity, &mut out);
                for (name, column) in [("transition", alert.transition), ("instance", alert.instance), ("at", alert.at)]
                {
                    out.extend_from_slice(format!("\"{name}\":").as_bytes());
                    out.extend_from_slice(&json_value(&message.row, column)?);
                    out.push(b',');
                }
            }
        }
        if let Some(op) = message.op {
            member("op", op.name(), &mut out);
        }
        out.extend_from_slice(b"\"row\":");
        out.extend_from_slice(&row);
        out.push(b'}');
        Ok(out)
    }

    /// The row as a JSON object, without what is said of the alert beside it.
    ///
    /// # Errors
    /// As [`About::json`].
    pub(super) fn row_json(&self, message: &Message) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.row(message)?).into_owned())
    }

    fn row(&self, message: &Message) -> Result<Vec<u8>> {
        object(&Arc::new(self.schema.project(&self.rest)?), &message.row.project(&self.rest)?)
    }

    /// What it is about, in one line: `[critical] too_hot: firing`.
    ///
    /// # Errors
    /// As [`About::json`].
    pub(super) fn headline(&self, message: &Message) -> Result<String> {
        let op = message.op.map_or_else(String::new, |op| format!(" ({})", op.name()));
        Ok(match &self.alert {
            None => format!("{}{op}", self.sink),
            Some(alert) => {
                let texts = Texts::new(&message.row)?;
                format!("[{}] {}: {}{op}", alert.severity, alert.name, text(&texts, alert.transition))
            }
        })
    }

    /// Its values, a line each: the instance of the alert and when, then the columns.
    ///
    /// # Errors
    /// As [`About::json`].
    pub(super) fn lines(&self, message: &Message) -> Result<String> {
        let texts = Texts::new(&message.row)?;
        let own = self.alert.iter().flat_map(|alert| [("instance", alert.instance), ("at", alert.at)]);
        let columns = self.rest.iter().map(|column| (self.schema.field(*column).name().as_str(), *column));
        let line = |(name, column): (&str, usize)| {
            let value = if texts.is_null(column, 0) { "NULL".to_owned() } else { text(&texts, column) };
            format!("{name}: {value}\n")
        };
        Ok(own.chain(columns).map(line).collect())
    }

    /// What column `name` of the alert says.
    ///
    /// # Errors
    /// As [`About::json`].
    pub(super) fn alert_texts(&self, message: &Message) -> Result<Option<(String, String)>> {
        let Some(alert) = &self.alert else { return Ok(None) };
        let texts = Texts::new(&message.row)?;
        Ok(Some((text(&texts, alert.transition), text(&texts, alert.instance))))
    }
}

/// Value `column` of the one row of `batch` as JSON.
///
/// # Errors
/// A type that has no JSON form.
pub(super) fn json_value(batch: &RecordBatch, column: usize) -> Result<Vec<u8>> {
    const KEY: &str = "v";
    let field = batch.schema_ref().field(column).clone().with_name(KEY);
    let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
    let row = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(batch.column(column))])?;
    let object = object(&schema, &row)?;
    // `{"v":` before it, `}` behind it.
    Ok(object[KEY.len() + 4..object.len() - 1].to_vec())
}

/// The one row of `batch`, whose columns are those of `schema`, as a JSON object.
fn object(schema: &SchemaRef, batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    JsonEncoder::new(schema).encode(batch, &mut out)?;
    out.pop();
    Ok(out)
}

/// Appends `"name":"text",`.
fn member(name: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{name}\":{},", serde_json::Value::from(text)).as_bytes());
}

/// Value `column` of the one row as text; nothing for NULL.
pub(super) fn text(texts: &Texts, column: usize) -> String {
    let mut out = Vec::new();
    texts.write(column, 0, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn alert_column(schema: &SchemaRef, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let near = nearest(name, schema.fields().iter().map(|f| f.name().as_str()));
        let near = near.map_or_else(String::new, |near| format!(" Is it {near}?"));
        Error::invalid_with_hint(
            format!("option alert.name is given, but there is no column {name}"),
            format!("The stream of an alert has columns {TRANSITION}, {INSTANCE} and {AT}.{near}"),
        )
    })
}
