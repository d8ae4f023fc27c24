//! `KeyFormat`: the name of a row's key, by which no two rows are mistaken for each other. It must not know commands.

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Result};

use crate::template::{Marks, Part, Template, Texts};

/// Between the columns of a key, unless the options say otherwise.
const SEPARATOR: &str = ":";

/// How keys are written.
///
/// A value ends where the text behind it begins. So that this place can be found, and `a:b` with `c` is another key than
/// `a` with `b:c`, the first character of that text is written as `%3A` in the value, and `%` as `%25`.
#[derive(Clone, Debug)]
pub(super) struct KeyFormat {
    template: Template,
    /// What the value of each part must not contain: nothing where no other value follows.
    guards: Vec<Option<char>>,
}

impl KeyFormat {
    /// `prefix`, then the columns `key`, divided by colons.
    pub(super) fn prefixed(prefix: &str, key: &[usize]) -> Self {
        let mut parts = vec![Part::Text(prefix.to_owned())];
        for (n, column) in key.iter().enumerate() {
            if n > 0 {
                parts.push(Part::Text(SEPARATOR.to_owned()));
            }
            parts.push(Part::Column(*column));
        }
        Self::guarded(Template { parts })
    }

    /// As the option `key_format` says; `key` are the columns that make a row one of its kind.
    ///
    /// # Errors
    /// The template names other columns than those of the key, or nothing that can divides two of them.
    pub(super) fn parse(text: &str, key: &[usize], schema: &SchemaRef) -> Result<Self> {
        let template = Template::parse("key_format", text, schema, Marks::Single)?;
        let name = |column: &usize| schema.field(*column).name().clone();
        if let Some(missing) = key.iter().find(|k| !template.columns().any(|c| c == **k)) {
            return Err(Error::invalid_with_hint(
                format!(
                    "option key_format leaves out column {} of the key: rows could have the same key",
                    name(missing)
                ),
                format!("Add {{{}}}.", name(missing)),
            ));
        }
        if let Some(other) = template.columns().find(|c| !key.contains(c)) {
            return Err(Error::invalid_with_hint(
                format!("option key_format names column {}, which is not part of the key", name(&other)),
                "A row would leave its old key behind when that column changes. Add it to primary_key.",
            ));
        }
        let adjacent = |pair: &[Part]| matches!(pair, [Part::Column(_), Part::Column(_)]);
        if template.parts.windows(2).any(adjacent) {
            return Err(Error::invalid_with_hint(
                "option key_format has two columns with nothing between them: rows could have the same key",
                "Put a character between them, as in {a}:{b}.",
            ));
        }
        let format = Self::guarded(template);
        if format.guards.contains(&Some('%')) {
            return Err(Error::invalid_with_hint(
                "option key_format has % behind a column, which stands for characters that are written otherwise",
                "Divide the columns by another character.",
            ));
        }
        Ok(format)
    }

    fn guarded(template: Template) -> Self {
        let parts = &template.parts;
        let guard = |at: usize| match parts.get(at + 1) {
            Some(Part::Text(text)) if parts.len() > at + 2 => text.chars().next(),
            _ => None,
        };
        let guards = (0..parts.len()).map(|at| matches!(parts[at], Part::Column(_)).then(|| guard(at)).flatten());
        Self { guards: guards.collect(), template }
    }

    /// Appends the key of row `row`.
    pub(super) fn write(&self, texts: &Texts, row: usize, out: &mut Vec<u8>) {
        for (part, guard) in self.template.parts.iter().zip(&self.guards) {
            match (part, guard) {
                (Part::Text(text), _) => out.extend_from_slice(text.as_bytes()),
                (Part::Column(column), None) => texts.write(*column, row, out),
                (Part::Column(column), Some(guard)) => {
                    let mut value = Vec::new();
                    texts.write(*column, row, &mut value);
                    escape(&value, *guard, out);
                }
            }
        }
    }
}

/// Appends `value` with every `%` and `guard` in percent form.
fn escape(value: &[u8], guard: char, out: &mut Vec<u8>) {
    let mut bytes = [0; 4];
    let guard = guard.encode_utf8(&mut bytes).as_bytes();
    let mut rest = value;
    while let Some(first) = rest.first() {
        let hidden = if rest.starts_with(guard) { guard } else { &rest[..1] };
        if hidden == guard || *first == b'%' {
            for byte in hidden {
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        } else {
            out.push(*first);
        }
        rest = &rest[hidden.len()..];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    fn batch(rows: &[(&str, &str)]) -> RecordBatch {
        let a: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
        let b: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)));
        RecordBatch::try_from_iter([("a", a), ("b", b)]).expect("two columns")
    }

    fn written(format: &KeyFormat, batch: &RecordBatch) -> Vec<String> {
        let texts = Texts::new(batch).expect("text");
        let key = |row| {
            let mut out = Vec::new();
            format.write(&texts, row, &mut out);
            String::from_utf8(out).expect("text")
        };
        (0..batch.num_rows()).map(key).collect()
    }

    #[test]
    fn keys_are_the_prefix_and_the_values() {
        let batch = batch(&[("x:y%", "z:")]);
        assert_eq!(written(&KeyFormat::prefixed("p:", &[0]), &batch), ["p:x:y%"]);
        assert_eq!(written(&KeyFormat::prefixed("", &[0, 1]), &batch), ["x%3Ay%25:z:"]);
        let parse = |text: &str, key: &[usize]| KeyFormat::parse(text, key, &batch.schema());
        assert_eq!(written(&parse("{a}é{b}é", &[0, 1]).expect("valid"), &batch), ["x:y%25éz:é"]);
        for (text, key, part) in [
            ("u:{a}", &[0, 1][..], "leaves out column b"),
            ("{a}:{b}", &[0], "column b, which is not part of the key"),
            ("{a}{b}", &[0, 1], "nothing between"),
            ("{a}%{b}", &[0, 1], "% behind a column"),
        ] {
            let message = parse(text, key).expect_err("ambiguous").to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn no_two_rows_have_the_same_key() {
        let alphabet = ["", ":", "%", "%3A", "é", "\u{e8}", "a", "::", "a:%", "3", "25"];
        let pairs: Vec<(&str, &str)> = alphabet.iter().flat_map(|a| alphabet.iter().map(|b| (*a, *b))).collect();
        let batch = batch(&pairs);
        for text in ["{a}:{b}", "{a}é{b}", "%{a}5{b}%", "<{a}::{b}:", "{a}3{b}"] {
            let format = KeyFormat::parse(text, &[0, 1], &batch.schema()).expect("valid");
            let keys: HashSet<String> = written(&format, &batch).into_iter().collect();
            assert_eq!(keys.len(), pairs.len(), "{text}");
        }
    }
}
