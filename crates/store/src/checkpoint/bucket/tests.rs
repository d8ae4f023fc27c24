//! A shelf over a store in memory: what disks go through, answers that are lost, two servers at one time.

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use thalweg_core::Secret;

use super::super::tests::{History, compaction_on, damage_on, restored, stopped_on};
use super::super::{Change, Checkpoints, Manifest};
use super::fault_store::{FaultStore, Faults};
use super::*;

fn bucket(store: Arc<dyn ObjectStore>) -> Bucket {
    Bucket::new(store, "s3://b/p/q", "p/q", Vec::new()).expect("a path")
}

fn over(store: Arc<dyn ObjectStore>) -> Result<Arc<dyn Shelf>> {
    Ok(Arc::new(BucketShelf::over(bucket(store), "me")?))
}

fn shelf(store: &Arc<InMemory>) -> Arc<dyn Shelf> {
    over(Arc::clone(store) as _).expect("a shelf in memory")
}

#[test]
fn checkpoints_are_kept_as_on_a_disk() {
    for test in [compaction_on, stopped_on] {
        let store = Arc::new(InMemory::new());
        test(&|| shelf(&store));
    }
    let store = Arc::new(InMemory::new());
    damage_on(150, &|| shelf(&store), &|| shelf(&Arc::new(InMemory::new())));
}

#[test]
fn what_was_acknowledged_is_found_again_whatever_answers_are_lost() {
    let (mut lives, mut refused, mut acknowledged) = (0, 0, 0);
    for seed in 0..60 {
        let store = Arc::new(InMemory::new());
        let mut history = History::new(seed, shelf(&store), Box::new(|| 0));
        for life in 0..6 {
            let faults = Faults { one_in: 15, dies_after: Some(20 + 30 * life), ..Faults::default() };
            let faulty = Arc::new(FaultStore::new(Arc::clone(&store), seed * 10 + life as u64, faults));
            let Ok((checkpoints, found)) = over(faulty).and_then(Checkpoints::open) else {
                // Nothing was lost by trying.
                refused += 1;
                continue;
            };
            check(&mut history, checkpoints, &found, seed);
            (0..8).for_each(|_| history.step());
            acknowledged += history.acknowledged.len();
            lives += 1;
        }
        let (checkpoints, found) = Checkpoints::open(shelf(&store)).expect("the store is well again");
        check(&mut history, checkpoints, &found, seed);
        let change = history.change();
        history.checkpoints.write(change).expect("written");
        let (_, found) = Checkpoints::open(shelf(&store)).expect("whole");
        assert_eq!(restored(&found), history.model, "seed {seed}");
    }
    println!("{lives} lives, {refused} that did not begin, {acknowledged} states acknowledged");
    assert!(lives > 60 && refused > 0 && acknowledged > 200);
}

/// Goes on from what was found, which must be what was acknowledged last or what was tried after it.
fn check(history: &mut History, checkpoints: Checkpoints, found: &super::super::Found, seed: u64) {
    let epoch = checkpoints.last().map_or(0, |last| last.epoch);
    let least = history.acknowledged.last().map_or(0, |(_, epoch, _)| *epoch);
    assert!(epoch >= least, "seed {seed}: epoch {epoch}, acknowledged {least}");
    let expected = history.attempted.get(&epoch).cloned().unwrap_or_default();
    assert_eq!(restored(found), expected, "seed {seed}, epoch {epoch}");
    history.attempted.retain(|attempted, _| *attempted <= epoch);
    history.acknowledged.push((0, epoch, expected.clone()));
    history.model = [1, 2].map(|key| (key, expected.get(&key).cloned().unwrap_or_default())).into();
    (history.epoch, history.checkpoints) = (epoch, checkpoints);
}

#[test]
fn who_comes_later_takes_over_and_who_was_there_can_do_no_harm() {
    let store = Arc::new(InMemory::new());
    let mut first = History::new(1, shelf(&store), Box::new(|| 0));
    (0..6).for_each(|_| first.step());
    let old = first.checkpoints.shelf();
    let (checkpoints, found) = Checkpoints::open(shelf(&store)).expect("taken over");
    let late = checkpoints.incarnation() - 1;
    let mut second = History::new(2, shelf(&Arc::new(InMemory::new())), Box::new(|| 0));
    (second.epoch, second.model) = (checkpoints.last().expect("some").epoch, restored(&found));
    second.attempted.insert(second.epoch, second.model.clone());
    second.checkpoints = checkpoints;
    let change = second.change();
    second.checkpoints.write(change).expect("it is the one that writes");
    let before = second.checkpoints.shelf().list().expect("listed");
    let change = first.change();
    for error in [first.checkpoints.write(change).expect_err("taken over"), old.remove(&before[0]).expect_err("too")] {
        assert!(error.to_string().contains("another server has taken over"), "{error}");
    }
    assert_eq!(second.checkpoints.shelf().list().expect("listed"), before);
    // What the first had under way arrives after all, with the highest number that it may have had.
    let manifest = Manifest::new(first.epoch + 1_000, late, 0);
    let name = Manifest::name(manifest.epoch, late);
    second.checkpoints.shelf().publish(&[], (&name, &manifest.encode().expect("JSON"))).expect("put");
    let (_, found) = Checkpoints::open(shelf(&store)).expect("whole");
    assert_eq!(restored(&found), second.model);
}

#[test]
fn another_data_directory_is_not_let_in_and_a_look_takes_nothing_over() {
    let store = Arc::new(InMemory::new());
    let here = shelf(&store);
    let error = BucketShelf::over(bucket(Arc::clone(&store) as _), "you").expect_err("not yours").to_string();
    assert!(error.starts_with("s3://b/p/q: the checkpoints below this prefix belong to another"), "{error}");
    let look = BucketShelf::on(bucket(Arc::clone(&store) as _)).expect("a look");
    here.publish(&[], ("a", b"1")).expect("it still writes");
    assert_eq!((look.list().expect("listed"), look.read("a").expect("read")), (vec!["a".to_owned()], b"1".to_vec()));
    assert!(look.remove("a").is_err() && look.publish(&[], ("b", b"")).is_err());
    assert_eq!(here.list().expect("listed"), ["a"]);
}

#[test]
fn a_name_that_is_taken_is_refused_unless_it_is_by_the_same() {
    let store = Arc::new(InMemory::new());
    let faults = Faults { loses_answers: true, ..Faults::default() };
    let lossy = over(Arc::new(FaultStore::new(Arc::clone(&store), 1, faults))).expect("found out by reading");
    lossy.publish(&[("a.state".to_owned(), b"1".to_vec())], ("a.manifest", b"2")).expect("found out by reading");
    let error = lossy.publish(&[("a.state".to_owned(), b"other".to_vec())], ("b.manifest", b"2")).expect_err("taken");
    assert!(error.to_string().contains("s3://b/p/q/a.state: cannot put: the name is taken"), "{error}");
    assert_eq!(lossy.list().expect("listed"), ["a.manifest", "a.state"]);
    assert_eq!(lossy.read("a.state").expect("read"), b"1");
}

#[test]
fn a_store_that_overwrites_is_refused() {
    let faults = Faults { overwrites: true, ..Faults::default() };
    let error = over(Arc::new(FaultStore::new(Arc::default(), 1, faults))).expect_err("it overwrites");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
}

#[test]
fn what_is_out_of_reach_is_not_damaged() {
    let store = Arc::new(InMemory::new());
    let mut history = History::new(1, shelf(&store), Box::new(|| 0));
    (0..8).for_each(|_| history.step());
    let (before, mut failed) = (shelf(&store).list().expect("listed"), 0);
    for seed in 0..40 {
        let faults = Faults { one_in: 12, only_reads: true, ..Faults::default() };
        match over(Arc::new(FaultStore::new(Arc::clone(&store), seed, faults))).and_then(Checkpoints::open) {
            Ok((_, found)) => assert!(found.damaged.is_empty(), "seed {seed}"),
            Err(error) => {
                assert!(error.to_string().contains("not to be reached"), "{error}");
                failed += 1;
            }
        }
        assert_eq!(shelf(&store).list().expect("listed"), before, "seed {seed}");
    }
    assert!(failed > 0 && failed < 40, "{failed}");
}

#[test]
fn a_file_of_several_pieces_is_one() {
    let store = Arc::new(InMemory::new());
    let shelf = shelf(&store);
    let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 1_000).map(|at| (at % 251) as u8).collect();
    let whole = bytes[..PIECE_BYTES].to_vec();
    let files =
        [("big".to_owned(), bytes.clone()), ("whole".to_owned(), whole.clone()), ("none".to_owned(), Vec::new())];
    shelf.publish(&files, ("m", b"x")).expect("published");
    assert_eq!(shelf.list().expect("listed"), ["big", "m", "none", "whole"]);
    assert!(shelf.read("big").expect("read") == bytes && shelf.read("whole").expect("read") == whole);
    assert_eq!(shelf.read("none").expect("read"), b"");
    for (offset, length) in
        [(0, 10), (PIECE_BYTES - 5, 10), (PIECE_BYTES - 5, PIECE_BYTES + 50), (2 * PIECE_BYTES, 5_000)]
    {
        let end = (offset + length).min(bytes.len());
        let read = shelf.read_range("big", offset as u64, length as u64).expect("read");
        assert!(read == bytes[offset..end], "{length} bytes at {offset}");
    }
    for (name, offset) in [("big", 3 * PIECE_BYTES), ("whole", PIECE_BYTES), ("m", 1), ("none", 0)] {
        assert_eq!(shelf.read_range(name, offset as u64, 10).expect("nothing is there"), b"", "{name}");
    }
    for name in ["big", "whole", "none", "m", "not there"] {
        shelf.remove(name).expect("removed");
    }
    assert_eq!(shelf.list().expect("listed"), [""; 0]);
    assert!(shelf.read("big").is_err() && shelf.read_range("big", 0, 1).is_err());
    let (left, bucket) = (tokio::runtime::Builder::new_current_thread().build().expect("a runtime"), store);
    let left = left.block_on(bucket.list_with_delimiter(Some(&Path::from("p/q")))).expect("listed").objects.len();
    assert_eq!(left, 3, "the owner, the claim and the probe");
}

#[test]
fn it_may_be_used_and_dropped_in_any_thread() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    runtime.block_on(async {
        let here = shelf(&Arc::default());
        here.publish(&[], ("a", b"1")).expect("within a runtime");
        let there = Arc::clone(&here);
        let read = tokio::task::spawn_blocking(move || there.read("a")).await.expect("no panic");
        assert_eq!(read.expect("read"), b"1");
        drop(here);
    });
}

#[test]
fn a_crash_before_the_manifest_leaves_nothing() {
    let store = Arc::new(InMemory::new());
    let old = shelf(&store);
    old.publish(&[("7-7.state".to_owned(), b"orphan".to_vec())], ("other", b"")).expect("published");
    let (mut checkpoints, _) = Checkpoints::open(shelf(&store)).expect("opened");
    assert_eq!(checkpoints.shelf().list().expect("listed"), ["other"]);
    checkpoints.write(Change { epoch: 1, ..Change::default() }).expect("written");
}

#[test]
fn mistakes_are_told_and_secrets_are_not() {
    let keys = |access: &str| BucketOptions {
        access_key: Some(Secret::new(access)),
        secret_key: Some(Secret::new("canary-secret")),
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        ..BucketOptions::default()
    };
    let half = BucketOptions { secret_key: None, ..keys("canary-access") };
    let cases = [
        ("gs://b/p", keys("k"), "scheme gs:// is not known\n  hint: Known schemes: s3."),
        ("/a/folder", keys("k"), "not a URL\n  hint: Known schemes: s3."),
        ("s3:///p", keys("k"), "'' is not the name of a bucket"),
        ("s3://canary-access:canary-secret@b/p", keys("k"), "no user, query or fragment"),
        ("s3://b/p", keys("k"), "the endpoint is http://, which is not encrypted"),
        ("s3://b/p", half, "go together"),
        ("s3://b/p", BucketOptions { allow_http: true, ..keys("canary-access") }, "not to be reached"),
    ];
    for (url, options, expected) in cases {
        let error = BucketShelf::open(url, &options, "me").expect_err(expected);
        let text = format!("{error} {error:?} {options:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!text.contains("canary"), "{text}");
    }
}
