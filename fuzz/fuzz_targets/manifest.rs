//! Manifests of checkpoints: `fuzz/run.sh 60 manifest`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_store::smoke::manifest(bytes));
