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
    /// Of a source that forgets: those of `known` that were read to their end.
    finished: HashSet<Arc<str>>,
    listed: Instant,
}

impl SplitQueue {
    pub fn new(splits: Vec<Split>) -> Self {
        Self::resumed(splits, BTreeMap::new())
    }

    /// Splits that were read up to `offsets` before.
    pub fn resumed(splits: Vec<Split>, offsets: BTreeMap<Arc<str>, Offset>) -> Self {
        let known = splits.iter().map(|s| Arc::clone(&s.id)).collect();
        let (waiting, finished, listed) = (splits.into(), HashSet::new(), Instant::now());
        Self { state: Mutex::new(State { offsets, waiting, known, finished, listed }) }
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

    /// Looks for splits that have come since the last look: new files, new partitions. Returns those whose offsets need
    /// not be kept any more.
    pub fn discover(&self, source: &dyn Source) -> Result<Vec<Arc<str>>> {
        let mut state = self.lock();
        if state.listed.elapsed() < DISCOVERY {
            return Ok(Vec::new());
        }
        state.listed = Instant::now();
        let splits = source.splits()?;
        let mut gone = Vec::new();
        if source.forgets() {
            let state = &mut *state;
            let listed: HashSet<&Arc<str>> = splits.iter().map(|s| &s.id).collect();
            gone.extend(state.finished.extract_if(|id| !listed.contains(id)));
            for id in &gone {
                state.known.remove(id);
                state.offsets.remove(id);
            }
            // Read before a restart, and gone at it.
            let is_old = |id: &Arc<str>| !listed.contains(id) && !state.known.contains(id);
            let old: Vec<Arc<str>> = state.offsets.keys().filter(|id| is_old(id)).cloned().collect();
            for id in &old {
                state.offsets.remove(id);
            }
            gone.extend(old);
        }
        for split in splits {
            if state.known.insert(Arc::clone(&split.id)) {
                state.waiting.push_back(split);
            }
        }
        Ok(gone)
    }

    /// `split` has been read to its end.
    pub fn finish(&self, split: &Arc<str>, source: &dyn Source) {
        if source.forgets() {
            self.lock().finished.insert(Arc::clone(split));
        }
    }

    /// The lowest event time that a waiting split is known to hold; `END` when none is known.
    pub fn lower_bound(&self) -> Watermark {
        self.lock().waiting.iter().filter_map(|s| s.lower_bound).min().unwrap_or(Watermark::END)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Schema, SchemaRef};
    use thalweg_core::{Error, SplitReader};

    use super::*;

    /// Names what it is told to.
    struct Files(Mutex<Vec<&'static str>>);

    impl Source for Files {
        fn schema(&self) -> SchemaRef {
            Arc::new(Schema::empty())
        }

        fn splits(&self) -> Result<Vec<Split>> {
            let names = self.0.lock().expect("not poisoned");
            Ok(names.iter().map(|name| Split { id: (*name).into(), lower_bound: None }).collect())
        }

        fn open(&self, _: &Split, _: Offset) -> Result<Box<dyn SplitReader>> {
            Err(Error::Internal("nobody opens it".to_owned()))
        }

        fn bounded(&self) -> bool {
            false
        }

        fn forgets(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_was_read_to_its_end_and_is_gone_is_forgotten() {
        let files = Files(Mutex::new(vec!["a", "b"]));
        let restored = [("a", 5), ("old", 7)].map(|(id, at)| (Arc::from(id), Offset(at)));
        let queue = SplitQueue::resumed(files.splits().expect("listed"), BTreeMap::from(restored));
        let look = |names: &[&'static str]| -> Vec<String> {
            *files.0.lock().expect("not poisoned") = names.to_vec();
            queue.lock().listed -= DISCOVERY;
            let mut gone: Vec<String> =
                queue.discover(&files).expect("listed").iter().map(|id| id.to_string()).collect();
            gone.sort();
            gone
        };
        let (a, from) = queue.take().expect("waits");
        assert_eq!((&*a.id, from), ("a", Offset(5)));
        assert_eq!(look(&["a", "b"]), ["old"], "gone at the restart");
        // Not before it is read.
        assert!(look(&["b"]).is_empty());
        queue.finish(&a.id, &files);
        assert_eq!(look(&["b", "c"]), ["a"]);
        assert_eq!(queue.take().map(|s| s.0.id), Some("b".into()));
        assert_eq!(queue.take().map(|s| s.0.id), Some("c".into()));
        // One of that name is another one.
        assert!(look(&["a", "b", "c"]).is_empty());
        assert_eq!(queue.take().map(|(split, from)| (split.id, from)), Some(("a".into(), Offset(0))));
    }
}
