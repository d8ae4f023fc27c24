//! JSON lines: `cargo +nightly fuzz run json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_formats::smoke::json(bytes));
