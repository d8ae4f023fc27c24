//! What the fuzz targets and the smoke test call: hostile bytes as strangers send them, held to what reading them
//! promises. It must not know any fuzzer.

use crate::http::ingest::smoke as http;
use crate::pg::smoke as pg;

/// Reads `bytes` as a start-up message, and as the messages of a login.
///
/// # Panics
/// A promise is broken.
pub fn startup(bytes: &[u8]) {
    pg::startup(bytes);
}

/// Reads `bytes` as messages one after the other, and the parameters in them as every type.
///
/// # Panics
/// A promise is broken.
pub fn messages(bytes: &[u8]) {
    pg::messages(bytes);
}

/// Reads `bytes` as the body of an ingest request in every text format.
///
/// # Panics
/// A promise is broken.
pub fn ingest(bytes: &[u8]) {
    http::ingest(bytes);
}
