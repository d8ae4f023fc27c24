//! Bytes to rows and back: JSON lines, delimited text and PostgreSQL's text style.
//!
//! Owns what a byte means. Everything here is pure: no files, sockets, threads or clocks, so that it can be fuzzed.
//! It must not know where bytes come from or which connector asks.

mod column;
mod csv;
mod decode;
pub mod encode;
mod json;
pub mod smoke;
pub mod time;
mod value;

pub use csv::{CsvDecoder, CsvLayout, csv_fields};
pub use decode::{Decoded, Decoder, Input, MAX_DEPTH, MAX_LINE_BYTES};
pub use encode::{Cells, CsvEncoder, CsvStyle, JsonEncoder};
pub use json::{JsonDecoder, JsonKind, json_fields};
