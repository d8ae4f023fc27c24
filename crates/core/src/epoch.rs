//! `Epoch` and its header: the unit of visibility, durability and delivery. It must not know who seals or reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Offset, Watermark};

/// Our clock: the timestamp of every dataflow. Epoch 0 is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A source's number within one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub usize);

/// What an epoch says of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceProgress {
    /// No row below this event time will come in a later epoch.
    pub watermark: Watermark,
    /// Where to read on, per split that was read in this epoch.
    pub offsets: BTreeMap<Arc<str>, Offset>,
    /// Every split has ended.
    pub ended: bool,
}

/// What the coordinator publishes when it seals an epoch; every worker holds the same.
#[derive(Clone, Debug)]
pub struct EpochHeader {
    /// The epoch that this header seals.
    pub epoch: Epoch,
    /// `now()` for the whole epoch: microseconds since 1970-01-01 UTC.
    pub wall_clock: i64,
    /// Per source of the plan, indexed by `SourceId`.
    pub sources: Vec<SourceProgress>,
    /// Operators write their state changes at this epoch.
    pub checkpoint: bool,
}

impl EpochHeader {
    /// The watermark of `source`; `Watermark::START` for a source the header does not know.
    pub fn watermark(&self, source: SourceId) -> Watermark {
        self.sources.get(source.0).map_or(Watermark::START, |s| s.watermark)
    }
}
