//! Which fields the lines of a sample have, and of which type. It must not know files.

use super::scan::{Cursor, unescape};
use crate::time::{parse_date, parse_timestamp};
use crate::value::Fault;

/// What the values of a field have in common so far; a later variant covers the numbers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JsonKind {
    /// Only NULL was seen.
    Null,
    /// `true` and `false`.
    Boolean,
    /// Integers in 64 bits.
    Integer,
    /// Numbers.
    Float,
    /// Strings that are dates.
    Date,
    /// Strings that are timestamps without a zone, or dates.
    Timestamp,
    /// Strings that are timestamps, some with a zone.
    Timestamptz,
    /// Anything.
    Text,
}

impl JsonKind {
    /// What covers both.
    pub fn or(self, other: Self) -> Self {
        use JsonKind as K;
        match (self.min(other), self.max(other)) {
            (a, b) if a == b => a,
            (K::Null, b) => b,
            (K::Integer, K::Float) => K::Float,
            (K::Date, K::Timestamp) => K::Timestamp,
            (K::Date | K::Timestamp, K::Timestamptz) => K::Timestamptz,
            _ => K::Text,
        }
    }

    /// The kind of a text, as CSV has it.
    pub fn of_text(text: &[u8]) -> Self {
        let is_number =
            |t: &[u8]| !t.is_empty() && t.iter().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let trimmed = text.trim_ascii();
        if trimmed.eq_ignore_ascii_case(b"true") || trimmed.eq_ignore_ascii_case(b"false") {
            return Self::Boolean;
        }
        let padded = trimmed.len() > 1 && trimmed[0] == b'0' && trimmed[1] != b'.';
        if is_number(trimmed) && !padded {
            if crate::value::integer(trimmed).is_ok() {
                return Self::Integer;
            }
            if crate::value::float64(trimmed).is_ok() {
                return Self::Float;
            }
        }
        Self::of_string(trimmed)
    }

    fn of_string(text: &[u8]) -> Self {
        if parse_date(text).is_ok() {
            return Self::Date;
        }
        match (parse_timestamp(text, true), parse_timestamp(text, false)) {
            (Ok(_), Ok(_)) => {
                let tail = &text[10.min(text.len())..];
                let zoned = tail.iter().any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
                if zoned { Self::Timestamptz } else { Self::Timestamp }
            }
            _ => Self::Text,
        }
    }
}

/// The fields of one line, in order; `None` when it is not a JSON object.
pub fn json_fields(line: &[u8]) -> Option<Vec<(String, JsonKind)>> {
    std::str::from_utf8(line).ok()?;
    fields(line).ok()
}

fn fields(line: &[u8]) -> Result<Vec<(String, JsonKind)>, Fault> {
    const NOT: Fault = Fault("not a JSON object");
    let mut cursor = Cursor::new(line);
    let mut found = Vec::new();
    if !cursor.eat(b'{') {
        return Err(NOT);
    }
    if cursor.eat(b'}') {
        return Ok(found);
    }
    loop {
        cursor.space();
        if cursor.peek() != Some(b'"') {
            return Err(NOT);
        }
        let mut name = Vec::new();
        unescape(cursor.string()?, &mut name)?;
        if !cursor.eat(b':') {
            return Err(NOT);
        }
        cursor.space();
        let value = cursor.value()?;
        let kind = match value.first() {
            Some(b'n') => JsonKind::Null,
            Some(b't' | b'f') => JsonKind::Boolean,
            Some(b'-' | b'0'..=b'9') if crate::value::integer(value).is_ok() => JsonKind::Integer,
            Some(b'-' | b'0'..=b'9') => JsonKind::Float,
            Some(b'"') => JsonKind::of_string(&value[1..value.len() - 1]),
            _ => JsonKind::Text,
        };
        found.push((String::from_utf8(name).map_err(|_| NOT)?, kind));
        if !cursor.eat(b',') {
            break;
        }
    }
    if cursor.eat(b'}') && cursor.ended() { Ok(found) } else { Err(NOT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_a_line_and_what_covers_them() {
        let line = br#"{"a":1,"b":1.5,"c":"x","d":null,"e":true,"f":"2026-11-01","g":"2026-11-01T00:00:00Z","h":[1]}"#;
        let kinds: Vec<JsonKind> = json_fields(line).expect("an object").into_iter().map(|(_, k)| k).collect();
        use JsonKind as K;
        assert_eq!(kinds, [K::Integer, K::Float, K::Text, K::Null, K::Boolean, K::Date, K::Timestamptz, K::Text]);
        assert_eq!(K::Integer.or(K::Float), K::Float);
        assert_eq!(K::Boolean.or(K::Integer), K::Text);
        assert_eq!(K::Null.or(K::Date).or(K::Timestamp), K::Timestamp);
        assert_eq!(K::of_text(b"007"), K::Text);
        assert_eq!(K::of_text(b"0.5"), K::Float);
        assert!(json_fields(b"[1]").is_none());
    }
}
