//! Errors and notices as psql shows them: severity, message, the place in the text, detail and hint. It must not know who
//! asks.

use std::error::Error as _;
use std::fmt::Write as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::layout::width;

/// Longer lines are shown around the place.
const MAX_LINE_CHARS: usize = 120;

/// An error of a statement.
pub(crate) fn error(error: &Error, statement: &str) -> String {
    match error.as_db_error() {
        Some(db) => db_error(db, statement),
        None => match error.source() {
            Some(source) => format!("ERROR:  {error}: {source}\n"),
            None => format!("ERROR:  {error}\n"),
        },
    }
}

/// What the server says of a statement; the statement is empty where there is none.
pub(crate) fn db_error(db: &DbError, statement: &str) -> String {
    let mut out = format!("{}:  {}\n", db.severity(), db.message());
    if let Some(ErrorPosition::Original(position)) = db.position() {
        out.push_str(&place(statement, *position as usize));
    }
    for (title, text) in [("DETAIL", db.detail()), ("HINT", db.hint()), ("CONTEXT", db.where_())] {
        if let Some(text) = text {
            let _ = writeln!(out, "{title}:  {text}");
        }
    }
    out
}

/// A notice.
pub(crate) fn notice(notice: &DbError) -> String {
    db_error(notice, "")
}

/// `LINE 2: …` and a caret under the character at `position`, which counts from 1.
fn place(statement: &str, position: usize) -> String {
    let Some(before) = position.checked_sub(1).filter(|at| *at < statement.chars().count()) else {
        return String::new();
    };
    let at = statement.char_indices().nth(before).map_or(0, |(at, _)| at);
    let start = statement[..at].rfind('\n').map_or(0, |n| n + 1);
    let line: Vec<char> = statement[start..].lines().next().unwrap_or_default().chars().collect();
    let column = statement[start..at].chars().count();
    let (mut from, mut to) = (0, line.len());
    if line.len() > MAX_LINE_CHARS {
        from = column.saturating_sub(MAX_LINE_CHARS / 2);
        to = (from + MAX_LINE_CHARS).min(line.len());
    }
    let cut = |from: usize, to: usize| {
        line[from..to.max(from)].iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect::<String>()
    };
    let dots = |is_cut: bool| if is_cut { "..." } else { "" };
    let head = format!("LINE {}: {}", statement[..at].matches('\n').count() + 1, dots(from > 0));
    let shown = cut(from, to);
    let caret = width(&head) + width(&cut(from, column.min(line.len())));
    format!("{head}{shown}{}\n{:caret$}^\n", dots(to < line.len()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(place("SELECT x", 8), "LINE 1: SELECT x\n               ^\n");
        assert_eq!(place("SELECT\n  'é', y", 15), "LINE 2:   'é', y\n               ^\n");
        assert_eq!(place("SELECT", 0), "");
        assert_eq!(place("SELECT", 99), "");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("SELECT {} here {}", "a,".repeat(200), "b,".repeat(200));
        let shown = place(&text, text.find("here").expect("it is there") + 1);
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[0].starts_with("LINE 1: ...") && lines[0].ends_with("..."));
        assert_eq!(lines[0].find("here"), lines[1].find('^'));
    }
}
