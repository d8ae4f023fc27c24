//! The splits of a source that no worker has begun, shared by the workers of a process.
//! It must not know how a split is read.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use thalweg_core::{Split, Watermark};

/// Splits in reading order; workers take the next when they have finished one.
#[derive(Debug)]
pub(crate) struct SplitQueue {
    waiting: Mutex<VecDeque<Split>>,
}

impl SplitQueue {
    pub fn new(splits: Vec<Split>) -> Self {
        Self { waiting: Mutex::new(splits.into()) }
    }

    pub fn take(&self) -> Option<Split> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The lowest event time that a waiting split is known to hold; `END` when none is known.
    pub fn lower_bound(&self) -> Watermark {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().filter_map(|s| s.lower_bound).min().unwrap_or(Watermark::END)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
