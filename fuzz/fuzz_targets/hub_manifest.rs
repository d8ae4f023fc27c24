//! Manifests of the hub: `fuzz/run.sh 60 hub_manifest`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_hub::smoke::manifest(bytes));
