//! The splits of a source that no worker has begun, shared by the workers of a process.
//! It must not know how a split is read.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thalweg_core::{Offset, Result, Source, Split, Watermark};

/// How often an unbounded source is asked for new splits.
const DISCOVERY: Duration = Duration::from_millis(500);

/// Splits in reading order; workers take the next when they have finished one.
#[derive(Debug)]
pub(crate) struct SplitQueue {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where to go on with splits that were read before.
    offsets: BTreeMap<Arc<str>, Offset>,
    waiting: VecDeque<Split>,
    known: HashSet<Arc<str>>,
    listed: Instant,
}

impl SplitQueue {
    pub fn new(splits: Vec<Split>) -> Self {
        Self::resumed(splits, BTreeMap::new())
    }

    /// Splits that were read up to `offsets` before.
    pub fn resumed(splits: Vec<Split>, offsets: BTreeMap<Arc<str>, Offset>) -> Self {
        let known = splits.iter().map(|s| Arc::clone(&s.id)).collect();
        Self { state: Mutex::new(State { offsets, waiting: splits.into(), known, listed: Instant::now() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next split, and where to begin.
    pub fn take(&self) -> Option<(Split, Offset)> {
        let mut state = self.lock();
        let split = state.waiting.pop_front()?;
        let from = state.offsets.get(&split.id).copied().unwrap_or_default();
        Some((split, from))
    }

    /// Looks for splits that have come since the last look: new files, new partitions.
    pub fn discover(&self, source: &dyn Source) -> Result<()> {
        let mut state = self.lock();
        if state.listed.elapsed() < DISCOVERY {
            return Ok(());
        }
        state.listed = Instant::now();
        for split in source.splits()? {
            if state.known.insert(Arc::clone(&split.id)) {
                state.waiting.push_back(split);
            }
        }
        Ok(())
    }

    /// The lowest event time that a waiting split is known to hold; `END` when none is known.
    pub fn lower_bound(&self) -> Watermark {
        self.lock().waiting.iter().filter_map(|s| s.lower_bound).min().unwrap_or(Watermark::END)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }
}
