//! JSON records in every envelope: `fuzz/run.sh 60 envelopes`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_formats::smoke::envelopes(bytes));
