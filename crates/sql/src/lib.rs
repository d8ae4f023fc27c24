//! From text to plan: parse, bind, optimise, lower.
//!
//! Owns the dialect, the catalog of a script and the derivation of every property in the plan. It must not know
//! Timely, connectors' insides or how operators compute.
//!
//! The way of a statement: [`compile`] cuts the script into statements ([`parse`]), reads them as PostgreSQL does
//! ([`spelling`]), plans each query with DataFusion over the [`catalog`], puts its subqueries where they can be joined
//! ([`scalar`], [`marks`]), optimises it, and lowers it at once to `thalweg_plan` ([`lower`]). What a function, an operator
//! or a cast means is decided in [`functions`]. What clients ask about the database itself is answered by [`system`].

mod bin;
mod cases;
mod catalog;
mod compile;
mod context;
mod declare;
mod functions;
mod lower;
mod marks;
mod parse;
mod problem;
mod scalar;
mod series;
pub mod server;
pub mod smoke;
mod spelling;
mod statement;
pub mod system;
mod text;
mod types;
mod window_table;

pub use compile::{CompileOptions, Compiled, Connectors, SinkMode, SinkShape, compile};
pub use problem::Problem;
