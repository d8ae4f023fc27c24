//! `PushQueue`: rows that others hand in, as a source that never ends. It must not know who pushes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeadLetter, Offset, Polled, Result, Source, Split, SplitReader};

use super::cut::Cut;

/// A queue is full when so many bytes wait in it.
pub const QUEUE_BYTES: usize = 64 << 20;

/// The id of a queue's only split.
pub const SPLIT: &str = "push";

/// A queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Rows on their way into a relation, in order. A ticket tells when they are visible:
/// [`super::Engine::is_visible`].
pub struct PushQueue {
    schema: SchemaRef,
    state: Mutex<State>,
    read: AtomicU64,
    cut: Arc<Cut>,
}

impl std::fmt::Debug for PushQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushQueue").field("read", &self.read).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    pushed: u64,
}

struct Waiting {
    stamp: u64,
    rows: RecordBatch,
    dead: Vec<DeadLetter>,
    bytes: usize,
    ticket: u64,
}

/// Rows and rejects for a queue.
pub struct Pushed {
    queue: Arc<PushQueue>,
    rows: RecordBatch,
    dead: Vec<DeadLetter>,
    ticket: Option<u64>,
}

impl Pushed {
    /// `ticket` is higher than that of every push to this queue before; `None` takes the next.
    pub fn new(queue: Arc<PushQueue>, rows: RecordBatch, dead: Vec<DeadLetter>, ticket: Option<u64>) -> Self {
        Self { queue, rows, dead, ticket }
    }

    /// Into the queue, under `stamp`; the ticket.
    pub(super) fn enter(self, stamp: u64) -> u64 {
        self.queue.push(stamp, self.rows, self.dead, self.ticket)
    }
}

impl PushQueue {
    pub(super) fn new(schema: SchemaRef, cut: Arc<Cut>) -> Arc<Self> {
        Arc::new(Self { schema, state: Mutex::default(), read: AtomicU64::new(0), cut })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has `stamp`; returns its ticket. Nothing at all has that of the push before: tickets are places in what
    /// is kept elsewhere, where nothing takes no place.
    pub(super) fn push(&self, stamp: u64, rows: RecordBatch, dead: Vec<DeadLetter>, ticket: Option<u64>) -> u64 {
        let bytes = rows.get_array_memory_size() + dead.iter().map(|d| d.raw.len() + d.reason.len()).sum::<usize>();
        let mut state = self.lock();
        if rows.num_rows() == 0 && dead.is_empty() {
            return state.pushed;
        }
        state.bytes += bytes;
        let ticket = ticket.unwrap_or(state.pushed + 1);
        state.waiting.push_back(Waiting { stamp, rows, dead, bytes, ticket });
        state.pushed = ticket;
        ticket
    }

    /// The columns of what is pushed.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// One more push of a usual size will be taken.
    pub fn has_room(&self) -> bool {
        self.lock().bytes < QUEUE_BYTES
    }

    /// The ticket of what was pushed last.
    pub fn last_ticket(&self) -> u64 {
        self.lock().pushed
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }
}

/// The queue as a source of one split.
#[derive(Debug)]
pub(super) struct PushSource(pub Arc<PushQueue>);

impl Source for PushSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split { id: SPLIT.into(), lower_bound: None }])
    }

    fn open(&self, _split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        self.0.read.fetch_max(from.0, Ordering::Relaxed);
        Ok(Box::new(Reader(Arc::clone(&self.0))))
    }

    fn bounded(&self) -> bool {
        false
    }

    fn ends_with_epochs(&self) -> bool {
        true
    }
}

struct Reader(Arc<PushQueue>);

impl SplitReader for Reader {
    /// Whole pushes, the small ones together: the rows of each belong to one epoch.
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let (mut parts, mut dead, mut bytes, mut rows, mut last) = (Vec::new(), Vec::new(), 0, 0, 0);
        self.0.cut.upto(|end| {
            let mut state = self.0.lock();
            while let Some(next) = state.waiting.front() {
                if next.stamp > end || (!parts.is_empty() && rows + next.rows.num_rows() > max_rows) {
                    break;
                }
                let Some(mut next) = state.waiting.pop_front() else { break };
                rows += next.rows.num_rows();
                last = next.ticket;
                bytes += next.bytes;
                dead.append(&mut next.dead);
                parts.push(next.rows);
            }
            state.bytes -= bytes;
        });
        self.0.read.fetch_max(last, Ordering::Relaxed);
        let rows = match parts.len() {
            0 => return Ok(Polled::Idle),
            1 => parts.swap_remove(0),
            _ => concat_batches(&self.0.schema, &parts)?,
        };
        Ok(Polled::Rows { rows, dead, bytes })
    }

    fn offset(&self) -> Offset {
        Offset(self.0.read.load(Ordering::Relaxed))
    }
}
