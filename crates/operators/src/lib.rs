//! The incremental operators and their state: sans-IO state machines over `DeltaBatch`es.
//!
//! Owns how each operator of a plan does its work. It must not know Timely, threads, files, clocks or SQL text.

mod accumulators;
mod aggregate;
mod alert;
mod build;
mod calc;
mod collect;
mod detect;
mod expect;
mod expire;
mod gate;
mod hop;
mod join;
mod keys;
mod operator;
mod over;
mod session;
mod state_batch;
mod store;
mod table;
#[cfg(test)]
mod testing;
mod topn;
mod view;

pub use aggregate::Aggregate;
pub use alert::{Alert, AlertHistory};
pub use build::{build, holds_output, passes_rows_on};
pub use calc::Calc;
pub use collect::Collect;
pub use detect::Detect;
pub use expire::Expire;
pub use gate::Gate;
pub use hop::Hop;
pub use join::Join;
pub use keys::KeyTable;
pub use operator::{Operator, Output, StateTable, WorkerInfo, evaluate, kept_rows};
pub use over::Over;
pub use session::Session;
pub use store::{consolidate as consolidated, pieces};
pub use table::Table;
pub use topn::TopN;
pub use view::{Arrangement, IndexBuild, Version};
