//! The columns of text files, found by looking at the first rows. It must not know how rows are read for good.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::{Error, Result};
use thalweg_formats::{CsvStyle, JsonKind, MAX_LINE_BYTES, csv_fields, json_fields};

use super::bytes::Bytes;
use super::list::STDIN;
use super::options::{FileFormat, FileOptions};

/// How many rows are looked at.
const SAMPLE_ROWS: usize = 1_000;

/// The columns of the text file at `path`.
pub(crate) fn infer(options: &FileOptions, format: FileFormat, path: &Path) -> Result<SchemaRef> {
    if path.as_os_str() == STDIN {
        return Err(Error::invalid_with_hint(
            "the columns of standard input cannot be found by looking at it",
            "List the columns in CREATE SOURCE.",
        ));
    }
    let stream: Box<dyn Read> = match Bytes::stream(path, options.compression_of(path))? {
        Bytes::Stream(stream) => stream,
        _ => return Err(Error::Internal("a stream was asked for".to_owned())),
    };
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut columns: Vec<(String, JsonKind)> = Vec::new();
    let style = CsvStyle { delimiter: options.csv.delimiter, null: options.csv.null.clone() };
    let mut line = Vec::new();
    for number in 0..=SAMPLE_ROWS {
        line.clear();
        let limit = MAX_LINE_BYTES as u64;
        let bytes = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|e| Error::io(path, e))?;
        if bytes == 0 {
            break;
        }
        if number == 0 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        match format {
            FileFormat::Json => merge(&mut columns, json_fields(&line).unwrap_or_default()),
            _ => csv_line(&mut columns, &line, number, options, &style),
        }
    }
    if columns.is_empty() {
        return Err(Error::invalid_with_hint(
            format!("{} has no rows to take the columns from", path.display()),
            "List the columns in CREATE SOURCE.",
        ));
    }
    Ok(Arc::new(Schema::new(
        columns.into_iter().map(|(name, kind)| Field::new(name, data_type(kind), true)).collect::<Vec<_>>(),
    )))
}

fn csv_line(
    columns: &mut Vec<(String, JsonKind)>,
    line: &[u8],
    number: usize,
    options: &FileOptions,
    style: &CsvStyle,
) {
    let fields = csv_fields(line, style);
    if number == 0 {
        let named = |i: usize, name: &Option<String>| match name {
            Some(name) if options.csv.header => name.trim().to_owned(),
            _ => format!("column{}", i + 1),
        };
        *columns = fields.iter().enumerate().map(|(i, name)| (named(i, name), JsonKind::Null)).collect();
        if options.csv.header {
            return;
        }
    }
    for ((_, kind), field) in columns.iter_mut().zip(fields) {
        *kind = kind.or(field.map_or(JsonKind::Null, |text| JsonKind::of_text(text.as_bytes())));
    }
}

fn merge(columns: &mut Vec<(String, JsonKind)>, fields: Vec<(String, JsonKind)>) {
    for (name, kind) in fields {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = known.or(kind),
            None => columns.push((name, kind)),
        }
    }
}

fn data_type(kind: JsonKind) -> DataType {
    match kind {
        JsonKind::Boolean => DataType::Boolean,
        JsonKind::Integer => DataType::Int64,
        JsonKind::Float => DataType::Float64,
        JsonKind::Date => DataType::Date32,
        JsonKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        JsonKind::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        JsonKind::Null | JsonKind::Text => DataType::Utf8View,
    }
}
