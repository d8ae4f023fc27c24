//! The options of the file connector, read once. It must not open anything.

use std::path::Path;
use std::time::Duration;

use thalweg_core::{Error, Options, Result};

/// How rows are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
    /// Delimited text.
    Csv,
}

impl FileFormat {
    /// The extension of files that Thalweg writes.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Json => "ndjson",
            Self::Csv => "csv",
        }
    }
}

/// How a text file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The words that `format` takes.
pub(crate) const FORMATS: &[(&str, Option<FileFormat>)] = &[
    ("parquet", Some(FileFormat::Parquet)),
    ("ndjson", Some(FileFormat::Json)),
    ("json", Some(FileFormat::Json)),
    ("jsonl", Some(FileFormat::Json)),
    ("csv", Some(FileFormat::Csv)),
];

const COMPRESSIONS: &[(&str, Option<Compression>)] = &[
    ("none", Some(Compression::None)),
    ("gzip", Some(Compression::Gzip)),
    ("gz", Some(Compression::Gzip)),
    ("zstd", Some(Compression::Zstd)),
    ("zst", Some(Compression::Zstd)),
];

/// How delimited text is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvOptions {
    /// The first record names the columns.
    pub(crate) header: bool,
    /// Between fields.
    pub(crate) delimiter: u8,
    /// The unquoted text that means NULL.
    pub(crate) null: String,
    /// Whether quoted fields may hold newlines; unknown: the file is looked at.
    pub(crate) quoted_newlines: Option<bool>,
}

/// How a folder is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// A file is complete when nobody has written to it for so long.
    pub(crate) settle: Duration,
    /// So many files are there at most.
    pub(crate) files_max: usize,
}

/// Files of a watched folder, unless the options say otherwise: how far each was read is in every checkpoint.
const FILES_MAX: usize = 10_000;
/// Milliseconds without a write after which a file of a watched folder is complete.
const SETTLE_MILLIS: u64 = 1_000;

/// The options of a file source.
#[derive(Clone, Debug)]
pub(crate) struct FileOptions {
    /// Files, globs, directories, `-`.
    pub(crate) paths: Vec<String>,
    /// Given, or else by extension.
    pub(crate) format: Option<FileFormat>,
    /// Given, or else by extension.
    pub(crate) compression: Option<Compression>,
    /// Growing files are followed.
    pub(crate) follow: bool,
    /// Files that come are read as they come.
    pub(crate) watch: Option<Watch>,
    /// The paths are of objects there.
    #[cfg(feature = "s3")]
    pub(crate) bucket: Option<super::bucket::InBucket>,
    /// For CSV.
    pub(crate) csv: CsvOptions,
}

impl FileOptions {
    /// Reads them and refuses unknown ones.
    pub(crate) fn parse(mut options: Options) -> Result<Self> {
        let path = options.require("path", "events/*.parquet")?;
        let paths: Vec<String> = path.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
        if paths.is_empty() {
            return Err(Error::invalid_with_hint(
                "option path is empty",
                "Name a file, a glob, a directory, or - for standard input.",
            ));
        }
        let format = options.choice("format", FORMATS, None)?;
        let compression = options.choice("compression", COMPRESSIONS, None)?;
        let mode = options.choice("mode", &[("once", "once"), ("follow", "follow"), ("watch", "watch")], "once")?;
        let watch = match mode {
            "watch" => Some(take_watch(&mut options)?),
            _ => None,
        };
        let csv = take_csv(&mut options)?;
        #[cfg(feature = "s3")]
        let bucket = super::bucket::InBucket::take(&paths, &mut options)?;
        options.finish()?;
        let options = Self {
            paths,
            format,
            compression,
            follow: mode == "follow",
            watch,
            #[cfg(feature = "s3")]
            bucket,
            csv,
        };
        options.check()?;
        Ok(options)
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<()> {
        if cfg!(not(feature = "s3")) && self.paths.iter().any(|path| path.starts_with("s3://")) {
            return Err(Error::Unsupported("this build reads no s3:// paths: build it with the feature s3".to_owned()));
        }
        if self.takes_whole_files() && self.paths.iter().any(|path| path == super::list::STDIN) {
            return Err(Error::invalid("standard input cannot be followed: it ends when it ends"));
        }
        #[cfg(feature = "s3")]
        if self.bucket.is_some() && self.follow {
            return Err(Error::invalid_with_hint(
                "mode = 'follow' needs files of this machine: an object does not grow",
                "Objects that are added to a bucket are for mode = 'watch'.",
            ));
        }
        Ok(())
    }

    /// Each file is taken up as a whole, once.
    pub(crate) fn takes_whole_files(&self) -> bool {
        #[cfg(feature = "s3")]
        if self.bucket.is_some() {
            return true;
        }
        self.watch.is_some()
    }

    /// Files may still come.
    pub(crate) fn awaits(&self) -> bool {
        self.follow || self.watch.is_some()
    }

    /// The format of the file at `path`.
    pub(crate) fn format_of(&self, path: &Path) -> Result<FileFormat> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        by_extension(path).0.ok_or_else(|| {
            Error::invalid_with_hint(
                format!("the format of {} is not known by its name", path.display()),
                "Add format = 'parquet', 'ndjson' or 'csv'.",
            )
        })
    }

    /// The compression of the file at `path`.
    pub(crate) fn compression_of(&self, path: &Path) -> Compression {
        self.compression.unwrap_or_else(|| by_extension(path).1)
    }
}

fn take_watch(options: &mut Options) -> Result<Watch> {
    let settle = options.parse("settle.millis", SETTLE_MILLIS, "a number of milliseconds")?;
    let files_max = options.parse("files.max", FILES_MAX, "a number of files")?;
    Ok(Watch { settle: Duration::from_millis(settle), files_max })
}

/// Takes the options of CSV.
pub(crate) fn take_csv(options: &mut Options) -> Result<CsvOptions> {
    let header = options.parse("header", true, "true or false")?;
    let quoted_newlines = options.parse_opt("quoted_newlines", "true or false")?;
    let null = options.take("null").unwrap_or_default();
    let text = options.take("delimiter").unwrap_or_else(|| ",".to_owned());
    let delimiter = match (text.as_str(), text.as_bytes()) {
        ("\\t" | "tab", _) => b'\t',
        (_, [one]) if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => *one,
        _ => {
            return Err(Error::invalid_with_hint(
                format!("option delimiter = '{text}' is not one character"),
                "Use one ASCII character, such as ',' ';' '|' or '\\t'.",
            ));
        }
    };
    Ok(CsvOptions { header, delimiter, null, quoted_newlines })
}

/// Takes the compression of text output; `None` when not given.
pub(crate) fn take_compression(options: &mut Options) -> Result<Option<Compression>> {
    options.choice("compression", COMPRESSIONS, None)
}

/// What the name of a file says of its format and compression.
pub(crate) fn by_extension(path: &Path) -> (Option<FileFormat>, Compression) {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Compression::Gzip),
        Some((stem, "zst")) => (stem, Compression::Zstd),
        _ => (name.as_str(), Compression::None),
    };
    let format = match stem.rsplit_once('.').map(|(_, extension)| extension) {
        Some("parquet") => Some(FileFormat::Parquet),
        Some("json" | "ndjson" | "jsonl") => Some(FileFormat::Json),
        Some("csv" | "tsv") => Some(FileFormat::Csv),
        _ => None,
    };
    (format, compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_name_tells_format_and_compression() {
        let of = |name: &str| by_extension(Path::new(name));
        assert_eq!(of("a/b.parquet"), (Some(FileFormat::Parquet), Compression::None));
        assert_eq!(of("b.JSONL.gz"), (Some(FileFormat::Json), Compression::Gzip));
        assert_eq!(of("b.csv.zst"), (Some(FileFormat::Csv), Compression::Zstd));
        assert_eq!(of("b.log"), (None, Compression::None));
    }

    #[test]
    fn wrong_options_are_refused() {
        for (pairs, part) in [
            (&[("pth", "a")][..], "option path is required"),
            (&[("path", " , ")][..], "option path is empty"),
            (&[("path", "a"), ("formt", "csv")][..], "Did you mean format?"),
            (&[("path", "a"), ("format", "parket")][..], "Did you mean 'parquet'?"),
            (&[("path", "a"), ("delimiter", "||")][..], "not one character"),
            (&[("path", "a"), ("header", "perhaps")][..], "not true or false"),
            (&[("path", "a"), ("mode", "wach")][..], "Did you mean 'watch'?"),
            (&[("path", "a"), ("mode", "watch"), ("files.max", "x")][..], "a number of files"),
            (&[("path", "a"), ("files.max", "1")][..], "unknown option files.max"),
        ] {
            let message = FileOptions::parse(options(pairs)).expect_err("wrong").to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_list_of_paths_and_a_tab() {
        let parsed = FileOptions::parse(options(&[("path", "a.csv, b.csv"), ("delimiter", "\\t")])).expect("valid");
        assert_eq!(parsed.paths, ["a.csv", "b.csv"]);
        assert_eq!(parsed.csv.delimiter, b'\t');
    }
}
