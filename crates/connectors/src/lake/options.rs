//! The options of a lake, read once and held against its stream. It must not touch files.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::basic::{Compression, ZstdLevel};
use thalweg_core::{Error, Result, nearest};

use super::parts::Body;
use crate::registry::EpochSinkRequest;

/// A file of this size (128 MiB) is followed by another, unless the options say otherwise.
const FILE_BYTES: u64 = 128 * 1024 * 1024;

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Parquet(Compression),
    Json,
}

/// The options of a lake.
#[derive(Clone, Debug)]
pub(super) struct LakeOptions {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) file_bytes: u64,
    /// The columns that name folders.
    pub(super) partition_by: Vec<usize>,
    /// The columns that are in the files, and their schema.
    pub(super) columns: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl LakeOptions {
    /// Reads the options of `request` and refuses what does not fit its stream.
    pub(super) fn parse(request: &EpochSinkRequest) -> Result<Self> {
        let mut options = request.options.clone();
        let path = PathBuf::from(options.require("path", "/data/lake/results")?);
        if path.as_os_str().is_empty() || path.to_string_lossy().contains("://") {
            return Err(Error::invalid_with_hint(
                format!("option path = '{}' is no folder of this machine", path.display()),
                "Name a local folder.",
            ));
        }
        let json = options.choice("format", &[("parquet", false), ("ndjson", true), ("json", true)], false)?;
        let codecs = [
            ("snappy", Some(Compression::SNAPPY)),
            ("zstd", Some(Compression::ZSTD(ZstdLevel::default()))),
            ("none", Some(Compression::UNCOMPRESSED)),
        ];
        let codec = options.choice("compression", &codecs, None)?;
        let format = match (json, codec) {
            (false, codec) => Format::Parquet(codec.unwrap_or(Compression::SNAPPY)),
            (true, None | Some(Compression::UNCOMPRESSED)) => Format::Json,
            (true, Some(_)) => return Err(Error::Unsupported("compression of format = 'ndjson' in a lake".into())),
        };
        let file_bytes = options.parse("file.bytes", FILE_BYTES, "a number of bytes")?;
        if file_bytes == 0 {
            return Err(Error::invalid("option file.bytes is 0"));
        }
        let partition_by = match options.take("partition_by") {
            Some(names) => columns(&names, &request.schema)?,
            None => Vec::new(),
        };
        options.finish()?;
        if !request.append_only {
            return Err(Error::invalid_with_hint(
                "the query takes rows back, and the files of a lake only grow",
                "Make it append-only, as with EMIT ON WINDOW CLOSE, or use a sink that replaces rows, such as postgres.",
            ));
        }
        let columns: Vec<usize> = (0..request.schema.fields().len()).filter(|c| !partition_by.contains(c)).collect();
        if columns.is_empty() {
            return Err(Error::invalid("partition_by names every column: nothing is left for the files"));
        }
        let schema = Arc::new(request.schema.project(&columns)?);
        // A type that the format does not have is refused here.
        Body::check(format, &schema)?;
        Ok(Self { path, format, file_bytes, partition_by, columns, schema })
    }
}

/// The columns that `names` lists.
fn columns(names: &str, schema: &SchemaRef) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let column = schema.index_of(name).map_err(|_| {
            let hint = match nearest(name, schema.fields().iter().map(|f| f.name().as_str())) {
                Some(near) => format!("Did you mean {near}?"),
                None => "Name columns of the query.".to_owned(),
            };
            Error::invalid_with_hint(format!("option partition_by names column {name}, which there is not"), hint)
        })?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}
