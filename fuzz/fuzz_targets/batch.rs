//! Record batches: `fuzz/run.sh 60 batch`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_hub::smoke::batch(bytes));
