//! How a bucket of an S3-compatible object store is reached: its URL, the options, and what its errors mean.
//!
//! It must not know what lies there.

mod error;
mod options;

pub use error::{explain, no_bucket};
pub use options::{BucketOptions, Place};
