//! `SimDisk`: a disk in memory that forgets what was not synced, and fails on demand. For tests of whatever must
//! survive a crash.
//!
//! - [`SimDisk::crash`] is the power loss: each unsynced change is kept, lost or torn, as a seed says.
//! - [`SimDisk::restart`] is `kill -9`: the operating system keeps all, the process forgets.
//! - [`SimDisk::record`] and [`SimDisk::crash_states`] enumerate the power losses of a whole run.
//! - [`SimDisk::fail`], [`SimDisk::set_capacity`] and [`SimDisk::forget_syncs`] inject errors.

mod crash;
mod fate;
mod files;
mod rng;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::{DiskError, Operation};
use crash::Recording;
use tree::{Step, Tree};

pub use crash::{CrashState, CrashStates};
pub use rng::Rng;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`. Nothing of an append is written. After it, what an fsync was to make durable may be there or not, and no
    /// later fsync changes that.
    Io,
    /// `ENOSPC`. A part of an append may be written. As [`Fault::Io`] where no space is asked for.
    NoSpace,
    /// Half of an append is written, then `EIO`. As [`Fault::Io`] elsewhere.
    ShortWrite,
}

/// A disk in memory. A clone is the same disk in the same process.
#[derive(Clone, Debug)]
pub struct SimDisk {
    sim: Arc<Mutex<Sim>>,
    /// The first fsync that failed in this process.
    health: Arc<OnceLock<DiskError>>,
}

#[derive(Debug)]
struct Sim {
    tree: Tree,
    steps: u64,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    capacity: Option<u64>,
    liar: Option<Liar>,
    recording: Option<Recording>,
}

/// Which syncs to forget.
struct Liar(Box<Forgotten>);

type Forgotten = dyn FnMut(Operation, &str) -> bool + Send;

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Liar")
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::from_tree(Tree::new())
    }

    fn from_tree(tree: Tree) -> Self {
        let sim =
            Sim { tree, steps: 0, calls: 0, faults: BTreeMap::new(), capacity: None, liar: None, recording: None };
        Self { sim: Arc::new(Mutex::new(sim)), health: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Sim> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls of any operation so far, also of those that failed.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Lets call number `call` (the first is 0) fail.
    pub fn fail(&self, call: u64, fault: Fault) {
        self.lock().faults.insert(call, fault);
    }

    /// Lets no more than `bytes` be held by all files together; `None` takes the limit away. At the limit nothing can
    /// be made either.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Lets each fsync of a file or folder for which `forgotten` says so do nothing and report success: as if the
    /// caller had left it out.
    pub fn forget_syncs(&self, forgotten: impl FnMut(Operation, &str) -> bool + Send + 'static) {
        self.lock().liar = Some(Liar(Box::new(forgotten)));
    }

    /// Bytes held by all files together.
    pub fn bytes(&self) -> u64 {
        self.lock().tree.bytes()
    }

    /// Steps so far: the parts of changes between which a crash can fall. What was acknowledged when [`SimDisk::steps`]
    /// was *n* must be there in every [`CrashState`] of *n* steps and more.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Records from now on for [`SimDisk::crash_states`]; what was recorded before is dropped.
    pub fn record(&self) {
        let mut sim = self.lock();
        sim.recording = Some(Recording { start: sim.tree.clone(), first: sim.steps, steps: Vec::new() });
    }

    /// The crash states of the recorded run, at most `per_step` (2 at least) after each step: all of them where there
    /// are no more, else a sample that follows from `seed`.
    pub fn crash_states(&self, per_step: usize, seed: u64) -> CrashStates {
        let recording = self.lock().recording.clone();
        let nothing = || Recording { start: Tree::new(), first: 0, steps: Vec::new() };
        CrashStates::new(recording.unwrap_or_else(nothing), per_step, seed)
    }

    /// The disk after a power loss now, in the one of its legal states that `seed` picks.
    pub fn crash(&self, seed: u64) -> Self {
        Self::from_tree(crash::any_crash(&self.lock().tree, &mut Rng::new(seed)))
    }

    /// The same disk for the next process, after this one was killed: nothing is lost that was written, and nothing
    /// more is durable. Faults are over; an fsync that failed is forgotten. Files open before must not be used again.
    pub fn restart(&self) -> Self {
        self.lock().faults.clear();
        Self { sim: Arc::clone(&self.sim), health: Arc::default() }
    }
}

impl Sim {
    fn step(&mut self, step: Step) {
        self.tree.apply(&step);
        self.steps += 1;
        if let Some(recording) = &mut self.recording {
            recording.steps.push(step);
        }
    }
}
