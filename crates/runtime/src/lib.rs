//! From plan to running Timely dataflow: workers, epochs, exchange, back-pressure.
//!
//! The only room that knows Timely. It must not know SQL text, connectors' insides or how an operator computes.
//!
//! The way of an epoch: each worker's [`feed`] pulls batches from its readers into Timely inputs at the open epoch;
//! the [`coordinator`] decides when to seal, collects every worker's report and publishes one header; workers that
//! hold the header advance their inputs past the epoch; the [`shell`] around each operator sees the frontier pass and
//! tells the operator that the epoch is complete.

mod budget;
mod clock;
mod compact;
mod container;
mod coordinator;
mod exchange;
mod feed;
mod headers;
mod labels;
mod limits;
pub mod live;
mod machine;
mod partition;
mod render;
mod run;
mod save;
mod shell;
mod sink;
mod splits;
mod standing;
mod stats;
mod stepper;

pub use clock::{Clock, DrivenClock};
pub use compact::compacted;
pub use limits::{EpochLimits, RunConfig};
pub use machine::parse_bytes;
pub use run::{Sinks, run};
pub use stats::{QueryStats, RunStats, Snapshot};
pub use stepper::Stepper;
