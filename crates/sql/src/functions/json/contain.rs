//! `@>`: PostgreSQL's containment. The right side is a tree, made once where it is constant; the left side is read
//! where it stands. It must not know columns.

use super::value::{Children, Kind, Value};

/// What must be contained.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// Sorted by key, every key once.
    Object(Vec<(String, Pattern)>),
    Array(Vec<Pattern>),
    String(String),
    Number {
        text: String,
        number: Option<Number>,
    },
    /// `true`, `false` or `null`.
    Word(String),
}

impl Pattern {
    /// `None` where the text is not JSON.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(Value::document(text)?)
    }

    /// Recurses as deep as [`super::scan::MAX_DEPTH`] at most, which the scanner has checked.
    fn of(value: Value) -> Option<Self> {
        let text = value.text().to_owned();
        Some(match value.kind() {
            Kind::Object => {
                let member = |(key, value): (Option<super::value::Quoted>, Value)| {
                    Some((key?.text()?.into_owned(), Self::of(value)?))
                };
                let mut members = Children::of(value)?.map(member).collect::<Option<Vec<_>>>()?;
                // Of equal keys the last one counts: the sort is stable, so it is the first after turning them round.
                members.reverse();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                members.dedup_by(|a, b| a.0 == b.0);
                Self::Object(members)
            }
            Kind::Array => Self::Array(Children::of(value)?.map(|(_, v)| Self::of(v)).collect::<Option<_>>()?),
            Kind::String => Self::String(value.unquoted()?.into_owned()),
            Kind::Number => Self::Number { number: Number::parse(&text), text },
            Kind::Boolean | Kind::Null => Self::Word(text),
        })
    }

    /// Whether `document` contains this.
    pub fn is_in(&self, document: Value) -> bool {
        match self {
            // Only at the top an array contains a bare element.
            Self::String(_) | Self::Number { .. } | Self::Word(_) if document.kind() == Kind::Array => {
                Children::of(document).is_some_and(|mut c| c.any(|(_, v)| self.matches(v)))
            }
            _ => self.matches(document),
        }
    }

    fn matches(&self, value: Value) -> bool {
        match self {
            Self::Object(members) => value.kind() == Kind::Object && has_members(value, members),
            Self::Array(elements) => value.kind() == Kind::Array && has_elements(value, elements),
            Self::String(text) => value.is_string(text),
            Self::Number { text, number } => {
                value.kind() == Kind::Number
                    && (value.text() == text || number.is_some() && Number::parse(value.text()) == *number)
            }
            Self::Word(word) => value.text() == word,
        }
    }
}

fn has_members(object: Value, members: &[(String, Pattern)]) -> bool {
    if members.is_empty() {
        return true;
    }
    let Some(children) = Children::of(object) else { return false };
    let mut found: Vec<Option<Value>> = vec![None; members.len()];
    for (key, value) in children {
        // A key that text cannot hold is not in the pattern.
        let Some(key) = key.and_then(super::value::Quoted::text) else { continue };
        if let Ok(i) = members.binary_search_by(|(k, _)| k.as_str().cmp(&key)) {
            found[i] = Some(value);
        }
    }
    found.iter().zip(members).all(|(value, (_, pattern))| value.is_some_and(|v| pattern.matches(v)))
}

fn has_elements(array: Value, elements: &[Pattern]) -> bool {
    let mut missing: Vec<&Pattern> = elements.iter().collect();
    let Some(children) = Children::of(array) else { return false };
    for (_, value) in children {
        if missing.is_empty() {
            break;
        }
        missing.retain(|pattern| !pattern.matches(value));
    }
    missing.is_empty()
}

/// A number as PostgreSQL compares it, whatever way it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    /// Without zeros at either end; zero has none.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Number {
    /// `None` for exponents beyond any number.
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        Some(Self { negative, digits, exponent: exponent.checked_add(zeros)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(document: &str, pattern: &str) -> bool {
        let document = Value::document(document).expect("test documents are JSON");
        Pattern::parse(pattern).expect("test patterns are JSON").is_in(document)
    }

    #[test]
    fn as_postgresql_says() {
        let yes = [
            ("\"foo\"", "\"foo\""),
            ("[1, 2, 3]", "[1, 3]"),
            ("[1, 2, 3]", "[3, 1]"),
            ("[1, 2, 3]", "[1, 2, 2]"),
            ("{\"product\": \"PostgreSQL\", \"jsonb\": true}", "{\"jsonb\": true}"),
            ("{\"foo\": {\"bar\": \"baz\", \"x\": 1}}", "{\"foo\": {\"bar\": \"baz\"}}"),
            ("{\"foo\": {\"bar\": \"baz\"}}", "{\"foo\": {}}"),
            ("[\"foo\", \"bar\"]", "\"bar\""),
            ("[1, [2, 3]]", "[[3]]"),
            ("{}", "{}"),
            ("[1]", "[]"),
            ("{\"a\": 1, \"a\": 2}", "{\"a\": 2}"),
            ("{\"a\": 2}", "{\"a\": 1, \"a\": 2}"),
            ("[null]", "null"),
        ];
        for (document, pattern) in yes {
            assert!(contains(document, pattern), "{document} @> {pattern}");
        }
        let no = [
            ("[1, 2, [1, 3]]", "[1, 3]"),
            ("{\"foo\": {\"bar\": \"baz\"}}", "{\"bar\": \"baz\"}"),
            ("\"bar\"", "[\"bar\"]"),
            ("[[\"x\"]]", "[\"x\"]"),
            ("{\"a\": [\"x\"]}", "{\"a\": \"x\"}"),
            ("[]", "{}"),
            ("{}", "[]"),
            ("[1]", "[1, 2]"),
            ("1", "\"1\""),
            ("null", "{}"),
            ("{\"a\": 1, \"a\": 2}", "{\"a\": 1}"),
            ("{\"a\": 1}", "{\"b\": 1}"),
            ("[{\"a\": 1}]", "{\"a\": 1}"),
            ("true", "false"),
        ];
        for (document, pattern) in no {
            assert!(!contains(document, pattern), "{document} @> {pattern}");
        }
    }

    #[test]
    fn numbers_and_strings_however_written() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("-0", "0.0"), ("0.10", "1E-1"), ("\"\\u0061\"", "\"a\"")] {
            assert!(contains(a, b) && contains(b, a), "{a} {b}");
        }
        for (a, b) in
            [("1", "-1"), ("9007199254740993", "9007199254740992"), ("1e99999999999999999999", "1"), ("10", "1")]
        {
            assert!(!contains(a, b) && !contains(b, a), "{a} {b}");
        }
    }

    #[test]
    fn deep_patterns_end() {
        let nested = |n| "[".repeat(n) + &"]".repeat(n);
        assert!(contains(&nested(512), &nested(512)));
        assert!(Pattern::parse(&nested(100_000)).is_none());
    }
}
