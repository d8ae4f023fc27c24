//! CREATE SECRET and CREATE CONNECTION, and statements' texts with every secret masked. It must not know how secrets are
//! kept.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use thalweg_core::{Options, Secret};

use super::statement::{Parsed, StatementKind, object, offset};
use crate::parse::{is_word, parse_options, take_word};

/// The value of a secret in its statement.
#[derive(Clone, Debug)]
pub enum SecretValue {
    /// As a user writes it.
    Clear(Secret),
    /// As the catalog's log holds it.
    Sealed(String),
}

/// What follows CREATE or ALTER: SECRET or CONNECTION; `None` when it is neither.
pub(super) fn secret_or_connection(p: &mut Parser, alter: bool) -> Parsed<Option<StatementKind>> {
    let secret = is_word(p.peek_nth_token_ref(1), "SECRET");
    if !secret && (alter || !is_word(p.peek_nth_token_ref(1), "CONNECTION")) {
        return Ok(None);
    }
    p.next_token();
    p.next_token();
    let if_not_exists = !alter && p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = object(p)?;
    if alter && !(is_word(&p.peek_token(), "WITH") || is_word(&p.peek_token(), "AS")) {
        // RENAME TO and the like are those of every object.
        return Ok(None);
    }
    let options = if p.parse_keyword(Keyword::WITH) { parse_options(p)? } else { Vec::new() };
    if !secret {
        return Ok(Some(StatementKind::CreateConnection { name, if_not_exists, options: Options::written(options) }));
    }
    let mut options = Options::written(options);
    let backend = options.take("backend").unwrap_or_else(|| "meta".to_owned());
    if backend != "meta" {
        return p.expected("backend = 'meta': secrets are kept, sealed, in the catalog", p.peek_token());
    }
    p.expect_keyword(Keyword::AS)?;
    let sealed = take_word(p, "SEALED");
    let text = p.parse_literal_string()?;
    let value = if sealed { SecretValue::Sealed(text) } else { SecretValue::Clear(Secret::new(text)) };
    Ok(Some(if alter {
        StatementKind::AlterSecret { name, value }
    } else {
        StatementKind::CreateSecret { name, if_not_exists, value }
    }))
}

/// Words in the name of an option or setting whose value is nobody's business.
const SENSITIVE: [&str; 12] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "private",
    "access.key",
    "access_key",
    "api_key",
    "apikey",
];

/// `text` with `'***'` in the place of every password and secret: of options whose names say so, of `PASSWORD '…'`, of
/// `CREATE SECRET … AS '…'`. A text that may hold one loses its comments, and is hidden as a whole if it cannot be read.
pub fn masked(text: &str) -> String {
    let lower = text.to_lowercase();
    if !SENSITIVE.iter().any(|word| lower.contains(word)) {
        return text.to_owned();
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location() else {
        return format!("'{}'", Secret::MASK);
    };
    let (blanks, words): (Vec<_>, Vec<_>) = tokens.iter().partition(|t| matches!(t.token, Token::Whitespace(_)));
    let is_comment = |t: &&&TokenWithSpan| {
        matches!(&t.token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)))
    };
    let mut hidden: Vec<(&TokenWithSpan, String)> =
        blanks.iter().filter(is_comment).map(|comment| (*comment, " ".to_owned())).collect();
    let mut out = String::new();
    let mut from = 0;
    for (i, token) in words.iter().enumerate() {
        if (is_text(&token.token) || is_bare(&words, i)) && is_secret(&words, i) {
            hidden.push((token, format!("'{}'", Secret::MASK)));
        }
    }
    hidden.sort_by_key(|(token, _)| token.span.start);
    for (token, instead) in hidden {
        out.push_str(text.get(from..offset(text, token.span.start)).unwrap_or_default());
        out.push_str(&instead);
        from = offset(text, token.span.end);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Whether the word at `i` is what something is set to, without quotes. In a query it would be a column.
fn is_bare(words: &[&TokenWithSpan], i: usize) -> bool {
    let is_value = matches!(&words[i].token, Token::Word(word) if word.keyword != Keyword::NULL);
    let begins = |t: &&&TokenWithSpan| t.token == Token::SemiColon || is_word(t, "SELECT") || is_word(t, "WITH");
    let in_query = || words[..i].iter().rev().find(begins).is_some_and(|t| is_word(t, "SELECT"));
    is_value && i.checked_sub(1).is_some_and(|before| is_assignment(&words[before].token)) && !in_query()
}

fn is_assignment(token: &Token) -> bool {
    matches!(token, Token::Eq | Token::Assignment | Token::RArrow)
}

fn is_text(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Number(..)
    )
}

/// Whether the literal at `i` belongs to a name that says it is secret.
fn is_secret(words: &[&TokenWithSpan], i: usize) -> bool {
    let statement = words[..i].iter().rposition(|t| t.token == Token::SemiColon).map_or(0, |s| s + 1);
    let before = &words[statement..i];
    let is = |t: Option<&&TokenWithSpan>, word: &str| t.is_some_and(|t| is_word(t, word));
    let of_secret = is(before.get(1), "SECRET") && (is(before.first(), "CREATE") || is(before.first(), "ALTER"));
    if of_secret && before.last().is_none_or(|t| !is_assignment(&t.token)) {
        return true;
    }
    // The name: words with dots and hyphens between them, before `=` if there is one.
    let mut before = before.iter().rev().map(|t| &t.token).peekable();
    before.next_if(|t| is_assignment(t));
    let mut name = String::new();
    while let Some(Token::Word(_) | Token::SingleQuotedString(_) | Token::Number(..)) = before.peek() {
        let part = before.next().map_or_else(String::new, ToString::to_string);
        name.insert_str(0, &part);
        match before.next_if(|t| matches!(t, Token::Period | Token::Minus)) {
            Some(between) => name.insert_str(0, &between.to_string()),
            None => break,
        }
    }
    let name = name.to_lowercase();
    SENSITIVE.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn every_secret_is_masked_and_nothing_else() {
        for same in
            ["SELECT password FROM t WHERE a = 'b'", "CREATE VIEW v AS SELECT 1 FROM a JOIN b ON a.token = b.token"]
        {
            assert_eq!(masked(same), same);
        }
        for bare in
            ["SELECT 1; CREATE SOURCE s WITH (password = canary)", "CREATE SINK k AS SELECT 1 WITH (password = canary)"]
        {
            assert!(!masked(bare).contains("canary"), "{bare}");
        }
        let cases = [
            ("ALTER USER a PASSWORD 'canary'", "ALTER USER a PASSWORD '***'"),
            (
                "CREATE ROLE a WITH LOGIN ENCRYPTED PASSWORD E'can\\'ary'",
                "CREATE ROLE a WITH LOGIN ENCRYPTED PASSWORD '***'",
            ),
            ("CREATE SECRET s WITH (backend = 'meta') AS 'canary'", "CREATE SECRET s WITH (backend = 'meta') AS '***'"),
            (
                "CREATE SOURCE s (a INT) WITH (topic = 'x', properties.sasl.password = 'canary', a = 'b')",
                "CREATE SOURCE s (a INT) WITH (topic = 'x', properties.sasl.password = '***', a = 'b')",
            ),
            (
                "CREATE SINK s FROM v WITH ('s3.secret-access-key' = 'canary')",
                "CREATE SINK s FROM v WITH ('s3.secret-access-key' = '***')",
            ),
            ("CREATE USER a PASSWORD 'canary", "'***'"),
        ];
        for (text, expected) in cases {
            assert_eq!(masked(text), expected);
        }
    }
}
