//! `Keeper`: takes the engine's checkpoints to the store and, at a start, what was kept back to the jobs. It must not know
//! statements.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use thalweg_core::{Epoch, EpochRows, Error, Offset, Result, SourceProgress, SqlError, Watermark};
use thalweg_operators::StateTable;
use thalweg_plan::Plan;
use thalweg_runtime::live::{Checkpoint, Durable, SavedChange, SavedJob, SavedPart};
use thalweg_sql::server::Oid;
use thalweg_sql::system;
use thalweg_store::checkpoint::{
    Change, Checkpoints, Found, JobChange, Manifest, PartManifest, SavedTable, SourceManifest, Written, read_part,
};
use tokio::sync::watch;

use super::Server;
use super::intake::Intake;
use super::works::Works;

/// Checkpoints that `thalweg_catalog.checkpoints` lists.
const RECENT: usize = 100;

/// Between two attempts to reach the store: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How it stands with checkpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// The last one that is durable.
    pub last: Written,
    /// Microseconds since 1970, when it became so.
    pub at: i64,
    /// Checkpoints since the start.
    pub count: u64,
    /// Those that could not be made durable.
    pub failures: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// It failed for want of room.
    pub is_full: bool,
}

/// See the module.
pub(crate) struct Keeper {
    checkpoints: Mutex<Checkpoints>,
    restored: Mutex<BTreeMap<u64, thalweg_store::checkpoint::SavedJob>>,
    kept: watch::Sender<Kept>,
    /// The last ones of this start, oldest first; [`RECENT`] at most.
    recent: Mutex<VecDeque<system::Checkpoint>>,
    incarnation: u64,
    /// Why it did not go on from the newest checkpoint, if so.
    damaged: Option<String>,
    /// Held while a checkpoint is taken to the store and what follows from it is done; set when no more are.
    has_ended: Mutex<bool>,
    /// For threads that wait for the next checkpoint.
    written: (Mutex<()>, Condvar),
}

impl Keeper {
    /// Over what a start has found.
    pub fn new(checkpoints: Checkpoints, found: Found) -> Self {
        for error in &found.damaged {
            tracing::error!(%error, "a checkpoint is damaged; the one before it is used");
        }
        let mut kept = Kept::default();
        kept.last.epoch = checkpoints.last().map_or(0, |m| m.epoch);
        kept.last.total_bytes = checkpoints.last().map_or(0, Manifest::bytes);
        Self {
            incarnation: checkpoints.incarnation(),
            damaged: found.damaged.first().map(ToString::to_string),
            has_ended: Mutex::default(),
            written: Default::default(),
            checkpoints: Mutex::new(checkpoints),
            restored: Mutex::new(found.jobs),
            kept: watch::Sender::new(kept),
            recent: Mutex::default(),
        }
    }

    /// The last checkpoint, and the news of the next.
    pub fn kept(&self) -> watch::Receiver<Kept> {
        self.kept.subscribe()
    }

    /// The last checkpoints of this start, oldest first.
    pub fn recent(&self) -> Vec<system::Checkpoint> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// What the last checkpoint before the start holds of `oid`, if it fits `plan`. It is given out once.
    ///
    /// # Errors
    /// It does not fit, and what it was made from cannot be read again.
    pub fn restored(
        &self,
        oid: Oid,
        plan: &Plan,
        whole_inputs: bool,
        can_begin_anew: bool,
    ) -> Result<Durable, SqlError> {
        let key = u64::from(oid.0);
        let saved = self.restored.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let Some(saved) = saved else { return Ok(Durable { key, restored: None }) };
        if saved.manifest.fingerprint == plan.fingerprint() && whole_inputs {
            return Ok(Durable { key, restored: Some(Arc::new(given_back(saved))) });
        }
        if can_begin_anew {
            tracing::warn!(job = oid.0, "saved state does not fit the plan of this version: it is computed again");
            return Ok(Durable { key, restored: None });
        }
        let message = format!("the saved state of relation {} does not fit the plan of this version", oid.0);
        Err(Error::invalid_with_hint(message, "Start the version that saved it.").into())
    }

    /// The number of this start.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Goes on from the last checkpoint, at the time `now`: see [`Checkpoints::begin`].
    pub fn begin(&self, now: i64) -> Epoch {
        Epoch(self.lock().begin(u64::try_from(now).unwrap_or(0)))
    }

    /// Why this start did not go on from the newest checkpoint, if so.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// A target that holds everything up to `epoch` has it from a checkpoint that is not there any more.
    pub fn is_of_another_history(&self, epoch: u64) -> bool {
        self.lock().is_of_another_history(epoch)
    }

    /// The target of a sink holds everything up to a checkpoint.
    pub fn delivered(&self, oid: Oid, epoch: u64) {
        self.lock().delivered(u64::from(oid.0), epoch);
    }

    /// The checkpoint up to which the target of a sink is known to hold everything; 0 if nothing is known.
    pub fn delivered_to(&self, oid: Oid) -> u64 {
        self.lock().delivered_to(u64::from(oid.0))
    }

    /// See [`Checkpoints::wall_clock_of`].
    pub fn wall_clock_of(&self, epoch: u64) -> Option<i64> {
        self.lock().wall_clock_of(epoch)
    }

    /// What a sink has to deliver of checkpoints after `epoch`.
    pub fn outbox(&self, oid: Oid, epoch: u64) -> Vec<(u64, Vec<PartManifest>)> {
        self.lock().outbox(u64::from(oid.0), epoch)
    }

    /// The rows of a checkpoint that are to be delivered.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn outbox_epochs(&self, parts: &[PartManifest]) -> Result<Vec<EpochRows>> {
        // Other checkpoints go on meanwhile.
        let shelf = self.lock().shelf();
        let mut tables = Vec::new();
        for part in parts {
            tables.extend(state_tables(read_part(shelf.as_ref(), part)?));
        }
        thalweg_runtime::live::outbox_epochs(&tables)
    }

    /// Waits for the next checkpoint, on a thread of its own, for `patience` at most.
    pub fn wait(&self, patience: std::time::Duration) {
        // Not on the runtime of whoever has opened the server: that may end before this thread.
        let (turn, written) = &self.written;
        drop(written.wait_timeout(turn.lock().unwrap_or_else(PoisonError::into_inner), patience));
    }

    /// Nothing of what was found will be asked for any more.
    pub fn forget_restored(&self) {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until what is under way is done. From then on nothing is written: another server may open the directory.
    pub fn end(&self) {
        *self.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Runs until the engine gives no more checkpoints.
    fn run(&self, checkpoints: &Receiver<Checkpoint>, server: &Weak<Server>) {
        while let Ok(checkpoint) = checkpoints.recv() {
            let has_ended = self.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
            if *has_ended {
                return;
            }
            thalweg_core::failpoint!("keeper.received");
            let Some(change) = server.upgrade().map(|server| Self::change(checkpoint, server.works())) else { return };
            let Some(outcome) = self.insist(self.write(change), server) else { return };
            let Some(server) = server.upgrade() else { return };
            if let Err(error) = self.written(outcome, server.works(), server.now()) {
                server.fail(&error);
                return;
            }
        }
    }

    /// What the next checkpoint changes.
    pub fn change(checkpoint: Checkpoint, works: Works<'_>) -> Change {
        Change { stopped: works.stopped(), ..changed(checkpoint) }
    }

    /// Makes a checkpoint durable, and all that is owed with it. What comes of it is for [`Keeper::written`].
    ///
    /// # Errors
    /// The store refuses.
    pub fn write(&self, change: Change) -> Result<Written> {
        self.lock().write(change)
    }

    /// A checkpoint is durable, or owed: what follows from that, at `now` (microseconds since 1970).
    ///
    /// # Errors
    /// Nobody knows what is on the disk: a restart reads what is.
    pub fn written(&self, outcome: Result<Written>, works: Works<'_>, now: i64) -> Result<()> {
        match outcome {
            Ok(written) => {
                self.note_written(written, now);
                thalweg_core::failpoint!("keeper.written");
                works.engine.checkpoint_written();
                self.let_go(works.intake);
                thalweg_core::failpoint!("keeper.let_go");
                self.compact(works);
                thalweg_core::failpoint!("keeper.compacted");
            }
            Err(error) => {
                self.note_failure(&error);
                if !is_full(&error) {
                    return Err(error);
                }
                works.engine.checkpoint_owed();
            }
        }
        Ok(())
    }

    /// A store that is out of reach is tried until it is there. Meanwhile no other checkpoint begins, so that what is owed
    /// does not grow; the stream goes on. `None` when the server ends before that.
    fn insist(&self, mut outcome: Result<Written>, server: &Weak<Server>) -> Option<Result<Written>> {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = &outcome {
            if !is_out_of_reach(error) {
                break;
            }
            self.note_failure(error);
            if server.upgrade().is_none_or(|server| server.is_stopping()) {
                return None;
            }
            std::thread::park_timeout(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            outcome = self.lock().write_owed();
        }
        Some(outcome)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_failure(&self, error: &Error) {
        tracing::error!(%error, "a checkpoint could not be made durable; the next one takes it along");
        self.kept.send_modify(|kept| {
            kept.failures += 1;
            kept.error = Some(error.to_string());
            kept.is_full = is_full(error);
        });
    }

    fn note_written(&self, written: Written, now: i64) {
        tracing::debug!(epoch = written.epoch, bytes = written.bytes, took = ?written.took, "a checkpoint is durable");
        self.kept.send_modify(|kept| {
            kept.last = written;
            kept.at = now;
            kept.count += 1;
            kept.error = None;
        });
        self.written.1.notify_all();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        let before = recent.back().map(|before| before.durable_at);
        recent.push_back(system::Checkpoint {
            epoch: written.epoch,
            durable_at: now,
            duration_ms: written.took.as_secs_f64() * 1e3,
            interval_ms: before.map(|before| (now - before) as f64 / 1e3),
            written_bytes: written.bytes,
            state_bytes: written.total_bytes,
        });
    }

    /// The hub needs to keep only what comes after the oldest checkpoint.
    fn let_go(&self, intake: &Intake) {
        let floors: Vec<(Oid, u64)> = match self.lock().oldest() {
            Some(oldest) => oldest
                .jobs
                .iter()
                .filter_map(|(key, job)| {
                    let from = job.sources.first()?.offsets.get(PUSHED)?;
                    Some((Oid(u32::try_from(*key).ok()?), *from))
                })
                .collect(),
            None => Vec::new(),
        };
        floors.into_iter().for_each(|(oid, from)| intake.keep_from(oid, from));
    }

    /// Long chains of changes become one each.
    fn compact(&self, works: Works<'_>) {
        let merge = |key: u64, slot: usize, chain: Vec<Vec<SavedTable>>| {
            let oid = u32::try_from(key).map(Oid).ok();
            // A job that is gone is in the next checkpoint no more.
            let Some(running) = oid.and_then(|oid| works.running(oid)) else { return Ok(None) };
            let chain: Vec<Vec<StateTable>> = chain.into_iter().map(state_tables).collect();
            let merged = thalweg_runtime::compacted(&running.job.spec.plan, slot, &chain)?;
            Ok(Some(merged.into_iter().map(saved_table).collect()))
        };
        if let Err(error) = self.lock().compact(&merge) {
            tracing::error!(%error, "state could not be compacted");
        }
    }
}

/// The split of rows that are handed in.
const PUSHED: &str = thalweg_runtime::live::PUSH_SPLIT;

/// A channel for the engine's keeper and, once there is a server, the thread at its end.
pub(crate) struct Line {
    /// For the engine.
    pub sender: SyncSender<Checkpoint>,
    receiver: Receiver<Checkpoint>,
}

impl Line {
    /// One checkpoint is under way at most.
    pub fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        Self { sender, receiver }
    }

    /// Begins to keep.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn keep(self, keeper: Arc<Keeper>, server: Weak<Server>) -> Result<()> {
        let Self { receiver, .. } = self;
        let thread = std::thread::Builder::new().name("thalweg-keeper".to_owned());
        let started = thread.spawn(move || keeper.run(&receiver, &server));
        started.map(drop).map_err(|e| Error::Internal(format!("cannot start the keeper: {e}")))
    }
}

/// There is no room: there may be later.
fn is_full(error: &Error) -> bool {
    use std::io::ErrorKind;
    matches!(error, Error::Io { source, .. } if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// The store cannot be reached: it can be later.
fn is_out_of_reach(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotConnected)
}

fn changed(checkpoint: Checkpoint) -> Change {
    let Checkpoint { epoch, wall_clock, workers, jobs } = checkpoint;
    let job = |change: SavedChange| {
        let parts =
            change.parts.into_iter().map(|(part, tables)| (part, tables.into_iter().map(saved_table).collect()));
        let sources = change.sources.iter().map(|s| SourceManifest {
            watermark: s.watermark.0,
            ended: s.ended,
            offsets: s.offsets.iter().map(|(split, offset)| (split.to_string(), offset.0)).collect(),
        });
        let (sources, parts) = (sources.collect(), parts.collect());
        (
            change.key,
            JobChange { fingerprint: change.fingerprint, whole: change.whole, outbox: change.outbox, sources, parts },
        )
    };
    let jobs = jobs.into_iter().map(job).collect();
    Change { epoch: epoch.0, wall_clock, workers, jobs, ..Change::default() }
}

fn saved_table(table: StateTable) -> SavedTable {
    SavedTable { name: table.name.into_owned(), upserts: table.upserts, deletes: table.deletes }
}

fn state_tables(tables: Vec<SavedTable>) -> Vec<StateTable> {
    let one = |t: SavedTable| StateTable { name: t.name.into(), upserts: t.upserts, deletes: t.deletes };
    tables.into_iter().map(one).collect()
}

fn given_back(saved: thalweg_store::checkpoint::SavedJob) -> SavedJob {
    let mut job = SavedJob::default();
    for source in &saved.manifest.sources {
        let offsets = source.offsets.iter().map(|(split, at)| (split.as_str().into(), Offset(*at)));
        let (watermark, ended) = (Watermark(source.watermark), source.ended);
        job.sources.push(SourceProgress { watermark, offsets: offsets.collect(), ended });
    }
    for (part, tables) in saved.manifest.parts.iter().zip(saved.tables) {
        let saved = SavedPart { worker: part.worker, workers: part.workers, tables: state_tables(tables) };
        job.parts.entry(part.slot).or_default().push(saved);
    }
    job
}
