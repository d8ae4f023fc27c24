//! `CREATE SUBSCRIPTION` and its cursors, as text. It must not know relations or what is kept of their changes.

use std::time::Duration;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::names::ObjectName;
use super::statement::{Parsed, object};
use crate::parse::{expect_word, is_word, normalized, parse_plain_options, take_word};

/// What a subscription promises to keep unless it says so.
const DEFAULT_RETENTION: Duration = Duration::from_secs(86_400);

/// A statement of subscriptions.
#[derive(Clone, Debug)]
pub enum SubscriptionStatement {
    /// `CREATE SUBSCRIPTION name FROM relation WITH (retention = '1D')`.
    Create {
        /// Its name.
        name: ObjectName,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// What it follows.
        from: ObjectName,
        /// How far back its cursors may begin.
        retention: Duration,
    },
    /// `DECLARE name SUBSCRIPTION CURSOR FOR of [SINCE …] [FULL]`.
    Declare {
        /// The cursor.
        name: String,
        /// A subscription, or a relation itself.
        of: ObjectName,
        /// Where it begins.
        since: Since,
    },
    /// `FETCH NEXT | n FROM name [WITH (timeout = '1s')]`.
    Fetch {
        /// The cursor.
        name: String,
        /// Rows at most.
        count: usize,
        /// How long to wait for the first.
        timeout: Duration,
    },
}

/// Where a cursor of a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With what changes after it was declared.
    Now,
    /// With the oldest change that is kept.
    Begin,
    /// With the changes of a moment, milliseconds since 1970-01-01 UTC, and later ones.
    Millis(i64),
    /// With all rows that stand, then what changes.
    Full,
}

/// The statement that begins here, if it is one of subscriptions; otherwise nothing is taken.
pub(super) fn subscription(p: &mut Parser) -> Parsed<Option<SubscriptionStatement>> {
    let word = |i: usize, text: &str| is_word(p.peek_nth_token_ref(i), text);
    if word(0, "CREATE") && word(1, "SUBSCRIPTION") {
        return create(p).map(Some);
    }
    if word(0, "DECLARE") && word(2, "SUBSCRIPTION") {
        return declare(p).map(Some);
    }
    let has_with = (0..8).any(|i| word(i, "WITH"));
    if word(0, "FETCH") && has_with {
        return fetch(p).map(Some);
    }
    Ok(None)
}

fn create(p: &mut Parser) -> Parsed<SubscriptionStatement> {
    p.expect_keyword(Keyword::CREATE)?;
    expect_word(p, "SUBSCRIPTION")?;
    let if_not_exists = p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = object(p)?;
    p.expect_keyword(Keyword::FROM)?;
    let from = object(p)?;
    let mut retention = DEFAULT_RETENTION;
    if p.parse_keyword(Keyword::WITH) {
        for (key, value) in parse_plain_options(p)? {
            match key.as_str() {
                "retention" => retention = duration(&value)?,
                other => return Err(ParserError::ParserError(format!("{other} is no option of a subscription"))),
            }
        }
    }
    Ok(SubscriptionStatement::Create { name, if_not_exists, from, retention })
}

fn declare(p: &mut Parser) -> Parsed<SubscriptionStatement> {
    expect_word(p, "DECLARE")?;
    let name = normalized(p.parse_identifier()?);
    expect_word(p, "SUBSCRIPTION")?;
    expect_word(p, "CURSOR")?;
    p.expect_keyword(Keyword::FOR)?;
    let of = object(p)?;
    let mut since = Since::Now;
    if take_word(p, "SINCE") {
        since = if let Token::Number(..) = p.peek_token().token {
            Since::Millis(i64::try_from(p.parse_literal_uint()?).unwrap_or(i64::MAX))
        } else {
            let begin = take_word(p, "BEGIN");
            if !begin {
                expect_word(p, "NOW")?;
            }
            p.expect_token(&Token::LParen)?;
            p.expect_token(&Token::RParen)?;
            if begin { Since::Begin } else { Since::Now }
        };
    }
    if take_word(p, "FULL") {
        since = Since::Full;
    }
    Ok(SubscriptionStatement::Declare { name, of, since })
}

fn fetch(p: &mut Parser) -> Parsed<SubscriptionStatement> {
    expect_word(p, "FETCH")?;
    let count = if take_word(p, "NEXT") { 1 } else { usize::try_from(p.parse_literal_uint()?).unwrap_or(usize::MAX) };
    if !take_word(p, "IN") {
        p.expect_keyword(Keyword::FROM)?;
    }
    let name = normalized(p.parse_identifier()?);
    p.expect_keyword(Keyword::WITH)?;
    let mut timeout = Duration::ZERO;
    for (key, value) in parse_plain_options(p)? {
        match key.as_str() {
            "timeout" => timeout = duration(&value)?,
            other => return Err(ParserError::ParserError(format!("{other} is no option of FETCH"))),
        }
    }
    Ok(SubscriptionStatement::Fetch { name, count, timeout })
}

/// `500ms`, `1s`, `2 min`, `12h`, `1D`, `1 day`.
fn duration(text: &str) -> Parsed<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let millis = match text[digits..].trim().to_lowercase().as_str() {
        "ms" => 1,
        "" | "s" | "sec" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => 0,
    };
    let wrong =
        || ParserError::ParserError(format!("'{text}' is no length of time: write '500ms', '1s', '12h' or '1D'"));
    let count = text[..digits].parse::<u64>().ok().and_then(|n| n.checked_mul(millis)).filter(|_| millis > 0);
    count.map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::statement::{StatementKind, parse};
    use super::*;

    fn read(text: &str) -> SubscriptionStatement {
        match parse(text).expect("it parses")[0].kind.as_ref() {
            StatementKind::Subscription(statement) => statement.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statements_are_read() {
        let SubscriptionStatement::Create { name, from, retention, if_not_exists } =
            read("CREATE SUBSCRIPTION IF NOT EXISTS s FROM public.t WITH (retention = '2D');")
        else {
            panic!("CREATE")
        };
        assert_eq!((name.to_string(), from.to_string(), if_not_exists), ("s".into(), "public.t".into(), true));
        assert_eq!(retention, Duration::from_secs(2 * 86_400));
        for (text, wanted) in [
            ("", Since::Now),
            ("SINCE now()", Since::Now),
            ("SINCE begin()", Since::Begin),
            ("SINCE 1700000000000", Since::Millis(1_700_000_000_000)),
            ("FULL", Since::Full),
        ] {
            let SubscriptionStatement::Declare { since, .. } =
                read(&format!("DECLARE c SUBSCRIPTION CURSOR FOR s {text}"))
            else {
                panic!("DECLARE")
            };
            assert_eq!(since, wanted, "{text}");
        }
        let SubscriptionStatement::Fetch { count, timeout, .. } = read("FETCH 10 FROM c WITH (timeout = '1500ms')")
        else {
            panic!("FETCH")
        };
        assert_eq!((count, timeout), (10, Duration::from_millis(1_500)));
    }

    #[test]
    fn wrong_options_are_named() {
        for text in [
            "CREATE SUBSCRIPTION s FROM t WITH (retention = 'long')",
            "CREATE SUBSCRIPTION s FROM t WITH (retentoin = '1D')",
            "DECLARE c SUBSCRIPTION CURSOR FOR s SINCE yesterday()",
            "FETCH NEXT FROM c WITH (timeout = '1 fortnight')",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
