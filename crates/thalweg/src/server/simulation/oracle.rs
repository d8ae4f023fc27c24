//! What must be true of what is read: every writer's rows are 1 to *n*, all objects say so of the same *n*, and *n* never
//! goes back behind what a writer or reader was told. It must not know how it came about.

use std::collections::BTreeMap;

use super::objects::{Rows, expected};

/// How many rows of each writer `rows` holds: (writer, n, …), each once.
///
/// # Errors
/// One is missing between others, or there twice.
pub(super) fn written(rows: &Rows, writers: usize) -> Result<Vec<i64>, String> {
    let mut counts = vec![0; writers];
    for row in rows {
        let count = &mut counts[usize::try_from(row[0]).expect("a writer")];
        if row[1] != *count + 1 {
            return Err(format!("of writer {} row {} comes after row {count}", row[0], row[1]));
        }
        *count += 1;
    }
    Ok(counts)
}

/// Checks all objects at one epoch; how many rows of each writer are there.
///
/// # Errors
/// They do not agree, or something is missing, torn or twice.
pub(super) fn check(seen: &BTreeMap<&'static str, Rows>, writers: usize) -> Result<Vec<i64>, String> {
    let counts = written(&seen["a"], writers).map_err(|wrong| format!("a: {wrong}"))?;
    let expected = expected(&counts);
    for (name, rows) in seen {
        if *rows != expected[name] {
            return Err(format!("{name} is {rows:?}, and by a with {counts:?} it is {:?}", expected[name]));
        }
    }
    Ok(counts)
}

/// What has been promised to someone must still be so.
///
/// # Errors
/// It is not.
pub(super) fn not_less(counts: &[i64], promised: &[i64], sent: &[i64]) -> Result<(), String> {
    for (writer, ((n, promised), sent)) in counts.iter().zip(promised).zip(sent).enumerate() {
        if n < promised {
            return Err(format!("of writer {writer} {n} rows are there, and {promised} were promised"));
        }
        if n > sent {
            return Err(format!("of writer {writer} {n} rows are there, and {sent} were sent"));
        }
    }
    Ok(())
}
