//! Protobuf messages and descriptors: `fuzz/run.sh 60 protobuf`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_formats::smoke::protobuf(bytes));
