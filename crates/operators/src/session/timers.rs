//! `Timers`: what is to be looked at when a time has passed. It must not know what that is: a thing that has moved on
//! since is entered again.

use std::collections::BTreeMap;

/// Numbers in buckets of time.
#[derive(Debug)]
pub(super) struct Timers {
    width: i64,
    buckets: BTreeMap<i64, Vec<u32>>,
}

impl Timers {
    /// Buckets fine enough against `gap` that few numbers are looked at before their time.
    pub(super) fn new(gap: i64) -> Self {
        Self { width: (gap / 256).max(1), buckets: BTreeMap::new() }
    }

    /// Look at `number` when `end` has passed.
    pub(super) fn enter(&mut self, end: i64, number: u32) {
        self.buckets.entry(end.div_euclid(self.width)).or_default().push(number);
    }

    /// Takes out every number whose end may be below `passed`; some of them not yet.
    pub(super) fn take(&mut self, passed: i64) -> Vec<u32> {
        let last = passed.div_euclid(self.width);
        let mut taken = Vec::new();
        while let Some(bucket) = self.buckets.first_entry() {
            if *bucket.key() > last {
                break;
            }
            taken.append(&mut bucket.remove());
        }
        taken
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.values().map(|b| b.capacity() * 4 + 48).sum()
    }
}
