//! CSV bodies: a header line names the columns. It must not know limits.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use thalweg_core::SqlError;
use thalweg_formats::{CsvDecoder, CsvLayout, CsvStyle, csv_fields};

use super::super::failure::Failure;
use super::columnar::{column_named, null_column};
use super::harvest::Harvest;
use super::text;
use crate::backend::IngestTarget;

/// Records after a header line.
pub(super) fn records(body: &[u8], target: &IngestTarget, harvest: Harvest) -> Result<Harvest, Failure> {
    let start = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let header = body[start..].split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    if header.trim_ascii().is_empty() {
        return match body[start..].trim_ascii().is_empty() {
            true => Ok(harvest),
            false => Err(Failure::bad_request("the first line is blank; it is to name the columns")),
        };
    }
    let (present, layout) = layout(header, target)?;
    let mut decoder = CsvDecoder::new(present, layout).map_err(SqlError::from)?;
    text::decode(body, start + header.len(), &mut decoder, |rows| widen(&rows, &target.schema), harvest)
}

/// The target's columns that the header names, and where they are.
fn layout(header: &[u8], target: &IngestTarget) -> Result<(SchemaRef, CsvLayout), Failure> {
    let style = CsvStyle::default();
    let names: Vec<String> = csv_fields(header, &style).into_iter().map(Option::unwrap_or_default).collect();
    let (mut fields, mut positions) = (Vec::new(), Vec::new());
    for field in target.schema.fields() {
        match column_named(field.name(), names.iter().map(|n| n.trim())) {
            Ok(Some(position)) => {
                fields.push(Arc::clone(field));
                positions.push(position);
            }
            Ok(None) if field.is_nullable() => {}
            Ok(None) => {
                let message = format!("column {} is NOT NULL, and the header does not name it", field.name());
                return Err(Failure::bad_request(message));
            }
            Err(()) => return Err(Failure::bad_request(format!("the header names column {} twice", field.name()))),
        }
    }
    if fields.is_empty() {
        return Err(Failure::bad_request(format!("the header names no column of {}", target.relation))
            .hint("The first line of CSV is to name the columns."));
    }
    let layout = CsvLayout { style, fields: names.len(), positions, multiline: true };
    Ok((Arc::new(Schema::new(fields)), layout))
}

/// The columns of `schema`, those that are missing all NULL.
fn widen(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Failure> {
    let columns = schema.fields().iter().map(|field| {
        let present = batch.column_by_name(field.name()).map(Arc::clone);
        present.unwrap_or_else(|| null_column(field, batch.num_rows()))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
        .map_err(|e| SqlError::from(thalweg_core::Error::from(e)).into())
}
