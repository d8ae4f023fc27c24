//! Session settings: `SET`, `SHOW`, `RESET`. It must not know what they change.

use std::collections::BTreeMap;

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::bytes_text;

/// The least that a query can do with.
const MIN_MEMORY_BYTES: usize = 64 << 10;

/// How a setting's value is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Text,
    Bool,
    /// Milliseconds, with or without a unit.
    Duration,
    /// Bytes of memory, with or without a unit.
    Memory,
    /// One value only; another is refused.
    Fixed,
}

/// A setting: name, value at the start, how it is checked, whether clients are told of changes.
type Known = (&'static str, &'static str, Value, bool);

/// The settings that mean something here, and those that clients set and that change nothing.
const KNOWN: &[Known] = &[
    ("application_name", "", Value::Text, true),
    ("background_ddl", "false", Value::Bool, false),
    ("bytea_output", "hex", Value::Text, false),
    ("client_encoding", "UTF8", Value::Fixed, true),
    ("client_min_messages", "notice", Value::Text, false),
    ("datestyle", "ISO, MDY", Value::Text, true),
    ("default_transaction_isolation", "read committed", Value::Text, false),
    ("default_transaction_read_only", "off", Value::Bool, true),
    ("extra_float_digits", "1", Value::Text, false),
    ("idle_in_transaction_session_timeout", "0", Value::Duration, false),
    ("in_hot_standby", "off", Value::Fixed, true),
    ("integer_datetimes", "on", Value::Fixed, true),
    ("intervalstyle", "postgres", Value::Text, true),
    ("is_superuser", "on", Value::Fixed, true),
    ("lc_collate", "C.UTF-8", Value::Fixed, false),
    ("lock_timeout", "0", Value::Duration, false),
    ("max_identifier_length", "63", Value::Fixed, false),
    ("query_memory_limit", "0", Value::Memory, false),
    ("query_mode", "auto", Value::Text, false),
    ("rw_implicit_flush", "false", Value::Bool, false),
    ("search_path", "\"$user\", public", Value::Text, false),
    ("server_encoding", "UTF8", Value::Fixed, true),
    ("server_version", SERVER_VERSION, Value::Fixed, true),
    ("server_version_num", "150000", Value::Fixed, false),
    ("session_authorization", "root", Value::Fixed, true),
    ("sink_decouple", "default", Value::Text, false),
    ("standard_conforming_strings", "on", Value::Bool, true),
    ("statement_timeout", "0", Value::Duration, false),
    ("streaming_parallelism", "default", Value::Text, false),
    ("synchronize_seqscans", "on", Value::Text, false),
    ("row_security", "on", Value::Text, false),
    ("default_tablespace", "", Value::Text, false),
    ("default_table_access_method", "heap", Value::Text, false),
    ("check_function_bodies", "on", Value::Text, false),
    ("xmloption", "content", Value::Text, false),
    ("jit", "off", Value::Text, false),
    ("timezone", "UTC", Value::Text, true),
    ("transaction_isolation", "read committed", Value::Text, false),
    ("transaction_read_only", "off", Value::Bool, false),
    ("visibility_mode", "default", Value::Text, false),
];

/// The PostgreSQL version that clients are told: the dialect is that one's.
pub(crate) const SERVER_VERSION: &str = "15.0";

/// One session's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    changed: BTreeMap<String, String>,
    at_start: BTreeMap<String, String>,
    unreported: Vec<(String, String)>,
}

fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| k.0 == name)
}

/// The name in the letters in which PostgreSQL reports it.
fn reported_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

impl Settings {
    /// For a session of `user` whose queries may use `query_memory_bytes` each unless told otherwise; all that clients are
    /// told at the start is unreported.
    pub fn new(user: &str, superuser: bool, query_memory_bytes: usize) -> Self {
        let mut settings = Self::default();
        settings.at_start.insert("query_memory_limit".to_owned(), bytes_text(query_memory_bytes));
        settings.at_start.insert("session_authorization".to_owned(), user.to_owned());
        settings.at_start.insert("is_superuser".to_owned(), if superuser { "on" } else { "off" }.to_owned());
        let reported = KNOWN.iter().filter(|k| k.3).map(|k| k.0);
        settings.unreported =
            reported.map(|n| (reported_name(n).to_owned(), settings.get(n).unwrap_or_default())).collect();
        settings
    }

    /// The value of a setting; `None` when there is none of that name.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let own = self.changed.get(&name).or_else(|| self.at_start.get(&name));
        own.cloned().or_else(|| known(&name).map(|k| k.1.to_owned()))
    }

    /// True when a boolean setting is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| matches!(v.as_str(), "on" | "true" | "yes" | "1" | "t"))
    }

    /// A duration setting, in milliseconds; `None` when it is off.
    pub fn millis(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|v| duration_millis(&v)).filter(|ms| *ms > 0)
    }

    /// A setting of memory, in bytes.
    pub fn bytes(&self, name: &str) -> Option<usize> {
        self.get(name).and_then(|v| memory_bytes(&v))
    }

    /// Changes a setting. Names with a dot are the client's own.
    ///
    /// # Errors
    /// There is no such setting, or it does not take the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        let name = name.to_lowercase();
        let Some((_, default, kind, reported)) = known(&name) else {
            if name.contains('.') || name.starts_with("rw_") || name.starts_with("streaming_") {
                self.changed.insert(name, value.to_owned());
                return Ok(());
            }
            let error =
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""));
            let near = thalweg_core::nearest(&name, KNOWN.iter().map(|k| k.0));
            return Err(near.map_or(error.clone(), |n| error.hint(format!("Did you mean {n}?"))));
        };
        let wrong = |expected: &str| {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            SqlError::new(SqlState("22023"), message).hint(format!("It takes {expected}."))
        };
        let lower = value.to_lowercase();
        let value = match kind {
            Value::Text => value.to_owned(),
            Value::Bool => match lower.as_str() {
                "on" | "true" | "yes" | "1" | "t" => "on".to_owned(),
                "off" | "false" | "no" | "0" | "f" => "off".to_owned(),
                _ => return Err(wrong("on or off")),
            },
            Value::Duration => {
                let millis = duration_millis(value);
                duration_text(millis.ok_or_else(|| wrong("milliseconds, or a number with ms, s, min, h or d"))?)
            }
            Value::Memory => {
                let bytes = memory_bytes(value).filter(|bytes| *bytes >= MIN_MEMORY_BYTES);
                bytes_text(bytes.ok_or_else(|| wrong("64kB at least: a number of kB, or one with kB, MB, GB or TB"))?)
            }
            Value::Fixed if same_encoding(&lower, default) => (*default).to_owned(),
            Value::Fixed if name == "client_encoding" => return Err(wrong("UTF8")),
            Value::Fixed => {
                let message = format!("parameter \"{name}\" cannot be changed");
                return Err(SqlError::new(SqlState("55P02"), message));
            }
        };
        if *reported && self.get(&name).as_deref() != Some(value.as_str()) {
            self.unreported.push((reported_name(&name).to_owned(), value.clone()));
        }
        self.changed.insert(name, value);
        Ok(())
    }

    /// A setting of the start-up message: RESET goes back to it.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn start(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        self.set(name, value)?;
        if let Some(value) = self.changed.remove(&name.to_lowercase()) {
            self.at_start.insert(name.to_lowercase(), value);
        }
        Ok(())
    }

    /// Back to what it was at the start.
    pub fn reset(&mut self, name: &str) {
        let name = name.to_lowercase();
        let before = self.changed.remove(&name);
        if let (Some(before), Some((_, _, _, true)), Some(value)) = (before, known(&name), self.get(&name))
            && before != value
        {
            self.unreported.push((reported_name(&name).to_owned(), value));
        }
    }

    /// All back to what they were at the start.
    pub fn reset_all(&mut self) {
        let names: Vec<String> = self.changed.keys().cloned().collect();
        names.iter().for_each(|name| self.reset(name));
    }

    /// Every setting, by name.
    pub fn all(&self) -> Vec<(String, String)> {
        KNOWN.iter().map(|k| (k.0.to_owned(), self.get(k.0).unwrap_or_default())).collect()
    }

    /// The schemas of `search_path`, for `user`.
    pub fn path(&self, user: &str) -> Vec<String> {
        let text = self.get("search_path").unwrap_or_default();
        let one = |part: &str| match part.trim().trim_matches(['"', '\'']) {
            "$user" => user.to_owned(),
            quoted if part.trim().starts_with('"') => quoted.to_owned(),
            plain => plain.to_lowercase(),
        };
        text.split(',').filter(|p| !p.trim().is_empty()).map(one).collect()
    }

    /// What clients are to be told.
    pub fn take_unreported(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.unreported)
    }
}

fn same_encoding(value: &str, fixed: &str) -> bool {
    let plain = |s: &str| s.to_lowercase().replace('-', "");
    plain(value) == plain(fixed) || (fixed == "UTF8" && matches!(plain(value).as_str(), "unicode" | "utf8"))
}

/// Milliseconds of `500`, `'1s'`, `'2 min'`.
fn duration_millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

/// `millis` in the largest unit that divides them, as PostgreSQL shows durations.
fn duration_text(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    match units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => "0".to_owned(),
    }
}

/// Bytes of `65536` (kB, as in PostgreSQL), `'256MB'`, `'1 GB'`, `'1000B'`.
fn memory_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: usize = match text[digits..].trim() {
        "B" => 1,
        "" | "kB" | "KB" | "kb" => 1 << 10,
        "MB" | "mb" => 1 << 20,
        "GB" | "gb" => 1 << 30,
        "TB" | "tb" => 1 << 40,
        _ => return None,
    };
    text[..digits].parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_and_go_back() {
        let mut settings = Settings::new("ann", false, 1 << 30);
        assert!(settings.take_unreported().contains(&("is_superuser".to_owned(), "off".to_owned())));
        settings.start("application_name", "psql").expect("known");
        settings.set("Application_Name", "other").expect("known");
        assert_eq!(settings.get("application_name").as_deref(), Some("other"));
        settings.reset("application_name");
        assert_eq!(settings.get("application_name").as_deref(), Some("psql"));
        assert_eq!(settings.take_unreported().len(), 3);
        settings.set("statement_timeout", "2 min").expect("a duration");
        assert_eq!(settings.millis("statement_timeout"), Some(120_000));
        assert_eq!(settings.get("statement_timeout").as_deref(), Some("2min"));
        settings.set("statement_timeout", "12345").expect("milliseconds");
        assert_eq!(settings.get("statement_timeout").as_deref(), Some("12345ms"));
        assert_eq!(settings.get("query_memory_limit").as_deref(), Some("1GB"));
        settings.set("query_memory_limit", "262144").expect("kilobytes");
        assert_eq!(settings.get("query_memory_limit").as_deref(), Some("256MB"));
        assert_eq!(settings.bytes("query_memory_limit"), Some(256 << 20));
    }

    #[test]
    fn wrong_settings_are_refused_with_the_way_out() {
        let mut settings = Settings::new("ann", false, 1 << 30);
        let error = settings.set("statment_timeout", "1").expect_err("misspelt");
        assert_eq!(error.hint.as_deref(), Some("Did you mean statement_timeout?"));
        for (name, value) in [
            ("statement_timeout", "soon"),
            ("background_ddl", "maybe"),
            ("client_encoding", "LATIN1"),
            ("query_memory_limit", "much"),
            ("query_memory_limit", "1kB"),
        ] {
            assert!(settings.set(name, value).is_err(), "{name} = {value}");
        }
        settings.set("client_encoding", "utf-8").expect("the same");
    }

    #[test]
    fn the_path_names_schemas() {
        let mut settings = Settings::new("ann", false, 1 << 30);
        assert_eq!(settings.path("ann"), ["ann", "public"]);
        settings.set("search_path", "Sales, \"My Schema\"").expect("known");
        assert_eq!(settings.path("ann"), ["sales", "My Schema"]);
    }
}
