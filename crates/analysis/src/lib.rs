//! What is said about streams beside exact SQL: sketches with stated error bounds.
//!
//! Owns the mathematics of analysis. It must not know SQL text, plans, operators, files, clocks or randomness.

pub mod sketch;
