//! `SqlHelper`: completion of keywords and names, and when Enter runs what was typed. It must not know the server.

use std::collections::{BTreeMap, BTreeSet};

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::command;
use super::split;

const KEYWORDS: &str = "ALTER AND AS ASC BEGIN BETWEEN BY CASE CAST COMMIT COUNT CREATE CROSS DELETE DESC DESCRIBE DISTINCT \
    DROP ELSE EMIT END EXISTS EXPLAIN FALSE FIRST FLUSH FROM FULL GRANT GROUP HAVING HOP IF IN INDEX INNER INSERT INTERVAL \
    INTO IS JOIN KEY LAST LEFT LIKE LIMIT MATERIALIZED NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER PARTITION PRIMARY \
    REVOKE RIGHT ROLLBACK SELECT SESSION SET SHOW SINK SOURCE SUBSCRIBE SUM TABLE THEN TRUE TUMBLE UNION UPDATE USER USING \
    VALUES VIEW WATERMARK WHEN WHERE WINDOW WITH";

/// After these words a relation is named.
const BEFORE_RELATION: [&str; 9] = ["from", "join", "into", "update", "table", "view", "describe", "source", "sink"];

/// Relations and their columns.
#[derive(Debug, Default)]
pub(super) struct Names {
    columns: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// A column. Relations of other schemas than `public` go by their full name.
    pub(super) fn add(&mut self, schema: &str, relation: &str, column: &str) {
        let relation = quoted(relation);
        let relation = if schema == "public" { relation } else { format!("{}.{relation}", quoted(schema)) };
        self.columns.entry(relation).or_default().insert(quoted(column));
    }

    /// What the word before `pos` may become, and where it begins.
    fn complete(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = &line[..pos];
        if before.trim_start().starts_with('\\') && !before.trim_start().contains(char::is_whitespace) {
            let start = pos - before.trim_start().len();
            let names = command::NAMES.iter().filter(|n| n.starts_with(&before[start..]));
            return (start, names.map(|n| (*n).to_owned()).collect());
        }
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"');
        let start =
            before.rfind(|c| !is_word(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        let begins = |name: &str| name.to_lowercase().starts_with(&word.to_lowercase());
        let previous =
            before[..start].split(|c: char| !is_word(c)).rfind(|w| !w.is_empty()).unwrap_or_default().to_lowercase();
        let is_command = before.trim_start().starts_with('\\');
        let mut found: BTreeSet<String> = BTreeSet::new();
        if let Some((relation, column)) = word.rsplit_once('.')
            && let Some(columns) = self.columns.get(&relation.to_lowercase()).or_else(|| self.columns.get(relation))
        {
            let of_relation = columns.iter().filter(|c| c.to_lowercase().starts_with(&column.to_lowercase()));
            found.extend(of_relation.map(|c| format!("{relation}.{c}")));
        }
        // Names of other schemas only once they are begun.
        let relations = self.columns.keys().filter(|r| begins(r) && (!word.is_empty() || !r.contains('.')));
        if is_command || BEFORE_RELATION.contains(&previous.as_str()) {
            found.extend(relations.cloned());
            return (start, found.into_iter().collect());
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        found.extend(relations.cloned());
        let words: BTreeSet<String> = line.split(|c: char| !is_word(c)).map(str::to_lowercase).collect();
        let mentioned: Vec<_> = self.columns.iter().filter(|(r, _)| words.contains(&r.to_lowercase())).collect();
        let columns = match mentioned.is_empty() {
            true => self.columns.iter().filter(|(r, _)| !r.contains('.')).collect(),
            false => mentioned,
        };
        found.extend(columns.into_iter().flat_map(|(_, c)| c).filter(|c| begins(c)).cloned());
        let is_upper = word.starts_with(char::is_uppercase);
        let keywords = KEYWORDS.split_whitespace().filter(|k| begins(k));
        found.extend(keywords.map(|k| if is_upper { k.to_owned() } else { k.to_lowercase() }));
        (start, found.into_iter().collect())
    }
}

/// A name as it must be written.
fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// What the line editor asks.
#[derive(Default)]
pub(super) struct SqlHelper {
    pub(super) names: Names,
    /// What was typed before and waits for its end.
    pub(super) before: String,
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _ctx: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.names.complete(line, pos);
        Ok((start, found.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }
}

impl Validator for SqlHelper {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let complete = split::is_complete(&format!("{}{}", self.before, ctx.input()));
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Highlighter for SqlHelper {}

impl Helper for SqlHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        for (relation, column) in [("orders", "id"), ("orders", "amount"), ("clicks", "at"), ("Odd", "x")] {
            names.add("public", relation, column);
        }
        names.add("thalweg_catalog", "tables", "name");
        names
    }

    fn complete(line: &str) -> Vec<String> {
        names().complete(line, line.len()).1
    }

    #[test]
    fn relations_follow_from() {
        assert_eq!(complete("SELECT * FROM "), ["\"Odd\"", "clicks", "orders"]);
        assert_eq!(complete("SELECT * FROM OR"), ["orders"]);
        assert_eq!(complete("select * from thalweg_catalog.t"), ["thalweg_catalog.tables"]);
        assert_eq!(complete("\\d cl"), ["clicks"]);
    }

    #[test]
    fn columns_are_those_of_the_mentioned_relations() {
        assert_eq!(complete("SELECT * FROM orders WHERE a"), ["alter", "amount", "and", "as", "asc"]);
        assert_eq!(complete("SELECT * FROM orders WHERE orders.a"), ["orders.amount"]);
        let line = "SELECT  FROM clicks";
        assert_eq!(
            names().complete("SELECT at FROM clicks", 8),
            (7, ["alter", "and", "as", "asc", "at"].map(str::to_owned).to_vec())
        );
        assert!(names().complete(line, 7).1.is_empty());
    }

    #[test]
    fn keywords_keep_the_case() {
        assert_eq!(complete("SEL"), ["SELECT"]);
        assert_eq!(complete("sel"), ["select"]);
        assert!(complete("\\ti").contains(&"\\timing".to_owned()));
    }
}
