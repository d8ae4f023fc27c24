//! Avro: data to columns and rows to data. Schemas are parsed by `apache-avro`; data are read by a cursor of our own
//! straight into columns, so that a length in hostile bytes never allocates more than the datum holds. It must not know
//! where schemas come from.

mod body;
mod datum;
mod encode;
mod infer;
mod types;

#[cfg(test)]
mod tests;

pub(crate) use body::AvroBody;
pub use encode::AvroEncoder;
pub use infer::avro_fields;

/// How Avro data are found and read.
#[derive(Clone, Debug, Default)]
pub struct AvroReader {
    /// Data begin with a zero byte and the four bytes of the id of their writer's schema, as a Confluent-compatible
    /// registry gives it out.
    pub framed: bool,
    /// The schema of data that are not framed; of framed ones the reader's schema: its defaults fill the fields that a
    /// writer did not have.
    pub schema: Option<String>,
}

/// A schema longer than this (1 MiB) is refused.
pub const MAX_SCHEMA_BYTES: usize = 1024 * 1024;

/// The header of a framed datum: a zero byte, then the id of a schema, high byte first.
pub fn frame(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}

/// The id in the header of a framed datum, and what follows it.
pub fn unframe(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}
