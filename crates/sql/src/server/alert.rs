//! `CREATE ALERT` and the statements that quieten one, as text. It must not know relations or who is told.

use std::time::Duration;

use arrow::compute::kernels::cast_utils::{IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use thalweg_core::Options;

use super::names::ObjectName;
use super::statement::{Parsed, ended, object, query_or_name, remaining};
use crate::parse::{expect_word, is_word, names_in_parentheses, parse_options, parser, take_word};

/// Ways of telling of one alert at most.
const MAX_NOTIFY: usize = 16;
/// A row stands for so long at most before it fires, and a silence lasts so long at most.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For whoever looks.
    Info,
    /// Someone should look.
    #[default]
    Warning,
    /// Someone must act.
    Critical,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// `NOTIFY channel WITH (options)`.
#[derive(Clone, Debug)]
pub struct Notify {
    /// A connector: `webhook`, `slack`, `email`, `log`.
    pub channel: String,
    /// Its options.
    pub options: Options,
}

/// `CREATE ALERT name ON query [FOR '…'] [PRIMARY KEY (…)] [SEVERITY …] [NOTIFY …]`.
#[derive(Clone, Debug)]
pub struct CreateAlert {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// Each of its rows is something to be told of.
    pub query: Box<ast::Query>,
    /// Columns that tell its rows apart, if given.
    pub key: Option<Vec<String>>,
    /// How long a row stands before it fires.
    pub hold: Duration,
    /// How bad it is.
    pub severity: Severity,
    /// Who is told.
    pub notify: Vec<Notify>,
}

/// An alert, or one instance of it.
#[derive(Clone, Debug)]
pub struct Quieted {
    /// The alert.
    pub name: ObjectName,
    /// One instance; `None`: all of them.
    pub instance: Option<String>,
    /// Who has done it; `None` as a person writes it: who runs the statement.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A statement of alerts.
#[derive(Clone, Debug)]
pub enum AlertStatement {
    /// See [`CreateAlert`].
    Create(Box<CreateAlert>),
    /// `SILENCE ALERT name [INSTANCE '…'] FOR '1 hour' [REASON '…']`.
    Silence(Quieted, Lasting),
    /// `UNSILENCE ALERT name [INSTANCE '…']`; in the catalog's log with its time, microseconds since 1970.
    Unsilence(Quieted, Option<i64>),
    /// `ACKNOWLEDGE ALERT name [INSTANCE '…'] [REASON '…']`; in the catalog's log with its time, microseconds since 1970.
    Acknowledge(Quieted, Option<i64>),
}

/// How long a silence lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// From now on.
    For(Duration),
    /// In the catalog's log: microseconds since 1970.
    Between(i64, i64),
}

/// The statement of alerts that `words` are, if they are one.
pub(super) fn alert(dialect: &PostgreSqlDialect, words: &[TokenWithSpan]) -> Parsed<Option<AlertStatement>> {
    let word = |i: usize, text: &str| words.get(i).is_some_and(|t| is_word(t, text));
    let replaces = word(1, "OR") && word(2, "REPLACE");
    if word(0, "CREATE") && (word(1, "ALERT") || (replaces && word(3, "ALERT"))) {
        return create(dialect, words).map(|create| Some(AlertStatement::Create(Box::new(create))));
    }
    if !word(1, "ALERT") {
        return Ok(None);
    }
    let mut p = parser(dialect, words.to_vec());
    let statement = if take_word(&mut p, "SILENCE") {
        silence(&mut p)?
    } else if take_word(&mut p, "UNSILENCE") {
        let of = quieted(&mut p)?;
        AlertStatement::Unsilence(of, at(&mut p)?)
    } else if take_word(&mut p, "ACKNOWLEDGE") {
        let mut of = quieted(&mut p)?;
        let at = at(&mut p)?;
        by_and_reason(&mut p, &mut of)?;
        AlertStatement::Acknowledge(of, at)
    } else {
        return Ok(None);
    };
    ended(&mut p, Some(statement))
}

fn create(dialect: &PostgreSqlDialect, words: &[TokenWithSpan]) -> Parsed<CreateAlert> {
    let mut p = parser(dialect, words.to_vec());
    p.expect_keyword(Keyword::CREATE)?;
    let or_replace = p.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    expect_word(&mut p, "ALERT")?;
    let if_not_exists = p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = object(&mut p)?;
    p.expect_keyword(Keyword::ON)?;
    let rest = &words[words.len() - remaining(&p)..];
    let end = end_of_query(rest);
    let mut of_query = parser(dialect, rest[..end].to_vec());
    let query = query_or_name(&mut of_query)?;
    let query = ended(&mut of_query, query)?;
    let (severity, hold, key) = (Severity::default(), Duration::ZERO, None);
    let mut alert = CreateAlert { name, if_not_exists, or_replace, query, key, hold, severity, notify: Vec::new() };
    let mut p = parser(dialect, rest[end..].to_vec());
    while p.peek_token().token != Token::EOF {
        clause(&mut p, &mut alert)?;
    }
    Ok(alert)
}

/// Where the query of an alert ends: at the first clause that no query has.
fn end_of_query(words: &[TokenWithSpan]) -> usize {
    let mut depth = 0;
    for (i, token) in words.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        let next = words.get(i + 1);
        let is_clause = (is_word(token, "FOR")
            && next.is_some_and(|t| matches!(t.token, Token::SingleQuotedString(_))))
            || (is_word(token, "PRIMARY") && next.is_some_and(|t| is_word(t, "KEY")))
            || (is_word(token, "SEVERITY") && next.is_some_and(|t| matches!(t.token, Token::Word(_))) && i > 0)
            || (is_word(token, "NOTIFY") && next.is_some_and(|t| matches!(t.token, Token::Word(_))));
        if depth == 0 && is_clause {
            return i;
        }
    }
    words.len()
}

fn clause(p: &mut Parser, alert: &mut CreateAlert) -> Parsed<()> {
    if p.parse_keyword(Keyword::FOR) {
        alert.hold = duration(p)?;
        return Ok(());
    }
    if p.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
        alert.key = Some(names_in_parentheses(p)?);
        return Ok(());
    }
    if take_word(p, "SEVERITY") {
        let all = [Severity::Info, Severity::Warning, Severity::Critical];
        let Some(severity) = all.into_iter().find(|s| take_word(p, s.word())) else {
            return p.expected("info, warning or critical", p.peek_token());
        };
        alert.severity = severity;
        return Ok(());
    }
    let another = !alert.notify.is_empty() && p.consume_token(&Token::Comma);
    if !take_word(p, "NOTIFY") && !another {
        return p.expected("FOR, PRIMARY KEY, SEVERITY or NOTIFY", p.peek_token());
    }
    if alert.notify.len() == MAX_NOTIFY {
        return Err(ParserError::ParserError(format!("more than {MAX_NOTIFY} NOTIFY of one alert")));
    }
    let channel = p.parse_identifier()?.value.to_lowercase();
    let options = if p.parse_keyword(Keyword::WITH) { parse_options(p)? } else { Vec::new() };
    alert.notify.push(Notify { channel, options: Options::written(options) });
    Ok(())
}

fn silence(p: &mut Parser) -> Parsed<AlertStatement> {
    let mut of = quieted(p)?;
    let lasting = if p.parse_keyword(Keyword::FOR) {
        Lasting::For(duration(p)?)
    } else if p.parse_keyword(Keyword::FROM) {
        let from = micros(p)?;
        expect_word(p, "UNTIL")?;
        Lasting::Between(from, micros(p)?)
    } else {
        return p.expected("FOR 'how long'", p.peek_token());
    };
    by_and_reason(p, &mut of)?;
    Ok(AlertStatement::Silence(of, lasting))
}

fn quieted(p: &mut Parser) -> Parsed<Quieted> {
    expect_word(p, "ALERT")?;
    let name = object(p)?;
    let instance = take_word(p, "INSTANCE").then(|| p.parse_literal_string()).transpose()?;
    Ok(Quieted { name, instance, by: None, reason: None })
}

fn by_and_reason(p: &mut Parser, of: &mut Quieted) -> Parsed<()> {
    of.by = take_word(p, "BY").then(|| p.parse_literal_string()).transpose()?;
    of.reason = take_word(p, "REASON").then(|| p.parse_literal_string()).transpose()?;
    Ok(())
}

fn at(p: &mut Parser) -> Parsed<Option<i64>> {
    take_word(p, "AT").then(|| micros(p)).transpose()
}

fn micros(p: &mut Parser) -> Parsed<i64> {
    i64::try_from(p.parse_literal_uint()?).map_err(|e| ParserError::ParserError(e.to_string()))
}

/// A PostgreSQL interval without months.
fn duration(p: &mut Parser) -> Parsed<Duration> {
    let text = p.parse_literal_string()?;
    let wrong = || {
        ParserError::ParserError(format!(
            "'{text}' is not a time: write '2 minutes', '1 hour 30 minutes' or '90 seconds'"
        ))
    };
    let config = IntervalParseConfig::new(IntervalUnit::Second);
    let interval = parse_interval_month_day_nano_config(&text, config).map_err(|_| wrong())?;
    let nanos = i128::from(interval.days) * 86_400_000_000_000 + i128::from(interval.nanoseconds);
    let nanos = u64::try_from(nanos).ok().filter(|_| interval.months == 0).ok_or_else(wrong)?;
    let duration = Duration::from_nanos(nanos);
    if duration > LONGEST {
        return Err(ParserError::ParserError(format!("'{text}' is longer than a year")));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{StatementKind, parse};

    fn parsed(text: &str) -> Result<AlertStatement, String> {
        let statements = parse(text).map_err(|e| e.message)?;
        match statements[0].kind.as_ref() {
            StatementKind::Alert(alert) => Ok(alert.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    fn created(text: &str) -> CreateAlert {
        match parsed(text) {
            Ok(AlertStatement::Create(alert)) => *alert,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn clauses_stand_in_any_order_behind_a_query_with_or_without_parentheses() {
        let text = "CREATE ALERT ops.hot ON SELECT device, max(t) AS t FROM r WHERE s > substring('a' FROM 1 FOR 1) \
                    GROUP BY device HAVING max(t) > 90 FOR '1 hour 30 minutes' SEVERITY critical \
                    NOTIFY webhook WITH (url = 'http://x/', header.A = SECRET token), log NOTIFY slack WITH (url = 'y')";
        let alert = created(text);
        assert_eq!((alert.name.schema.as_deref(), alert.name.name.as_str()), (Some("ops"), "hot"));
        assert_eq!((alert.hold.as_secs(), alert.severity), (5400, Severity::Critical));
        let channels: Vec<&str> = alert.notify.iter().map(|n| n.channel.as_str()).collect();
        assert_eq!(channels, ["webhook", "log", "slack"]);
        assert!(alert.query.to_string().ends_with("HAVING max(t) > 90"), "{}", alert.query);

        let alert =
            created("create or replace alert a on (select 1 as x) severity info primary key (x, \"Y\") for '90'");
        assert_eq!((alert.or_replace, alert.severity, alert.hold.as_secs()), (true, Severity::Info, 90));
        assert_eq!(alert.key, Some(vec!["x".to_owned(), "Y".to_owned()]));

        let alert = created("CREATE ALERT IF NOT EXISTS a ON troubles");
        assert_eq!((alert.if_not_exists, alert.query.to_string().as_str()), (true, "SELECT * FROM troubles"));
        assert_eq!((alert.hold, alert.severity), (Duration::ZERO, Severity::Warning));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            ("CREATE ALERT a ON t FOR '2 moons'", "'2 moons' is not a time"),
            ("CREATE ALERT a ON t FOR '1 month'", "is not a time"),
            ("CREATE ALERT a ON t FOR '-1 minute'", "is not a time"),
            ("CREATE ALERT a ON t FOR '9000 days'", "longer than a year"),
            ("CREATE ALERT a ON t SEVERITY awful", "info, warning or critical"),
            ("CREATE ALERT a ON t NOTIFY log, FOR '1 s'", "expected"),
            ("CREATE ALERT a t", "ON"),
            ("CREATE ALERT a ON SELECT 1 AS x junk more", "end of statement"),
            ("SILENCE ALERT a", "FOR 'how long'"),
            ("SILENCE ALERT a FOR '1 hour' BECAUSE 'x'", "end of statement"),
        ];
        for (text, says) in wrong {
            let message = parsed(text).expect_err(text);
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[test]
    fn what_quietens_is_read_as_it_is_logged() {
        let text = "SILENCE ALERT s.a INSTANCE 'it''s 7' FROM 5 UNTIL 9 BY 'ann' REASON 'known'";
        let AlertStatement::Silence(of, Lasting::Between(5, 9)) = parsed(text).expect("read") else { panic!("{text}") };
        assert_eq!((of.instance.as_deref(), of.by.as_deref()), (Some("it's 7"), Some("ann")));
        let AlertStatement::Acknowledge(of, None) = parsed("ACKNOWLEDGE ALERT a REASON 'seen'").expect("read") else {
            panic!("not acknowledged")
        };
        assert_eq!((of.instance, of.reason.as_deref()), (None, Some("seen")));
        assert!(matches!(parsed("UNSILENCE ALERT a INSTANCE '7'"), Ok(AlertStatement::Unsilence(_, None))));
    }
}
