//! `CREATE ROLE` and `ALTER ROLE`: their options as data, and how they are read. It must not know roles.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::statement::{Parsed, StatementKind};
use crate::parse::{expect_word, normalized, take_word};

/// An option of CREATE ROLE and ALTER ROLE.
#[derive(Clone, PartialEq, Eq)]
pub enum RoleOption {
    /// SUPERUSER or NOSUPERUSER.
    Superuser(bool),
    /// CREATEDB or NOCREATEDB.
    CreateDb(bool),
    /// CREATEROLE or NOCREATEROLE.
    CreateRole(bool),
    /// LOGIN or NOLOGIN.
    Login(bool),
    /// PASSWORD: the text, or NULL.
    Password(Option<String>),
    /// IN ROLE: whose rights it has.
    InRole(String),
}

impl std::fmt::Debug for RoleOption {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Superuser(on) => write!(f, "Superuser({on})"),
            Self::CreateDb(on) => write!(f, "CreateDb({on})"),
            Self::CreateRole(on) => write!(f, "CreateRole({on})"),
            Self::Login(on) => write!(f, "Login({on})"),
            Self::Password(_) => f.write_str("Password(…)"),
            Self::InRole(role) => write!(f, "InRole({role})"),
        }
    }
}

/// `CREATE | ALTER  USER | ROLE name [WITH] option …`. A user may log in unless it is said, a role may not.
pub(super) fn role(p: &mut Parser) -> Parsed<StatementKind> {
    let create = take_word(p, "CREATE");
    if !create {
        expect_word(p, "ALTER")?;
    }
    let is_user = take_word(p, "USER");
    if !is_user {
        expect_word(p, "ROLE")?;
    }
    let if_not_exists = create && p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = normalized(p.parse_identifier()?);
    take_word(p, "WITH");
    let mut options = if create { vec![RoleOption::Login(is_user)] } else { Vec::new() };
    while p.peek_token().token != Token::EOF {
        options.extend(role_option(p)?);
    }
    Ok(if create {
        StatementKind::CreateRole { name, if_not_exists, options }
    } else {
        StatementKind::AlterRole { name, options }
    })
}

fn role_option(p: &mut Parser) -> Parsed<Vec<RoleOption>> {
    type Make = fn(bool) -> RoleOption;
    let switches: [(&str, Make); 5] = [
        ("SUPERUSER", RoleOption::Superuser),
        ("CREATEDB", RoleOption::CreateDb),
        ("CREATEROLE", RoleOption::CreateRole),
        ("CREATEUSER", RoleOption::CreateRole),
        ("LOGIN", RoleOption::Login),
    ];
    for (word, make) in switches {
        if take_word(p, word) {
            return Ok(vec![make(true)]);
        }
        if take_word(p, &format!("NO{word}")) {
            return Ok(vec![make(false)]);
        }
    }
    if take_word(p, "INHERIT") {
        return Ok(Vec::new());
    }
    if take_word(p, "IN") {
        if !take_word(p, "ROLE") {
            expect_word(p, "GROUP")?;
        }
        let roles = p.parse_comma_separated(Parser::parse_identifier)?;
        return Ok(roles.into_iter().map(|r| RoleOption::InRole(normalized(r))).collect());
    }
    take_word(p, "ENCRYPTED");
    if take_word(p, "PASSWORD") {
        let token = p.next_token();
        let password = match token.token {
            Token::Word(ref word) if word.keyword == Keyword::NULL => None,
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text),
            Token::DollarQuotedString(text) => Some(text.value),
            _ => return Err(ParserError::ParserError("PASSWORD takes a string or NULL".to_owned())),
        };
        return Ok(vec![RoleOption::Password(password)]);
    }
    let expected = "SUPERUSER, CREATEDB, CREATEROLE, LOGIN, each with NO before it, PASSWORD or IN ROLE";
    p.expected(expected, p.peek_token())
}
