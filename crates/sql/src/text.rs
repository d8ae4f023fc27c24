//! `${KEY}` in the text of a script. It must not know SQL.

use std::collections::BTreeMap;

use crate::Problem;

/// Replaces `${KEY}` by its value and `${KEY:-default}` by the value or the default. `$${` stands for `${`; comments are left alone.
///
/// # Errors
/// Every key that has neither, with its place.
pub(crate) fn substitute(text: &str, values: &BTreeMap<String, String>) -> Result<String, Vec<Problem>> {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    let mut quoted = false;
    while let Some(next) = rest.find(['\'', '-', '/', '$']) {
        out.push_str(&rest[..next]);
        let at = text.len() - rest.len() + next;
        rest = &rest[next..];
        let taken = if rest.starts_with('\'') {
            quoted = !quoted;
            1
        } else if !quoted && rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if !quoted && rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("$${") {
            out.push_str("${");
            rest = &rest[3..];
            continue;
        } else if let Some(end) = rest.strip_prefix("${").and_then(|key| key.find('}')) {
            match value(&rest[2..2 + end], values) {
                Some(value) => out.push_str(value),
                None => {
                    let (line, column) = place(text, at);
                    let key = &rest[2..2 + end];
                    let message = format!("${{{key}}} has no value\n  hint: Give it with -e {key}=VALUE.");
                    problems.push(Problem::new(line, column, message));
                }
            }
            rest = &rest[end + 3..];
            continue;
        } else {
            1
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

/// What `KEY` or `KEY:-default` stands for.
fn value<'a>(key: &'a str, values: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let (key, default) = match key.split_once(":-") {
        Some((key, default)) => (key, Some(default)),
        None => (key, None),
    };
    values.get(key).map(String::as_str).or(default)
}

fn place(text: &str, offset: usize) -> (u64, u64) {
    let before = &text[..offset];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) as u64 + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_defaults_and_missing_keys() {
        let values = BTreeMap::from([("DIR".to_owned(), "/data".to_owned())]);
        assert_eq!(substitute("a ${DIR}/x.${F:-csv} $${DIR}", &values), Ok("a /data/x.csv ${DIR}".to_owned()));
        assert_eq!(
            substitute("1 -- ${NOPE}\n/* ${NOPE} */ '--${DIR}'", &values),
            Ok("1 -- ${NOPE}\n/* ${NOPE} */ '--/data'".to_owned())
        );
        let problems = substitute("one\n  ${NOPE}", &values).expect_err("NOPE has no value");
        assert_eq!((problems[0].line, problems[0].column), (2, 3));
    }
}
