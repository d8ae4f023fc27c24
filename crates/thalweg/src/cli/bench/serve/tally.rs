//! `Tally`: latencies and errors of one kind of thing. It must not know what was measured.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Anything slower is recorded as this.
const MAX_US: u64 = 600_000_000;

/// Three digits of a latency are kept.
const DIGITS: u8 = 3;

/// Latencies from the intended time, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// What the report calls it.
    pub(super) name: String,
    latencies: Histogram<u64>,
    /// How many of the unit of the rate were done.
    pub(super) units: u64,
    /// For how long units were counted.
    pub(super) took: Duration,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

impl Tally {
    pub(super) fn new(name: String) -> Self {
        let latencies = Histogram::new_with_bounds(1, MAX_US, DIGITS).expect("the bounds are in order");
        Self { name, latencies, units: 0, took: Duration::ZERO, errors: 0, first_error: None }
    }

    /// `units` of work were done `late` after they were due.
    pub(super) fn record(&mut self, late: Duration, units: u64) {
        self.latencies.saturating_record(u64::try_from(late.as_micros()).unwrap_or(MAX_US).max(1));
        self.units += units;
    }

    pub(super) fn fail(&mut self, errors: u64, why: impl FnOnce() -> String) {
        self.errors += errors;
        if self.first_error.is_none() {
            self.first_error = Some(why());
        }
    }

    /// Units were counted from `from` until now, but not for less than the schedule's time.
    pub(super) fn over(&mut self, from: Instant, until_at_least: Instant) {
        self.took = self.took.max(Instant::now().max(until_at_least) - from);
    }

    /// Another worker's share of the same work.
    pub(super) fn merge(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("the bounds are the same");
        self.units += other.units;
        self.took = self.took.max(other.took);
        if other.errors > 0 {
            self.fail(other.errors, || other.first_error.clone().unwrap_or_default());
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.latencies.len()
    }

    /// In milliseconds.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// In milliseconds.
    pub(super) fn max(&self) -> f64 {
        self.latencies.max() as f64 / 1000.0
    }

    /// Units a second.
    pub(super) fn rate(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.units as f64 / self.took.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let mut all = Tally::new("x".to_owned());
        let mut share = Tally::new("x".to_owned());
        for ms in 1..=100 {
            share.record(Duration::from_millis(ms), 50);
        }
        share.took = Duration::from_secs(2);
        share.fail(2, || "no".to_owned());
        all.merge(&share);
        assert_eq!((all.count(), all.units, all.errors, all.rate()), (100, 5000, 2, 2500.0));
        assert!((all.quantile(0.5) - 50.0).abs() < 0.1);
        assert!((all.max() - 100.0).abs() < 0.1);
        assert_eq!(all.first_error.as_deref(), Some("no"));
    }
}
