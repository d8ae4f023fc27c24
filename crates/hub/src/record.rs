//! `Record`: what a producer hands in and a consumer gets back. It must not know how it is stored.

use bytes::Bytes;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When it happened, in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
    /// What it is about, if anything.
    pub key: Option<Bytes>,
    /// What it says; without a value it is a tombstone of its key.
    pub value: Option<Bytes>,
    /// More about it.
    pub headers: Vec<Header>,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name, which should be UTF-8.
    pub name: Bytes,
    /// Its value, if any.
    pub value: Option<Bytes>,
}
