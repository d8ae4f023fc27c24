//! Anomaly detectors: every row of a key gets a score from the rows of that key before it.
//!
//! Owns the methods, their parameters and the bytes of their state. It must not know where rows come from, what a key
//! is made of, or what becomes of a score. `docs/anomaly.md` says what each method is for.
//!
//! What all methods have in common:
//! - A row is scored first and learnt from afterwards, and what is learnt of it is limited, so that an anomaly does not
//!   hide the next one. Each method says how.
//! - A row with a NULL, NaN or infinite input is scored NULL and changes nothing.
//! - Inputs beyond ±1e100 count as ±1e100, and scores end at [`MAX_SCORE`], so that nothing overflows.
//! - Equal rows give equal scores, to the bit, however they are cut into calls and wherever the state was saved between.

mod adwin;
mod bytes;
mod cusum;
mod detector;
mod ewma;
mod forecast;
mod half_space;
mod keyed;
mod reference;
mod robust;
mod seasonal;
mod signature;
mod trees;
mod zscore;

pub use detector::{DetectError, Detector};
pub use robust::MAX_SCORE;
pub use signature::{Kind, Parameter, Range, Signature, build, signatures};
