//! What streams are analysed with, as incremental state machines over Arrow columns: anomaly detectors, and sketches with
//! stated error bounds. It must not know SQL, plans, operators, threads, files or clocks.

pub mod detect;
pub mod sketch;
