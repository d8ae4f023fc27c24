//! `Schedule`: when the n-th thing is due, at a fixed rate, whatever the server does. It must not wait.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// From now to the first thing that is due: time for the others to get ready.
const LEAD: Duration = Duration::from_millis(200);

/// Things that are due one step apart, numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Instant,
    /// The start as microseconds since 1970.
    start_us: i64,
    step: Duration,
    /// The first that counts.
    first: u64,
    /// How many there are.
    pub(super) total: u64,
}

impl Schedule {
    /// For `warm_up`, which does not count, and then for `measured`.
    pub(super) fn lasting(step: Duration, warm_up: Duration, measured: Duration) -> Self {
        let steps = |time: Duration| u64::try_from(time.as_nanos() / step.as_nanos().max(1)).unwrap_or(u64::MAX);
        Self::counting(step, steps(warm_up), steps(measured))
    }

    /// `warm_up` things that do not count and `measured` that do.
    pub(super) fn counting(step: Duration, warm_up: u64, measured: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + LEAD;
        Self {
            start: Instant::now() + LEAD,
            start_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            step,
            first: warm_up,
            total: warm_up + measured,
        }
    }

    /// The same things, the first one due shortly from now.
    pub(super) fn shifted_to_now(self) -> Self {
        Self::counting(self.step, self.first, self.total - self.first)
    }

    pub(super) fn due(&self, n: u64) -> Instant {
        self.start + self.offset(n)
    }

    /// [`due`](Self::due) as microseconds since 1970.
    pub(super) fn due_us(&self, n: u64) -> i64 {
        self.start_us + i64::try_from(self.offset(n).as_micros()).unwrap_or(i64::MAX / 2)
    }

    pub(super) fn counts(&self, n: u64) -> bool {
        n >= self.first
    }

    /// What was due at this time counts.
    pub(super) fn counts_at(&self, due_us: i64) -> bool {
        due_us >= self.due_us(self.first)
    }

    /// A moment as microseconds since 1970, on the same clock as [`due_us`](Self::due_us).
    pub(super) fn us_at(&self, moment: Instant) -> i64 {
        let us = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 2);
        match moment.checked_duration_since(self.start) {
            Some(after) => self.start_us + us(after),
            None => self.start_us - us(self.start - moment),
        }
    }

    /// When the first that counts is due.
    pub(super) fn measured_from(&self) -> Instant {
        self.due(self.first)
    }

    /// When all are over.
    pub(super) fn end(&self) -> Instant {
        self.due(self.total)
    }

    fn offset(&self, n: u64) -> Duration {
        // In nanoseconds, so that no rounding adds up.
        let nanos = self.step.as_nanos() * u128::from(n);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_depend_on_what_happened() {
        let schedule = Schedule::lasting(Duration::from_millis(1), Duration::from_secs(3), Duration::from_secs(20));
        assert_eq!(schedule.total, 23_000);
        assert_eq!(schedule.due(1000) - schedule.due(0), Duration::from_secs(1));
        assert_eq!(schedule.due_us(1000) - schedule.due_us(0), 1_000_000);
        assert!(!schedule.counts(2999) && schedule.counts(3000));
        assert!(!schedule.counts_at(schedule.due_us(2999)) && schedule.counts_at(schedule.due_us(3000)));
        assert_eq!(schedule.us_at(schedule.due(70)), schedule.due_us(70));
        assert_eq!(schedule.end() - schedule.measured_from(), Duration::from_secs(20));
    }

    #[test]
    fn odd_rates_do_not_drift() {
        let schedule = Schedule::lasting(Duration::from_secs(1) / 5000, Duration::ZERO, Duration::from_secs(20));
        assert_eq!(schedule.total, 100_000);
        assert_eq!(schedule.due(100_000) - schedule.due(0), Duration::from_secs(20));
        let later = schedule.shifted_to_now();
        assert!(later.due(0) >= schedule.due(0) && later.total == schedule.total);
    }
}
