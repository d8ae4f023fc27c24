//! Text to statements: streaming DDL around sqlparser's queries and expressions. It must not know the catalog.

use datafusion::sql::sqlparser::ast::{Expr, Query};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use thalweg_core::{OptionValue, Options};
use thalweg_plan::OnViolation;

use crate::Problem;
use crate::spelling::as_postgres_reads;
use crate::statement::{
    ColumnDef, CreateSink, CreateSource, CreateView, ExpectationDef, Located, SinkInput, Statement,
};

type Result<T> = std::result::Result<T, ParserError>;

/// Every statement of `text`, and every problem; a statement that does not parse does not hide the next.
pub(crate) fn parse(text: &str) -> (Vec<Located>, Vec<Problem>) {
    let dialect = PostgreSqlDialect {};
    let tokens = match Tokenizer::new(&dialect, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(e) => return (Vec::new(), vec![Problem::new(e.location.line, e.location.column, e.message)]),
    };
    let (mut statements, mut problems) = (Vec::new(), Vec::new());
    for tokens in tokens.split(|t| t.token == Token::SemiColon) {
        let Some(first) = tokens.iter().find(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)) else {
            continue;
        };
        let (line, column) = (first.span.start.line, first.span.start.column);
        match parse_one(&dialect, tokens) {
            Ok(statement) => statements.push(Located { statement, line, column }),
            Err(ParserError::ParserError(m) | ParserError::TokenizerError(m)) => {
                problems.push(Problem::from_parser(&m, (line, column)));
            }
            Err(ParserError::RecursionLimitExceeded) => {
                problems.push(Problem::new(line, column, "the statement is nested too deeply"));
            }
        }
    }
    (statements, problems)
}

fn parse_one(dialect: &PostgreSqlDialect, tokens: &[TokenWithSpan]) -> Result<Statement> {
    refuse_multiset_operations(tokens)?;
    let clauses = Clauses::cut(tokens);
    let mut options = Vec::new();
    if let Some(with) = &clauses.with {
        options = parse_options(&mut parser(dialect, with.clone()))?;
    }
    let mut p = parser(dialect, clauses.body);
    let statement = if p.parse_keyword(Keyword::CREATE) {
        parse_create(&mut p, options, clauses.emit_on_close)?
    } else if p.parse_keyword(Keyword::SET) {
        while p.next_token().token != Token::EOF {}
        Statement::Set
    } else if p.parse_keywords(&[Keyword::INSERT, Keyword::INTO]) {
        let table = name(&mut p)?;
        let columns = if p.peek_token().token == Token::LParen { names_in_parentheses(&mut p)? } else { Vec::new() };
        Statement::Insert { table, columns, rows: query(&mut p)? }
    } else if matches!(&p.peek_token().token, Token::LParen)
        || matches!(&p.peek_token().token, Token::Word(w) if is_query(w.keyword))
    {
        Statement::Query(query(&mut p)?)
    } else {
        return p.expected(
            "CREATE SOURCE, CREATE TABLE, CREATE VIEW, CREATE MATERIALIZED VIEW, CREATE SINK, INSERT or SELECT",
            p.peek_token(),
        );
    };
    match p.peek_token() {
        t if t.token == Token::EOF => Ok(statement),
        t => p.expected("end of statement", t),
    }
}

/// The planner counts INTERSECT ALL and EXCEPT ALL as joins do, which is wrong for rows that stand several times.
pub(crate) fn refuse_multiset_operations(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut words = tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).peekable();
    while let Some(word) = words.next() {
        let all = words.peek().is_some_and(|next| is_word(next, "ALL"));
        for name in ["INTERSECT", "EXCEPT"] {
            if all && is_word(word, name) {
                let place = word.span.start;
                let message = format!(
                    "{name} ALL is not supported; use {name} at Line: {}, Column: {}",
                    place.line, place.column
                );
                return Err(ParserError::ParserError(message));
            }
        }
    }
    Ok(())
}

fn is_query(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES)
}

pub(crate) fn parser<'a>(dialect: &'a PostgreSqlDialect, tokens: Vec<TokenWithSpan>) -> Parser<'a> {
    Parser::new(dialect).with_tokens_with_locations(tokens)
}

/// A statement's tokens without the clauses that sqlparser does not know.
pub(crate) struct Clauses {
    pub body: Vec<TokenWithSpan>,
    /// What stands in `WITH ( … )`, and `FORMAT … ENCODE …` after it.
    pub with: Option<Vec<TokenWithSpan>>,
    pub emit_on_close: bool,
}

impl Clauses {
    pub fn cut(tokens: &[TokenWithSpan]) -> Self {
        let words: Vec<TokenWithSpan> =
            tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).cloned().collect();
        let is_create = words.first().is_some_and(|t| is_word(t, "CREATE"));
        let mut clauses = Self { body: Vec::new(), with: None, emit_on_close: false };
        let mut depth = 0;
        let mut i = 0;
        while i < words.len() {
            match &words[i].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            let emit = ["EMIT", "ON", "WINDOW", "CLOSE"];
            if depth == 0 && words[i..].len() >= 4 && emit.iter().zip(&words[i..]).all(|(w, t)| is_word(t, w)) {
                clauses.emit_on_close = true;
                i += 4;
                continue;
            }
            let options = words.get(i + 1).is_some_and(|t| t.token == Token::LParen);
            if is_create && depth == 0 && options && is_word(&words[i], "WITH") {
                let end = closing(&words, i + 1);
                clauses.with = Some(words[i + 1..end].to_vec());
                i = end;
                continue;
            }
            clauses.body.push(words[i].clone());
            i += 1;
        }
        clauses
    }
}

/// The position after the parenthesis that closes the one at `open`, or the end.
fn closing(words: &[TokenWithSpan], open: usize) -> usize {
    let mut depth = 0;
    for (i, word) in words.iter().enumerate().skip(open) {
        match word.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    words.len()
}

pub(crate) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

pub(crate) fn parse_create(
    p: &mut Parser,
    options: Vec<(String, OptionValue)>,
    emit_on_close: bool,
) -> Result<Statement> {
    if p.parse_keyword(Keyword::TABLE) {
        return Ok(Statement::CreateTable(parse_source(p, options)?));
    }
    if take_word(p, "SOURCE") {
        return Ok(Statement::CreateSource(parse_source(p, options)?));
    }
    if p.parse_keyword(Keyword::VIEW) {
        return parse_view(p, false, emit_on_close);
    }
    if p.parse_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW]) {
        return parse_view(p, true, emit_on_close);
    }
    if take_word(p, "SINK") {
        let if_not_exists = if_not_exists(p);
        let (schema, name) = qualified(p)?;
        let from = if p.parse_keyword(Keyword::FROM) {
            SinkInput::Relation(self::name(p)?)
        } else if p.parse_keyword(Keyword::AS) {
            SinkInput::Query(query(p)?)
        } else {
            return p.expected("FROM relation or AS query", p.peek_token());
        };
        let options = Options::written(options);
        return Ok(Statement::CreateSink(CreateSink { schema, name, if_not_exists, from, emit_on_close, options }));
    }
    p.expected("SOURCE, TABLE, VIEW, MATERIALIZED VIEW or SINK", p.peek_token())
}

fn parse_view(p: &mut Parser, materialized: bool, emit_on_close: bool) -> Result<Statement> {
    let if_not_exists = if_not_exists(p);
    let (schema, name) = qualified(p)?;
    let columns = if p.peek_token().token == Token::LParen { names_in_parentheses(p)? } else { Vec::new() };
    p.expect_keyword(Keyword::AS)?;
    let query = query(p)?;
    Ok(Statement::CreateView(CreateView { schema, name, if_not_exists, materialized, columns, query, emit_on_close }))
}

fn parse_source(p: &mut Parser, mut options: Vec<(String, OptionValue)>) -> Result<CreateSource> {
    let if_not_exists = if_not_exists(p);
    let (schema, name) = qualified(p)?;
    let mut source = CreateSource {
        schema,
        name,
        if_not_exists,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        expectations: Vec::new(),
        options: Options::default(),
    };
    if p.consume_token(&Token::LParen) {
        parse_columns(p, &mut source)?;
    }
    if take_word(p, "APPEND") {
        expect_word(p, "ONLY")?;
    }
    if p.parse_keyword(Keyword::FORMAT) {
        let format = p.parse_identifier()?.value;
        if !format.eq_ignore_ascii_case("plain") {
            return Err(ParserError::ParserError(format!("FORMAT {format} is not supported; use FORMAT PLAIN")));
        }
        if take_word(p, "ENCODE") {
            let format = p.parse_identifier()?.value.to_lowercase();
            options.push(("format".to_owned(), OptionValue::Plain(format)));
            if p.peek_token().token == Token::LParen {
                options.extend(parse_options(p)?);
            }
        }
    }
    if take_word(p, "EXPECT") {
        source.expectations = parse_expectations(p)?;
    }
    source.options = Options::written(options);
    Ok(source)
}

/// `(name CHECK (expr) [ON VIOLATION FAIL | DROP | QUARANTINE], …)`. Unless said, nothing is lost: rows are set aside.
fn parse_expectations(p: &mut Parser) -> Result<Vec<ExpectationDef>> {
    p.expect_token(&Token::LParen)?;
    let all = p.parse_comma_separated(|p| {
        let name = normalized(p.parse_identifier()?);
        p.expect_keyword(Keyword::CHECK)?;
        p.expect_token(&Token::LParen)?;
        let check = expression(p)?;
        p.expect_token(&Token::RParen)?;
        let mut on = OnViolation::Quarantine;
        if p.parse_keyword(Keyword::ON) {
            expect_word(p, "VIOLATION")?;
            let all = [OnViolation::Fail, OnViolation::Drop, OnViolation::Quarantine];
            on = match all.into_iter().find(|on| is_word(&p.peek_token(), on.word())) {
                Some(on) => on,
                None => return p.expected("FAIL, DROP or QUARANTINE", p.peek_token()),
            };
            p.next_token();
        }
        Ok(ExpectationDef { name, check, on })
    })?;
    p.expect_token(&Token::RParen)?;
    match all.iter().enumerate().find(|(i, e)| all[..*i].iter().any(|f| f.name == e.name)) {
        None => Ok(all),
        Some((_, twice)) => Err(ParserError::ParserError(format!("expectation {} is declared twice", twice.name))),
    }
}

fn parse_columns(p: &mut Parser, source: &mut CreateSource) -> Result<()> {
    loop {
        if take_word(p, "WATERMARK") {
            p.expect_keyword(Keyword::FOR)?;
            let column = p.parse_identifier()?;
            p.expect_keyword(Keyword::AS)?;
            source.watermark = Some((column, expression(p)?));
        } else if p.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
            source.primary_key = names_in_parentheses(p)?;
        } else if p.peek_token().token == Token::Mul {
            p.next_token();
        } else {
            parse_column(p, source)?;
        }
        if p.consume_token(&Token::Comma) {
            continue;
        }
        p.expect_token(&Token::RParen)?;
        return Ok(());
    }
}

fn parse_column(p: &mut Parser, source: &mut CreateSource) -> Result<()> {
    let name = normalized(p.parse_identifier()?);
    let data_type = if p.peek_token().token == Token::Comma || is_word(&p.peek_token(), "AS") {
        None
    } else {
        Some(p.parse_data_type()?)
    };
    let mut column = ColumnDef { name, data_type, not_null: false, generated: None, default: None };
    loop {
        if p.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
            column.not_null = true;
        } else if p.parse_keyword(Keyword::NULL) {
        } else if p.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
            source.primary_key = vec![column.name.clone()];
        } else if p.parse_keyword(Keyword::DEFAULT) {
            column.default = Some(expression(p)?);
        } else if p.parse_keyword(Keyword::GENERATED) {
            p.expect_keywords(&[Keyword::ALWAYS, Keyword::AS])?;
            column.generated = Some(expression(p)?);
            take_word(p, "STORED");
        } else if p.parse_keyword(Keyword::AS) {
            column.generated = Some(expression(p)?);
        } else {
            break;
        }
    }
    if column.data_type.is_none() && column.generated.is_none() {
        return p.expected("a data type", p.peek_token());
    }
    source.columns.push(column);
    Ok(())
}

pub(crate) fn query(p: &mut Parser) -> Result<Box<Query>> {
    let mut query = p.parse_query()?;
    as_postgres_reads(query.as_mut())?;
    Ok(query)
}

fn expression(p: &mut Parser) -> Result<Expr> {
    let mut expr = p.parse_expr()?;
    as_postgres_reads(&mut expr)?;
    Ok(expr)
}

pub(crate) fn parse_options(p: &mut Parser) -> Result<Vec<(String, OptionValue)>> {
    let mut options = Vec::new();
    p.expect_token(&Token::LParen)?;
    loop {
        if p.consume_token(&Token::RParen) {
            return Ok(options);
        }
        let key = parse_option_key(p)?;
        options.push((key, parse_option_value(p)?));
        if !p.consume_token(&Token::Comma) {
            p.expect_token(&Token::RParen)?;
            return Ok(options);
        }
    }
}

/// Options none of which is a secret.
pub(crate) fn parse_plain_options(p: &mut Parser) -> Result<Vec<(String, String)>> {
    let plain = |(key, value): (String, OptionValue)| match value {
        OptionValue::Plain(text) => Ok((key, text)),
        OptionValue::Secret(_) => Err(ParserError::ParserError(format!("option {key} is no secret"))),
    };
    parse_options(p)?.into_iter().map(plain).collect()
}

/// Keys may have dots and hyphens: `fields.id.kind`, `rows-per-second`.
fn parse_option_key(p: &mut Parser) -> Result<String> {
    let mut key = String::new();
    loop {
        let token = p.next_token();
        match token.token {
            Token::Eq => return Ok(key),
            Token::Word(word) => key.push_str(&word.value),
            Token::SingleQuotedString(text) => key.push_str(&text),
            Token::Period => key.push('.'),
            Token::Minus => key.push('-'),
            Token::Number(digits, _) => key.push_str(&digits),
            _ => return p.expected("an option: name = 'value'", token),
        }
    }
}

fn parse_option_value(p: &mut Parser) -> Result<OptionValue> {
    if is_word(&p.peek_token(), "SECRET") && matches!(p.peek_nth_token_ref(1).token, Token::Word(_)) {
        p.next_token();
        return Ok(OptionValue::Secret(name(p)?));
    }
    parse_plain_value(p).map(OptionValue::Plain)
}

fn parse_plain_value(p: &mut Parser) -> Result<String> {
    let token = p.next_token();
    match token.token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text),
        Token::Number(digits, _) => Ok(digits),
        Token::Word(word) => Ok(word.value),
        Token::Minus => Ok(format!("-{}", parse_plain_value(p)?)),
        _ => p.expected("an option's value", token),
    }
}

pub(crate) fn names_in_parentheses(p: &mut Parser) -> Result<Vec<String>> {
    p.expect_token(&Token::LParen)?;
    let names = p.parse_comma_separated(Parser::parse_identifier)?;
    p.expect_token(&Token::RParen)?;
    Ok(names.into_iter().map(normalized).collect())
}

/// A name without its schema; schemas are the server's.
fn name(p: &mut Parser) -> Result<String> {
    qualified(p).map(|(_, name)| name)
}

/// A schema, if given, and a name.
pub(crate) fn qualified(p: &mut Parser) -> Result<(Option<String>, String)> {
    let parts = p.parse_object_name(false)?.0;
    let mut names: Vec<String> = parts.iter().filter_map(|part| part.as_ident()).cloned().map(normalized).collect();
    match (names.pop(), names.pop()) {
        (Some(name), schema) if names.len() <= 1 => Ok((schema, name)),
        _ => Err(ParserError::ParserError("a name is expected".to_owned())),
    }
}

pub(crate) fn normalized(ident: datafusion::sql::sqlparser::ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value } else { ident.value.to_lowercase() }
}

fn if_not_exists(p: &mut Parser) -> bool {
    p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
}

pub(crate) fn take_word(p: &mut Parser, word: &str) -> bool {
    let found = is_word(&p.peek_token(), word);
    if found {
        p.next_token();
    }
    found
}

pub(crate) fn expect_word(p: &mut Parser, word: &str) -> Result<()> {
    if take_word(p, word) { Ok(()) } else { p.expected(word, p.peek_token()) }
}
