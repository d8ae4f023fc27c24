//! `thalweg.toml`: its keys and values with their lines. It must not know what a value means.

use std::path::Path;
use std::sync::Arc;

use thalweg_core::nearest;
use toml::de::{DeTable, DeValue};

use super::table::known;
use super::{Given, Kind, Origin, SETTINGS, Setting};

/// The file that is read when none is named, if it is there.
pub(super) const DEFAULT: &str = "thalweg.toml";
/// Bytes of the file at most.
const MAX_BYTES: u64 = 1 << 20;

/// What the file at `path` sets.
///
/// # Errors
/// It cannot be read or is not TOML; every key that is unknown and every value that is not of its key's kind, with the
/// line.
pub(super) fn read(path: &Path) -> Result<Vec<Given>, Vec<String>> {
    let cannot = |why: String| vec![format!("cannot read {}: {why}", path.display())];
    let size = std::fs::metadata(path).map_err(|e| cannot(e.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(cannot(format!("{size} bytes are more than a file of settings has")));
    }
    parse(path, &std::fs::read_to_string(path).map_err(|e| cannot(e.to_string()))?)
}

/// As [`read`], of a file whose content is `text`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Given>, Vec<String>> {
    let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let at = |offset: usize| format!("{}:{}", path.display(), line(offset));
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or_else(|| path.display().to_string(), |span| at(span.start));
        vec![format!("{place}: {}", error.message())]
    })?;
    let name = Arc::new(path.to_owned());
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let start = key.span().start;
        match known(key.get_ref()) {
            Some(setting) => match text_of(&SETTINGS[setting], value.get_ref()) {
                Ok(text) => given.push(Given { setting, text, origin: Origin::File(Arc::clone(&name), line(start)) }),
                Err(why) => problems.push((start, why)),
            },
            None => problems.push((start, unknown(key.get_ref(), value.get_ref()))),
        }
    }
    if problems.is_empty() {
        return Ok(given);
    }
    problems.sort();
    Err(problems.into_iter().map(|(start, why)| format!("{}: {why}", at(start))).collect())
}

fn unknown(key: &str, value: &DeValue<'_>) -> String {
    let hint = match nearest(key, SETTINGS.iter().map(|s| s.key)) {
        _ if matches!(value, DeValue::Table(_)) => {
            "There are no tables: keys stand alone, as in http-body-limit.".into()
        }
        Some(near) => format!("Did you mean {near}?"),
        None => "thalweg serve --help lists the keys.".to_owned(),
    };
    format!("unknown key {key}\n  hint: {hint}")
}

/// The value as a flag would give it.
fn text_of(setting: &Setting, value: &DeValue<'_>) -> Result<String, String> {
    let item = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let text = match (setting.kind, value) {
        (Kind::Text | Kind::List, DeValue::String(text)) => Some(text.to_string()),
        (Kind::Text | Kind::Number, DeValue::Integer(n)) if n.radix() == 10 => Some(n.as_str().to_owned()),
        (Kind::Flag, DeValue::Boolean(on)) => Some(on.to_string()),
        (Kind::List, DeValue::Array(items)) => {
            items.iter().map(|i| item(i.get_ref())).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        _ => None,
    };
    let wanted = match setting.kind {
        Kind::Text => "a string",
        Kind::Number => "a number",
        Kind::Flag => "true or false",
        Kind::List => "an array of strings",
    };
    text.ok_or_else(|| {
        let (key, sample) = (setting.key, setting.toml(setting.sample));
        format!("{key} takes {wanted}\n  hint: Write it as in {key} = {sample}.")
    })
}
