//! Sketches: small summaries that answer count-distinct, percentiles, top-k and membership with stated error bounds.
//!
//! Owns their mathematics, their bytes and their grouped, mergeable, restorable columnar state. It must not know SQL
//! text, plans, epochs, files, clocks or randomness: the same rows in the same order give the same bytes everywhere.
//!
//! [`signatures`] tells SQL what there is, [`build`] makes the state of an aggregate call ([`GroupSketches`]), [`call`]
//! evaluates a scalar function over stored sketches. All sketches are insert-only. Distinct counts and Bloom filters are
//! functions of the *set* of values: any split of the rows over workers and any order of merges gives the same bytes.
//! Quantile and top-k sketches depend on the order of rows and merges, within their bounds; as long as a quantile sketch
//! holds at most *k* rows, or a top-k sketch at most twice its counters, they are exact and do not.

mod aggregates;
mod any;
mod build;
mod distinct;
mod error;
mod filter;
mod frequent;
mod groups;
mod hash;
mod json;
pub mod limits;
mod number;
mod quantiles;
mod scalars;
mod signatures;
mod tag;
mod wire;

pub use build::build;
pub use error::SketchError;
pub use groups::GroupSketches;
pub use scalars::call;
pub use signatures::{Accepts, Parameter, Role, Signature, signatures};

/// Where a true value lies, with a stated confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}
