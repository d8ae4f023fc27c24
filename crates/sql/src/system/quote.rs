//! Identifiers and literals as SQL writes them. It must not know what they name.

use datafusion::sql::sqlparser::keywords;

/// An identifier as it must be written to mean `name`.
pub(super) fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A literal whose value is `text`.
pub(super) fn literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''").replace('\\', "\\\\"));
    if text.contains('\\') { format!("E{quoted}") } else { quoted }
}

/// The words of SQL, and `U`, `C`, `T` or `R` as PostgreSQL sorts them: unreserved, may name a column only, may name a
/// type or function, reserved.
pub(super) fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("data/keywords.txt")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .flat_map(|(category, words)| words.split(' ').map(move |word| (word, category)))
}

fn is_reserved(name: &str) -> bool {
    // Most names are no words at all.
    keywords::ALL_KEYWORDS.binary_search(&name.to_uppercase().as_str()).is_ok()
        && words().any(|(word, category)| word == name && category != "U")
}

/// The parts of `a.b."C"`, unquoted words in lower case.
///
/// # Errors
/// What is wrong with it.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let bad = || format!("string is not a valid identifier: \"{text}\"");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (part, after) = quoted_part(quoted).ok_or_else(bad)?;
            parts.push(part);
            rest = after.trim_start();
        } else {
            let end = rest.find(['.', '"']).unwrap_or(rest.len());
            let word = rest[..end].trim();
            if word.is_empty() {
                return Err(bad());
            }
            parts.push(word.to_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(bad()),
        }
    }
}

/// Up to the closing quote, and what comes after it.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_where_they_must_be() {
        for (name, written) in [
            ("orders", "orders"),
            ("Orders", "\"Orders\""),
            ("a\"b", "\"a\"\"b\""),
            ("select", "\"select\""),
            ("1a", "\"1a\""),
            ("name", "name"),
            ("", "\"\""),
        ] {
            assert_eq!(identifier(name), written);
        }
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b"), "E'a\\\\b'");
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(split("Public.\"My \"\"T\"\"\" ").as_deref(), Ok(&["public".to_owned(), "My \"T\"".to_owned()][..]));
        for bad in ["", "a.", ".a", "\"a", "a\"b\"", "a..b"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
