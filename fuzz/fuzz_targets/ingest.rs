//! Bodies of ingest requests: `fuzz/run.sh 60 ingest`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_serve::smoke::ingest(bytes));
