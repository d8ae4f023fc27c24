//! Checkpoints: state files and manifests, the last few of them, and their compaction.
//!
//! Owns the layout of the folder: `EPOCH-INCARNATION.manifest` names pieces of `EPOCH-INCARNATION[-c].state` files, all
//! checksummed, none ever changed. A manifest that is damaged, or that names something that is, is reported and the one
//! before it is used. It must not know jobs, operators or plans: those are numbers and tables here.

mod blob;
mod bucket;
mod load;
mod manifest;
mod shelf;
pub(crate) mod smoke;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Error, Result};

pub use blob::{Packing, SavedTable};
pub use bucket::{BucketOptions, BucketShelf};
use load::load;
use manifest::Gap;
pub use manifest::{JobManifest, Manifest, PartManifest, SourceManifest};
pub use shelf::{DiskShelf, Shelf};
pub use survey::{Surveyed, survey, verify};

/// Checkpoints that are kept.
pub const KEPT: usize = 3;
/// Pieces of one operator's state on one worker before they are made into one.
const MAX_PIECES: usize = 32;

/// What changed since the checkpoint before.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Everything up to this epoch is in.
    pub epoch: u64,
    /// The epoch's `now()`.
    pub wall_clock: i64,
    /// Workers at this time.
    pub workers: usize,
    /// Every job that is in the checkpoint; one that is not here is in it no more.
    pub jobs: BTreeMap<u64, JobChange>,
    /// But these stay in it as they were, with the places up to which they had read.
    pub stopped: BTreeSet<u64>,
}

/// What changed of a job.
#[derive(Clone, Debug, Default)]
pub struct JobChange {
    /// The plan that the state fits.
    pub fingerprint: u64,
    /// It is all of the job's state, not what changed since the checkpoint before.
    pub whole: bool,
    /// The slot of what is to be delivered.
    pub outbox: Option<usize>,
    /// How far each source was read.
    pub sources: Vec<SourceManifest>,
    /// By worker and slot.
    pub parts: BTreeMap<(usize, usize), Vec<SavedTable>>,
}

/// A job as the last checkpoint holds it.
#[derive(Clone, Debug)]
pub struct SavedJob {
    /// Its entry.
    pub manifest: JobManifest,
    /// The tables of each part, in the manifest's order.
    pub tables: Vec<Vec<SavedTable>>,
}

/// What a checkpoint took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// Its epoch.
    pub epoch: u64,
    /// Bytes written for it.
    pub bytes: u64,
    /// Bytes of all state that it refers to.
    pub total_bytes: u64,
    /// Time to make it durable.
    pub took: Duration,
}

/// Makes one change of several, of one operator's state: `(job, slot, changes in order)`.
pub type Merge<'a> = dyn Fn(u64, usize, Vec<Vec<SavedTable>>) -> Result<Option<Vec<SavedTable>>> + 'a;

/// The checkpoints of one server.
#[derive(Debug)]
pub struct Checkpoints {
    shelf: Arc<dyn Shelf>,
    incarnation: u64,
    last: Option<Manifest>,
    /// Manifests that are there, oldest first.
    kept: Vec<Manifest>,
    /// Of jobs with an outbox, the checkpoint up to which all was delivered.
    delivered: BTreeMap<u64, u64>,
    /// Changes that could not be made durable: the next checkpoint takes them along.
    owed: Vec<Change>,
    /// Pieces of one operator's state on one worker before they are made into one.
    max_pieces: usize,
    /// The highest epoch in the name of any manifest that was there, whole or not.
    newest: u64,
    /// Of this start and those before it, as far as they matter.
    gaps: Vec<Gap>,
    /// Bytes that the last change took: the next is given as much room at once, for growing copies it again and again.
    room: usize,
}

/// What was found at a start.
#[derive(Debug, Default)]
pub struct Found {
    /// The jobs of the newest checkpoint that is whole.
    pub jobs: BTreeMap<u64, SavedJob>,
    /// What is wrong with newer ones.
    pub damaged: Vec<Error>,
}

impl Checkpoints {
    /// Opens what is there and reads the newest checkpoint that is whole.
    ///
    /// # Errors
    /// The shelf cannot be read; one is of a format that is not known; or there are checkpoints and none of them is whole.
    /// Then nothing is changed.
    pub fn open(shelf: Arc<dyn Shelf>) -> Result<(Self, Found)> {
        let mut names: Vec<String> = shelf.list()?.into_iter().filter(|n| Manifest::epoch_of(n).is_some()).collect();
        // A later start goes first: what an earlier one still put when it had lost the shelf does not count.
        names.sort_unstable_by_key(|name| Manifest::order_of(name));
        let mut found = Found::default();
        let (mut last, mut kept, mut incarnation) = (None::<Manifest>, Vec::new(), 0);
        let newest = names.iter().filter_map(|name| Manifest::epoch_of(name)).max().unwrap_or(0);
        for name in names.iter().rev() {
            // Also of one that is damaged: its number has been used.
            incarnation = incarnation.max(Manifest::order_of(name).0);
            let read = shelf.read(name).and_then(|bytes| Manifest::decode(name, &bytes));
            let manifest = match read {
                Ok(manifest) => manifest,
                // Of a format that is not known: a newer version wrote it.
                Err(error @ Error::Invalid { .. }) => return Err(error),
                Err(error) if is_out_of_reach(&error) => return Err(error),
                Err(error) => {
                    found.damaged.push(error);
                    continue;
                }
            };
            if last.is_none() {
                match load(shelf.as_ref(), &manifest) {
                    Ok(jobs) => {
                        found.jobs = jobs;
                        last = Some(manifest.clone());
                    }
                    Err(error) if is_out_of_reach(&error) => return Err(error),
                    Err(error) => {
                        found.damaged.push(error);
                        continue;
                    }
                }
            }
            kept.push(manifest);
        }
        if last.is_none() && !names.is_empty() {
            let first = found.damaged.swap_remove(0);
            let message = format!("none of {} checkpoints is whole; the newest: {first}", names.len());
            let hint = "Put the files back from a copy, or move the folder away to begin without state.";
            return Err(Error::invalid_with_hint(message, hint));
        }
        kept.reverse();
        let incarnation = match shelf.first_incarnation().max(incarnation.saturating_add(1)) {
            _ if is_planted(Defect::IncarnationAgain) => incarnation.saturating_add(1),
            incarnation => incarnation,
        };
        let gaps = last.as_ref().map_or(Vec::new(), |last| last.gaps.clone());
        let (delivered, owed) = (BTreeMap::new(), Vec::new());
        let max_pieces = MAX_PIECES;
        let checkpoints = Self { shelf, incarnation, last, kept, delivered, owed, max_pieces, newest, gaps, room: 0 };
        // Of manifests that are damaged nothing may be left that a later fault would bring back.
        for name in names.iter().filter(|n| !checkpoints.kept.iter().any(|m| name_of(m) == **n)) {
            checkpoints.shelf.remove(name)?;
        }
        thalweg_core::failpoint!("checkpoint.loaded");
        checkpoints.sweep()?;
        thalweg_core::failpoint!("checkpoint.opened");
        Ok((checkpoints, found))
    }

    /// Merges chains of changes that are longer than this: for simulations, which have no time for long ones.
    pub fn with_max_pieces(self, max_pieces: usize) -> Self {
        Self { max_pieces, ..self }
    }

    /// The last checkpoint.
    pub fn last(&self) -> Option<&Manifest> {
        self.last.as_ref()
    }

    /// Goes on from the last checkpoint; `now` is higher than any epoch of a life before. The first epoch of this one.
    pub fn begin(&mut self, now: u64) -> u64 {
        let after = self.last.as_ref().map_or(0, |last| last.epoch);
        if is_planted(Defect::EpochAgain) {
            return after.saturating_sub(20);
        }
        let before = now.max(after.saturating_add(1)).max(self.newest.saturating_add(1));
        if before > after + 1 {
            self.gaps.push(Gap { after, before });
        }
        before
    }

    /// What a target holds up to `epoch` was delivered from a checkpoint that this history does not have.
    pub fn is_of_another_history(&self, epoch: u64) -> bool {
        self.gaps.iter().any(|gap| gap.after < epoch && epoch < gap.before)
    }

    /// The number of this start.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The `now()` of the epoch of a checkpoint that is kept, microseconds since 1970.
    pub fn wall_clock_of(&self, epoch: u64) -> Option<i64> {
        self.kept.iter().rev().find(|manifest| manifest.epoch == epoch).map(|manifest| manifest.wall_clock)
    }

    /// The oldest checkpoint that is kept: what it needs of any log must stay.
    pub fn oldest(&self) -> Option<&Manifest> {
        self.kept.first()
    }

    /// Makes a checkpoint durable.
    ///
    /// # Errors
    /// The shelf refuses. Then the change is kept, and the next checkpoint has it too.
    pub fn write(&mut self, change: Change) -> Result<Written> {
        self.owed.push(change);
        let written = self.write_owed();
        if is_planted(Defect::OwedForgotten) {
            self.owed.clear();
        }
        written
    }

    /// Makes durable what could not be made so before, if there is anything.
    ///
    /// # Errors
    /// As [`Checkpoints::write`].
    pub fn write_owed(&mut self) -> Result<Written> {
        let began = Instant::now();
        let Some(newest) = self.owed.last() else { return Ok(Written::default()) };
        let mut manifest = Manifest::new(newest.epoch, self.incarnation, newest.wall_clock);
        let file = format!("{:020}-{:010}.state", newest.epoch, self.incarnation);
        let mut bytes = Vec::with_capacity(self.room);
        for (key, job) in &newest.jobs {
            let Some((mut parts, from)) = self.chain(*key, job.fingerprint) else { continue };
            for change in &self.owed[from..] {
                let Some(job) = change.jobs.get(key) else { continue };
                for ((worker, slot), tables) in &job.parts {
                    let of = PartOf { slot: *slot, worker: *worker, workers: change.workers };
                    parts.push(append(&mut bytes, &file, of, (tables, self.shelf.packing()))?);
                }
            }
            let (fingerprint, sources, outbox) = (job.fingerprint, job.sources.clone(), job.outbox);
            let delivered = self.delivered_to(*key);
            manifest.jobs.insert(*key, JobManifest { fingerprint, sources, outbox, delivered, parts });
        }
        let before = self.last.iter().flat_map(|last| &last.jobs).filter(|(key, _)| newest.stopped.contains(key));
        for (key, job) in before {
            manifest.jobs.entry(*key).or_insert_with(|| job.clone());
        }
        manifest.gaps = self.gaps_that_matter(&manifest);
        let written = bytes.len() as u64;
        self.room = bytes.len() + bytes.len() / 4;
        thalweg_core::failpoint!("checkpoint.encoded");
        self.publish(manifest, file, bytes)?;
        self.owed.clear();
        let total_bytes = self.last.as_ref().map_or(0, Manifest::bytes);
        let epoch = self.last.as_ref().map_or(0, |m| m.epoch);
        Ok(Written { epoch, bytes: written, total_bytes, took: began.elapsed() })
    }

    /// The state before the changes that are owed, and from which of them on they count. `None` if that is not known:
    /// then the job is in no checkpoint, and a restart computes it again.
    fn chain(&self, key: u64, fingerprint: u64) -> Option<(Vec<PartManifest>, usize)> {
        if let Some(whole) = self.owed.iter().rposition(|change| change.jobs.get(&key).is_some_and(|job| job.whole)) {
            return Some((Vec::new(), whole));
        }
        let before = self.last.as_ref()?.jobs.get(&key).filter(|b| b.fingerprint == fingerprint)?;
        let mut parts = before.parts.clone();
        let delivered = self.delivered_to(key);
        let is_due = |part: &PartManifest| part.epoch() > delivered && !is_planted(Defect::OutboxDropped);
        parts.retain(|part| Some(part.slot) != before.outbox || is_due(part));
        Some((parts, 0))
    }

    /// Where the target of some outbox may still be.
    fn gaps_that_matter(&self, manifest: &Manifest) -> Vec<Gap> {
        let outboxes = manifest.jobs.values().filter(|job| job.outbox.is_some());
        let least = outboxes.map(|job| job.delivered).min().unwrap_or(u64::MAX);
        self.gaps.iter().copied().filter(|gap| gap.before > least).collect()
    }

    /// The target of a job's outbox holds everything up to the checkpoint `epoch`: it is kept no longer.
    pub fn delivered(&mut self, job: u64, epoch: u64) {
        self.delivered.insert(job, epoch);
    }

    /// The checkpoint up to which the target of a job's outbox is known to hold everything; 0 if nothing is known.
    pub fn delivered_to(&self, job: u64) -> u64 {
        let before = self.last.as_ref().and_then(|last| last.jobs.get(&job)).map_or(0, |job| job.delivered);
        self.delivered.get(&job).copied().unwrap_or(0).max(before)
    }

    /// What the outbox of a job holds of checkpoints after `epoch`, oldest first.
    pub fn outbox(&self, job: u64, epoch: u64) -> Vec<(u64, Vec<PartManifest>)> {
        let mut found: BTreeMap<u64, Vec<PartManifest>> = BTreeMap::new();
        let job = self.last.as_ref().and_then(|last| last.jobs.get(&job));
        let parts = job.into_iter().flat_map(|job| job.parts.iter().filter(|part| Some(part.slot) == job.outbox));
        for part in parts.filter(|part| part.epoch() > epoch) {
            found.entry(part.epoch()).or_default().push(part.clone());
        }
        found.into_iter().collect()
    }

    /// The shelf, for [`read_part`] while checkpoints go on.
    pub fn shelf(&self) -> Arc<dyn Shelf> {
        Arc::clone(&self.shelf)
    }

    fn publish(&mut self, manifest: Manifest, file: String, bytes: Vec<u8>) -> Result<()> {
        let files = if bytes.is_empty() { Vec::new() } else { vec![(file, bytes)] };
        self.shelf.publish(&files, (&name_of(&manifest), &manifest.encode()?))?;
        thalweg_core::failpoint!("checkpoint.published");
        self.kept.push(manifest.clone());
        self.last = Some(manifest);
        // It is durable, whatever becomes of the old ones: what cannot be removed now is removed with the next.
        while self.kept.len() > KEPT && self.shelf.remove(&name_of(&self.kept[0])).is_ok() {
            self.kept.remove(0);
        }
        thalweg_core::failpoint!("checkpoint.older_removed");
        let _ = self.sweep();
        thalweg_core::failpoint!("checkpoint.swept");
        Ok(())
    }

    /// Removes files that no manifest names.
    fn sweep(&self) -> Result<()> {
        let named: BTreeSet<&str> = self.kept.iter().flat_map(Manifest::files).collect();
        let all = self.shelf.list()?;
        let orphans =
            all.iter().filter(|n| (n.ends_with(".state") || n.ends_with(".tmp")) && !named.contains(n.as_str()));
        orphans.into_iter().try_for_each(|name| self.shelf.remove(name))
    }

    /// Makes long chains of changes into one each. The last checkpoint is replaced by one that says the same.
    ///
    /// # Errors
    /// State cannot be read or written, or `merge` fails; then the last checkpoint stays as it is.
    pub fn compact(&mut self, merge: &Merge<'_>) -> Result<u64> {
        let Some(last) = &self.last else { return Ok(0) };
        // The same epoch under another name: it sorts behind the one that it replaces.
        let file = format!("{:020}-{:010}-c.state", last.epoch, self.incarnation);
        let mut manifest = last.clone();
        let mut bytes = Vec::new();
        let mut merged = false;
        for (key, job) in &mut manifest.jobs {
            for slot in long_chains(job, self.max_pieces) {
                merged |= self.compact_slot(*key, slot, job, &file, &mut bytes, merge)?;
            }
        }
        if !merged {
            return Ok(0);
        }
        thalweg_core::failpoint!("compaction.merged");
        let written = bytes.len() as u64;
        self.incarnation += 1;
        manifest.incarnation = self.incarnation;
        self.publish(manifest, file, bytes)?;
        thalweg_core::failpoint!("compaction.done");
        Ok(written)
    }

    fn compact_slot(
        &self,
        key: u64,
        slot: usize,
        job: &mut JobManifest,
        file: &str,
        bytes: &mut Vec<u8>,
        merge: &Merge<'_>,
    ) -> Result<bool> {
        let of_slot: Vec<PartManifest> = job.parts.iter().filter(|p| p.slot == slot).cloned().collect();
        let workers: BTreeSet<usize> = of_slot.iter().map(|p| p.workers).collect();
        // While the number of workers stays, each keeps its own; after that all is one, to be divided anew.
        let groups: Vec<PartOf> = match workers.first() {
            Some(workers) if workers_agree(&of_slot) => {
                (0..*workers).map(|worker| PartOf { slot, worker, workers: *workers }).collect()
            }
            _ => vec![PartOf { slot, worker: 0, workers: 0 }],
        };
        let mut new = Vec::new();
        for of in groups {
            let chain: Vec<&PartManifest> =
                of_slot.iter().filter(|p| of.workers == 0 || p.worker == of.worker).collect();
            if chain.is_empty() {
                continue;
            }
            let tables = chain.iter().map(|part| self.tables(part)).collect::<Result<Vec<_>>>()?;
            let Some(tables) = merge(key, slot, tables)? else { return Ok(false) };
            if !tables.is_empty() {
                // It is read at every start from now on, and stays for long.
                new.push(append(bytes, file, of, (&tables, Packing::Zstd))?);
            }
        }
        job.parts.retain(|p| p.slot != slot);
        job.parts.extend(new);
        Ok(true)
    }

    fn tables(&self, part: &PartManifest) -> Result<Vec<SavedTable>> {
        read_part(self.shelf.as_ref(), part)
    }
}

/// The tables of a part, checked.
///
/// # Errors
/// The file is not there, or damaged.
pub fn read_part(shelf: &dyn Shelf, part: &PartManifest) -> Result<Vec<SavedTable>> {
    let bytes = shelf.read_range(&part.file, part.offset, part.length)?;
    blob::decode(checked(&bytes, part)?)
}

fn workers_agree(parts: &[PartManifest]) -> bool {
    parts.windows(2).all(|pair| pair[0].workers == pair[1].workers) && parts.iter().all(|p| p.workers > 0)
}

/// Slots with more pieces than are good, or with more changes than what they change.
fn long_chains(job: &JobManifest, max_pieces: usize) -> Vec<usize> {
    let mut by_slot: BTreeMap<usize, BTreeMap<usize, Vec<u64>>> = BTreeMap::new();
    // What is to be delivered is delivered as it is.
    for part in job.parts.iter().filter(|part| Some(part.slot) != job.outbox) {
        by_slot.entry(part.slot).or_default().entry(part.worker).or_default().push(part.length);
    }
    let long = |pieces: &Vec<u64>| {
        let base = pieces.first().copied().unwrap_or(0);
        pieces.len() > max_pieces || (pieces.len() > 4 && pieces.iter().skip(1).sum::<u64>() > (2 * base).max(1 << 20))
    };
    by_slot.into_iter().filter(|(_, workers)| workers.values().any(long)).map(|(slot, _)| slot).collect()
}

#[derive(Clone, Copy)]
struct PartOf {
    slot: usize,
    worker: usize,
    workers: usize,
}

fn append(
    bytes: &mut Vec<u8>,
    file: &str,
    of: PartOf,
    (tables, packing): (&[SavedTable], Packing),
) -> Result<PartManifest> {
    let from = bytes.len();
    blob::encode(tables, packing, bytes)?;
    let blob = &bytes[from..];
    Ok(PartManifest {
        slot: of.slot,
        worker: of.worker,
        workers: of.workers,
        file: file.to_owned(),
        offset: from as u64,
        length: blob.len() as u64,
        crc: crc32c::crc32c(blob),
    })
}

/// What is out of reach may be whole: nothing may be removed for it.
fn is_out_of_reach(error: &Error) -> bool {
    let Error::Io { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::NotConnected | ErrorKind::PermissionDenied)
}

fn name_of(manifest: &Manifest) -> String {
    Manifest::name(manifest.epoch, manifest.incarnation)
}

/// The part of a file of which `bytes` are those from `at` on, checked.
fn piece<'a>(bytes: &'a [u8], at: u64, part: &PartManifest) -> Result<&'a [u8]> {
    let from = part.offset.checked_sub(at).and_then(|from| usize::try_from(from).ok());
    let range = from.zip(usize::try_from(part.length).ok());
    let bytes = range.and_then(|(from, length)| bytes.get(from..from.saturating_add(length).min(bytes.len())));
    checked(bytes.unwrap_or_default(), part)
}

/// The bytes of a part, if they are what was written.
fn checked<'a>(bytes: &'a [u8], part: &PartManifest) -> Result<&'a [u8]> {
    let damaged = |what: String| Error::Data(format!("{}: at byte {}: {what}", part.file, part.offset));
    if bytes.len() as u64 != part.length {
        return Err(damaged(format!("{} bytes are expected, {} are there", part.length, bytes.len())));
    }
    match crc32c::crc32c(bytes) {
        found if found == part.crc => Ok(bytes),
        found => Err(damaged(format!("expected checksum {:08x}, found {found:08x}", part.crc))),
    }
}

#[cfg(test)]
mod tests;
