//! Avro data and schemas: `fuzz/run.sh 60 avro`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_formats::smoke::avro(bytes));
