//! Records of a log (key, value, headers) to rows and what each row does. It must not know which log, or any client.

mod body;
pub(crate) mod debezium;
mod decoder;
mod key;
pub(crate) mod metadata;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use decoder::{DecodedRecords, RecordDecoder, RecordLayout};
pub use metadata::Metadata;

use crate::encode::CsvStyle;
use crate::value::Fault;

/// What a row does to the table that it is for. The numbers are those of the writes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum WriteKind {
    /// It takes the place of the row with its key.
    Upsert = 0,
    /// The row with its key goes; only the columns of the key mean something.
    Delete = 1,
}

/// One record of a log.
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; without one it is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Which part of the log.
    pub partition: i32,
    /// Its place in that part.
    pub offset: u64,
    /// When it was made or stored, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Names and values, in order; names may repeat. Only looked at where the layout asks for them.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// How values say what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Each record is a new row.
    Plain,
    /// Each record is the row that its key has now; a tombstone takes it away.
    Upsert,
    /// Each record is a change as Debezium writes it: `op`, `before`, `after`, with or without `schema` and `payload`.
    /// A tombstone only repeats the deletion before it.
    Debezium,
}

impl Envelope {
    /// Rows say what they do, in [`thalweg_core::WRITE_COLUMN`].
    pub fn has_writes(self) -> bool {
        self != Self::Plain
    }
}

/// How a value is written.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// A JSON object.
    Json,
    /// One line of delimited text, its fields in the order of the columns.
    Csv(CsvStyle),
    /// The value is the one column as it is.
    Bytes,
    /// An Avro datum; see [`crate::AvroReader`].
    Avro(crate::AvroReader),
    /// A Protobuf message.
    Protobuf(crate::ProtobufReader),
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The column at fault, if it is one.
    pub(crate) column: Option<usize>,
    /// For a person.
    pub(crate) text: Cow<'static, str>,
}

impl Reason {
    /// A reason in words made for the occasion.
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { column: None, text: text.into() }
    }

    /// `column` is at fault.
    pub(crate) fn at(column: usize, fault: Fault) -> Self {
        Self { column: Some(column), text: fault.0.into() }
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Self { column: None, text: fault.0.into() }
    }
}

impl From<(Option<usize>, Fault)> for Reason {
    fn from((column, fault): (Option<usize>, Fault)) -> Self {
        Self { column, text: fault.0.into() }
    }
}
