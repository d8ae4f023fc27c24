//! The way into a document: keys, indexes and path elements. It must not know columns.

use super::value::{Children, Kind, Value};

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `-> 'key'`: into objects only.
    Key(String),
    /// `-> 1`: into arrays only; negative counts from the end.
    Index(i64),
    /// An element of `#>`'s path: a key in objects, an index in arrays.
    Either(String, Option<i64>),
}

impl Step {
    /// A path's element. PostgreSQL reads indexes as C does: space and a sign before the digits.
    pub fn element(text: String) -> Self {
        let index = text.trim_start().parse::<i32>().ok().map(i64::from);
        Self::Either(text, index)
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) | Self::Either(key, _) => Some(key),
            Self::Index(_) => None,
        }
    }

    fn index(&self) -> Option<i64> {
        match self {
            Self::Index(i) => Some(*i),
            Self::Either(_, i) => *i,
            Self::Key(_) => None,
        }
    }

    /// The value one step in. All of `value` is read, so that a broken document gives nothing.
    pub fn apply<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        let mut children = Children::of(value)?;
        let mut found = None;
        if value.kind() == Kind::Object {
            let key = self.key()?;
            for (k, child) in &mut children {
                // Of equal keys the last one counts.
                if k.is_some_and(|k| k.is(key)) {
                    found = Some(child);
                }
            }
        } else {
            let index = self.index()?;
            let wanted = match usize::try_from(index) {
                Ok(index) => index,
                Err(_) => {
                    let back = usize::try_from(index.unsigned_abs()).ok()?;
                    Children::of(value)?.count().checked_sub(back)?
                }
            };
            for (i, (_, child)) in (&mut children).enumerate() {
                if i == wanted {
                    found = Some(child);
                }
            }
        }
        found.filter(|_| children.complete())
    }
}

/// PostgreSQL's text of an array of text, `{a,"b c",NULL}`: `None` where it is malformed, elements `None` for NULL.
pub(super) fn parse_array(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    if inner.trim().is_empty() {
        return Some(elements);
    }
    let mut chars = inner.chars().peekable();
    loop {
        elements.push(parse_element(&mut chars)?);
        match chars.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// One element, up to the comma after it.
fn parse_element(chars: &mut std::iter::Peekable<std::str::Chars>) -> Option<Option<String>> {
    while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    let mut element = String::new();
    if chars.next_if_eq(&'"').is_some() {
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => element.push(chars.next()?),
                c => element.push(c),
            }
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        return Some(Some(element));
    }
    let mut escaped = false;
    while let Some(c) = chars.next_if(|c| *c != ',') {
        match c {
            '{' | '}' | '"' => return None,
            '\\' => {
                element.push(chars.next()?);
                escaped = true;
            }
            c => element.push(c),
        }
    }
    let element = element.trim_end().to_owned();
    if element.is_empty() {
        return None;
    }
    Some((escaped || !element.eq_ignore_ascii_case("null")).then_some(element))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &'static str, step: Step) -> Option<&'static str> {
        Value::document(text).and_then(|v| step.apply(v)).map(Value::text)
    }

    #[test]
    fn keys() {
        let key = |k: &str| Step::Key(k.to_owned());
        assert_eq!(get("{\"a\": {\"b\": 1}, \"b\" : 2 }", key("b")), Some("2"));
        assert_eq!(get("{\"a\": 1, \"a\": 2}", key("a")), Some("2"));
        assert_eq!(get("{\"\\u0061\": 1}", key("a")), Some("1"));
        assert_eq!(get("{\"a\": 1}", key("b")), None);
        assert_eq!(get("[1]", key("0")), None);
        assert_eq!(get("\"a\"", key("a")), None);
        assert_eq!(get("{}", key("")), None);
    }

    #[test]
    fn a_broken_document_has_nothing_in_it() {
        for text in ["{\"a\": 1", "{\"a\": 1} x", "{\"a\": 1, b}", "{\"a\": 1,}", "[1", "[1, x]", "[1] 2", "", "["] {
            assert_eq!(Step::Key("a".to_owned()).apply(Value::unchecked(text)), None, "{text}");
            assert_eq!(Step::Index(0).apply(Value::unchecked(text)), None, "{text}");
            assert_eq!(Step::Index(-1).apply(Value::unchecked(text)), None, "{text}");
        }
        assert!(Step::Index(0).apply(Value::unchecked("\n[1] ")).is_some());
    }

    #[test]
    fn indexes() {
        for (index, expected) in
            [(0, Some("1")), (2, Some("[3]")), (3, None), (-1, Some("[3]")), (-3, Some("1")), (-4, None)]
        {
            assert_eq!(get("[1, \"2\" , [3]]", Step::Index(index)), expected);
        }
        assert_eq!(get("[1]", Step::Index(i64::MIN)), None);
        assert_eq!(get("[1]", Step::Index(i64::MAX)), None);
        assert_eq!(get("{\"0\": 1}", Step::Index(0)), None);
        assert_eq!(get("[]", Step::Index(0)), None);
    }

    #[test]
    fn path_elements() {
        let element = |t: &str| Step::element(t.to_owned());
        assert_eq!(get("{\"0\": 1}", element("0")), Some("1"));
        assert_eq!(get("[7, 8]", element(" +1")), Some("8"));
        assert_eq!(get("[7, 8]", element("-2")), Some("7"));
        assert_eq!(get("[7, 8]", element("1x")), None);
        assert_eq!(get("[7, 8]", element("")), None);
    }

    #[test]
    fn arrays_of_text() {
        let some = |t: &[&str]| Some(t.iter().map(|t| Some((*t).to_owned())).collect::<Vec<_>>());
        assert_eq!(parse_array("{}"), Some(vec![]));
        assert_eq!(parse_array("{a, b c ,0}"), some(&["a", "b c", "0"]));
        assert_eq!(parse_array("{\"a,\\\"\" , \"\",\\,}"), some(&["a,\"", "", ","]));
        assert_eq!(parse_array("{a,NULL,\"NULL\"}"), Some(vec![Some("a".into()), None, Some("NULL".into())]));
        for bad in ["", "a", "{a", "{a,}", "{,a}", "{\"a}", "{\"a\"b}", "{{a}}", "{\\}", "}{"] {
            assert_eq!(parse_array(bad), None, "{bad}");
        }
    }
}
