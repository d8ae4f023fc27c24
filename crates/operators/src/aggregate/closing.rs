//! `Closing`: which groups end when, indexed by time. It must not know what a group holds.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{cast, min};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use thalweg_core::{EpochHeader, Error, Result, Watermark};
use thalweg_plan::WindowClose;

/// Groups by the time at which they close.
#[derive(Debug)]
pub(super) struct Closing {
    window: WindowClose,
    /// Groups are emitted when they close (and not before); else they are forgotten silently.
    pub(super) emits: bool,
    index: BTreeMap<i64, Vec<u32>>,
    /// The bound at the last epoch: what ended by then is over.
    passed: Watermark,
}

impl Closing {
    pub(super) fn new(window: WindowClose, emits: bool) -> Self {
        Self { window, emits, index: BTreeMap::new(), passed: Watermark::START }
    }

    /// The group key that closes.
    pub(super) fn key(&self) -> usize {
        self.window.key
    }

    /// Enters new groups with their key times.
    pub(super) fn enter(&mut self, groups: &[u32], times: &ArrayRef) -> Result<()> {
        let times = micros(times)?;
        let times = times.as_primitive::<Int64Type>();
        // Rows come roughly in order of time: most new groups end with the one before.
        let mut runs: Vec<(i64, Vec<u32>)> = Vec::new();
        for (group, time) in groups.iter().zip(times.iter()) {
            // A group without a time ends when everything ends.
            let end = time.map_or(i64::MAX, |t| t.saturating_add(self.window.delay));
            match runs.last_mut() {
                Some((t, run)) if *t == end => run.push(*group),
                _ => runs.push((end, vec![*group])),
            }
        }
        for (end, mut run) in runs {
            self.index.entry(end).or_default().append(&mut run);
        }
        Ok(())
    }

    /// The rows of windows that are still open, or `None` when all are: what comes for a window that was closed would
    /// open it again.
    pub(super) fn open_rows(&self, times: &ArrayRef) -> Result<Option<BooleanArray>> {
        if self.passed == Watermark::START {
            return Ok(None);
        }
        let times = micros(times)?;
        let times = times.as_primitive::<Int64Type>();
        let (passed, delay) = (self.passed.0, self.window.delay);
        if min(times).is_none_or(|t| t.saturating_add(delay) > passed) {
            return Ok(None);
        }
        Ok(Some(times.iter().map(|t| Some(t.is_none_or(|t| t.saturating_add(delay) > passed))).collect()))
    }

    /// Takes out the groups that end at this epoch, earliest first.
    pub(super) fn due(&mut self, header: &EpochHeader) -> Vec<u32> {
        self.passed = self.passed.max(self.window.bound.eval(header));
        let mut due = Vec::new();
        while let Some(entry) = self.index.first_entry() {
            if *entry.key() > self.passed.0 {
                break;
            }
            due.append(&mut entry.remove());
        }
        due
    }

    /// Takes `groups` out before their time (a restored state says that they are gone).
    pub(super) fn forget(&mut self, groups: &[u32]) {
        for list in self.index.values_mut() {
            list.retain(|g| !groups.contains(g));
        }
        self.index.retain(|_, list| !list.is_empty());
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.values().map(|list| list.capacity() * 4 + size_of::<(i64, Vec<u32>)>()).sum()
    }
}

/// Times as Int64 microseconds.
fn micros(times: &ArrayRef) -> Result<ArrayRef> {
    let timestamp = match times.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => std::sync::Arc::clone(times),
        DataType::Timestamp(_, _) | DataType::Date32 => cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        other => return Err(Error::Internal(format!("a window cannot close by a {other}"))),
    };
    Ok(cast(&timestamp, &DataType::Int64)?)
}
