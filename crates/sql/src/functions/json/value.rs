//! Values of a JSON document as parts of its text: no tree. It must not know SQL.

use std::borrow::Cow;

use super::scan::Scanner;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

/// A value's text without space around it; checked to be JSON unless made by [`Value::unchecked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// A whole document, or `None` where the text is not JSON.
    pub fn document(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value().map(Self)?;
        scanner.space();
        scanner.at_end().then_some(value)
    }

    /// A document that is checked while its children are read, see [`Children::complete`].
    pub fn unchecked(text: &'a str) -> Self {
        Self(text.trim_matches([' ', '\t', '\n', '\r']))
    }

    pub fn text(self) -> &'a str {
        self.0
    }

    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// As `->>` gives it: strings without quotes, JSON's null as none. `None` too for a string that text cannot hold.
    pub fn unquoted(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Null => None,
            Kind::String => Quoted(self.0).text(),
            _ => Some(Cow::Borrowed(self.0)),
        }
    }

    /// Whether this is the string `text`.
    pub fn is_string(self, text: &str) -> bool {
        self.kind() == Kind::String && Quoted(self.0).is(text)
    }
}

/// A checked string with its quotes.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a>(&'a str);

impl<'a> Quoted<'a> {
    fn inner(self) -> &'a str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or("")
    }

    /// `None` for half surrogates and the zero character, which PostgreSQL's text cannot hold.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.inner();
        if !inner.as_bytes().contains(&b'\\') {
            return Some(Cow::Borrowed(inner));
        }
        let text: String = serde_json::from_str(self.0).ok()?;
        (!text.contains('\0')).then_some(Cow::Owned(text))
    }

    pub fn is(self, text: &str) -> bool {
        let inner = self.inner();
        // Escapes never make a string shorter.
        if inner.len() < text.len() {
            return false;
        }
        inner == text || (inner.as_bytes().contains(&b'\\') && self.text().is_some_and(|t| t == text))
    }
}

/// The members of an object, or the elements of an array (these have no key), up to what is not JSON.
pub(super) struct Children<'a> {
    scanner: Scanner<'a>,
    close: u8,
    started: bool,
}

impl<'a> Children<'a> {
    /// `None` where `value` does not begin as an object or array.
    pub fn of(value: Value<'a>) -> Option<Self> {
        let close = match value.kind() {
            Kind::Object => b'}',
            Kind::Array => b']',
            _ => return None,
        };
        Some(Self { scanner: Scanner::inside(value.text()), close, started: false })
    }

    /// After the last child: whether all of the text was JSON.
    pub fn complete(&mut self) -> bool {
        self.scanner.space();
        self.scanner.expect(self.close).is_some() && self.scanner.at_end()
    }

    fn child(&mut self) -> Option<(Option<Quoted<'a>>, Value<'a>)> {
        let s = &mut self.scanner;
        if self.started {
            s.expect(b',')?;
            s.space();
        }
        self.started = true;
        let mut key = None;
        if self.close == b'}' {
            key = Some(Quoted(s.quoted()?));
            s.space();
            s.expect(b':')?;
        }
        Some((key, s.value().map(Value)?))
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = (Option<Quoted<'a>>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.scanner.space();
        if self.scanner.peek()? == self.close {
            return None;
        }
        let child = self.child();
        if child.is_none() {
            // Not JSON: nothing follows, and it is not complete.
            self.scanner.give_up();
        }
        child
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_quotes() {
        let text = |t| Value::document(t).and_then(Value::unquoted).map(Cow::into_owned);
        assert_eq!(text("\"a\\n\\u00e9\\ud83d\\ude00\"").as_deref(), Some("a\n\u{e9}\u{1f600}"));
        assert_eq!(text("\"\\ud83d\""), None);
        assert_eq!(text("\"a\\u0000\""), None);
        assert_eq!(text("null"), None);
        assert_eq!(text(" [1, 2] ").as_deref(), Some("[1, 2]"));
    }
}
