//! Rows to bytes: JSON lines, CSV, and single values as text. It must not know where the bytes go.

mod cells;
mod csv;
mod json;
mod number;

pub use cells::Cells;
pub use csv::{CsvEncoder, CsvStyle};
pub use json::JsonEncoder;
pub(crate) use json::{is_json, write_string};
pub(crate) use number::{decimal, float32, float64};
