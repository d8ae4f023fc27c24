//! `Publish`: the last operator of a job whose output is a relation. It keeps the rows readable, logs what changed, and
//! hands both to the jobs on the same worker that read the relation. It must not know what those do.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Error, Result, hash_columns};
use thalweg_operators::{Arrangement, Operator, Output, StateTable, Version};

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
    wants_snapshot: bool,
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

    /// A reader of everything that stands before `from`, if it wants that, then of the changes.
    pub fn join(&mut self, from: u64, wants_snapshot: bool) -> TapQueue {
        let queue = TapQueue::default();
        if self.done >= from && wants_snapshot {
            queue.borrow_mut().extend(self.latest.clone().map(TapEvent::Snapshot));
        }
        self.readers.push(Reader { from, queue: Rc::clone(&queue), wants_snapshot });
        queue
    }

    /// What stands before the relation's first epoch.
    fn begin_with(&mut self, version: &Arc<Version>) {
        self.latest = Some(Arc::clone(version));
    }

    fn complete(&mut self, epoch: u64, deltas: &[DeltaBatch], version: &Arc<Version>) {
        self.readers.retain(|reader| Rc::strong_count(&reader.queue) > 1);
        for reader in &self.readers {
            let mut queue = reader.queue.borrow_mut();
            if epoch >= reader.from {
                queue.extend(deltas.iter().map(|d| TapEvent::Change(epoch, d.clone())));
                queue.push_back(TapEvent::Done(epoch));
            } else if epoch + 1 == reader.from && reader.wants_snapshot {
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
    /// The columns that say on which worker a row is.
    pub placement: Vec<usize>,
}

pub(super) struct Publish {
    place: Place,
    /// The first epoch.
    start: u64,
    arrangement: Arrangement,
    deltas: Vec<DeltaBatch>,
    version: Option<Arc<Version>>,
    /// Changes since the last snapshot, if there are to be any.
    unsaved: Option<Vec<DeltaBatch>>,
    /// The indexes that there are, and what the relation's were when that was so.
    indexes: Vec<Arc<Wanted>>,
    seen: u64,
}

/// The name of its one table of state: rows and their weights.
pub(crate) const ROWS: &str = "rows";

impl Publish {
    pub fn new(place: Place, start: u64, durable: bool) -> Self {
        let relation = &place.relation;
        let arrangement = Arrangement::new(Arc::clone(&relation.schema), relation.key.clone(), relation.append_only);
        let unsaved = durable.then(Vec::new);
        let (indexes, seen) = (Vec::new(), 0);
        Self { start, arrangement, deltas: Vec::new(), version: None, unsaved, indexes, seen, place }
    }

    /// One change with the effect of `deltas`.
    fn net(&self, deltas: &[DeltaBatch]) -> Result<DeltaBatch> {
        let all = DeltaBatch::concat(&self.place.relation.schema, deltas)?;
        if all.weights.is_none() { Ok(all) } else { thalweg_operators::consolidated(&all) }
    }

    /// Makes what the arrangement holds readable as of `epoch`.
    fn publish(&mut self, epoch: Epoch) -> Result<Arc<Version>> {
        let Place { relation, readable, worker, .. } = &self.place;
        let (number, version) = self.arrangement.commit()?;
        let oldest = relation.publish(*worker, epoch, number, Arc::clone(&version), readable);
        self.arrangement.forget_before(oldest);
        Ok(version)
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
        let version = match self.version.take() {
            // Nothing changed: the last version stands for this epoch too.
            Some(version) if (deltas.is_empty() || !self.place.relation.kept) && !reindexed => version,
            _ => {
                let kept = if self.place.relation.kept { &deltas[..] } else { &[] };
                self.arrangement.apply(kept)?;
                self.publish(header.epoch)?
            }
        };
        if let Some(unsaved) = self.unsaved.as_mut().filter(|_| self.place.relation.kept) {
            unsaved.extend(deltas.iter().cloned());
        }
        let Place { relation, worker, tap, .. } = &self.place;
        relation.changes.record(*worker, header, &deltas);
        tap.borrow_mut().complete(header.epoch.0, &deltas, &version);
        self.version = Some(version);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let Some(mut unsaved) = self.unsaved.as_mut().map(std::mem::take).filter(|u| !u.is_empty()) else {
            return Ok(Vec::new());
        };
        if takes_back_much(&unsaved) {
            unsaved = vec![self.net(&unsaved)?];
        }
        let Some(first) = unsaved.first().map(with_weights).transpose()? else { return Ok(Vec::new()) };
        let layout = first.schema();
        let batches = unsaved.iter().map(with_weights).collect::<Result<Vec<_>>>()?;
        let pieces = thalweg_operators::pieces(&layout, batches)?;
        Ok(pieces.into_iter().map(|upserts| StateTable { name: ROWS.into(), upserts, deletes: None }).collect())
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let relation = Arc::clone(&self.place.relation);
        let placement = self.place.placement.clone();
        let saved = deltas.iter().flatten().filter(|t| t.name == ROWS);
        let saved = saved.map(|table| kept(&without_weights(&relation.schema, &table.upserts)?, &placement, keep));
        let standing = self.net(&saved.collect::<Result<Vec<_>>>()?)?;
        self.arrangement.apply(&[standing])?;
        let version = self.publish(Epoch(self.start.saturating_sub(1)))?;
        self.place.tap.borrow_mut().begin_with(&version);
        self.version = Some(version);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.arrangement.bytes()
    }
}

/// More than an eighth of the rows of `deltas` take another back: of what came and went nothing need be saved. Where it is
/// less, finding them costs the stream more than saving them; compaction does it beside the stream.
fn takes_back_much(deltas: &[DeltaBatch]) -> bool {
    let rows: usize = deltas.iter().map(DeltaBatch::num_rows).sum();
    let weights = deltas.iter().filter_map(DeltaBatch::weight_slice);
    weights.flatten().filter(|weight| **weight < 0).count() * 8 > rows
}

/// A change as a table of state.
pub(crate) fn saved_rows(delta: &DeltaBatch) -> Result<StateTable> {
    Ok(StateTable { name: ROWS.into(), upserts: with_weights(delta)?, deletes: None })
}

/// A change as one batch: its columns, then the weights.
pub(crate) fn with_weights(delta: &DeltaBatch) -> Result<RecordBatch> {
    let mut fields: Vec<_> = delta.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("weight", DataType::Int64, false)));
    let mut columns = delta.rows.columns().to_vec();
    columns.push(Arc::new(delta.weights_array()));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

pub(crate) fn without_weights(schema: &SchemaRef, saved: &RecordBatch) -> Result<DeltaBatch> {
    let misfit = || Error::Internal("saved rows do not fit their relation".to_owned());
    let (weights, columns) = saved.columns().split_last().ok_or_else(misfit)?;
    let weights = weights.as_primitive_opt::<Int64Type>().ok_or_else(misfit)?;
    let rows = RecordBatch::try_new(Arc::clone(schema), columns.to_vec())?;
    let weights = weights.values().iter().any(|w| *w != 1).then(|| weights.clone());
    Ok(DeltaBatch::new(rows, weights))
}

/// The rows of the vnodes that `keep` accepts.
fn kept(delta: &DeltaBatch, placement: &[usize], keep: &dyn Fn(u8) -> bool) -> Result<DeltaBatch> {
    let columns: Vec<_> = placement.iter().map(|c| Arc::clone(delta.column(*c))).collect();
    let mut hashes = Vec::new();
    hash_columns(&columns, delta.num_rows(), &mut hashes)?;
    delta.filter(&thalweg_operators::kept_rows(&hashes, keep))
}
