//! Values of settings: read and written. It must not know keys.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg::server::without_credentials;
use thalweg::{Error, parse_bytes};

/// Nobody waits longer; a time beyond it is a slip.
const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

fn wrong<T>(what: impl Display, hint: impl Into<String>) -> Result<T, Error> {
    Err(Error::invalid_with_hint(what.to_string(), hint))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Error> {
    text.parse().or_else(|_| {
        wrong(format!("'{text}' is not an address"), "Write an IP address and a port: 127.0.0.1:4566, [::1]:4566.")
    })
}

pub(super) fn path(text: &str) -> Result<PathBuf, Error> {
    if text.is_empty() { wrong("the path is empty", "Leave the key out instead.") } else { Ok(text.into()) }
}

pub(super) fn number(text: &str, range: RangeInclusive<usize>) -> Result<usize, Error> {
    let number = text.parse().ok().filter(|n| range.contains(n));
    number.map_or_else(
        || {
            wrong(
                format!("'{text}' is not a number that it takes"),
                format!("Give {} to {}.", range.start(), range.end()),
            )
        },
        Ok,
    )
}

/// Bytes; at least a KiB.
pub(super) fn size(text: &str) -> Result<usize, Error> {
    match parse_bytes(text)? {
        bytes if bytes < 1024 => wrong(format!("'{text}' is too little"), "Give at least 1KiB."),
        bytes => Ok(bytes),
    }
}

/// A time that is not zero.
pub(super) fn time(text: &str) -> Result<Duration, Error> {
    match time_or_zero(text)? {
        Duration::ZERO => wrong(format!("'{text}' is no time"), "Give at least 1ms."),
        time => Ok(time),
    }
}

pub(super) fn time_or_zero(text: &str) -> Result<Duration, Error> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<u64>().ok(), text[digits..].trim());
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let millis = match (number, factor) {
        (Some(0), _) if unit.is_empty() => Some(0),
        (Some(number), Some(factor)) => number.checked_mul(factor),
        _ => None,
    };
    match millis.map(Duration::from_millis) {
        Some(time) if time <= MAX_TIME => Ok(time),
        Some(_) => wrong(format!("'{text}' is longer than a year"), "Give less."),
        None => wrong(format!("'{text}' is not a time"), "Write a number and a unit: 500ms, 10s, 5min, 1h."),
    }
}

pub(super) fn flag(text: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => wrong(format!("'{text}' is neither true nor false"), "Give true or false."),
    }
}

/// The items of a list.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Origins, as a browser names them.
pub(super) fn origins(text: &str) -> Result<Vec<String>, Error> {
    let origin = |item: &str| {
        let rest = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://"));
        match rest {
            Some(host) if !host.is_empty() && !host.contains(['/', '@', '*', '?']) => Ok(item.to_owned()),
            _ => wrong(
                format!("'{}' is not an origin", without_credentials(item)),
                "Write scheme, host and port and nothing more: https://console.example:8443.",
            ),
        }
    };
    items(text).map(origin).collect()
}

/// Names of hosts, without ports.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, Error> {
    let host = |item: &str| match item {
        name if !name.contains([':', '/', '@', '*']) || name.starts_with('[') => Ok(name.to_owned()),
        other => wrong(format!("'{other}' is not the name of a host"), "Write the name alone: db.example."),
    };
    items(text).map(host).collect()
}

pub(super) fn log_filter(text: &str) -> Result<String, Error> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => wrong(
            format!("'{text}' is not a filter: {error}"),
            "Write error, warn, info or debug, or one per part: info,audit=warn.",
        ),
    }
}

/// `bytes` in the largest unit that holds it exactly.
pub(super) fn shown_size(bytes: usize) -> String {
    let unit = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .into_iter()
        .find(|(_, unit)| bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) if bytes > 0 => format!("{}{name}", bytes / unit),
        _ => format!("{bytes}B"),
    }
}

/// `time` in the largest unit that holds it exactly.
pub(super) fn shown_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = UNITS.into_iter().find(|(_, factor)| millis.is_multiple_of(*factor)).unwrap_or(("ms", 1));
    if millis == 0 { "0".to_owned() } else { format!("{}{unit}", millis / factor) }
}

pub(super) fn shown_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
