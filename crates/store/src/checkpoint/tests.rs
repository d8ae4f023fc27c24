//! Checkpoints through crashes, full disks and damage, against a model that remembers every state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use thalweg_disk::{Disk, Operation, Rng, SimDisk};

use super::*;

/// Keys and values of the one operator of a job.
pub(super) type State = BTreeMap<i64, i64>;

fn rows(changes: &[(i64, i64)]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Int64, false)]);
    let column = |f: &dyn Fn(&(i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(changes.iter().map(f)));
    let columns: Vec<ArrayRef> = vec![column(&|c| c.0), column(&|c| c.1)];
    RecordBatch::try_new(Arc::new(schema), columns).expect("two columns")
}

fn table(upserts: &[(i64, i64)], deletes: &[i64]) -> SavedTable {
    let gone: Vec<(i64, i64)> = deletes.iter().map(|k| (*k, 0)).collect();
    let deletes = (!gone.is_empty()).then(|| rows(&gone).project(&[0]).expect("the first column"));
    SavedTable { name: "kv".to_owned(), upserts: rows(upserts), deletes }
}

fn apply(state: &mut State, tables: &[SavedTable]) {
    for table in tables {
        if let Some(gone) = &table.deletes {
            state.retain(|k, _| !gone.column(0).as_primitive::<Int64Type>().values().contains(k));
        }
        let column = |c: usize| table.upserts.column(c).as_primitive::<Int64Type>().values().to_vec();
        state.extend(column(0).into_iter().zip(column(1)));
    }
}

pub(super) fn restored(found: &Found) -> BTreeMap<u64, State> {
    let of = |job: &SavedJob| {
        let mut state = State::new();
        job.tables.iter().for_each(|tables| apply(&mut state, tables));
        state
    };
    found.jobs.iter().map(|(key, job)| (*key, of(job))).collect()
}

pub(super) fn merged(_job: u64, _slot: usize, chain: Vec<Vec<SavedTable>>) -> Result<Option<Vec<SavedTable>>> {
    let mut state = State::new();
    chain.iter().for_each(|tables| apply(&mut state, tables));
    let all: Vec<(i64, i64)> = state.into_iter().collect();
    Ok(Some(vec![table(&all, &[])]))
}

/// A random history of two jobs; what was acknowledged, and at which step of the disk.
pub(super) struct History {
    rng: Rng,
    /// Steps of the disk so far.
    steps: Box<dyn Fn() -> u64>,
    pub(super) checkpoints: Checkpoints,
    pub(super) model: BTreeMap<u64, State>,
    pub(super) epoch: u64,
    /// All states in order, with the step after which each was acknowledged.
    pub(super) acknowledged: Vec<(u64, u64, BTreeMap<u64, State>)>,
    /// States that were on their way when something failed.
    pub(super) attempted: BTreeMap<u64, BTreeMap<u64, State>>,
}

fn shelf(disk: &SimDisk) -> Arc<dyn Shelf> {
    Arc::new(DiskShelf::open(Arc::new(disk.clone()) as Arc<dyn Disk>, "checkpoints", 0).expect("a folder"))
}

impl History {
    fn on_disk(seed: u64, disk: &SimDisk) -> Self {
        let counted = disk.clone();
        Self::new(seed, shelf(disk), Box::new(move || counted.steps()))
    }

    pub(super) fn new(seed: u64, shelf: Arc<dyn Shelf>, steps: Box<dyn Fn() -> u64>) -> Self {
        let (checkpoints, found) = Checkpoints::open(shelf).expect("an empty shelf");
        assert!(found.jobs.is_empty() && found.damaged.is_empty());
        let model = BTreeMap::from([(1, State::new()), (2, State::new())]);
        let (rng, acknowledged, attempted) = (Rng::new(seed), vec![(0, 0, BTreeMap::new())], BTreeMap::new());
        Self { rng, steps, checkpoints, model, epoch: 0, acknowledged, attempted }
    }

    pub(super) fn change(&mut self) -> Change {
        self.epoch += 1 + self.rng.below(5) as u64;
        let mut change = Change { epoch: self.epoch, wall_clock: 7, workers: 1, ..Change::default() };
        for (key, state) in &mut self.model {
            // Now and then a job begins anew.
            let whole = self.attempted.is_empty() || self.rng.one_in(9);
            let mut job = JobChange { fingerprint: *key, whole, ..JobChange::default() };
            if whole {
                state.clear();
            }
            if !self.rng.one_in(4) {
                let upserts: Vec<(i64, i64)> =
                    (0..1 + self.rng.below(6)).map(|_| (self.rng.below(30) as i64, self.epoch as i64)).collect();
                let deletes: Vec<i64> = (0..self.rng.below(3)).map(|_| self.rng.below(30) as i64).collect();
                let tables = vec![table(&upserts, &deletes)];
                apply(state, &tables);
                job.parts.insert((0, 3), tables);
            }
            change.jobs.insert(*key, job);
        }
        self.attempted.insert(self.epoch, self.model.clone());
        change
    }

    pub(super) fn step(&mut self) {
        if self.rng.one_in(6) {
            let _ = self.checkpoints.compact(&merged);
            return;
        }
        let change = self.change();
        if self.checkpoints.write(change).is_ok() {
            self.acknowledged.push(((self.steps)(), self.epoch, self.model.clone()));
        }
    }
}

#[test]
fn a_checkpoint_that_a_start_has_found_is_there_after_any_crash() {
    for seed in 0..40 {
        let disk = SimDisk::new();
        let mut history = History::on_disk(seed, &disk);
        (0..3).for_each(|_| history.step());
        // The process is killed when the manifest has its name, before that is durable.
        let killed = Arc::new(AtomicBool::new(true));
        let until = Arc::clone(&killed);
        disk.forget_syncs(move |operation, _| operation == Operation::SyncFolder && until.load(Ordering::Relaxed));
        let change = history.change();
        history.checkpoints.write(change).expect("room");
        killed.store(false, Ordering::Relaxed);
        let disk = disk.restart();
        let (found, _) = Checkpoints::open(shelf(&disk)).expect("it opens");
        let (again, lost) = Checkpoints::open(shelf(&disk.crash(seed))).expect("it opens");
        assert_eq!(again.last().map(|m| m.epoch), found.last().map(|m| m.epoch), "seed {seed}");
        assert!(lost.damaged.is_empty(), "seed {seed}: {:?}", lost.damaged);
    }
}

#[test]
fn every_crash_leaves_a_state_that_was_and_none_older_than_the_last_acknowledged() {
    let (mut states, mut newer) = (0, 0);
    for seed in 0..6 {
        let disk = SimDisk::new();
        let mut history = History::on_disk(seed, &disk);
        disk.record();
        (0..24).for_each(|_| history.step());
        for state in disk.crash_states(12, seed) {
            let (_, least, _) =
                history.acknowledged.iter().rev().find(|(step, ..)| *step <= state.steps).expect("the first");
            let (again, found) = Checkpoints::open(shelf(&state.disk))
                .unwrap_or_else(|e| panic!("seed {seed}, step {}: {e}", state.steps));
            let epoch = again.last().map_or(0, |m| m.epoch);
            assert!(epoch >= *least, "seed {seed}, step {}: epoch {epoch}, acknowledged {least}", state.steps);
            let expected = history.attempted.get(&epoch).cloned().unwrap_or_default();
            assert_eq!(restored(&found), expected, "seed {seed}, step {}, epoch {epoch}", state.steps);
            states += 1;
            newer += usize::from(epoch > *least);
        }
    }
    println!("{states} crash states, {newer} with a checkpoint that was not acknowledged yet");
    assert!(states > 3_000, "{states} states are too few to mean anything");
}

#[test]
fn what_a_full_disk_refused_is_in_the_next_checkpoint() {
    for seed in 0..40 {
        let disk = SimDisk::new();
        let mut history = History::on_disk(seed, &disk);
        (0..5).for_each(|_| history.step());
        disk.set_capacity(Some(disk.bytes() + history.rng.below(600) as u64));
        (0..4).for_each(|_| history.step());
        disk.set_capacity(None);
        let change = history.change();
        history.checkpoints.write(change).expect("there is room again");
        let (_, found) = Checkpoints::open(shelf(&disk.restart())).expect("whole");
        assert_eq!(restored(&found), history.model, "seed {seed}");
    }
}

#[test]
fn damage_is_reported_and_the_checkpoint_before_is_used() {
    let disk = SimDisk::new();
    damage_on(600, &|| shelf(&disk), &|| shelf(&SimDisk::new()));
}

#[test]
fn an_old_manifest_under_a_new_name_is_refused_and_a_newer_format_changes_nothing() {
    let disk = SimDisk::new();
    let mut history = History::on_disk(3, &disk);
    (0..9).for_each(|_| history.step());
    let oldest = history.checkpoints.oldest().cloned().expect("some");
    let newest = history.checkpoints.last().cloned().expect("some");
    assert!(oldest.epoch < newest.epoch);
    let own = shelf(&disk);
    let bytes = own.read(&name_of(&oldest)).expect("readable");
    for (epoch, incarnation) in [(newest.epoch + 1, newest.incarnation), (newest.epoch, newest.incarnation + 1)] {
        let name = Manifest::name(epoch, incarnation);
        own.publish(&[], (&name, &bytes)).expect("room");
        let (again, found) = Checkpoints::open(Arc::clone(&own)).expect("the newest is whole");
        assert_eq!(again.last(), Some(&newest), "old state under a new name");
        assert!(found.damaged[0].to_string().contains("under another name"), "{}", found.damaged[0]);
        assert!(again.incarnation() > incarnation, "a number that was used is not used again");
    }

    let text = String::from_utf8(newest.encode().expect("encoded")).expect("text");
    let line = text.lines().next().expect("a line").replace("\"format\":2", "\"format\":3") + "\n";
    let bytes = format!("{line}crc32c {:08x}\n", crc32c::crc32c(line.as_bytes()));
    own.publish(&[], (&Manifest::name(newest.epoch + 1, newest.incarnation), bytes.as_bytes())).expect("room");
    let names = own.list().expect("a list");
    let message = Checkpoints::open(Arc::clone(&own)).expect_err("a newer version wrote it").to_string();
    assert!(message.contains("format 3 is not known"), "{message}");
    assert_eq!(own.list().expect("a list"), names, "nothing was removed");
}

#[test]
fn what_a_lost_checkpoint_had_delivered_is_never_taken_for_ours() {
    let disk = SimDisk::new();
    let own = || shelf(&disk);
    let job = |whole| {
        let parts = BTreeMap::from([((0, 3), vec![table(&[(1, 1)], &[])])]);
        JobChange { whole, outbox: Some(3), parts, ..JobChange::default() }
    };
    let write = |checkpoints: &mut Checkpoints, epoch, whole| {
        let jobs = BTreeMap::from([(1, job(whole))]);
        checkpoints.write(Change { epoch, workers: 1, jobs, ..Change::default() }).expect("written");
    };
    let (mut first, _) = Checkpoints::open(own()).expect("empty");
    assert_eq!(first.begin(100), 100);
    write(&mut first, 110, true);
    write(&mut first, 120, false);
    drop(first);
    // The newest is gone without a trace; the target holds what it had.
    own().remove(&Manifest::name(120, 1)).expect("there");
    let (mut second, _) = Checkpoints::open(own()).expect("the one before");
    assert_eq!(second.begin(200), 200);
    assert!(second.is_of_another_history(120) && !second.is_of_another_history(110));
    write(&mut second, 205, false);
    drop(second);
    let (mut third, _) = Checkpoints::open(own()).expect("whole");
    // A clock that goes back.
    assert_eq!(third.begin(50), 206);
    assert!(third.is_of_another_history(120) && !third.is_of_another_history(205));
    // What has been delivered beyond it makes it forgotten.
    third.delivered(1, 205);
    write(&mut third, 210, false);
    assert!(third.last().is_some_and(|last| last.gaps.is_empty()));
}

/// `empty` opens an empty one.
pub(super) fn damage_on(rounds: usize, open: &dyn Fn() -> Arc<dyn Shelf>, empty: &dyn Fn() -> Arc<dyn Shelf>) {
    let mut history = History::new(1, open(), Box::new(|| 0));
    (0..12).for_each(|_| history.step());
    let source = open();
    let names: Vec<String> = source.list().expect("listed");
    let mut rng = Rng::new(5);
    let (mut fell_back, mut refused, mut harmless) = (0, 0, 0);
    for round in 0..rounds {
        let name = &names[rng.below(names.len())];
        let folder = empty();
        for other in &names {
            let mut bytes = source.read(other).expect("readable");
            if other == name {
                let at = rng.below(bytes.len());
                if round % 3 == 0 { bytes.truncate(at) } else { bytes[at] ^= 1 << rng.below(8) }
            }
            folder.publish(&[], (other, &bytes)).expect("a copy");
        }
        match Checkpoints::open(folder) {
            Ok((again, found)) => {
                let epoch = again.last().expect("some checkpoint").epoch;
                assert_eq!(restored(&found), history.attempted[&epoch], "round {round}: {name}");
                if found.damaged.is_empty() { harmless += 1 } else { fell_back += 1 }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("byte") || text.contains("torn") || text.contains(".manifest"), "{text}");
                refused += 1;
            }
        }
    }
    println!("{fell_back} times an older one was used, {refused} refused, {harmless} harmless");
    assert!(fell_back > 0);
}

#[test]
fn compaction_bounds_the_chain_and_old_files_go() {
    let disk = SimDisk::new();
    compaction_on(&|| shelf(&disk));
}

/// `open` opens one and the same shelf.
pub(super) fn compaction_on(open: &dyn Fn() -> Arc<dyn Shelf>) {
    let (mut checkpoints, _) = Checkpoints::open(open()).expect("an empty shelf");
    let mut model = State::new();
    for epoch in 1..=300u64 {
        let tables = vec![table(&[(epoch as i64 % 17, epoch as i64)], &[])];
        apply(&mut model, &tables);
        let parts = BTreeMap::from([((0, 0), tables)]);
        let job = JobChange { whole: epoch == 1, parts, ..JobChange::default() };
        let jobs = BTreeMap::from([(9, job)]);
        checkpoints.write(Change { epoch, workers: 1, jobs, ..Change::default() }).expect("written");
        checkpoints.compact(&merged).expect("compacted");
    }
    let pieces = checkpoints.last().expect("the last").jobs[&9].parts.len();
    assert!(pieces <= MAX_PIECES + 1, "{pieces} pieces");
    let files = open().list().expect("listed").len();
    assert!(files < 3 * MAX_PIECES, "{files} files");
    let (_, found) = Checkpoints::open(open()).expect("whole");
    assert_eq!(restored(&found)[&9], model);
}

#[test]
fn a_job_that_has_stopped_stays_as_it_was_and_one_that_is_gone_goes() {
    let disk = SimDisk::new();
    stopped_on(&|| shelf(&disk));
}

pub(super) fn stopped_on(open: &dyn Fn() -> Arc<dyn Shelf>) {
    let (mut checkpoints, _) = Checkpoints::open(open()).expect("an empty shelf");
    let job = |whole| {
        let parts = BTreeMap::from([((0, 0), vec![table(&[(1, 2)], &[])])]);
        JobChange { whole, parts, ..JobChange::default() }
    };
    let jobs = (1..=3).map(|key| (key, job(true))).collect();
    checkpoints.write(Change { epoch: 1, workers: 1, jobs, ..Change::default() }).expect("written");
    for epoch in 2..6 {
        let (jobs, stopped) = (BTreeMap::from([(1, job(false))]), BTreeSet::from([2, 9]));
        checkpoints.write(Change { epoch, workers: 1, jobs, stopped, ..Change::default() }).expect("written");
    }
    let (_, found) = Checkpoints::open(open()).expect("whole");
    assert_eq!(restored(&found).keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(restored(&found)[&2], State::from([(1, 2)]));
}

#[test]
fn a_look_from_outside_finds_every_damage_and_changes_nothing() {
    let disk = SimDisk::new();
    let mut history = History::on_disk(5, &disk);
    (0..12).for_each(|_| history.step());
    let shelf = shelf(&disk);
    let names = shelf.list().expect("a list");
    let found = survey(shelf.as_ref()).expect("readable");
    assert!(found.len() >= 2 && found.windows(2).all(|pair| pair[0].name > pair[1].name));
    for checkpoint in &found {
        assert!(checkpoint.manifest.is_ok());
        assert!(verify(shelf.as_ref(), checkpoint).expect("readable").is_some_and(|wrong| wrong.is_empty()));
    }
    // Every byte that is named counts, and every byte of a manifest.
    let ends = |name: &str, from: u64, length: u64| [0, length / 2, length - 1].map(|at| (name.to_owned(), from + at));
    let manifests = || found.iter().filter_map(|c| c.manifest.as_ref().ok().map(|m| (c, m)));
    let parts = manifests().flat_map(|(_, m)| m.jobs.values().flat_map(|job| &job.parts));
    let mut places: Vec<(String, u64)> = parts.flat_map(|p| ends(&p.file, p.offset, p.length)).collect();
    places.extend(manifests().flat_map(|(c, _)| ends(&c.name, 0, shelf.read(&c.name).expect("readable").len() as u64)));
    assert!(places.len() > 20);
    for (name, at) in places {
        let whole = shelf.read(&name).expect("readable");
        let mut bytes = whole.clone();
        bytes[usize::try_from(at).expect("small")] ^= 0x10;
        replace(shelf.as_ref(), &name, &bytes);
        let is_damaged = |c: &Surveyed| {
            let wrong = verify(shelf.as_ref(), c).expect("readable");
            c.manifest.is_err() || wrong.is_some_and(|wrong| !wrong.is_empty())
        };
        assert!(survey(shelf.as_ref()).expect("readable").iter().any(is_damaged), "{name}, byte {at}");
        replace(shelf.as_ref(), &name, &whole);
    }
    shelf.remove(names.iter().find(|n| n.ends_with(".state")).expect("one")).expect("removed");
    let wrong = survey(shelf.as_ref())
        .expect("readable")
        .iter()
        .filter_map(|c| verify(shelf.as_ref(), c).expect("readable"))
        .flatten()
        .count();
    assert!(wrong > 0, "a file is missing");
}

fn replace(shelf: &dyn Shelf, name: &str, bytes: &[u8]) {
    shelf.remove(name).expect("removed");
    shelf.publish(&[], (name, bytes)).expect("written");
}
