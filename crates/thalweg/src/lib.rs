//! Thalweg as a library.
//!
//! [`Thalweg`] is the engine of `thalweg serve` inside a program: tables, views that stay fresh, queries, subscriptions.
//! [`Pipeline`] is `thalweg run`: a script over input that ends, or until it is stopped.
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
mod embed;
mod pipeline;
pub mod server;
mod wiring;

pub use arrow;
pub use embed::{Changes, Connection, Parameter, Rows, Thalweg, Update};
pub use pipeline::{Pipeline, Running};
pub use server::ServerConfig as Config;
pub use thalweg_core::{DeltaBatch, Error, SqlError, SqlState, Watermark};
pub use thalweg_runtime::{Clock, EpochLimits, RunConfig, RunStats, Snapshot, parse_bytes};
pub use thalweg_sql::Problem;

/// The code of the guide is compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/embedding.md")]
struct Guide;
