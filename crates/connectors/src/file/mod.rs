//! `file`: Parquet, NDJSON and CSV files as a source and as a sink. It must not know who reads or writes them.

#[cfg(feature = "s3")]
mod bucket;
mod bytes;
mod convert;
mod folder;
mod follow;
mod infer;
mod list;
mod narrow;
mod options;
mod parquet_file;
mod parquet_source;
mod sink;
mod stamp;
mod text_reader;
mod text_source;
mod watch;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Offset, Options, Result, Source};

use crate::registry::SourceRequest;
use folder::{Folder, LocalFolder};
use narrow::Narrowed;
use options::{FileFormat, FileOptions};
use parquet_source::ParquetSource;
use stamp::Version;
use text_source::{SPLIT_BYTES, TextSource};
use watch::WatchSource;

pub(crate) use sink::{layout as sink_layout, sink};

/// The source that `request` describes.
pub(crate) fn source(request: SourceRequest) -> Result<Arc<dyn Source>> {
    let options = FileOptions::parse(request.options.clone())?;
    if options.takes_whole_files() {
        return whole_files(request, options, &folder);
    }
    let files = list::list(&options)?;
    match common_format(&options, &files)? {
        FileFormat::Parquet => {
            let event_time = request.event_time.map(|i| request.declared.field(i));
            Ok(Arc::new(ParquetSource::new(&files, request.projected()?, event_time)?))
        }
        format => {
            let SourceRequest { declared, projection, .. } = request;
            let all = (0..declared.fields().len()).collect();
            let whole = TextSource::new(options, format, files, &declared, all, SPLIT_BYTES)?;
            Ok(Arc::new(Narrowed::new(whole, projection)?))
        }
    }
}

/// Where whole files are taken from.
fn folder(options: &FileOptions) -> Result<Arc<dyn Folder>> {
    #[cfg(feature = "s3")]
    if let Some(of) = &options.bucket {
        return Ok(Arc::new(bucket::BucketFolder::new(options, of)?));
    }
    Ok(Arc::new(LocalFolder::new(options.clone())))
}

/// Makes the folder of these options.
type MakeFolder<'a> = &'a dyn Fn(&FileOptions) -> Result<Arc<dyn Folder>>;

/// The source that takes up whole files.
fn whole_files(request: SourceRequest, options: FileOptions, folder: MakeFolder<'_>) -> Result<Arc<dyn Source>> {
    let format = common_format(&options, &names(folder(&options)?.as_ref())?)?;
    // What else comes is not taken for one of them.
    let options = FileOptions { format: Some(format), ..options };
    let folder = folder(&options)?;
    if format == FileFormat::Parquet {
        let schema = request.projected()?;
        let of = Arc::clone(&schema);
        let open = move |at: &Path, version: &Version, from| parquet_source::open_whole(at, &version.path, &of, from);
        return Ok(Arc::new(WatchSource::new(folder, options, format, schema, Arc::new(open))));
    }
    let SourceRequest { declared, projection, .. } = request;
    let all = (0..declared.fields().len()).collect();
    let text = TextSource::new(options.clone(), format, Vec::new(), &declared, all, SPLIT_BYTES)?;
    let schema = text.schema();
    let open = move |at: &Path, version: &Version, from: Offset| text.open_version(at, version, from.0);
    let whole = WatchSource::new(folder, options, format, schema, Arc::new(open));
    Ok(Arc::new(Narrowed::new(whole, projection)?))
}

fn names(folder: &dyn Folder) -> Result<Vec<PathBuf>> {
    Ok(folder.list()?.into_iter().map(|listed| listed.version.path).collect())
}

/// The columns that the first file has.
pub(crate) fn infer(options: Options) -> Result<SchemaRef> {
    let options = FileOptions::parse(options)?;
    #[cfg(feature = "s3")]
    if let Some(of) = &options.bucket {
        return bucket::BucketFolder::new(&options, of)?.infer(&options);
    }
    infer_first(&options, &list::list(&options)?)
}

fn infer_first(options: &FileOptions, files: &[PathBuf]) -> Result<SchemaRef> {
    let first = files.first().ok_or_else(no_file_yet)?;
    infer_file(options, common_format(options, files)?, first)
}

fn no_file_yet() -> Error {
    Error::invalid_with_hint("there is no file yet to take the columns from", "List the columns in CREATE SOURCE.")
}

fn infer_file(options: &FileOptions, format: FileFormat, path: &Path) -> Result<SchemaRef> {
    match format {
        FileFormat::Parquet => parquet_file::infer(path),
        format => infer::infer(options, format, path),
    }
}

/// The one format of all files.
fn common_format(options: &FileOptions, files: &[PathBuf]) -> Result<FileFormat> {
    let pattern = PathBuf::from(&options.paths[0]);
    let first = files.first().unwrap_or(&pattern);
    let format = options.format_of(first)?;
    for file in files {
        if options.format_of(file)? != format {
            return Err(Error::invalid_with_hint(
                format!("{} and {} have different formats", first.display(), file.display()),
                "Add format = 'parquet', 'ndjson' or 'csv', or name only files of one format.",
            ));
        }
    }
    if format == FileFormat::Parquet && options.follow {
        return Err(Error::invalid_with_hint(
            "mode = 'follow' needs a text format: a Parquet file does not grow",
            "Files that are added to a folder are for mode = 'watch'.",
        ));
    }
    if files.iter().any(|f| f.as_os_str() == list::STDIN) {
        if format == FileFormat::Parquet {
            return Err(Error::invalid("Parquet cannot be read from standard input: its index is at the end"));
        }
        if options.awaits() {
            return Err(Error::invalid("standard input cannot be followed: it ends when it ends"));
        }
    }
    if options.follow && files.iter().any(|f| options.compression_of(f) != options::Compression::None) {
        return Err(Error::invalid_with_hint(
            "mode = 'follow' needs uncompressed files",
            "Files that are added to a folder are for mode = 'watch'.",
        ));
    }
    Ok(format)
}
