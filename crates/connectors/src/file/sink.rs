//! The file sink: a single file, or a folder with one part a worker. It must not know how a format is written.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Options, Result, Sink};

use super::options::{Compression, FORMATS, FileFormat, by_extension, take_compression, take_csv};
use super::writer::{FileWriter, Layout, codecs};
use crate::registry::{SinkLayout, SinkMode, SinkRequest, take_mode};
use crate::rows::{changelog_rows, changelog_schema, standing};

/// The options of a file sink.
#[derive(Clone, Debug)]
struct SinkOptions {
    path: PathBuf,
    mode: Option<SinkMode>,
    single: bool,
    layout: Layout,
}

impl SinkOptions {
    fn parse(mut options: Options) -> Result<Self> {
        let path = PathBuf::from(options.require("path", "result.parquet")?);
        if path.as_os_str().is_empty() || path.as_os_str() == "-" {
            return Err(Error::invalid_with_hint(
                "option path does not name a file or a folder",
                "To print rows use connector = 'stdout'.",
            ));
        }
        let (named, packed) = by_extension(&path);
        let single = path.extension().is_some() && !path.is_dir();
        let format = options.choice("format", FORMATS, None)?.or(named).ok_or_else(|| {
            Error::invalid_with_hint(
                format!("the format of {} is not known by its name", path.display()),
                "Add format = 'parquet', 'ndjson' or 'csv'.",
            )
        })?;
        let (codec, compression) = if format == FileFormat::Parquet {
            let codecs = codecs();
            (options.choice("compression", &codecs, None)?, None)
        } else {
            (None, take_compression(&mut options)?)
        };
        let compression = compression.unwrap_or(if single { packed } else { Compression::None });
        let mode = take_mode(&mut options)?;
        let csv = take_csv(&mut options)?;
        options.finish()?;
        let codec = codec.unwrap_or(parquet::basic::Compression::SNAPPY);
        Ok(Self { path, mode, single, layout: Layout { format, compression, codec, csv } })
    }

    /// The name of worker `worker`'s part of a folder.
    fn part(&self, worker: usize) -> PathBuf {
        let packed = match (self.layout.format, self.layout.compression) {
            (FileFormat::Parquet, _) | (_, Compression::None) => "",
            (_, Compression::Gzip) => ".gz",
            (_, Compression::Zstd) => ".zst",
        };
        self.path.join(format!("part-{worker:05}.{}{packed}", self.layout.format.extension()))
    }
}

/// What the engine must know.
pub(crate) fn layout(options: Options) -> Result<SinkLayout> {
    let options = SinkOptions::parse(options)?;
    Ok(SinkLayout { mode: options.mode, single: options.single })
}

/// The sink of one worker. A single file is written by worker 0; the others have nothing to do.
pub(crate) fn sink(request: SinkRequest) -> Result<Box<dyn Sink>> {
    let options = SinkOptions::parse(request.options)?;
    let changelog = request.mode == SinkMode::Changelog;
    let schema = if changelog { changelog_schema(&request.schema)? } else { request.schema };
    let folder = if options.single {
        options.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    } else {
        &options.path
    };
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let target = if options.single { options.path.clone() } else { options.part(request.worker) };
    let writer = match request.worker {
        0 => Some(FileWriter::create(target, &options.layout, &schema)?),
        _ if options.single => None,
        _ => Some(FileWriter::create(target, &options.layout, &schema)?),
    };
    let stale = (!options.single && request.worker == 0).then_some(request.workers);
    Ok(Box::new(FileSink { options, schema, writer, changelog, pending: Vec::new(), stale }))
}

struct FileSink {
    options: SinkOptions,
    schema: SchemaRef,
    writer: Option<FileWriter>,
    changelog: bool,
    /// Changes of the open epoch, whose number is known when it is committed.
    pending: Vec<DeltaBatch>,
    /// Parts from this number on are of an earlier run with more workers; this end removes them.
    stale: Option<usize>,
}

impl FileSink {
    fn writer(&mut self) -> Result<&mut FileWriter> {
        self.writer.as_mut().ok_or_else(|| Error::Internal("rows for a single file reached another worker".to_owned()))
    }

    fn remove_stale(&self, workers: usize) -> Result<()> {
        let mut number = workers;
        loop {
            match fs::remove_file(self.options.part(number)) {
                Ok(()) => number += 1,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(Error::io(self.options.part(number), e)),
            }
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, delta: &DeltaBatch) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        if self.changelog {
            self.pending.push(delta.clone());
            return Ok(());
        }
        let rows = standing(delta)?;
        self.writer()?.write(&rows)
    }

    fn commit(&mut self, header: &EpochHeader) -> Result<()> {
        for delta in std::mem::take(&mut self.pending) {
            let rows = changelog_rows(&delta, header.epoch, &self.schema)?;
            self.writer()?.write(&rows)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.finish()?;
        }
        self.stale.map_or(Ok(()), |workers| self.remove_stale(workers))
    }
}
