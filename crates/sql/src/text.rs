//! `${KEY}` in the text of a script. It must not know SQL.

use std::collections::BTreeMap;

use crate::Problem;

/// Replaces `${KEY}` by its value and `${KEY:-default}` by the value or the default. `$${` stands for `${`.
///
/// # Errors
/// Every key that has neither, with its place.
pub(crate) fn substitute(text: &str, values: &BTreeMap<String, String>) -> Result<String, Vec<Problem>> {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start + 1]);
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else {
            out.push_str(&rest[start..]);
            rest = "";
            break;
        };
        let (key, default) = match after[..end].split_once(":-") {
            Some((key, default)) => (key, Some(default)),
            None => (&after[..end], None),
        };
        match values.get(key).map(String::as_str).or(default) {
            Some(value) => out.push_str(value),
            None => {
                let (line, column) = place(text, text.len() - rest.len() + start);
                let message = format!("${{{key}}} has no value\n  hint: Give it with -e {key}=VALUE.");
                problems.push(Problem::new(line, column, message));
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    if problems.is_empty() { Ok(out) } else { Err(problems) }
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
        let problems = substitute("one\n  ${NOPE}", &values).expect_err("NOPE has no value");
        assert_eq!((problems[0].line, problems[0].column), (2, 3));
    }
}
