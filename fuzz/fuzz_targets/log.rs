//! Logs, with marks and without: `fuzz/run.sh 60 log`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_store::smoke::log(bytes));
