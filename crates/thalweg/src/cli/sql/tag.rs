//! What a statement's first words say about it. It must not know SQL beyond them.

/// The words at the start, in upper case, comments left out.
fn words(statement: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = statement;
    std::iter::from_fn(move || {
        loop {
            rest = rest
                .trim_start_matches(|c: char| !c.is_alphanumeric() && c != '-' && c != '/' && c != '"' && c != '\'');
            if rest.starts_with("--") {
                rest = rest.find('\n').map_or("", |n| &rest[n..]);
            } else if rest.starts_with("/*") {
                rest = rest.find("*/").map_or("", |n| &rest[n + 2..]);
            } else {
                break;
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        (!word.is_empty()).then(|| word.to_uppercase())
    })
}

/// What is printed when the statement was done and has no rows, as `CREATE TABLE` or `INSERT 0 2`.
pub(super) fn tag(statement: &str, rows: u64) -> String {
    const SKIPPED: [&str; 8] = ["OR", "REPLACE", "TEMP", "TEMPORARY", "UNIQUE", "UNLOGGED", "RECURSIVE", "EXTERNAL"];
    let mut all = words(statement);
    let Some(verb) = all.next() else { return "OK".to_owned() };
    match verb.as_str() {
        "INSERT" => format!("INSERT 0 {rows}"),
        "UPDATE" | "DELETE" | "COPY" | "MERGE" => format!("{verb} {rows}"),
        "CREATE" | "DROP" | "ALTER" | "START" => {
            let mut kind = all.find(|w| !SKIPPED.contains(&w.as_str())).unwrap_or_default();
            if kind == "MATERIALIZED" {
                kind.push_str(" VIEW");
            }
            format!("{verb} {kind}")
        }
        "COMMENT" => "COMMENT".to_owned(),
        "ABORT" => "ROLLBACK".to_owned(),
        "END" => "COMMIT".to_owned(),
        _ => verb,
    }
}

/// Names may have changed.
pub(super) fn changes_catalog(statement: &str) -> bool {
    words(statement).next().is_some_and(|w| matches!(w.as_str(), "CREATE" | "DROP" | "ALTER"))
}

/// The copies that need a stream beside the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    ToStdout,
    FromStdin,
}

/// Whether the statement is such a copy.
pub(super) fn copy(statement: &str) -> Option<Copy> {
    if words(statement).next()? != "COPY" {
        return None;
    }
    let all: Vec<String> = words(statement).collect();
    all.windows(2).find_map(|pair| match [pair[0].as_str(), pair[1].as_str()] {
        ["TO", "STDOUT"] => Some(Copy::ToStdout),
        ["FROM", "STDIN"] => Some(Copy::FromStdin),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_server() {
        assert_eq!(tag("insert into t values (1)", 1), "INSERT 0 1");
        assert_eq!(tag("-- c\nCREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1", 0), "CREATE MATERIALIZED VIEW");
        assert_eq!(tag("/* c */ drop table if exists t", 0), "DROP TABLE");
        assert_eq!(tag("create unique index i on t (a)", 0), "CREATE INDEX");
        assert_eq!(tag("SET x = 1", 0), "SET");
        assert_eq!(tag("end", 0), "COMMIT");
        assert!(changes_catalog("ALTER TABLE t ADD c INT") && !changes_catalog("SELECT 1"));
    }

    #[test]
    fn copies_are_told_by_their_direction() {
        assert_eq!(copy("COPY t (a) TO STDOUT WITH (FORMAT csv)"), Some(Copy::ToStdout));
        assert_eq!(copy("copy t from stdin"), Some(Copy::FromStdin));
        assert_eq!(copy("SELECT 1"), None);
    }
}
