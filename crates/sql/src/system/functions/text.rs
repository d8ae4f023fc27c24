//! Functions on names and their quoting. They must not know what the names mean.

use datafusion::error::Result;
use thalweg_core::SqlState;

use super::call::{Call, Entry, entry, error};
use crate::system::cell::Cell;
use crate::system::quote;

pub(super) static ENTRIES: &[Entry] = &[
    entry("quote_ident", 1..=1, "text", |call| Ok(call.text(0).map(quote::identifier).into())),
    entry("quote_literal", 1..=1, "text", |call| Ok(shown(call.arg(0)).map(|text| quote::literal(&text)).into())),
    entry("quote_nullable", 1..=1, "text", |call| {
        Ok(shown(call.arg(0)).map_or_else(|| "NULL".to_owned(), |text| quote::literal(&text)).into())
    }),
    entry("parse_ident", 1..=2, "_text", |call| match call.text(0) {
        Some(text) => match quote::split(text) {
            Ok(parts) => Ok(parts.into()),
            Err(message) => Err(error(SqlState::INVALID_NAME, message)),
        },
        None => Ok(Cell::Null),
    }),
    entry("format", 1..=8, "text", format),
    entry("json_build_object", 0..=40, "json", |call| Ok(object(call).into())),
    entry("jsonb_build_object", 0..=40, "jsonb", |call| Ok(object(call).into())),
];

/// Names and values in turn.
fn object(call: &Call<'_>) -> String {
    let pair = |pair: &[Cell]| {
        let name = pair.first().and_then(shown).unwrap_or_default();
        std::format!("{} : {}", serde_json::Value::from(name), json(pair.get(1).unwrap_or(&Cell::Null)))
    };
    let pairs: Vec<String> = call.args.chunks(2).map(pair).collect();
    std::format!("{{{}}}", pairs.join(", "))
}

fn json(value: &Cell) -> serde_json::Value {
    match value {
        Cell::Null => serde_json::Value::Null,
        Cell::Bool(truth) => (*truth).into(),
        Cell::Int(number) => (*number).into(),
        Cell::Float(number) => (*number).into(),
        Cell::Text(text) => text.as_str().into(),
        Cell::List(items) => items.iter().map(json).collect(),
    }
}

/// `%s`, `%I` and `%L` take the next argument, as it is, as an identifier, as a literal.
fn format(call: &Call<'_>) -> Result<Cell> {
    let Some(pattern) = call.text(0) else { return Ok(Cell::Null) };
    let (mut out, mut chars, mut next) = (String::new(), pattern.chars(), 1);
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let kind = chars.next().unwrap_or_default();
        if kind == '%' {
            out.push('%');
            continue;
        }
        if next >= call.args.len() {
            return Err(error(SqlState::DATA_EXCEPTION, "too few arguments for format()".to_owned()));
        }
        let value = shown(call.arg(next));
        next += 1;
        match kind {
            's' => out.push_str(&value.unwrap_or_default()),
            'I' => out.push_str(&value.map(|value| quote::identifier(&value)).unwrap_or_default()),
            'L' => out.push_str(&value.map_or_else(|| "NULL".to_owned(), |value| quote::literal(&value))),
            other => {
                let message = std::format!("unrecognized format() type specifier \"{other}\"");
                return Err(error(SqlState::DATA_EXCEPTION, message));
            }
        }
    }
    Ok(out.into())
}

fn shown(value: &Cell) -> Option<String> {
    match value {
        Cell::Text(text) => Some(text.clone()),
        Cell::Int(number) => Some(number.to_string()),
        Cell::Float(number) => Some(number.to_string()),
        Cell::Bool(truth) => Some(truth.to_string()),
        Cell::Null | Cell::List(_) => None,
    }
}
