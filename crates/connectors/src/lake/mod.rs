//! `lake`: a folder of Parquet or NDJSON files that only grows, with a log of commits beside them. It must not know who
//! reads it.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `path` | the folder, which is made | required |
//! | `format` | `parquet`, `ndjson` | `parquet` |
//! | `compression` | of Parquet: `snappy`, `zstd`, `none` | `snappy` |
//! | `partition_by` | columns whose values name folders, `column=value` | |
//! | `file.bytes` | a file that has reached this size is followed by another | 134217728 (128 MiB) |
//!
//! What the files hold counts only where a commit names them. A commit is one file of `_commits`, numbered without a gap
//! and made only where there is none of its number: so a delivery is there as a whole or not at all, and whoever has been
//! replaced cannot commit any more. Opening the sink takes the next number, before anything is written.

mod commits;
mod options;
mod parts;
mod sink;
#[cfg(test)]
mod tests;

use thalweg_core::{EpochSink, Result};

use crate::registry::EpochSinkRequest;
use options::LakeOptions;
use sink::LakeSink;

/// The sink that `request` describes.
pub(crate) fn epoch_sink(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    let options = LakeOptions::parse(&request)?;
    Ok(Box::new(LakeSink::new(request.name, request.cluster, request.id, options)))
}
