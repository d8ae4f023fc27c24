//! SQL, parsed and planned: `fuzz/run.sh 60 sql`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_sql::smoke::sql(bytes));
