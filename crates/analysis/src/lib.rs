//! What streams are analysed with, as incremental state machines over Arrow columns. It must not know SQL, operators,
//! threads, files or clocks.

pub mod detect;
