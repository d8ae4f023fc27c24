//! The limits of sketches, with units, and the parameters' defaults. They are part of what users are told.

/// Least HyperLogLog precision (base-2 logarithm of the number of registers).
pub const LEAST_PRECISION: u8 = 4;
/// Greatest HyperLogLog precision: 2¹⁸ registers of a byte, 256 KiB a sketch.
pub const MOST_PRECISION: u8 = 18;
/// HyperLogLog precision unless said: 4096 registers of a byte.
pub const DEFAULT_PRECISION: u8 = 12;

/// Least `k` of a quantile sketch (values kept in its top level).
pub const LEAST_QUANTILE_K: u16 = 20;
/// Greatest `k` of a quantile sketch.
pub const MOST_QUANTILE_K: u16 = 4000;
/// `k` of a quantile sketch unless said.
pub const DEFAULT_QUANTILE_K: u16 = 200;

/// Greatest `k` of a top-k sketch (values asked for).
pub const MOST_TOP_K: u16 = 1000;
/// Counters kept for each value asked for.
pub const COUNTERS_A_VALUE: usize = 16;
/// Counters kept at least.
pub const LEAST_COUNTERS: usize = 256;
/// Longest text or bytea that a top-k sketch counts, bytes.
pub const MOST_VALUE_BYTES: usize = 1024;

/// Greatest number of items a Bloom filter is sized for.
pub const MOST_EXPECTED_ITEMS: u32 = 10_000_000;
/// Least false-positive rate a Bloom filter is sized for.
pub const LEAST_FALSE_POSITIVE_RATE: f64 = 0.0001;
/// Greatest false-positive rate a Bloom filter is sized for.
pub const MOST_FALSE_POSITIVE_RATE: f64 = 0.5;
/// Largest Bloom filter, bytes.
pub const MOST_FILTER_BYTES: usize = 16 << 20;

/// Greatest confidence of a bound: three standard deviations.
pub const MOST_CONFIDENCE: f64 = 0.9973;
/// Confidence of a bound unless said.
pub const DEFAULT_CONFIDENCE: f64 = 0.95;

/// Most bytes of sketches in one Arrow array.
pub const MOST_ARRAY_BYTES: usize = i32::MAX as usize;
