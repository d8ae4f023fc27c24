//! The options that all of these sinks have, and how a sink is put together from them. It must not know how anybody is
//! told.

use std::time::Duration;

use thalweg_core::{EpochSink, Error, Options, Result};

use super::about::About;
use super::channel::Channel;
use super::message::Changes;
use super::progress::Notes;
use super::sink::{NotifySink, OnRefusal};
use crate::registry::EpochSinkRequest;

/// How long an answer may take (ms), unless the options say otherwise; and the limits of what they may say.
const TIMEOUT_MILLIS: u64 = 10_000;
const TIMEOUT_LIMITS_MILLIS: std::ops::RangeInclusive<u64> = 100..=300_000;

/// A message of more bytes than this (1 MiB) is refused and not sent.
pub(super) const MESSAGE_BYTES: usize = 1024 * 1024;

/// The sink that `request` describes, whose messages go through what `channel` makes of its options.
///
/// # Errors
/// Options that are wrong, unknown or do not fit the stream; no data directory.
pub(super) fn sink(
    request: EpochSinkRequest,
    channel: impl FnOnce(&mut Options, About) -> Result<Box<dyn Channel>>,
) -> Result<Box<dyn EpochSink>> {
    let mut options = request.options.clone();
    const CHANGES: &[(&str, Changes)] = &[("inserts", Changes::Inserts), ("all", Changes::All)];
    const REFUSALS: &[(&str, OnRefusal)] = &[("stop", OnRefusal::Stop), ("skip", OnRefusal::Skip)];
    let changes = options.choice("changes", CHANGES, Changes::Inserts)?;
    let on_refusal = options.choice("on_refusal", REFUSALS, OnRefusal::Stop)?;
    let about = About::take(&request.name, &request.schema, changes, &mut options)?;
    let channel = channel(&mut options, about)?;
    options.finish()?;
    let disk = request.disk.ok_or_else(|| {
        Error::invalid_with_hint(
            format!(
                "a sink with connector {} keeps its progress in a data directory, and there is none",
                request.connector
            ),
            "Start the server with --data DIR.",
        )
    })?;
    for name in [&request.cluster, &request.id] {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(Error::Internal(format!("'{name}' cannot stand in a key and the name of a file")));
        }
    }
    Ok(Box::new(NotifySink {
        name: request.name,
        key: format!("{}-{}", request.cluster, request.id),
        changes,
        on_refusal,
        notes: Notes::new(disk, &request.id),
        channel,
        reached: None,
        is_open: false,
        rest: None,
    }))
}

/// Takes `timeout.millis`.
///
/// # Errors
/// It is no number, or beyond the limits.
pub(super) fn timeout(options: &mut Options) -> Result<Duration> {
    let millis = options.parse("timeout.millis", TIMEOUT_MILLIS, "a number of milliseconds")?;
    if !TIMEOUT_LIMITS_MILLIS.contains(&millis) {
        let (least, most) = (TIMEOUT_LIMITS_MILLIS.start(), TIMEOUT_LIMITS_MILLIS.end());
        return Err(Error::invalid(format!("option timeout.millis = {millis} is not from {least} to {most}")));
    }
    Ok(Duration::from_millis(millis))
}
