//! The statements of a server: our own DDL, and everything else as sqlparser reads it. It must not know the catalog.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use thalweg_core::{Options, SqlError, SqlState};

use super::alert::{AlertStatement, alert};
use super::copy::{CopyDirection, CopySide};
use super::dashboard::{CreateDashboard, dashboard};
use super::names::ObjectName;
use super::role::RoleOption;
use super::secret::{SecretValue, secret_or_connection};
use super::subscription::{SubscriptionStatement, subscription};
use crate::Problem;
use crate::parse::{
    Clauses, expect_word, is_word, normalized, parse_create, parse_options, parser, qualified,
    refuse_multiset_operations, take_word,
};
use crate::spelling::as_postgres_reads;
use crate::statement::{CreateSink, CreateSource, CreateView, Statement as Script};

/// Statements of one text at most.
const MAX_STATEMENTS: usize = 10_000;

/// A statement and its text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is.
    pub kind: Arc<StatementKind>,
    /// As it was written, without the semicolon.
    pub text: Arc<str>,
    /// The text that it stood in, to which places in it refer.
    pub whole: Arc<str>,
}

/// A class of objects in SHOW, DROP, ALTER and COMMENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ObjectClass {
    Table,
    Source,
    View,
    MaterializedView,
    Sink,
    Index,
    Secret,
    Connection,
    Subscription,
    Alert,
    Dashboard,
    Schema,
    Database,
    User,
    Column,
}

/// What ALTER does.
#[derive(Clone, Debug)]
pub enum AlterAction {
    /// RENAME TO.
    Rename(String),
    /// SET SCHEMA.
    SetSchema(String),
    /// OWNER TO.
    Owner(String),
}

/// A statement, by what it is.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum StatementKind {
    CreateTable(CreateSource),
    CreateSource(CreateSource),
    CreateView(CreateView),
    CreateSink(CreateSink),
    Move {
        name: String,
        direction: ast::FetchDirection,
    },
    Drop {
        class: ObjectClass,
        if_exists: bool,
        names: Vec<ObjectName>,
        cascade: bool,
    },
    Alter {
        class: ObjectClass,
        if_exists: bool,
        name: ObjectName,
        action: AlterAction,
    },
    CreateRole {
        name: String,
        if_not_exists: bool,
        options: Vec<RoleOption>,
    },
    AlterRole {
        name: String,
        options: Vec<RoleOption>,
    },
    Query(Box<ast::Query>),
    Copy {
        side: CopySide,
        direction: CopyDirection,
        options: Vec<(String, String)>,
    },
    Explain {
        analyze: bool,
        of: Box<Statement>,
    },
    Show {
        what: String,
        schema: Option<String>,
        of: Option<ObjectName>,
        like: Option<String>,
    },
    ShowCreate(ObjectName),
    Describe(ObjectName),
    Flush,
    Wait,
    Refresh(ObjectName),
    CreateSecret {
        name: ObjectName,
        if_not_exists: bool,
        value: SecretValue,
    },
    AlterSecret {
        name: ObjectName,
        value: SecretValue,
    },
    CreateConnection {
        name: ObjectName,
        if_not_exists: bool,
        options: Options,
    },
    /// REPLAY QUARANTINE.
    Replay {
        of: ObjectName,
        selection: Option<ast::Expr>,
    },
    Alert(AlertStatement),
    CreateDashboard(CreateDashboard),
    Subscribe(Box<ast::Query>),
    Subscription(SubscriptionStatement),
    Cancel(Vec<u64>),
    /// As PostgreSQL has it.
    Sql(Box<ast::Statement>),
}

/// Every statement of `text`.
///
/// # Errors
/// The first that does not parse, with its place.
pub fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| {
        let secret = may_hold_secret(text);
        let place = position(text, e.location.line, e.location.column).filter(|_| !secret);
        SqlError { position: place, ..SqlError::new(SqlState::SYNTAX_ERROR, e.message) }
    })?;
    let whole: Arc<str> = text.into();
    let mut statements = Vec::new();
    for tokens in tokens.split(|t| t.token == Token::SemiColon) {
        let solid = |t: &&TokenWithSpan| !matches!(t.token, Token::Whitespace(_) | Token::EOF);
        let (Some(first), Some(last)) = (tokens.iter().find(solid), tokens.iter().rev().find(solid)) else { continue };
        let words: Vec<TokenWithSpan> = tokens.iter().filter(solid).cloned().collect();
        let kind = one(&dialect, tokens, &words).map_err(|e| syntax_error(&e, text, first))?;
        let (from, to) = (offset(text, first.span.start), offset(text, last.span.end));
        statements.push(Statement {
            kind: Arc::new(kind),
            text: text.get(from..to).unwrap_or(text).into(),
            whole: Arc::clone(&whole),
        });
        if statements.len() > MAX_STATEMENTS {
            let message = format!("more than {MAX_STATEMENTS} statements in one text");
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT, message));
        }
    }
    Ok(statements)
}

fn may_hold_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("password") || text.contains("secret")
}

fn syntax_error(error: &ParserError, text: &str, first: &TokenWithSpan) -> SqlError {
    let at = (first.span.start.line, first.span.start.column);
    match error {
        ParserError::ParserError(m) | ParserError::TokenizerError(m) => {
            let found = Problem::from_parser(m, at);
            let message =
                found.message.strip_prefix("Expected: ").map_or(found.message.clone(), |m| format!("expected {m}"));
            // A client shows the line of the place: not one that may hold a password.
            let secret = may_hold_secret(text);
            let place = position(text, found.line, found.column).filter(|_| !secret);
            SqlError { position: place, ..SqlError::new(SqlState::SYNTAX_ERROR, message) }
        }
        ParserError::RecursionLimitExceeded => {
            SqlError::new(SqlState::PROGRAM_LIMIT, "the statement is nested too deeply")
        }
    }
}

pub(super) fn offset(text: &str, at: datafusion::sql::sqlparser::tokenizer::Location) -> usize {
    let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i)
}

/// Characters from 1.
pub(super) fn position(text: &str, line: u64, column: u64) -> Option<u32> {
    if line == 0 {
        return None;
    }
    let before = text.get(..offset(text, datafusion::sql::sqlparser::tokenizer::Location { line, column }))?;
    u32::try_from(before.chars().count() + 1).ok()
}

pub(super) type Parsed<T> = Result<T, ParserError>;

fn one(dialect: &PostgreSqlDialect, tokens: &[TokenWithSpan], words: &[TokenWithSpan]) -> Parsed<StatementKind> {
    refuse_multiset_operations(tokens)?;
    let word = |i: usize, text: &str| words.get(i).is_some_and(|t| is_word(t, text));
    if word(0, "CREATE") {
        let own = word(1, "SOURCE") || word(1, "SINK") || word(1, "VIEW") || word(1, "MATERIALIZED");
        let table = word(1, "TABLE") && !words.iter().take(8).any(|t| is_word(t, "AS"));
        if own || table {
            return create(dialect, tokens);
        }
    }
    if let Some(statement) = alert(dialect, words)? {
        return Ok(StatementKind::Alert(statement));
    }
    let mut p = parser(dialect, words_of(words));
    if let Some(made) = dashboard(&mut p)? {
        return ended(&mut p, StatementKind::CreateDashboard(made));
    }
    if (word(0, "CREATE") || word(0, "ALTER"))
        && let Some(kind) = secret_or_connection(&mut p, word(0, "ALTER"))?
    {
        return ended(&mut p, kind);
    }
    let mut p = parser(dialect, words_of(words));
    if (word(0, "CREATE") || word(0, "ALTER")) && (word(1, "USER") || word(1, "ROLE")) {
        let rest = words.iter().skip(3).take(2);
        let renames = rest.into_iter().any(|t| is_word(t, "RENAME") || is_word(t, "OWNER") || is_word(t, "SET"));
        if !renames {
            return super::role::role(&mut p);
        }
    }
    let kind = other(&mut p, dialect, words)?;
    ended(&mut p, kind)
}

/// `parsed`, if nothing comes after it.
pub(super) fn ended<T>(p: &mut Parser, parsed: T) -> Parsed<T> {
    match p.peek_token() {
        t if t.token == Token::EOF => Ok(parsed),
        t => p.expected("end of statement", t),
    }
}

/// The tokens as sqlparser reads them: GRANT and REVOKE may name the kind of an object, which it does not know.
fn words_of(words: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut words = words.to_vec();
    let grants = words.first().is_some_and(|t| is_word(t, "GRANT") || is_word(t, "REVOKE"));
    if let Some(on) = words.iter().position(|t| is_word(t, "ON")).filter(|_| grants) {
        let kinds = [
            "MATERIALIZED",
            "VIEW",
            "SOURCE",
            "SINK",
            "INDEX",
            "SECRET",
            "CONNECTION",
            "SUBSCRIPTION",
            "ALERT",
            "DASHBOARD",
        ];
        // A name may be such a word too: then TO or FROM follows.
        while kinds.iter().any(|kind| words.get(on + 1).is_some_and(|t| is_word(t, kind)))
            && words.get(on + 2).is_some_and(
                |t| matches!(&t.token, Token::Word(w) if w.keyword != Keyword::TO && w.keyword != Keyword::FROM),
            )
        {
            words.remove(on + 1);
        }
    }
    words
}

fn create(dialect: &PostgreSqlDialect, tokens: &[TokenWithSpan]) -> Parsed<StatementKind> {
    let clauses = Clauses::cut(tokens);
    let options = match &clauses.with {
        Some(with) => parse_options(&mut parser(dialect, with.clone()))?,
        None => Vec::new(),
    };
    let mut p = parser(dialect, clauses.body);
    p.expect_keyword(Keyword::CREATE)?;
    let statement = parse_create(&mut p, options, clauses.emit_on_close)?;
    match p.peek_token() {
        t if t.token == Token::EOF => {}
        t => return p.expected("end of statement", t),
    }
    Ok(match statement {
        Script::CreateSource(source) => StatementKind::CreateSource(source),
        Script::CreateTable(table) => StatementKind::CreateTable(table),
        Script::CreateView(view) => StatementKind::CreateView(view),
        Script::CreateSink(sink) => StatementKind::CreateSink(sink),
        Script::Insert { .. } | Script::Query(_) | Script::Set => {
            return Err(ParserError::ParserError("a statement that creates something is expected".to_owned()));
        }
    })
}

fn other(p: &mut Parser, dialect: &PostgreSqlDialect, words: &[TokenWithSpan]) -> Parsed<StatementKind> {
    if let Some(statement) = subscription(p)? {
        return Ok(StatementKind::Subscription(statement));
    }
    if take_word(p, "FLUSH") {
        return Ok(StatementKind::Flush);
    }
    // As FETCH, but for the rows.
    if take_word(p, "MOVE") {
        return match p.parse_fetch_statement()? {
            ast::Statement::Fetch { name, direction, .. } => Ok(StatementKind::Move { name: name.value, direction }),
            other => Err(ParserError::ParserError(format!("MOVE … FROM cursor is expected, found {other}"))),
        };
    }
    if is_word(&p.peek_token(), "REFRESH") {
        p.next_token();
        p.expect_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW])?;
        take_word(p, "CONCURRENTLY");
        return Ok(StatementKind::Refresh(object(p)?));
    }
    if take_word(p, "REPLAY") {
        expect_word(p, "QUARANTINE")?;
        let of = object(p)?;
        let selection = p.parse_keyword(Keyword::WHERE).then(|| p.parse_expr()).transpose()?;
        return Ok(StatementKind::Replay { of, selection });
    }
    if take_word(p, "WAIT") {
        return Ok(StatementKind::Wait);
    }
    if take_word(p, "SUBSCRIBE") {
        take_word(p, "TO");
        return Ok(StatementKind::Subscribe(query_or_name(p)?));
    }
    if take_word(p, "CANCEL") {
        expect_word(p, "JOBS")?;
        let ids = p.parse_comma_separated(Parser::parse_literal_uint)?;
        return Ok(StatementKind::Cancel(ids));
    }
    if is_word(&p.peek_token(), "DESCRIBE") || is_word(&p.peek_token(), "DESC") {
        p.next_token();
        return Ok(StatementKind::Describe(object(p)?));
    }
    if take_word(p, "SHOW") {
        return show(p);
    }
    if is_word(&p.peek_token(), "DROP")
        && let Some(kind) = drop_own(p)?
    {
        return Ok(kind);
    }
    if is_word(&p.peek_token(), "ALTER")
        && let Some(kind) = alter_own(p)?
    {
        return Ok(kind);
    }
    if take_word(p, "EXPLAIN") {
        return explain(p, dialect, words);
    }
    if is_word(&p.peek_token(), "TABLE") {
        p.next_token();
        let name = object(p)?;
        return crate::parse::query(&mut Parser::new(dialect).try_with_sql(&format!("SELECT * FROM {name}"))?)
            .map(StatementKind::Query);
    }
    if take_word(p, "COPY") {
        return super::copy::copy(p);
    }
    let mut statement = p.parse_statement()?;
    as_postgres_reads(&mut statement)?;
    Ok(match statement {
        ast::Statement::Query(query) => StatementKind::Query(query),
        other => StatementKind::Sql(Box::new(other)),
    })
}

pub(super) fn object(p: &mut Parser) -> Parsed<ObjectName> {
    let (schema, name) = qualified(p)?;
    Ok(ObjectName { schema, name })
}

/// A query, or all of a relation.
pub(super) fn query_or_name(p: &mut Parser) -> Parsed<Box<ast::Query>> {
    let is_query = matches!(&p.peek_token().token, Token::LParen)
        || ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|w| is_word(&p.peek_token(), w));
    if is_query {
        return crate::parse::query(p);
    }
    let name = object(p)?;
    let text = format!("SELECT * FROM {name}");
    crate::parse::query(&mut Parser::new(&PostgreSqlDialect {}).try_with_sql(&text)?)
}

fn is_a_word(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Word(_))
}

/// `SHOW …`: objects of a kind, how one was made, or a setting.
fn show(p: &mut Parser) -> Parsed<StatementKind> {
    if p.parse_keyword(Keyword::CREATE) {
        // The kind is for people; names are unique.
        let kinds = ["TABLE", "SOURCE", "VIEW", "MATERIALIZED", "SINK", "INDEX", "ALERT", "DASHBOARD"];
        while kinds.iter().any(|w| is_word(&p.peek_token(), w)) && is_a_word(&p.peek_nth_token(1)) {
            p.next_token();
        }
        return Ok(StatementKind::ShowCreate(object(p)?));
    }
    let mut what = Vec::new();
    let (mut schema, mut of, mut like) = (None, None, None);
    loop {
        if p.parse_keyword(Keyword::FROM) || (!what.is_empty() && p.parse_keyword(Keyword::IN)) {
            let name = object(p)?;
            if matches!(what.first().map(String::as_str), Some("columns" | "indexes" | "index")) {
                of = Some(name);
            } else {
                schema = Some(name.name);
            }
        } else if p.parse_keyword(Keyword::LIKE) {
            like = Some(p.parse_literal_string()?);
        } else {
            let token = p.next_token();
            match token.token {
                Token::EOF => break,
                Token::Word(word) => what.push(word.value.to_lowercase()),
                Token::Period => what.push(".".to_owned()),
                _ => return p.expected("what to show", token),
            }
        }
    }
    if what.is_empty() {
        return p.expected("what to show: TABLES, SOURCES, a setting, ALL, …", p.peek_token());
    }
    Ok(StatementKind::Show { what: what.join(" ").replace(" . ", "."), schema, of, like })
}

fn class(p: &mut Parser) -> Option<ObjectClass> {
    let words: [(&[&str], ObjectClass); 15] = [
        (&["MATERIALIZED", "VIEW"], ObjectClass::MaterializedView),
        (&["TABLE"], ObjectClass::Table),
        (&["SOURCE"], ObjectClass::Source),
        (&["VIEW"], ObjectClass::View),
        (&["SINK"], ObjectClass::Sink),
        (&["INDEX"], ObjectClass::Index),
        (&["SECRET"], ObjectClass::Secret),
        (&["CONNECTION"], ObjectClass::Connection),
        (&["SUBSCRIPTION"], ObjectClass::Subscription),
        (&["ALERT"], ObjectClass::Alert),
        (&["DASHBOARD"], ObjectClass::Dashboard),
        (&["SCHEMA"], ObjectClass::Schema),
        (&["DATABASE"], ObjectClass::Database),
        (&["USER"], ObjectClass::User),
        (&["ROLE"], ObjectClass::User),
    ];
    for (words, class) in words {
        if words.iter().enumerate().all(|(i, w)| is_word(p.peek_nth_token_ref(i), w)) {
            words.iter().for_each(|_| drop(p.next_token()));
            return Some(class);
        }
    }
    None
}

fn drop_own(p: &mut Parser) -> Parsed<Option<StatementKind>> {
    p.next_token();
    let Some(class) = class(p) else {
        p.prev_token();
        return Ok(None);
    };
    let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = p.parse_comma_separated(object)?;
    let cascade = p.parse_keyword(Keyword::CASCADE);
    if !cascade {
        let _ = p.parse_keyword(Keyword::RESTRICT);
    }
    Ok(Some(StatementKind::Drop { class, if_exists, names, cascade }))
}

/// `ALTER kind name RENAME TO | SET SCHEMA | OWNER TO`; anything else is left to sqlparser.
fn alter_own(p: &mut Parser) -> Parsed<Option<StatementKind>> {
    let mut taken = 1;
    p.next_token();
    let found = class(p);
    taken += if found == Some(ObjectClass::MaterializedView) { 2 } else { usize::from(found.is_some()) };
    let Some(class) = found else {
        (0..taken).for_each(|_| p.prev_token());
        return Ok(None);
    };
    let place = p.get_current_index();
    let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = object(p)?;
    let action = if p.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
        AlterAction::Rename(normalized(p.parse_identifier()?))
    } else if p.parse_keywords(&[Keyword::SET, Keyword::SCHEMA]) {
        AlterAction::SetSchema(normalized(p.parse_identifier()?))
    } else if p.parse_keywords(&[Keyword::OWNER, Keyword::TO]) {
        AlterAction::Owner(normalized(p.parse_identifier()?))
    } else {
        let back = p.get_current_index() - place + taken;
        (0..back).for_each(|_| p.prev_token());
        return Ok(None);
    };
    Ok(Some(StatementKind::Alter { class, if_exists, name, action }))
}

fn explain(p: &mut Parser, dialect: &PostgreSqlDialect, words: &[TokenWithSpan]) -> Parsed<StatementKind> {
    let mut analyze = take_word(p, "ANALYZE");
    take_word(p, "VERBOSE");
    if p.consume_token(&Token::LParen) {
        loop {
            let token = p.next_token();
            match token.token {
                Token::RParen => break,
                Token::EOF => return p.expected(")", token),
                _ => analyze |= is_word(&token, "ANALYZE"),
            }
        }
    }
    let rest: Vec<TokenWithSpan> = words[words.len() - remaining(p)..].to_vec();
    let kind = one(dialect, &rest, &rest)?;
    while p.next_token().token != Token::EOF {}
    Ok(StatementKind::Explain {
        analyze,
        of: Box::new(Statement { kind: Arc::new(kind), text: "".into(), whole: "".into() }),
    })
}

/// Tokens that the parser has not taken.
pub(super) fn remaining(p: &Parser) -> usize {
    (0..).take_while(|i| p.peek_nth_token_ref(*i).token != Token::EOF).count()
}

impl StatementKind {
    /// What CREATE TABLE, SOURCE, VIEW, SINK, ALERT or DASHBOARD names, and whether IF NOT EXISTS stands there.
    pub fn created(&self) -> Option<(ObjectName, bool)> {
        let (schema, name, if_not_exists) = match self {
            Self::CreateTable(s) | Self::CreateSource(s) => (&s.schema, &s.name, s.if_not_exists),
            Self::CreateView(v) => (&v.schema, &v.name, v.if_not_exists),
            Self::CreateSink(s) => (&s.schema, &s.name, s.if_not_exists),
            Self::Alert(AlertStatement::Create(a)) => return Some((a.name.clone(), a.if_not_exists)),
            Self::CreateDashboard(d) => return Some((d.name.clone(), d.if_not_exists)),
            _ => return None,
        };
        Some((ObjectName { schema: schema.clone(), name: name.clone() }, if_not_exists))
    }

    /// CREATE MATERIALIZED VIEW.
    pub fn is_materialized_view(&self) -> bool {
        matches!(self, Self::CreateView(view) if view.materialized)
    }

    /// The same statement with other options.
    pub fn with_options(&self, options: Options) -> Self {
        match self.clone() {
            Self::CreateTable(s) => Self::CreateTable(CreateSource { options, ..s }),
            Self::CreateSource(s) => Self::CreateSource(CreateSource { options, ..s }),
            Self::CreateSink(s) => Self::CreateSink(CreateSink { options, ..s }),
            other => other,
        }
    }

    /// Options of a source or sink.
    pub fn options(&self) -> Option<&Options> {
        match self {
            Self::CreateTable(s) | Self::CreateSource(s) => Some(&s.options),
            Self::CreateSink(s) => Some(&s.options),
            _ => None,
        }
    }
}
