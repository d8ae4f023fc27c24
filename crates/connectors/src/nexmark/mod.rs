//! The `nexmark` connector: the auction site of the Nexmark benchmark as a deterministic source, and the same events
//! written to files. Built on the `nexmark` crate: its proportions (1 person, 3 auctions, 46 bids), hot keys and
//! columns. It must not know SQL, epochs or the registry.
//!
//! Options of the source:
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `table` | `person`, `auction` or `bid` | required |
//! | `events` | events of all three tables in total; 0 is without end | 0 |
//! | `rate` | events of all three tables per second of event time | 10000 |
//! | `base_time` | time of the first event: milliseconds since 1970, a timestamp (UTC), or `now` | 2026-01-01 00:00:00 |
//! | `seed` | which stretch of the endless benchmark to play (0 to 4294967295) | 0 |
//! | `splits` | parts that can be read in parallel | 1 |
//! | `realtime` | yield an event only when its time has come, counted from the start | false |

mod generate;
mod sequence;
mod source;
mod table;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Options, Result, Source};

use crate::registry::SourceRequest;

pub use generate::{FileFormat, GenerateSpec, Generated, generate};
pub use source::NexmarkSource;
pub use table::Table;

/// The source that `request` describes.
pub(crate) fn source(request: SourceRequest) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(NexmarkSource::new(request.options, &request.declared, &request.projection)?))
}

/// The columns of the table that `options` name.
pub(crate) fn infer(mut options: Options) -> Result<SchemaRef> {
    Ok(source::take_table(&mut options)?.schema())
}
