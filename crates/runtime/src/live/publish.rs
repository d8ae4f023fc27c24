//! `Publish`: the last operator of a job whose output is a relation. It keeps the rows readable, logs what changed, and
//! hands both to the jobs on the same worker that read the relation. It must not know what those do.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_core::{DeltaBatch, EpochHeader, Result};
use thalweg_operators::{Arrangement, Operator, Output, Version};

use super::indexes::Wanted;
use super::relation::{Readable, Relation};
use crate::stats::RunStats;

/// What a reader of a relation gets, in order.
#[derive(Debug)]
pub(super) enum TapEvent {
    /// What stands before the reader's first epoch.
    Snapshot(Arc<Version>),
    /// Changes of an epoch.
    Change(u64, DeltaBatch),
    /// All changes of an epoch are here.
    Done(u64),
}

pub(super) type TapQueue = Rc<RefCell<VecDeque<TapEvent>>>;

struct Reader {
    from: u64,
    queue: TapQueue,
}

/// A relation's end on one worker, where readers on that worker join.
pub(super) struct Tap {
    /// Epochs below it are complete.
    done: u64,
    latest: Option<Arc<Version>>,
    readers: Vec<Reader>,
}

impl Tap {
    /// A relation whose first epoch is `start`.
    pub fn new(start: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { done: start, latest: None, readers: Vec::new() }))
    }

    /// A reader of everything that stands before `from`, then of the changes.
    pub fn join(&mut self, from: u64) -> TapQueue {
        let queue = TapQueue::default();
        if self.done >= from {
            queue.borrow_mut().extend(self.latest.clone().map(TapEvent::Snapshot));
        }
        self.readers.push(Reader { from, queue: Rc::clone(&queue) });
        queue
    }

    fn complete(&mut self, epoch: u64, deltas: &[DeltaBatch], version: &Arc<Version>) {
        self.readers.retain(|reader| Rc::strong_count(&reader.queue) > 1);
        for reader in &self.readers {
            let mut queue = reader.queue.borrow_mut();
            if epoch >= reader.from {
                queue.extend(deltas.iter().map(|d| TapEvent::Change(epoch, d.clone())));
                queue.push_back(TapEvent::Done(epoch));
            } else if epoch + 1 == reader.from {
                queue.push_back(TapEvent::Snapshot(Arc::clone(version)));
            }
        }
        self.done = epoch + 1;
        self.latest = Some(Arc::clone(version));
    }
}

/// Where a [`Publish`] operator stands.
pub(super) struct Place {
    pub relation: Arc<Relation>,
    pub readable: Arc<Readable>,
    pub worker: usize,
    pub tap: Rc<RefCell<Tap>>,
    pub stats: Arc<RunStats>,
    pub sink: usize,
}

pub(super) struct Publish {
    place: Place,
    arrangement: Arrangement,
    deltas: Vec<DeltaBatch>,
    version: Option<Arc<Version>>,
    /// The indexes that there are, and what the relation's were when that was so.
    indexes: Vec<Arc<Wanted>>,
    seen: u64,
}

impl Publish {
    pub fn new(place: Place) -> Self {
        let relation = &place.relation;
        let arrangement = Arrangement::new(Arc::clone(&relation.schema), relation.key.clone(), relation.append_only);
        Self { arrangement, deltas: Vec::new(), version: None, indexes: Vec::new(), seen: 0, place }
    }

    /// Makes the indexes that are wanted and lets go of the others; true if any changed.
    fn reindex(&mut self) -> bool {
        let relation = &self.place.relation;
        let Some((seen, wanted)) = relation.indexes.since(self.seen) else { return false };
        let (kept, gone) =
            std::mem::take(&mut self.indexes).into_iter().partition(|i| wanted.iter().any(|w| Arc::ptr_eq(w, i)));
        let gone: Vec<Arc<Wanted>> = gone;
        gone.iter().for_each(|index| self.arrangement.drop_index(&index.columns));
        self.indexes = kept;
        let mut changed = !gone.is_empty();
        for index in wanted {
            if !self.indexes.iter().any(|i| Arc::ptr_eq(i, &index)) {
                index.build(self.arrangement.add_index(&index.columns), self.place.worker);
                self.indexes.push(index);
                changed = true;
            }
        }
        self.seen = seen;
        changed
    }
}

impl Operator for Publish {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.place.stats.sinks[self.place.sink].rows.fetch_add(delta.num_rows() as u64, Ordering::Relaxed);
        self.deltas.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, _out: &mut Output) -> Result<()> {
        let deltas = std::mem::take(&mut self.deltas);
        let reindexed = self.reindex();
        let Place { relation, readable, worker, tap, .. } = &self.place;
        let version = match self.version.take() {
            // Nothing changed: the last version stands for this epoch too.
            Some(version) if deltas.is_empty() && !reindexed => version,
            _ => {
                self.arrangement.apply(&deltas)?;
                let (number, version) = self.arrangement.commit()?;
                let oldest = relation.publish(*worker, header.epoch, number, Arc::clone(&version), readable);
                self.arrangement.forget_before(oldest);
                version
            }
        };
        relation.changes.record(*worker, header, &deltas);
        tap.borrow_mut().complete(header.epoch.0, &deltas, &version);
        self.version = Some(version);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.arrangement.bytes()
    }
}
