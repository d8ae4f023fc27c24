//! Thalweg as a library: compile a script of streaming SQL, run it, take its results.
//!
//! Owns the wiring between the rooms, which know nothing of each other. It must not know command lines.
//!
//! ```
//! use thalweg::{Pipeline, RunConfig};
//!
//! let script = "
//!     CREATE TABLE orders (customer VARCHAR, amount BIGINT);
//!     INSERT INTO orders VALUES ('ann', 3), ('bob', 4), ('ann', 5);
//!     SELECT customer, sum(amount) AS total FROM orders GROUP BY customer ORDER BY customer;";
//! let pipeline = Pipeline::compile(script, Default::default()).expect("the script is right");
//! let rows = pipeline.collect(RunConfig::default()).expect("it runs");
//! assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
//! ```

mod capture;
mod pipeline;
pub mod server;
mod wiring;

pub use pipeline::{Pipeline, Running};
pub use thalweg_core::{Error, Watermark};
pub use thalweg_runtime::{Clock, EpochLimits, RunConfig, RunStats, Snapshot, parse_bytes};
pub use thalweg_sql::Problem;
