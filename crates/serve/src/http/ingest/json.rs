//! JSON bodies: one object a line, or an array, or one object. It must not know limits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thalweg_core::SqlError;
use thalweg_formats::{Decoder, Input, JsonDecoder};

use super::super::failure::Failure;
use super::harvest::{BATCH_ROWS, Harvest};
use super::text::{self, ORIGIN};

/// Elements are decoded when they are this many bytes together, or [`BATCH_ROWS`].
const CHUNK_BYTES: usize = 256 * 1024;

/// One object a line.
pub(super) fn lines(body: &[u8], decoder: &mut JsonDecoder, harvest: Harvest) -> Result<Harvest, Failure> {
    text::decode(body, 0, decoder, Ok, harvest)
}

/// An array of objects, or one object.
pub(super) fn values(body: &[u8], decoder: &mut JsonDecoder, harvest: Harvest) -> Result<Harvest, Failure> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut elements =
        Elements { body, decoder, harvest, lines: Vec::new(), starts: Vec::new(), row: 0, failure: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = if body.trim_ascii_start().starts_with(b"[") {
        (&mut elements).deserialize(&mut json)
    } else {
        <&RawValue as serde::Deserialize>::deserialize(&mut json).map(|value| elements.push(value))
    };
    let parsed = parsed.and_then(|()| json.end());
    if let Some(failure) = elements.failure {
        return Err(failure);
    }
    parsed.map_err(|error| {
        Failure::bad_request(format!("the body is not a JSON array or object: {error}"))
            .hint("For one object a line set Content-Type to application/x-ndjson.")
    })?;
    elements.flush();
    match elements.failure {
        Some(failure) => Err(failure),
        None => Ok(elements.harvest),
    }
}

/// The elements of the array, put on lines of their own for the decoder, a chunk at a time.
struct Elements<'a> {
    body: &'a [u8],
    decoder: &'a mut JsonDecoder,
    harvest: Harvest,
    lines: Vec<u8>,
    /// Of each line: where it starts in `lines`, and in the body.
    starts: Vec<(usize, usize)>,
    /// Rows decoded before this chunk.
    row: u64,
    /// Why the request as a whole is refused.
    failure: Option<Failure>,
}

impl Elements<'_> {
    fn push(&mut self, value: &RawValue) {
        let text = value.get();
        let start = self.lines.len();
        self.starts.push((start, text.as_ptr().addr() - self.body.as_ptr().addr()));
        self.lines.extend_from_slice(text.as_bytes());
        // Between tokens a line end is as good as a space; within strings JSON has none.
        self.lines[start..].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
        self.lines.push(b'\n');
        if self.lines.len() >= CHUNK_BYTES || self.starts.len() >= BATCH_ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Err(failure) = self.decode() {
            self.failure.get_or_insert(failure);
        }
        self.row += self.starts.len() as u64;
        self.lines.clear();
        self.starts.clear();
    }

    fn decode(&mut self) -> Result<(), Failure> {
        // The offset is not 0, so that a byte order mark is an error here.
        let input = Input { bytes: &self.lines, origin: &ORIGIN, offset: 1, last: true };
        let decoded = self.decoder.decode(input, usize::MAX).map_err(SqlError::from)?;
        self.harvest.add(decoded.rows)?;
        for mut letter in decoded.dead {
            let line = self.starts.partition_point(|(start, _)| *start < letter.offset as usize) - 1;
            letter.offset = self.starts[line].1 as u64;
            self.harvest.reject(self.row + line as u64 + 1, letter)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<&'de RawValue>()? {
            self.push(value);
            if self.failure.is_some() {
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
