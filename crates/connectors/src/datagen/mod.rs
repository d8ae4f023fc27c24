//! The `datagen` connector: typed, seeded, rate-limited rows for trying things out. Row `n` of a column depends on the
//! seed, the column's name and `n` only, so a run can be repeated, split and resumed. It must not know SQL, epochs or
//! the registry.
//!
//! Options of the source (a dot may stand for each dash):
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `rows` | total rows; 0 is without end | 0 |
//! | `rows-per-second` | rows a second of wall time | 10 without end, as fast as possible with `rows` |
//! | `seed` | other values | 0 |
//! | `splits` | parts that can be read in parallel | 1 |
//! | `base-time` | time of row 0: a timestamp (UTC) or `now` | `now` |
//!
//! Options of a column `COL`:
//!
//! | option | for | meaning |
//! | --- | --- | --- |
//! | `fields.COL.kind` | all | `sequence`, `random` (the default) or `choice` |
//! | `fields.COL.start`, `.end` | `sequence` | first and last number, then from the start again; 0 and without end |
//! | `fields.COL.min`, `.max` | `random` numbers | bounds, both included: 0 and 999, floats 0 and 1 |
//! | `fields.COL.length` | `random` text | letters: 10 |
//! | `fields.COL.choices` | `choice` | values, separated by commas |
//! | `fields.COL.nulls` | all | share of nulls, 0 to 1: 0 |
//! | `fields.COL.max-past` | timestamps, dates | how far a time lies before its row's time: 0, `random` 1 day |
//!
//! A row's time is `base-time` plus its number over the rate (one millisecond a row where there is no rate); a
//! timestamp column is that time (`sequence`, its default) or lies up to `max-past` before it.

mod column;
mod noise;
mod source;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Options, Result, Source};

use self::source::DatagenSource;
use crate::registry::SourceRequest;

/// The source that `request` describes.
pub(crate) fn source(request: SourceRequest) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(DatagenSource::new(request.options, &request.declared, &request.projection)?))
}

/// Made-up data tell nothing: the columns are declared.
pub(crate) fn infer(_options: Options) -> Result<SchemaRef> {
    Err(Error::invalid_with_hint(
        "a datagen source needs its columns declared",
        "Write CREATE SOURCE name (id BIGINT, at TIMESTAMP) WITH (connector = 'datagen').",
    ))
}
