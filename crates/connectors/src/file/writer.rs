//! Rows into one file that appears whole: written under another name, renamed when it is complete.
//! It must not know epochs or workers.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use thalweg_core::{Error, Result};
use thalweg_formats::{CsvEncoder, CsvStyle, JsonEncoder};

use super::options::{Compression, CsvOptions, FileFormat};

/// Rows of a row group: bounds what a writer holds back, and is many times what a reader takes at once.
const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Text is handed to the file in pieces of this size.
const BUFFER_BYTES: usize = 256 * 1024;

/// How a file is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Rows to bytes.
    pub(crate) format: FileFormat,
    /// Of a text file.
    pub(crate) compression: Compression,
    /// Of a Parquet file.
    pub(crate) codec: Codec,
    /// For CSV.
    pub(crate) csv: CsvOptions,
}

/// The words that `compression` takes for Parquet.
pub(crate) fn codecs() -> [(&'static str, Option<Codec>); 5] {
    [
        ("snappy", Some(Codec::SNAPPY)),
        ("none", Some(Codec::UNCOMPRESSED)),
        ("zstd", Some(Codec::ZSTD(ZstdLevel::default()))),
        ("gzip", Some(Codec::GZIP(GzipLevel::default()))),
        ("lz4", Some(Codec::LZ4_RAW)),
    ]
}

/// A file in the making.
pub(crate) struct FileWriter {
    target: PathBuf,
    temporary: PathBuf,
    body: Option<Body>,
}

enum Body {
    Parquet(Box<ArrowWriter<File>>),
    Text(Box<TextBody>),
}

struct TextBody {
    encoder: Encoder,
    buffer: Vec<u8>,
    out: TextFile,
}

enum Encoder {
    Json(JsonEncoder),
    Csv(CsvEncoder),
}

enum TextFile {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl FileWriter {
    /// Starts the file that will be `target`, in a folder that exists.
    pub(crate) fn create(target: PathBuf, layout: &Layout, schema: &SchemaRef) -> Result<Self> {
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let file = File::create(&temporary).map_err(|e| Error::io(&temporary, e))?;
        let body = match layout.format {
            FileFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(layout.codec)
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_created_by(concat!("thalweg ", env!("CARGO_PKG_VERSION")).to_owned())
                    .build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
                    .map_err(|e| Error::invalid(format!("these columns cannot be written as Parquet: {e}")))?;
                Body::Parquet(Box::new(writer))
            }
            FileFormat::Json => {
                let out = TextFile::new(file, layout.compression).map_err(|e| Error::io(&temporary, e))?;
                Body::Text(Box::new(TextBody {
                    encoder: Encoder::Json(JsonEncoder::new(schema)),
                    buffer: Vec::new(),
                    out,
                }))
            }
            FileFormat::Csv => {
                let out = TextFile::new(file, layout.compression).map_err(|e| Error::io(&temporary, e))?;
                let style = CsvStyle { delimiter: layout.csv.delimiter, null: layout.csv.null.clone() };
                let mut encoder = CsvEncoder::new(style);
                let mut buffer = Vec::new();
                if layout.csv.header {
                    encoder.header(schema, &mut buffer);
                }
                Body::Text(Box::new(TextBody { encoder: Encoder::Csv(encoder), buffer, out }))
            }
        };
        Ok(Self { target, temporary, body: Some(body) })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let path = &self.temporary;
        match self.body.as_mut().ok_or_else(finished)? {
            Body::Parquet(writer) => writer.write(rows).map_err(|e| parquet_error(path, e)),
            Body::Text(body) => {
                let TextBody { encoder, buffer, out } = body.as_mut();
                match encoder {
                    Encoder::Json(encoder) => encoder.encode(rows, buffer)?,
                    Encoder::Csv(encoder) => encoder.encode(rows, buffer)?,
                }
                if buffer.len() >= BUFFER_BYTES {
                    out.write_all(buffer).map_err(|e| Error::io(path, e))?;
                    buffer.clear();
                }
                Ok(())
            }
        }
    }

    /// Completes the file: durable first, then visible under its name.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let path = self.temporary.clone();
        let file = match self.body.take().ok_or_else(finished)? {
            Body::Parquet(writer) => writer.into_inner().map_err(|e| parquet_error(&path, e))?,
            Body::Text(body) => {
                let TextBody { buffer, mut out, .. } = *body;
                out.write_all(&buffer).and_then(|()| out.finish()).map_err(|e| Error::io(&path, e))?
            }
        };
        file.sync_all().map_err(|e| Error::io(&path, e))?;
        fs::rename(&path, &self.target).map_err(|e| Error::io(&self.target, e))?;
        sync_folder(&self.target)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if self.body.take().is_some() {
            // The run failed before the end: half a file helps nobody, and nobody is left to tell.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl TextFile {
    fn new(file: File, compression: Compression) -> std::io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(match compression {
            Compression::None => Self::Plain(file),
            Compression::Gzip => Self::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(file, 3)?),
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Gzip(out) => out.write_all(bytes),
            Self::Zstd(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> std::io::Result<File> {
        let out = match self {
            Self::Plain(out) => out,
            Self::Gzip(out) => out.finish()?,
            Self::Zstd(out) => out.finish()?,
        };
        out.into_inner().map_err(std::io::IntoInnerError::into_error)
    }
}

fn finished() -> Error {
    Error::Internal("a file is written after its end".to_owned())
}

fn parquet_error(path: &Path, error: parquet::errors::ParquetError) -> Error {
    Error::io(path, std::io::Error::other(error))
}

fn sync_folder(target: &Path) -> Result<()> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}
