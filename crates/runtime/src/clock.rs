//! `Clock`: where time comes from: the machine, or whoever runs the engine. It must not know what time is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// `wall_clock` is always this time (microseconds since 1970-01-01 UTC): for runs that must repeat exactly.
    Fixed(i64),
    /// Only whoever holds it lets time pass: for simulations.
    Driven(Arc<DrivenClock>),
}

/// Time that passes when it is told to.
#[derive(Debug)]
pub struct DrivenClock {
    begin: Instant,
    /// Microseconds that have passed.
    passed: AtomicU64,
    /// What the wall clock shows, in microseconds since 1970-01-01 UTC.
    wall: AtomicI64,
}

impl DrivenClock {
    /// A clock that shows `micros` since 1970-01-01 UTC.
    pub fn new(micros: i64) -> Arc<Self> {
        Arc::new(Self { begin: Instant::now(), passed: AtomicU64::new(0), wall: AtomicI64::new(micros) })
    }

    /// Time passes.
    pub fn advance(&self, micros: u32) {
        self.passed.fetch_add(micros.into(), Ordering::Relaxed);
        self.jump(micros.into());
    }

    /// Someone sets the wall clock: no time passes.
    pub fn jump(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::Relaxed);
    }

    /// Microseconds that have passed since it was made.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Clock {
    /// Microseconds since 1970-01-01 UTC.
    pub fn now(&self) -> i64 {
        match self {
            Self::Driven(clock) => clock.wall.load(Ordering::Relaxed),
            Self::Fixed(micros) => *micros,
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// A moment, to measure from.
    pub(crate) fn instant(&self) -> Instant {
        match self {
            Self::Driven(clock) => clock.begin + Duration::from_micros(clock.passed()),
            Self::Fixed(_) | Self::System => Instant::now(),
        }
    }

    /// Time that has passed since `moment`.
    pub(crate) fn since(&self, moment: Instant) -> Duration {
        self.instant().saturating_duration_since(moment)
    }
}
