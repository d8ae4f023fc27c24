//! Arrays with PostgreSQL's bounds: they begin with 1, vectors with 0. They must not know what the elements mean.

use datafusion::error::Result;

use super::call::{Call, Entry, Returns, entry};
use crate::system::cell::Cell;

/// `array[index]`.
pub(in crate::system) const SUBSCRIPT: &str = "__subscript";
/// `ARRAY(SELECT …)` of no rows is empty, not null.
pub(in crate::system) const ARRAY_OR_EMPTY: &str = "__array_or_empty";
/// An array or a vector as PostgreSQL writes it.
pub(in crate::system) const ARRAY_TEXT: &str = "__array_text";
/// 1, 2, … for each element, whatever the array's bounds.
pub(in crate::system) const ORDINALS: &str = "__ordinals";

pub(super) static ENTRIES: &[Entry] = &[
    entry("array_lower", 2..=2, "int4", |call| Ok(bounds(call).map(|(first, _)| first).into())),
    entry("array_upper", 2..=2, "int4", |call| Ok(bounds(call).map(|(_, last)| last).into())),
    // Sets of rows: the planner makes rows of the elements.
    entry("generate_subscripts", 2..=3, "_int4", |call| {
        let Some((first, last)) = bounds(call) else { return Ok(Cell::List(Vec::new())) };
        let mut subscripts: Vec<i64> = (first..=last).collect();
        if call.arg(2).bool() == Some(true) {
            subscripts.reverse();
        }
        Ok(subscripts.into())
    }),
    entry("pg_partition_ancestors", 1..=1, "_regclass", |_| Ok(Cell::List(Vec::new()))),
    entry("pg_listening_channels", 0..=0, "_text", |_| Ok(Cell::List(Vec::new()))),
    entry(ORDINALS, 1..=1, "_int4", |call| {
        Ok(call.arg(0).list().map(|items| (1..=items.len()).collect::<Vec<_>>()).into())
    }),
    entry("__option_names", 1..=1, "_text", |call| Ok(options(call, false))),
    entry("__option_values", 1..=1, "_text", |call| Ok(options(call, true))),
    entry(ARRAY_TEXT, 1..=1, "text", |call| {
        let Some(items) = call.arg(0).list() else { return Ok(Cell::Null) };
        let items: Vec<String> = items.iter().map(item_text).collect();
        Ok(if call.is_vector(0) { items.join(" ") } else { format!("{{{}}}", items.join(",")) }.into())
    }),
    Entry { name: ARRAY_OR_EMPTY, arguments: 1..=1, returns: Returns::First, run: array_or_empty },
    Entry { name: SUBSCRIPT, arguments: 2..=2, returns: Returns::Element, run: subscript },
];

/// The first and the last subscript, if there are elements and the dimension asked for is the only one.
fn bounds(call: &Call<'_>) -> Option<(i64, i64)> {
    let items = call.arg(0).list().filter(|items| !items.is_empty())?;
    let count = i64::try_from(items.len()).ok()?;
    let first = i64::from(!call.is_vector(0));
    (call.int(1)? == 1).then_some((first, first + count - 1))
}

fn array_or_empty(call: &Call<'_>) -> Result<Cell> {
    Ok(if call.arg(0).is_null() { Cell::List(Vec::new()) } else { call.arg(0).clone() })
}

fn subscript(call: &Call<'_>) -> Result<Cell> {
    let (Some(items), Some(at)) = (call.arg(0).list(), call.int(1)) else { return Ok(Cell::Null) };
    let first = i64::from(!call.is_vector(0));
    let at = at.checked_sub(first).and_then(|at| usize::try_from(at).ok());
    Ok(at.and_then(|at| items.get(at)).cloned().unwrap_or_default())
}

/// An element within braces.
fn item_text(item: &Cell) -> String {
    match item {
        Cell::Null => "NULL".to_owned(),
        Cell::Bool(truth) => if *truth { "t" } else { "f" }.to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::List(items) => format!("{{{}}}", items.iter().map(item_text).collect::<Vec<_>>().join(",")),
        Cell::Text(text) => {
            let special = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\');
            if text.is_empty() || text.contains(special) || text.eq_ignore_ascii_case("null") {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            } else {
                text.clone()
            }
        }
    }
}

/// The names or values in `{name=value,…}`.
fn options(call: &Call<'_>, values: bool) -> Cell {
    let Some(items) = call.arg(0).list() else { return Cell::Null };
    let part = |item: &Cell| {
        let (name, value) = item.text().and_then(|text| text.split_once('=')).unwrap_or_default();
        Cell::from(if values { value } else { name })
    };
    Cell::List(items.iter().map(part).collect())
}
