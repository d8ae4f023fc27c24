//! Entries of a stream: their numbers, and where a stream ends. It must not know rows.

use std::fmt;

use redis::Value;
use thalweg_core::{Epoch, SinkError};

use super::connect::Session;

/// The number of an entry: `epoch-n`, counted from 1 in each epoch. A stream takes numbers only in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    epoch: u64,
    n: u64,
}

impl EntryId {
    /// Before the first entry of `epoch`.
    pub(super) fn before(epoch: Epoch) -> Self {
        Self { epoch: epoch.0, n: 0 }
    }

    /// The next one.
    pub(super) fn next(self) -> Self {
        Self { n: self.n + 1, ..self }
    }

    /// From `epoch-n`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, n) = text.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, n: n.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

/// The last number that a stream has given, also if that entry is there no more. Streams that are not there, or in which
/// nothing ever was, have given none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LastEntry(pub(super) Option<EntryId>);

impl LastEntry {
    pub(super) const NONE: Self = Self(None);

    /// From the answer to `XINFO STREAM`.
    pub(super) fn read(session: &Session, stream: &str, answer: &Value) -> Result<Self, SinkError> {
        let what = format!("stream {stream} cannot be looked at");
        let fields = match answer {
            Value::ServerError(error) if error.details().is_some_and(|d| d.contains("no such key")) => {
                return Ok(Self::NONE);
            }
            Value::ServerError(error) => return Err(session.refused(&what, error)),
            Value::Array(fields) => fields,
            _ => return Err(session.odd(&what)),
        };
        let is = |value: &Value, text: &str| match value {
            Value::BulkString(bytes) => bytes == text.as_bytes(),
            Value::SimpleString(simple) => simple == text,
            _ => false,
        };
        let id = fields.chunks(2).find_map(|pair| match pair {
            [name, Value::BulkString(id)] if is(name, "last-generated-id") => {
                EntryId::parse(std::str::from_utf8(id).ok()?)
            }
            _ => None,
        });
        let id = id.ok_or_else(|| session.odd(&what))?;
        Ok(Self((id > EntryId { epoch: 0, n: 0 }).then_some(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_within_their_epoch() {
        let id = EntryId::before(Epoch(7)).next().next();
        assert_eq!(id.to_string(), "7-2");
        assert_eq!(EntryId::parse("7-2"), Some(id));
        assert!(id < EntryId::before(Epoch(8)).next() && id > EntryId::before(Epoch(7)));
        assert!(EntryId::parse("7").is_none() && EntryId::parse("x-1").is_none());
    }
}
