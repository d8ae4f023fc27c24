//! Bytes to rows and back: JSON lines, delimited text, PostgreSQL's text style, and the records of logs in JSON, Avro
//! and Protobuf.
//!
//! Owns what a byte means. Everything here is pure: no files, sockets, threads or clocks, so that it can be fuzzed.
//! It must not know where bytes come from or which connector asks.

mod avro;
mod column;
mod csv;
mod decode;
pub mod encode;
mod json;
mod protobuf;
pub mod record;
mod scalar;
pub mod smoke;
pub mod time;
mod value;

pub use avro::{AvroEncoder, AvroReader, MAX_SCHEMA_BYTES, avro_fields, frame, unframe};
pub use column::Unit;
pub use csv::{CsvDecoder, CsvLayout, csv_fields};
pub use decode::{Decoded, Decoder, Input, MAX_DEPTH, MAX_LINE_BYTES};
pub use encode::{Cells, CsvEncoder, CsvStyle, JsonEncoder};
pub use json::{JsonDecoder, JsonKind, json_fields};
pub use prost_reflect::MessageDescriptor;
pub use protobuf::{
    MAX_DESCRIPTOR_BYTES, ProtobufEncoder, ProtobufReader, protobuf_fields, protobuf_frame, protobuf_message,
};
