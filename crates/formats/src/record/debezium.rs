//! The envelope of change data capture in JSON: where its parts are. It must not know columns.

use crate::json::scan::{Cursor, unescape};
use crate::value::Fault;

/// A change, its rows still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// `c`, `r`, `u`, `d`, `t` or `m`.
    pub(crate) op: u8,
    /// The row that was.
    pub(crate) before: Option<Part<'a>>,
    /// The row that is.
    pub(crate) after: Option<Part<'a>>,
}

/// An encoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Where its type is, for encodings that need to know.
    pub(crate) node: usize,
}

/// The parts of a change.
pub(crate) fn json_change(value: &[u8]) -> Result<Option<Change<'_>>, Fault> {
    let Some(payload) = unwrapped(value)? else { return Ok(None) };
    let mut change = Change { op: 0, before: None, after: None };
    members(payload, |name, value| match name {
        b"op" => change.op = if let [b'"', op, b'"'] = value { *op } else { 0 },
        b"before" => change.before = some(value),
        b"after" => change.after = some(value),
        _ => {}
    })?;
    Ok(Some(change))
}

/// What is inside `{"schema": …, "payload": …}`, or all of `value`; `None` for a payload of `null`.
pub(crate) fn unwrapped(value: &[u8]) -> Result<Option<&[u8]>, Fault> {
    let (mut payload, mut schema) = (None, false);
    members(value, |name, value| match name {
        b"payload" => payload = Some(value),
        b"schema" => schema = true,
        _ => {}
    })?;
    match payload {
        Some(payload) if schema => Ok((payload != b"null").then_some(payload)),
        _ => Ok(Some(value)),
    }
}

fn some(value: &[u8]) -> Option<Part<'_>> {
    (value != b"null").then_some(Part { bytes: value, node: 0 })
}

/// Calls `each` with the name and the text of every member of the object `text`.
fn members<'a>(text: &'a [u8], mut each: impl FnMut(&[u8], &'a [u8])) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text);
    if !cursor.eat(b'{') {
        return Err(Fault("not a JSON object"));
    }
    let mut name = Vec::new();
    if !cursor.eat(b'}') {
        loop {
            cursor.space();
            if cursor.peek() != Some(b'"') {
                return Err(Fault("not valid JSON: a field name is missing"));
            }
            name.clear();
            unescape(cursor.string()?, &mut name)?;
            if !cursor.eat(b':') {
                return Err(Fault("not valid JSON: a colon is missing"));
            }
            cursor.space();
            let value = cursor.value()?;
            each(&name, value);
            if cursor.eat(b',') {
                continue;
            }
            if cursor.eat(b'}') {
                break;
            }
            return Err(Fault("not valid JSON: a comma or a closing brace is missing"));
        }
    }
    if cursor.ended() { Ok(()) } else { Err(Fault("not valid JSON: something follows the object")) }
}
