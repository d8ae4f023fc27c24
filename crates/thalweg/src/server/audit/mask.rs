//! Texts without their secrets. It must not know statements' meaning, so it masks more than it must.

/// A statement that holds one of these words, in any letters, keeps none of its strings.
const SECRET_WORDS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "private",
    "access_key",
    "access.key",
    "apikey",
    "api_key",
    "api.key",
    "sasl",
];

const MASK: &str = "***";

/// `text` without the credentials of the URLs in it: `s3://***@bucket`.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | ',' | '"' | '\'')).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    out + rest
}

/// The text of a statement without passwords: if it speaks of secrets at all, every string in it is masked, comments are
/// left out, and so is what a secret is set to without quotes.
pub(crate) fn without_secrets(sql: &str) -> String {
    let lower = sql.to_lowercase();
    if !SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        return without_credentials(sql);
    }
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    let mut before = Before::Other;
    while let Some(c) = rest.chars().next() {
        let (token, length) = Token::first(rest, c);
        let text = &rest[..length];
        match token {
            Token::String => out.push_str("'***'"),
            Token::Comment => out.push(' '),
            Token::Word if before == Before::Assignment && !text.eq_ignore_ascii_case("null") => out.push_str(MASK),
            _ => out.push_str(text),
        }
        before = match token {
            Token::Space | Token::Comment => before,
            Token::Word | Token::Quoted if is_secret(text) => Before::Secret,
            Token::Other if before != Before::Other && matches!(c, '=' | ':' | '>') => Before::Assignment,
            _ => Before::Other,
        };
        rest = &rest[length..];
    }
    out
}

/// What stands before a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The name of a secret.
    Secret,
    /// The name of a secret, and `=`.
    Assignment,
    Other,
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Space,
    Comment,
    /// A name, a keyword or a number.
    Word,
    /// A name in quotes.
    Quoted,
    String,
    Other,
}

impl Token {
    /// The token that `rest` begins with, `first` being its first character, and its length in bytes.
    fn first(rest: &str, first: char) -> (Self, usize) {
        let while_in = |f: &dyn Fn(char) -> bool| rest.find(|c| !f(c)).unwrap_or(rest.len());
        match first {
            c if c.is_whitespace() => (Self::Space, while_in(&char::is_whitespace)),
            '-' if rest.starts_with("--") => (Self::Comment, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (Self::Comment, block_comment(rest)),
            '\'' => (Self::String, quoted(rest, '\'', false)),
            '"' => (Self::Quoted, quoted(rest, '"', false)),
            '$' => match dollar_quoted(rest) {
                Some(length) => (Self::String, length),
                None => (Self::Other, 1),
            },
            'e' | 'E' if rest[1..].starts_with('\'') => (Self::String, 1 + quoted(&rest[1..], '\'', true)),
            c if is_word(c) => (Self::Word, while_in(&is_word)),
            c => (Self::Other, c.len_utf8()),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// The length of what begins with a quote, both quotes included; all of it if it has no end.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((i, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            match characters.peek() {
                // Two of them stand for one.
                Some((_, next)) if *next == quote => drop(characters.next()),
                _ => return i + 1,
            }
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`, if `text` begins with one; all of it if it has no end.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = &text[..text[1..].find('$')? + 2];
    if !tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_') || tag[1..].starts_with(char::is_numeric)
    {
        return None;
    }
    let content = &text[tag.len()..];
    Some(content.find(tag).map_or(text.len(), |at| tag.len() + at + tag.len()))
}

/// The length of `/* … */`, in which there may be others; all of it if it has no end.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_without_secrets_stay_as_they_are() {
        for sql in [
            "CREATE TABLE t (k INT) -- the first",
            "CREATE VIEW v AS SELECT * FROM t WHERE name = 'it''s' AND x = $1",
            "INSERT INTO t VALUES ('é', $$ $$)",
        ] {
            assert_eq!(without_secrets(sql), sql);
        }
    }

    #[test]
    fn no_form_of_a_secret_is_left() {
        for sql in [
            "CREATE SOURCE s WITH (connector = 'kafka', properties.sasl.password = 'canary')",
            "CREATE SOURCE s WITH (\"sasl.password\" = 'it''s canary', x = 'y')",
            "CREATE SOURCE s WITH (password = E'a\\'canary', x = 1)",
            "CREATE SOURCE s WITH (password = $$canary$$)",
            "CREATE SOURCE s WITH (password = $q$a$canary$q$, x = 1)",
            "CREATE SOURCE s WITH (password=canary)",
            "CREATE SOURCE s WITH (password := canary, b = 2)",
            "CREATE SOURCE s WITH (\"Pass\" = 'canary', user = 'x') -- password",
            "CREATE SECRET k AS 'canary'",
            "/* the password is canary /* canary */ canary */ CREATE SECRET k -- canary\n AS 'x'",
            "SELECT * FROM t WHERE token = 'canary'",
            "CREATE SINK k WITH (access_key = U&'canary', n = N'canary')",
            "CREATE SECRET k AS 'canary without an end",
            "CREATE SINK k WITH (url = 'https://user:canary@host/x')",
            "COPY t TO 'postgres://canary@host'",
        ] {
            let masked = without_secrets(sql);
            assert!(!masked.contains("canary"), "{sql} became {masked}");
        }
        let kept = without_secrets("CREATE SOURCE s (password VARCHAR) WITH (connector = 'x', password = NULL)");
        assert_eq!(kept, "CREATE SOURCE s (password VARCHAR) WITH (connector = '***', password = NULL)");
    }

    #[test]
    fn any_bytes_are_read_to_the_end() {
        for text in ["password $", "password $1$", "secret 'é", "secret /*", "token \"", "pwd E'\\", "secret é$é$é$é$"]
        {
            without_secrets(text);
        }
    }

    #[test]
    fn credentials_in_urls_are_masked() {
        let text = "s3://id:s3cret@bucket/x, https://p@ss:w@host:1/y plain@mail https://host/a@b";
        assert_eq!(without_credentials(text), "s3://***@bucket/x, https://***@host:1/y plain@mail https://host/a@b");
    }
}
