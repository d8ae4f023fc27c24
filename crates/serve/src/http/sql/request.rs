//! `SqlRequest`: what a client asks for. It must not know answers.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use thalweg_core::SqlState;
use utoipa::ToSchema;

use super::super::failure::Failure;
use super::super::media;

/// Statements and the parameters of the only one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// One or more statements.
    #[schema(example = "SELECT * FROM orders WHERE amount > $1")]
    sql: String,
    /// The values of `$1`, `$2`, …; arrays and objects stand for JSON.
    #[serde(default)]
    parameters: Vec<Value>,
}

impl SqlRequest {
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        let json = match media::content_type(headers).as_deref() {
            Some(media::JSON) => true,
            Some("text/plain" | "application/sql") => false,
            // No statement begins with a brace.
            None => body.trim_ascii_start().starts_with(b"{"),
            Some(other) => {
                let message = format!("{other} is not a form that statements are read in");
                let failure =
                    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, SqlState::FEATURE_NOT_SUPPORTED, message);
                return Err(failure.hint("Set Content-Type to application/json or text/plain."));
            }
        };
        if json {
            return serde_json::from_slice(body).map_err(|error| {
                Failure::bad_request(format!("the body is not a request: {error}"))
                    .hint("Send {\"sql\": \"SELECT …\", \"parameters\": […]}.")
            });
        }
        let sql = std::str::from_utf8(body).map_err(|_| {
            Failure::new(StatusCode::BAD_REQUEST, SqlState::CHARACTER_NOT_IN_REPERTOIRE, "the body is not UTF-8")
        })?;
        Ok(Self { sql: sql.to_owned(), parameters: Vec::new() })
    }

    pub(super) fn text(&self) -> &str {
        &self.sql
    }

    pub(super) fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The parameters as text, one array each; the backend reads them as values of their types.
    pub(super) fn arrays(&self) -> Vec<ArrayRef> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        self.parameters.iter().map(|value| Arc::new(StringArray::from(vec![text(value)])) as ArrayRef).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn parameters_are_text() {
        let body = br#"{"sql":"SELECT $1","parameters":[1.50,"a",null,true,{"k":[1]}]}"#;
        let request = SqlRequest::parse(&HeaderMap::new(), body).expect("a request");
        let arrays = request.arrays();
        let texts: Vec<Option<&str>> =
            arrays.iter().map(|a| a.is_valid(0).then(|| a.as_string::<i32>().value(0))).collect();
        assert_eq!(texts, [Some("1.5"), Some("a"), None, Some("true"), Some("{\"k\":[1]}")]);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(SqlRequest::parse(&HeaderMap::new(), br#"{"sql":"SELECT 1","params":[1]}"#).is_err());
        assert!(SqlRequest::parse(&HeaderMap::new(), b"SELECT 1").is_ok(), "text");
    }
}
