//! `Watermark`: the world's clock, a lower bound on event times still to come. It must not know epochs.

use std::fmt;

/// Event time in microseconds since 1970-01-01 UTC: no later row is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub i64);

impl Watermark {
    /// Nothing is known yet.
    pub const START: Self = Self(i64::MIN);
    /// The input has ended: every window closes.
    pub const END: Self = Self(i64::MAX);

    /// Moved by `micros`; `START` and `END` stay where they are.
    pub fn shift(self, micros: i64) -> Self {
        match self {
            Self::START | Self::END => self,
            Self(t) => Self(t.saturating_add(micros)),
        }
    }

    /// Rounded down to a multiple of `width` from `origin` (microseconds, `width > 0`).
    pub fn bin(self, width: i64, origin: i64) -> Self {
        match self {
            Self::START | Self::END => self,
            Self(t) => {
                let t = i128::from(t);
                let (width, origin) = (i128::from(width), i128::from(origin));
                let binned = (t - origin).div_euclid(width) * width + origin;
                Self(i64::try_from(binned).unwrap_or(i64::MIN + 1))
            }
        }
    }
}

impl Default for Watermark {
    fn default() -> Self {
        Self::START
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::START => f.write_str("-infinity"),
            Self::END => f.write_str("infinity"),
            Self(t) => match arrow::temporal_conversions::timestamp_us_to_datetime(t) {
                Some(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S%.3f")),
                None => write!(f, "{t} us"),
            },
        }
    }
}
