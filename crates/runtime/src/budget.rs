//! The one memory budget of the process: what every operator of every worker holds, and whether that is too much.
//! It must not know how operators keep state or how a run is stopped.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use thalweg_core::Error;
use thalweg_operators::Operator;
use thalweg_plan::{NodeId, Plan};

use crate::labels::label;
use crate::machine::{resident_bytes, show_bytes};

/// Measuring may take this part of an operator's time at most: one in so many.
const COST_SHARE: u32 = 50;
/// Within an epoch state is measured this often at most.
const WITHIN_EPOCH: Duration = Duration::from_millis(20);
/// The process's own size is asked for this often at most.
const CONFIRM_EVERY: Duration = Duration::from_millis(10);
/// Operators that the error names.
const NAMED: usize = 3;

/// State bytes by operator and worker, each written by its worker alone.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    nodes: usize,
    cells: Vec<AtomicUsize>,
    exceeded: AtomicBool,
}

impl Budget {
    /// For a plan of so many nodes on so many workers.
    pub fn new(limit: usize, nodes: usize, workers: usize) -> Self {
        let cells = (0..nodes * workers).map(|_| AtomicUsize::new(0)).collect();
        Self { limit, nodes, cells, exceeded: AtomicBool::new(false) }
    }

    /// The state of all operators of all workers, as last published.
    pub fn state_bytes(&self) -> usize {
        self.cells.iter().map(|c| c.load(Ordering::Relaxed)).fold(0, usize::saturating_add)
    }

    /// The limit was exceeded: nothing more is read.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Acquire)
    }

    /// The limit is exceeded from now on; the error says by what.
    pub fn exceed(&self, plan: &Plan, in_flight: usize) -> Error {
        self.exceeded.store(true, Ordering::Release);
        let mut held: Vec<(usize, usize)> = (0..self.nodes).map(|node| (self.of(node), node)).collect();
        held.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let named = held.iter().filter(|(bytes, _)| *bytes > 0).take(NAMED);
        let named: Vec<String> =
            named.map(|(bytes, node)| format!("{}: {}", label(plan, NodeId(*node)), show_bytes(*bytes))).collect();
        let (state, limit) = (show_bytes(self.state_bytes()), show_bytes(self.limit));
        let mut message = format!(
            "the memory limit of {limit} is exceeded: operators hold {state} of state, and {} of input are in work",
            show_bytes(in_flight)
        );
        if !named.is_empty() {
            message.push_str(&format!("; most is in {}", named.join(", ")));
        }
        Error::invalid_with_hint(
            message,
            "Raise --memory-limit (THALWEG_MEMORY_LIMIT), or bound the state: group by a window or join within an \
             interval of a column that has a watermark; --explain shows what is kept for ever.",
        )
    }

    /// All workers' state of one operator.
    fn of(&self, node: usize) -> usize {
        self.cells.iter().skip(node).step_by(self.nodes).map(|c| c.load(Ordering::Relaxed)).sum()
    }
}

/// Compares the budget's use with its limit, for the one worker that watches.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    confirmed: Option<Instant>,
}

impl Watch {
    /// Operators and input in work take more than the limit. Arrays that share a buffer are each counted with all of
    /// it, so what they add up to is checked against the size of the process.
    pub fn is_over(&mut self, budget: &Budget, state: usize, in_flight: usize) -> bool {
        if state.saturating_add(in_flight) <= budget.limit {
            return false;
        }
        if self.confirmed.is_some_and(|at| at.elapsed() < CONFIRM_EVERY) {
            return false;
        }
        self.confirmed = Some(Instant::now());
        resident_bytes().is_none_or(|bytes| bytes > budget.limit)
    }
}

/// One operator's cell of the budget on one worker.
#[derive(Debug)]
pub(crate) struct Gauge {
    budget: Arc<Budget>,
    cell: usize,
    next: RefCell<Option<Instant>>,
}

impl Gauge {
    pub fn new(budget: &Arc<Budget>, worker: usize, node: NodeId) -> Self {
        Self { budget: Arc::clone(budget), cell: worker * budget.nodes + node.0, next: RefCell::new(None) }
    }

    /// Publishes what `operator` holds, unless it was measured a moment ago. What a moment is depends on what measuring
    /// costs, and is longer while an epoch is open.
    pub fn publish(&self, operator: &dyn Operator, epoch_ended: bool) {
        let mut next = self.next.borrow_mut();
        let now = Instant::now();
        let wait = if epoch_ended { Duration::ZERO } else { WITHIN_EPOCH };
        if next.is_some_and(|next| now < next + wait) {
            return;
        }
        self.budget.cells[self.cell].store(operator.state_bytes(), Ordering::Relaxed);
        let end = Instant::now();
        *next = Some(end + (end - now) * COST_SHARE);
    }
}
