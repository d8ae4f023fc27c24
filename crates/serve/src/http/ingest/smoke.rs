//! Hostile bytes as bodies of ingest requests. It must not know any fuzzer.

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use thalweg_formats::JsonDecoder;

use super::harvest::{Harvest, Limits};
use super::{Format, Work};
use crate::backend::IngestTarget;

/// In every text format: rows are sound, and each reject says where it is in the body. (Arrow bodies are decoded on a
/// thread whose panics are caught.)
pub(crate) fn ingest(bytes: &[u8]) {
    let schema = std::sync::Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8View, true),
        Field::new("price", DataType::Decimal128(20, 4), true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]));
    for format in [Format::Lines, Format::Json, Format::Csv] {
        let target = IngestTarget { relation: "smoke".to_owned(), schema: std::sync::Arc::clone(&schema) };
        let decoder = JsonDecoder::new(std::sync::Arc::clone(&schema)).expect("every type is known");
        let limits = Limits { rows_bytes: 1 << 24, max_rejects: 1_000 };
        let body = Bytes::copy_from_slice(bytes);
        let Ok(Harvest { rows, dead, rejects, .. }) =
            (Work { format, target, body, limits, decoder: Some(decoder) }).run().0
        else {
            continue;
        };
        for column in rows.iter().flat_map(|rows| rows.columns()) {
            column.to_data().validate_full().expect("a column is sound");
        }
        assert!(rows.iter().all(|rows| *rows.schema() == *schema), "a column for each of the target's");
        assert!(rejects.len() <= dead.len() && rejects.iter().all(|r| r.row > 0 && r.offset <= bytes.len() as u64));
    }
}
