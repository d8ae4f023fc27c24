//! NDJSON and CSV as a source: how files are split, and how a split is opened. It must not know how lines are read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use memchr::memchr;
use thalweg_core::{Error, Offset, Result, Source, Split, SplitReader};
use thalweg_formats::{CsvDecoder, CsvLayout, CsvStyle, Decoder, JsonDecoder, MAX_LINE_BYTES, csv_fields};

use super::bytes::{Bytes, RangeFile, Stdin};
use super::follow::{FollowedFile, find, identity_of};
use super::list::{STDIN, list};
use super::options::{Compression, FileFormat, FileOptions};
use super::stamp::Version;
use super::text_reader::{MakeDecoder, Start, TextReader};
use super::watch::Whole;

/// Bytes of a split: enough to pay for opening it, few enough that workers share a file evenly.
pub(crate) const SPLIT_BYTES: u64 = 8 * 1024 * 1024;

/// Text files, read to their end or followed as they grow.
pub(crate) struct TextSource {
    options: FileOptions,
    format: FileFormat,
    files: Vec<PathBuf>,
    schema: SchemaRef,
    /// All columns as declared: the fields of a CSV record without a header.
    declared: Vec<String>,
    /// Per column of `schema`, its place in `declared`.
    projection: Vec<usize>,
    split_bytes: u64,
    /// Followed files that were renamed to where they are not looked for, and of which more may be there than was read
    /// before a restart.
    renamed: Mutex<Vec<Arc<str>>>,
}

impl TextSource {
    /// Over `files`, of `format`; the columns are checked now.
    pub(crate) fn new(
        options: FileOptions,
        format: FileFormat,
        files: Vec<PathBuf>,
        declared: &SchemaRef,
        projection: Vec<usize>,
        split_bytes: u64,
    ) -> Result<Self> {
        let schema = Arc::new(declared.project(&projection)?);
        let declared = declared.fields().iter().map(|f| f.name().clone()).collect();
        let renamed = Mutex::default();
        let source = Self { options, format, files, schema, declared, projection, split_bytes, renamed };
        source.decoder_maker(true)(None)?;
        if source.has_header() && !source.options.awaits() {
            for file in source.files.iter().filter(|f| f.as_os_str() != STDIN) {
                source.check_header(file)?;
            }
        }
        Ok(source)
    }

    fn has_header(&self) -> bool {
        self.format == FileFormat::Csv && self.options.csv.header
    }

    fn check_header(&self, path: &Path) -> Result<()> {
        let line = first_line(path, self.options.compression_of(path))?;
        if line.is_empty() {
            return Ok(());
        }
        self.decoder_maker(true)(Some(&line)).map(drop).map_err(|e| match e {
            Error::Invalid { message, hint } => {
                Error::Invalid { message: format!("{}: {message}", path.display()), hint }
            }
            other => other,
        })
    }

    fn decoder_maker(&self, multiline: bool) -> MakeDecoder {
        let schema = Arc::clone(&self.schema);
        if self.format == FileFormat::Json {
            return Box::new(move |_| Ok(Box::new(JsonDecoder::new(Arc::clone(&schema))?) as Box<dyn Decoder>));
        }
        let style = CsvStyle { delimiter: self.options.csv.delimiter, null: self.options.csv.null.clone() };
        let (declared, projection) = (self.declared.clone(), self.projection.clone());
        Box::new(move |header| {
            let layout = match header {
                None => {
                    CsvLayout { style: style.clone(), fields: declared.len(), positions: projection.clone(), multiline }
                }
                Some(line) => {
                    let names = csv_fields(line, &style);
                    let positions =
                        schema.fields().iter().map(|f| position(&names, f.name())).collect::<Result<_>>()?;
                    CsvLayout { style: style.clone(), fields: names.len(), positions, multiline }
                }
            };
            Ok(Box::new(CsvDecoder::new(Arc::clone(&schema), layout)?) as Box<dyn Decoder>)
        })
    }

    /// One split a range of an uncompressed file, or a file.
    fn file_splits(&self, path: &Path, splits: &mut Vec<Split>) -> Result<()> {
        let name = path.display();
        let whole = |kind: &str| Split { id: format!("{name}#{kind}").into(), lower_bound: None };
        if path.as_os_str() == STDIN || self.options.compression_of(path) != Compression::None {
            splits.push(whole("all"));
            return Ok(());
        }
        let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !metadata.is_file() || self.multiline(path, metadata.len())? {
            splits.push(whole("all"));
            return Ok(());
        }
        for start in (0..metadata.len().max(1)).step_by(usize::try_from(self.split_bytes).unwrap_or(usize::MAX)) {
            splits.push(Split { id: format!("{name}#{start}").into(), lower_bound: None });
        }
        Ok(())
    }

    /// A quoted field of the file holds a line end, so that no byte tells whether a record begins there.
    fn multiline(&self, path: &Path, length: u64) -> Result<bool> {
        match (self.format, self.options.csv.quoted_newlines) {
            (FileFormat::Csv, Some(given)) => Ok(given),
            (FileFormat::Csv, None) if length > self.split_bytes => quoted_line_end(path),
            (FileFormat::Csv, None) => Ok(true),
            _ => Ok(false),
        }
    }

    fn open_followed(&self, identity: &str, from: u64) -> Result<Box<dyn SplitReader>> {
        let files = list(&self.options)?;
        let path =
            find(identity, &files).ok_or_else(|| Error::Data(format!("the file {identity} is no longer there")))?;
        let (file, at) = FollowedFile::open(&path, from)?;
        let header_line = if self.has_header() && at > 0 { Some(first_line(&path, Compression::None)?) } else { None };
        let start = Start { at, header: self.has_header() && at == 0, skip_to: at };
        let make = self.decoder_maker(self.options.csv.quoted_newlines.unwrap_or(false));
        let reader = TextReader::new(
            Arc::clone(&self.schema),
            path,
            Bytes::Follow(file),
            start,
            make,
            self.has_header(),
            header_line.as_deref(),
        )?;
        Ok(Box::new(reader))
    }

    /// A version of a file, which lies at `at`, as one split that is not looked at in other ways; and its end.
    pub(crate) fn open_version(&self, at: &Path, version: &Version, from: u64) -> Result<Whole> {
        let name = &version.path;
        if self.options.compression_of(name) != Compression::None {
            return Ok(Whole { reader: self.open_whole(at, name, from)?, end: None });
        }
        let multiline = self.options.csv.quoted_newlines.unwrap_or(true);
        let length = version.stamp.length;
        Ok(Whole { reader: self.open_part(at, name, 0..length, from, multiline)?, end: Some(Offset(length)) })
    }

    /// The whole file at `at`, which is called `name`.
    fn open_whole(&self, at: &Path, name: &Path, from: u64) -> Result<Box<dyn SplitReader>> {
        let compression = self.options.compression_of(name);
        let bytes = if at.as_os_str() == STDIN {
            Bytes::Stdin(Stdin::open(compression)?)
        } else {
            Bytes::stream(at, compression)?
        };
        let start = Start { at: 0, header: self.has_header(), skip_to: from };
        let make = self.decoder_maker(self.options.csv.quoted_newlines.unwrap_or(true));
        let header = self.has_header();
        let reader = TextReader::new(Arc::clone(&self.schema), name.to_path_buf(), bytes, start, make, header, None)?;
        Ok(Box::new(reader))
    }

    fn open_range(&self, path: &Path, start: u64, from: u64) -> Result<Box<dyn SplitReader>> {
        let length = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        let end = start.saturating_add(self.split_bytes).min(length);
        self.open_part(path, path, start..end, from, false)
    }

    /// The records of the file at `path`, called `name`, that begin in `range`. `multiline`: they are all of it.
    fn open_part(
        &self,
        path: &Path,
        name: &Path,
        range: Range<u64>,
        from: u64,
        multiline: bool,
    ) -> Result<Box<dyn SplitReader>> {
        let (file, at) = RangeFile::open(path, range.start, range.end, from)?;
        let header_line = if self.has_header() && at > 0 { Some(first_line(path, Compression::None)?) } else { None };
        let begin = Start { at, header: self.has_header() && at == 0, skip_to: at };
        let reader = TextReader::new(
            Arc::clone(&self.schema),
            name.to_path_buf(),
            Bytes::Range(file),
            begin,
            self.decoder_maker(multiline),
            self.has_header(),
            header_line.as_deref(),
        )?;
        Ok(Box::new(reader))
    }
}

impl Source for TextSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let mut splits = Vec::new();
        if self.options.follow {
            for path in list(&self.options)? {
                if let Some(identity) = identity_of(&path) {
                    splits.push(Split { id: identity.into(), lower_bound: None });
                }
            }
            let renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
            let renamed = renamed.iter().filter(|id| splits.iter().all(|s| s.id != **id)).cloned();
            splits.extend(renamed.collect::<Vec<_>>().into_iter().map(|id| Split { id, lower_bound: None }));
            return Ok(splits);
        }
        for path in &self.files {
            self.file_splits(path, &mut splits)?;
        }
        Ok(splits)
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        if self.options.follow {
            return self.open_followed(&split.id, from.0);
        }
        let unknown = || Error::Data(format!("{} is no longer there", split.id));
        let (name, place) = split.id.rsplit_once('#').ok_or_else(unknown)?;
        let path = self.files.iter().find(|p| p.display().to_string() == name).ok_or_else(unknown)?;
        match place.parse() {
            Ok(start) => self.open_range(path, start, from.0),
            Err(_) => self.open_whole(path, path, from.0),
        }
    }

    fn bounded(&self) -> bool {
        !self.options.follow
    }

    fn resume(&self, offsets: &BTreeMap<Arc<str>, Offset>) -> Result<()> {
        if self.options.follow {
            let files = list(&self.options)?;
            let renamed = offsets.keys().filter(|id| find(id, &files).is_some_and(|path| !files.contains(&path)));
            *self.renamed.lock().unwrap_or_else(PoisonError::into_inner) = renamed.cloned().collect();
        }
        Ok(())
    }
}

/// Where the column `name` is in a header; SQL folds names to lower case, so that a match without case will do.
fn position(header: &[Option<String>], name: &str) -> Result<usize> {
    let exact = header.iter().position(|h| h.as_deref().is_some_and(|h| h == name));
    let folded = || header.iter().position(|h| h.as_deref().is_some_and(|h| h.trim().eq_ignore_ascii_case(name)));
    exact.or_else(folded).ok_or_else(|| {
        let names: Vec<&str> = header.iter().flatten().map(String::as_str).collect();
        Error::invalid_with_hint(
            format!("the header has no column {name}"),
            format!("Its columns are {}. If the first line is data, add header = 'false'.", names.join(", ")),
        )
    })
}

/// The first line of the file at `path`, without its line end.
pub(crate) fn first_line(path: &Path, compression: Compression) -> Result<Vec<u8>> {
    let reader: Box<dyn Read> = match Bytes::stream(path, compression)? {
        Bytes::Stream(stream) => stream,
        _ => return Err(Error::Internal("a stream was asked for".to_owned())),
    };
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE_BYTES as u64));
    reader.read_until(b'\n', &mut line).map_err(|e| Error::io(path, e))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).to_vec())
}

/// Looks through the file at `path` for a line end after an odd number of quotes. One too many found only costs
/// reading the file as one split.
fn quoted_line_end(path: &Path) -> Result<bool> {
    let failed = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1024 * 1024];
    let mut inside = false;
    loop {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            return Ok(false);
        }
        let mut rest = &buffer[..length];
        loop {
            let quote = memchr(b'"', rest);
            let before = &rest[..quote.unwrap_or(rest.len())];
            if inside && memchr(b'\n', before).is_some() {
                return Ok(true);
            }
            let Some(quote) = quote else { break };
            inside = !inside;
            rest = &rest[quote + 1..];
        }
    }
}
