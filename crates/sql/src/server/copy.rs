//! `COPY`: its two ends and its options as data, and how they are read. It must not know tables.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::names::ObjectName;
use super::statement::{Parsed, StatementKind, object};
use crate::parse::{expect_word, normalized};

/// One end of COPY.
#[derive(Clone, Debug)]
pub enum CopySide {
    /// A relation and columns of it (none: all).
    Relation(ObjectName, Vec<String>),
    /// A query.
    Query(Box<ast::Query>),
}

/// Which way COPY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// FROM STDIN.
    In,
    /// TO STDOUT.
    Out,
}

pub(super) fn copy(p: &mut Parser) -> Parsed<StatementKind> {
    let side = if p.consume_token(&Token::LParen) {
        let query = crate::parse::query(p)?;
        p.expect_token(&Token::RParen)?;
        CopySide::Query(query)
    } else {
        let name = object(p)?;
        let columns = if p.peek_token().token == Token::LParen {
            p.next_token();
            let columns = p.parse_comma_separated(Parser::parse_identifier)?;
            p.expect_token(&Token::RParen)?;
            columns.into_iter().map(normalized).collect()
        } else {
            Vec::new()
        };
        CopySide::Relation(name, columns)
    };
    let direction = if p.parse_keyword(Keyword::FROM) {
        expect_word(p, "STDIN")?;
        CopyDirection::In
    } else {
        p.expect_keyword(Keyword::TO)?;
        expect_word(p, "STDOUT")?;
        CopyDirection::Out
    };
    Ok(StatementKind::Copy { side, direction, options: copy_options(p)? })
}

/// `WITH (FORMAT csv, HEADER true, …)` or the old `CSV HEADER DELIMITER ','`.
fn copy_options(p: &mut Parser) -> Parsed<Vec<(String, String)>> {
    let _ = p.parse_keyword(Keyword::WITH);
    let parenthesised = p.consume_token(&Token::LParen);
    let mut options = Vec::new();
    loop {
        let token = p.next_token();
        let Token::Word(word) = &token.token else {
            match token.token {
                Token::EOF if !parenthesised => return Ok(options),
                Token::RParen if parenthesised => return Ok(options),
                Token::Comma if parenthesised => continue,
                _ => return p.expected("an option of COPY", token),
            }
        };
        let name = word.value.to_lowercase();
        if !parenthesised && matches!(name.as_str(), "csv" | "binary" | "text") {
            options.push(("format".to_owned(), name));
            continue;
        }
        if !parenthesised && name == "as" {
            continue;
        }
        let _ = p.parse_keyword(Keyword::AS);
        let value = match &p.peek_token().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text.clone()),
            Token::Word(word) if parenthesised => Some(word.value.to_lowercase()),
            Token::Number(digits, _) => Some(digits.clone()),
            _ => None,
        };
        if value.is_some() {
            p.next_token();
        }
        options.push((name, value.unwrap_or_else(|| "true".to_owned())));
    }
}
