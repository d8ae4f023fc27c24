//! Opening: what is on the disk becomes a log again. It must not cut off what was acknowledged.
//!
//! First all is looked at, and nothing changed: damage refuses the opening. The newest manifest and the marks behind it
//! say what was durable; all of that must be there and whole. Behind it a crash may have left anything: a topic is cut
//! where its batches stop being whole, or where one belongs to a transaction of which another batch is missing. Nothing
//! acknowledged is cut so: a round makes durable all that was appended before it, in all topics, before it tells anyone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};

use thalweg_core::planted::{Defect, is_planted};
use thalweg_disk::{Disk, durable_folder};

use crate::batch::Batch;
use crate::limits::READ_BYTES;
use crate::log::{Active, Closed, Log, check_closed};
use crate::manifest::{self, Manifest, TopicEntry};
use crate::marks::Marks;
use crate::scan::{Broken, Found, Scan};
use crate::state::{Ledger, Roll, Shared, State, Topic};
use crate::topic::{TOPICS, base_of, folder, id_of, partition, segment};
use crate::topics::{has_reserve, publish_manifest, remove_folder};
use crate::{HubError, Result};

/// What an opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Topics.
    pub topics: usize,
    /// What a crash had left behind the last acknowledged record, and was cut off.
    pub cut: Vec<Cut>,
}

/// The end of a topic that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The topic.
    pub topic: String,
    /// The file.
    pub file: PathBuf,
    /// Where it ends now.
    pub at: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
    /// Why.
    pub what: String,
}

/// A topic as it is on the disk.
struct Ashore {
    entry: TopicEntry,
    closed: Vec<Arc<Closed>>,
    active: Active,
    /// Bytes of the active segment's file.
    size: u64,
    /// Why it is to be cut where `active` ends.
    broken: Option<Broken>,
    /// Batches of transactions of which it is not known whether they are complete.
    parts: Vec<Part>,
}

/// A batch of a transaction.
struct Part {
    transaction: i64,
    /// How many batches the transaction has.
    of: i16,
    /// Which of them this is.
    which: i32,
    /// Where it is in the active segment; `None` in a closed one.
    at: Option<u64>,
}

impl Part {
    /// Of a batch at or behind offset `durable`, if it is part of a transaction.
    fn of(batch: &Batch, durable: u64, at: Option<u64>) -> Option<Self> {
        let producer = batch.header().producer;
        let is_part = batch.header().is_transactional() && batch.base_offset() >= durable;
        is_part.then_some(Self { transaction: producer.id, of: producer.epoch, which: producer.sequence, at })
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>, has_flusher: bool) -> Result<(Shared, Recovered)> {
    let mut manifest = newest(&*disk)?;
    Marks::read(&*disk, &mut manifest)?;
    let topics = manifest.topics.iter().map(|entry| look(&*disk, entry));
    let mut topics = topics.collect::<Result<Vec<_>>>()?;
    let known = topics.iter().flat_map(|t| &t.parts).map(|part| part.transaction.unsigned_abs() + 1).max();
    let next_transaction =
        known.unwrap_or(0).max(manifest.next_transaction).max(first_transaction(manifest.number + 1));
    if !is_planted(Defect::HalfAppends) {
        leave_incomplete(&*disk, &mut topics)?;
    }

    thalweg_core::failpoint!("hub.recover.looked");
    durable_folder(&*disk, TOPICS)?;
    let mut recovered = Recovered { topics: topics.len(), cut: Vec::new() };
    for topic in &topics {
        recovered.cut.extend(cut(&*disk, topic)?);
        thalweg_core::failpoint!("hub.recover.topic_cut");
        // Whoever made the names in them may have been killed before they were durable.
        disk.sync_folder(&topic.log_folder())?;
        disk.sync_folder(&folder(&topic.entry.name, topic.entry.id))?;
    }
    disk.sync_folder(TOPICS)?;

    let known = disk.list(TOPICS)?.iter().filter_map(|e| id_of(&e.name)).max();
    let next_topic = known.map_or(1, |id| id + 1).max(manifest.next_topic);
    let number = manifest.number + 1;
    let mut state = State::default();
    for topic in topics {
        let id = topic.entry.id;
        state.names.insert(topic.entry.name.clone(), id);
        state.topics.insert(id, topic.into());
    }
    let manifest = state.manifest(number, next_topic, next_transaction);
    let mut has_reserve = has_reserve(&*disk)?;
    thalweg_core::failpoint!("hub.recover.synced");
    publish_manifest(&*disk, &manifest, &mut has_reserve)?;
    thalweg_core::failpoint!("hub.recover.published");
    remove_rubbish(&*disk, &manifest);
    let marks = Marks::start(&*disk, number);
    thalweg_core::failpoint!("hub.recover.done");
    let shared = Shared {
        disk,
        has_flusher,
        turn: Mutex::default(),
        ledger: Mutex::new(Ledger { number, next_topic, marks, has_reserve }),
        state: Mutex::new(state),
        work: Condvar::new(),
        progress: Condvar::new(),
        next_transaction: AtomicU64::new(next_transaction),
        indexed: Mutex::new(VecDeque::new()),
    };
    Ok((shared, recovered))
}

/// The number of the first append to several topics of an opening: no other opening has its numbers, so that a reader of
/// several topics can tell what belongs together.
fn first_transaction(opening: u64) -> u64 {
    opening.saturating_mul(1 << 32)
}

/// The manifest that counts; an empty one on a new disk.
fn newest(disk: &dyn Disk) -> Result<Manifest> {
    let root = disk.list("")?;
    if let Some(number) = root.iter().filter_map(|e| manifest::number_of(&e.name)).max() {
        return Manifest::read(disk, number);
    }
    if disk.exists(TOPICS)? && !disk.list(TOPICS)?.is_empty() {
        let what = "there are topics, but no manifest".to_owned();
        return Err(HubError::Damaged { file: disk.locate(&manifest::file(1)), at: 0, what });
    }
    Ok(Manifest::default())
}

/// Looks at the files of a topic.
fn look(disk: &dyn Disk, entry: &TopicEntry) -> Result<Ashore> {
    let folder = partition(&entry.name, entry.id);
    let damaged = |base: u64, at: u64, what: String| {
        Err(HubError::Damaged { file: disk.locate(&segment(&folder, base)), at, what })
    };
    let missing = |base: u64| damaged(base, 0, "the file is missing".to_owned());
    if !disk.exists(&folder)? {
        return missing(entry.start);
    }
    let bases = disk.list(&folder)?.into_iter().filter_map(|e| base_of(&e.name)).filter(|base| *base >= entry.start);
    let bases: Vec<u64> = bases.collect();
    if bases.first() != Some(&entry.start) {
        return missing(entry.start);
    }
    let (mut closed, mut parts) = (Vec::new(), Vec::new());
    for pair in bases.windows(2) {
        let (base, next) = (pair[0], pair[1]);
        let path = segment(&folder, base);
        let known = entry.closed.iter().find(|c| c.base == base);
        let checked = match known {
            Some(known) => *known,
            // Closed since the last mark. It is durable, but no mark says what else is.
            None => {
                let part = |batch: &Batch| parts.extend(Part::of(batch, entry.durable, None));
                check_closed(disk, &path, base, next, part)?.0
            }
        };
        let size = disk.size(&path)?;
        if checked.bytes != size {
            return damaged(base, size.min(checked.bytes), format!("expected {} bytes, found {size}", checked.bytes));
        }
        if checked.end != next {
            return missing(checked.end);
        }
        closed.push(Arc::new(Closed::new(&folder, checked)));
    }
    let last = bases[bases.len() - 1];
    if let Some(gone) = entry.closed.iter().find(|c| c.base >= last) {
        return missing(if gone.base == last { gone.end } else { gone.base });
    }

    let path = segment(&folder, last);
    let file = disk.open(&path)?;
    let active = Active::new(&folder, last, file.into());
    let mut ashore = Ashore { entry: entry.clone(), closed, active, size: 0, broken: None, parts };
    // Whoever wrote last may have been killed before it was durable, also what was taken back.
    ashore.active.file.sync()?;
    ashore.size = disk.size(&path)?;
    ashore.scan(disk, ashore.size)?;
    if ashore.active.end > entry.durable || ashore.broken.is_some() {
        // No fsync is known to have succeeded. One that failed may have left in memory what the device does not hold.
        disk.uncache(&path)?;
        ashore.size = disk.size(&path)?;
        ashore.scan(disk, ashore.size)?;
    }
    if ashore.active.end < entry.durable {
        let (at, found) = match &ashore.broken {
            Some(broken) => (broken.at, broken.what.clone()),
            None => (ashore.size, "the file ends".to_owned()),
        };
        return damaged(last, at, format!("{found}, where offset {} was durable", ashore.active.end));
    }
    Ok(ashore)
}

impl Ashore {
    fn log_folder(&self) -> String {
        partition(&self.entry.name, self.entry.id)
    }

    /// Reads the active segment up to byte `end`.
    fn scan(&mut self, disk: &dyn Disk, end: u64) -> Result<()> {
        self.broken = None;
        let Active { path, file, base, .. } = &self.active;
        let (path, base) = (Arc::clone(path), *base);
        self.active = Active::new(&self.log_folder(), base, Arc::clone(file));
        self.parts.retain(|part| part.at.is_none());
        let mut scan = Scan::new(disk, &path, (0, base), end, READ_BYTES);
        loop {
            match scan.step()? {
                Found::End => return Ok(()),
                Found::Broken(broken) => {
                    self.broken = Some(broken);
                    return Ok(());
                }
                Found::Batch(at, batch) => {
                    let header = batch.header();
                    self.parts.extend(Part::of(&batch, self.entry.durable, Some(at)));
                    self.active.push(header.bytes as u64, batch.end_offset(), header.max_timestamp_ms);
                }
            }
        }
    }
}

impl From<Ashore> for Topic {
    fn from(topic: Ashore) -> Self {
        let partition = topic.log_folder();
        let durable = topic.active.end;
        Self {
            name: topic.entry.name,
            options: topic.entry.options,
            log: Log { partition, closed: topic.closed, active: topic.active, durable },
            floor: None,
            is_dirty: false,
            roll: Roll::No,
            is_going: false,
        }
    }
}

/// Shortens topics until every transaction in them has all its batches.
fn leave_incomplete(disk: &dyn Disk, topics: &mut [Ashore]) -> Result<()> {
    loop {
        let mut found: BTreeMap<i64, BTreeSet<i32>> = BTreeMap::new();
        for part in topics.iter().flat_map(|t| &t.parts) {
            found.entry(part.transaction).or_default().insert(part.which);
        }
        let is_incomplete = |part: &&Part| found[&part.transaction].len() != part.of.unsigned_abs() as usize;
        let firsts: Vec<_> = topics
            .iter()
            .map(|topic| topic.parts.iter().find(is_incomplete).map(|part| (part.at, part.transaction)))
            .collect();
        if firsts.iter().all(Option::is_none) {
            return Ok(());
        }
        // A shorter topic may lack batches of other transactions: look again.
        for (topic, first) in topics.iter_mut().zip(firsts) {
            let Some((at, transaction)) = first else { continue };
            let what = format!("append {transaction} to several topics is not complete");
            let Some(at) = at else {
                let file = disk.locate(&topic.log_folder());
                return Err(HubError::Damaged { file, at: 0, what: format!("{what}, though it was durable") });
            };
            topic.scan(disk, at)?;
            topic.broken = Some(Broken { at, what });
        }
    }
}

/// Cuts off what is behind the end of a topic, and makes that durable.
fn cut(disk: &dyn Disk, topic: &Ashore) -> Result<Option<Cut>> {
    let Some(broken) = &topic.broken else { return Ok(None) };
    let active = &topic.active;
    active.file.truncate(active.bytes)?;
    active.file.sync()?;
    Ok(Some(Cut {
        topic: topic.entry.name.clone(),
        file: disk.locate(&active.path),
        at: active.bytes,
        bytes: topic.size - active.bytes,
        what: broken.what.clone(),
    }))
}

/// Removes what a crash left and `manifest`, which is durable, does not name. What cannot be removed stays rubbish.
fn remove_rubbish(disk: &dyn Disk, manifest: &Manifest) {
    for entry in disk.list("").unwrap_or_default() {
        let name = entry.name.strip_suffix(".tmp").unwrap_or(&entry.name);
        let number = manifest::number_of(name).or_else(|| manifest::number_of_marks(name));
        if number.is_some_and(|n| n < manifest.number || name != entry.name) {
            drop(disk.remove(&entry.name));
        }
    }
    let folders: BTreeSet<String> = manifest.topics.iter().map(|t| folder(&t.name, t.id)).collect();
    for entry in disk.list(TOPICS).unwrap_or_default() {
        let path = format!("{TOPICS}/{}", entry.name);
        if entry.is_folder && id_of(&entry.name).is_some() && !folders.contains(&path) {
            remove_folder(disk, &path);
        }
    }
    for topic in &manifest.topics {
        let folder = partition(&topic.name, topic.id);
        for entry in disk.list(&folder).unwrap_or_default() {
            if base_of(&entry.name).is_some_and(|base| base < topic.start) {
                drop(disk.remove(&format!("{folder}/{}", entry.name)));
            }
        }
    }
}
