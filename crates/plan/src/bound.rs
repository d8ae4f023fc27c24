//! `Bound`: how far the watermark of the sources bounds a column. It must not know how watermarks are made.

use std::fmt;

use thalweg_core::{EpochHeader, SourceId, Watermark};

/// A promise about a column: after an epoch, every row still to come has a value at or above `eval(header)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The watermark of a source.
    Source(SourceId),
    /// Another bound, moved by microseconds.
    Shift(Box<Bound>, i64),
    /// Another bound, rounded down to multiples of `width` from `origin` (microseconds).
    Bin {
        /// What is rounded.
        of: Box<Bound>,
        /// Width of a bin.
        width: i64,
        /// Where a bin starts.
        origin: i64,
    },
    /// The lowest of several (a union, a join).
    Min(Vec<Bound>),
}

impl Bound {
    /// The bound at an epoch.
    pub fn eval(&self, header: &EpochHeader) -> Watermark {
        match self {
            Self::Source(id) => header.watermark(*id),
            Self::Shift(of, micros) => of.eval(header).shift(*micros),
            Self::Bin { of, width, origin } => of.eval(header).bin(*width, *origin),
            Self::Min(of) => of.iter().map(|b| b.eval(header)).min().unwrap_or(Watermark::START),
        }
    }

    /// This bound moved by microseconds.
    pub fn shift(self, micros: i64) -> Self {
        match self {
            Self::Shift(of, by) => Self::Shift(of, by.saturating_add(micros)),
            other if micros == 0 => other,
            other => Self::Shift(Box::new(other), micros),
        }
    }

    /// The lower of two.
    pub fn min(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let mut all = match self {
            Self::Min(of) => of,
            one => vec![one],
        };
        match other {
            Self::Min(of) => all.extend(of),
            one => all.push(one),
        }
        all.dedup();
        Self::Min(all)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(id) => write!(f, "wm({})", id.0),
            Self::Shift(of, micros) => {
                write!(f, "{of} {} {}ms", if *micros < 0 { '-' } else { '+' }, micros.abs() / 1000)
            }
            Self::Bin { of, width, .. } => write!(f, "bin({of}, {}ms)", width / 1000),
            Self::Min(of) => {
                let parts: Vec<String> = of.iter().map(ToString::to_string).collect();
                write!(f, "min({})", parts.join(", "))
            }
        }
    }
}
