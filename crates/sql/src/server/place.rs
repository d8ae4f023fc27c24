//! Where in a statement's text a name stands that an error is about. It must not know what names mean.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Location;
use thalweg_core::{SqlError, SqlState};

use super::statement::{Statement, StatementKind, position};
use crate::parse::normalized;

/// `error` with the place of the name that it is about, if it is about one and does not say so itself.
pub fn placed(error: SqlError, statement: &Statement) -> SqlError {
    let about = match error.state {
        SqlState::UNDEFINED_TABLE => About::Relation,
        SqlState::UNDEFINED_COLUMN | SqlState::AMBIGUOUS_COLUMN => About::Column,
        SqlState::UNDEFINED_FUNCTION => About::Function,
        _ => return error,
    };
    if error.position.is_some() {
        return error;
    }
    // What follows the first sentence names what is there, not what is missing.
    let message = error.message.split(". ").next().unwrap_or_default();
    let mut search = Search { about, message, found: None };
    let _ = match statement.kind.as_ref() {
        StatementKind::Query(query) => query.visit(&mut search),
        StatementKind::Sql(sql) => sql.visit(&mut search),
        _ => return error,
    };
    let place = search.found.and_then(|at| position(&statement.whole, at.line, at.column));
    SqlError { position: place, ..error }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Relation,
    Column,
    Function,
}

/// Finds the first name of a kind that a message names.
struct Search<'a> {
    about: About,
    message: &'a str,
    found: Option<Location>,
}

impl Search<'_> {
    fn look(&mut self, parts: &[Ident]) -> ControlFlow<()> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return ControlFlow::Continue(()) };
        let name = normalized(last.clone());
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let mut words = self.message.split(|c| !is_part(c));
        let named = if name.chars().all(is_part) { words.any(|w| w == name) } else { self.message.contains(&name) };
        if named && first.span.start.line > 0 {
            self.found = Some(first.span.start);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn look_at(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
        let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident()).cloned().collect();
        self.look(&parts)
    }
}

impl Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
        if self.about == About::Relation { self.look_at(name) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match (self.about, expr) {
            (About::Column, Expr::Identifier(name)) => self.look(std::slice::from_ref(name)),
            (About::Column, Expr::CompoundIdentifier(parts)) => self.look(parts),
            (About::Function, Expr::Function(call)) => self.look_at(&call.name),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::parse;
    use super::*;

    fn place(text: &str, state: SqlState, message: &str) -> Option<u32> {
        let statements = parse(text).expect("it parses");
        placed(SqlError::new(state, message), statements.last().expect("one")).position
    }

    #[test]
    fn names_are_found_where_they_stand() {
        let column = SqlState::UNDEFINED_COLUMN;
        assert_eq!(place("SELECT 1, nope FROM t", column, "column nope does not exist"), Some(11));
        assert_eq!(place("SELECT 1;\nSELECT a, t.Nope FROM t", column, "column t.nope does not exist"), Some(21));
        let table = SqlState::UNDEFINED_TABLE;
        assert_eq!(place("SELECT 'é', * FROM nowhere", table, "relation nowhere does not exist"), Some(20));
        assert_eq!(place("SELECT f(1)", SqlState::UNDEFINED_FUNCTION, "function f does not exist"), Some(8));
        assert_eq!(place("SELECT 1 FROM t", table, "relation other does not exist"), None);
        assert_eq!(place("SELECT a FROM t", SqlState::DIVISION_BY_ZERO, "a"), None);
    }
}
