//! Start-up messages and logins of the PostgreSQL protocol: `fuzz/run.sh 60 startup`. It must not know what is promised.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_serve::smoke::startup(bytes));
