//! Segments of the hub, and marks: `fuzz/run.sh 60 segment`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_hub::smoke::segment_and_marks(bytes));
