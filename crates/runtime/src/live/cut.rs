//! `Cut`: which pushes belong to the open epoch. Pushes that were made together are in one epoch, whatever queues they
//! are in and whichever workers read them. It must not know queues or epochs' numbers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use thalweg_core::planted::{Defect, is_planted};

/// Stamps pushes and says where the open epoch ends.
#[derive(Debug, Default)]
pub(super) struct Cut(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    /// Set while the epoch is being sealed: it takes everything up to here, and nothing beyond.
    end: Option<u64>,
}

impl Cut {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `push` with a stamp that all it pushes bears.
    pub fn together<T>(&self, push: impl FnOnce(u64) -> T) -> T {
        let mut state = self.lock();
        state.last += 1;
        push(state.last)
    }

    /// Calls `take` with the highest stamp that may be read now; until it returns nothing is stamped or sealed.
    pub fn upto<T>(&self, take: impl FnOnce(u64) -> T) -> T {
        let state = self.lock();
        take(state.end.filter(|_| !is_planted(Defect::RaggedEpoch)).unwrap_or(u64::MAX))
    }

    /// The open epoch takes what has been pushed so far and no more.
    pub fn end(&self) {
        let mut state = self.lock();
        state.end = Some(state.last);
    }

    /// The next epoch is open.
    pub fn next(&self) {
        self.lock().end = None;
    }
}
