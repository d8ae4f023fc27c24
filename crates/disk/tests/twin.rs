//! The twin itself: a protocol that leaves out a sync is found to lose, one that does it right never does.

use thalweg_disk::{Disk, DiskErrorKind, Fault, NewFile, Operation, SimDisk, durable_folder, durable_publish};

/// States looked at after each step.
const PER_STEP: usize = 400;

fn files() -> [(&'static str, Vec<u8>); 2] {
    [("data/a", vec![b'a'; 1_500]), ("data/b", vec![b'b'; 9_000])]
}

/// Publishes on a disk that forgets sync number `forgotten`, loses power everywhere, and says how many states were
/// looked at, and the first of them that breaks a promise.
fn publish_and_crash(forgotten: Option<usize>) -> (usize, Option<String>) {
    let disk = SimDisk::new();
    durable_folder(&disk, "data").expect("a folder");
    durable_folder(&disk, "names").expect("a folder");
    let mut at = 0;
    disk.forget_syncs(move |_, _| {
        at += 1;
        forgotten == Some(at - 1)
    });
    disk.record();
    let files = files();
    let new = files.each_ref().map(|(path, bytes)| NewFile { path, bytes });
    let manifest = vec![b'm'; 700];
    durable_publish(&disk, &new, NewFile { path: "names/m", bytes: &manifest }).expect("it is published");
    let published = disk.steps();

    let mut states = 0;
    for state in disk.crash_states(PER_STEP, 1) {
        states += 1;
        let broken = |what: &str| (states, Some(format!("{state}: {what}")));
        if !state.disk.exists("names/m").expect("it can be told") {
            if state.steps >= published {
                return broken("the manifest is lost");
            }
            continue;
        }
        if state.disk.read("names/m").expect("it is there") != manifest {
            return broken("the manifest is torn");
        }
        for (path, bytes) in &files {
            if state.disk.read(path).ok().as_ref() != Some(bytes) {
                return broken(path);
            }
        }
    }
    (states, None)
}

#[test]
fn what_is_published_in_order_survives_every_crash() {
    let (states, broken) = publish_and_crash(None);
    println!("{states} crash states");
    assert_eq!(broken, None);
    assert!(states > 70, "{states} states, which are all that there are");
}

#[test]
fn each_sync_that_is_left_out_is_found() {
    // Two files, their folder, the manifest, its folder.
    for forgotten in 0..5 {
        let (states, broken) = publish_and_crash(Some(forgotten));
        println!("without sync {forgotten}: {broken:?} after {states} states");
        assert!(broken.is_some(), "without sync {forgotten} nothing was lost in {states} states");
    }
    assert_eq!(publish_and_crash(Some(5)).1, None, "there is no sixth");
}

#[test]
fn an_enumeration_is_the_same_each_time_and_has_both_ends() {
    let disk = SimDisk::new();
    disk.record();
    let file = disk.create("f").expect("new");
    file.append(&[1; 3_000]).expect("room");
    let states = || -> Vec<Option<Vec<u8>>> { disk.crash_states(50, 7).map(|s| s.disk.read("f").ok()).collect() };
    assert_eq!(states(), states());
    let states = states();
    assert!(states.contains(&None), "the name is lost");
    assert!(states.contains(&Some(vec![])), "the bytes are lost");
    assert!(states.contains(&Some(vec![0; 3_000])), "only the length is there");
    assert!(states.contains(&Some(vec![1; 512])), "a sector is there");
    assert!(states.contains(&Some(vec![1; 3_000])), "all is there");
    file.sync().expect("synced");
    disk.sync_folder("").expect("synced");
    for seed in 0..50 {
        assert_eq!(disk.crash(seed).read("f").expect("durable"), [1; 3_000]);
    }
}

#[test]
fn names_are_lost_each_on_its_own_but_in_their_own_order() {
    let disk = SimDisk::new();
    disk.create("a").expect("new");
    disk.create("b").expect("new");
    disk.sync_folder("").expect("synced");
    disk.record();
    disk.remove("a").expect("there");
    disk.remove("b").expect("there");
    disk.create("a").expect("free again").append(b"second").expect("room");
    let mut seen = std::collections::BTreeSet::new();
    for state in disk.crash_states(1_000, 0) {
        let names: Vec<String> = state.disk.list("").expect("the root").into_iter().map(|e| e.name).collect();
        seen.insert(names);
    }
    let expected: &[&[&str]] = &[&[], &["a"], &["a", "b"], &["b"]];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "each of the two, removed or not");
}

#[test]
fn a_later_write_can_outlive_an_earlier_one() {
    let disk = SimDisk::new();
    let file = disk.create("f").expect("new");
    disk.sync_folder("").expect("synced");
    disk.record();
    file.append(&[1; 600]).expect("room");
    file.append(&[2; 600]).expect("room");
    let hole = [vec![0; 600], vec![2; 600]].concat();
    assert!(disk.crash_states(1_000, 0).any(|s| s.disk.read("f").expect("named") == hole));
}

#[test]
fn a_failed_fsync_poisons_and_is_forgotten_by_the_next_process_alone() {
    let mut lost = 0;
    for extra in 0..20 {
        let disk = SimDisk::new();
        let file = disk.create("f").expect("new");
        disk.sync_folder("").expect("synced");
        file.append(&vec![7; 2_000 + extra]).expect("room");
        disk.fail(disk.calls(), Fault::Io);
        file.sync().expect_err("EIO");
        for error in [
            file.append(b"x").expect_err("poisoned"),
            file.sync().expect_err("never tried again"),
            disk.create("g").expect_err("poisoned"),
            disk.sync_folder("").expect_err("poisoned"),
        ] {
            assert_eq!(error.kind, DiskErrorKind::Poisoned);
            assert!(error.to_string().contains("an earlier fsync failed"), "{error}");
        }
        assert_eq!(disk.read("f").expect("readable").len(), 2_000 + extra, "the cache has it still");

        let next = disk.restart();
        let file = next.open("f").expect("a new process");
        file.sync().expect("the kernel has forgotten its failure");
        let cached = next.read("f").expect("readable");
        next.uncache("f").expect("it is synced");
        let device = next.read("f").expect("readable");
        assert_eq!(next.crash(0).read("f").expect("readable"), device, "what is read now is what the device holds");
        lost += usize::from(cached != device);
    }
    assert!(lost > 3, "an fsync that fails mostly leaves something unwritten: {lost} of 20");
}

#[test]
fn a_full_disk_takes_a_part_and_has_room_again() {
    let disk = SimDisk::new();
    let file = disk.create("f").expect("new");
    disk.set_capacity(Some(10));
    file.append(b"12345678").expect("room");
    let error = file.append(b"abcdef").expect_err("full");
    assert_eq!(error.kind, DiskErrorKind::NoSpace);
    assert_eq!(disk.read("f").expect("there"), b"12345678ab");
    assert_eq!(disk.create("g").expect_err("full").kind, DiskErrorKind::NoSpace);
    file.truncate(8).expect("taking back needs no room");
    disk.set_capacity(None);
    file.append(b"abcdef").expect("room again");
    assert_eq!(disk.read("f").expect("there"), b"12345678abcdef");
}

#[test]
fn each_fault_hits_the_call_it_was_meant_for() {
    let disk = SimDisk::new();
    let file = disk.create("f").expect("new");
    disk.fail(disk.calls() + 1, Fault::ShortWrite);
    file.append(b"whole").expect("not this one");
    assert_eq!(file.append(b"half").expect_err("short").kind, DiskErrorKind::Other);
    assert_eq!(disk.read("f").expect("there"), b"wholeha");
    disk.fail(disk.calls(), Fault::NoSpace);
    assert_eq!(disk.create("g").expect_err("full").operation, Operation::Create);
    disk.create("g").expect("once only");
    disk.fail(disk.calls(), Fault::Io);
    assert_eq!(disk.read("f").expect_err("EIO").operation, Operation::Read);
}

#[test]
fn a_publish_that_fails_leaves_nothing_behind() {
    let calls = {
        let disk = SimDisk::new();
        durable_folder(&disk, "d").expect("a folder");
        let before = disk.calls();
        publish(&disk).expect("published");
        disk.calls() - before
    };
    for at in 0..calls {
        let disk = SimDisk::new();
        durable_folder(&disk, "d").expect("a folder");
        disk.fail(disk.calls() + at, Fault::NoSpace);
        let error = publish(&disk).expect_err("one call fails");
        let left: Vec<_> = disk.list("d").expect("there").into_iter().map(|e| e.name).collect();
        if matches!(error.operation, Operation::Sync | Operation::SyncFolder) {
            // The disk is poisoned, so nothing can be removed; but the manifest came last.
            assert!(at + 1 == calls || !left.contains(&"m".to_owned()), "call {at}: {left:?}");
        } else {
            assert!(left.is_empty(), "call {at}: {left:?}");
        }
    }
}

fn publish(disk: &SimDisk) -> thalweg_disk::Result<()> {
    durable_publish(disk, &[NewFile { path: "d/a", bytes: b"a" }], NewFile { path: "d/m", bytes: b"m" })
}

#[test]
fn a_name_is_published_once() {
    let disk = SimDisk::new();
    let file = |bytes| NewFile { path: "m", bytes };
    durable_publish(&disk, &[], file(b"first")).expect("published");
    let error = durable_publish(&disk, &[], file(b"second")).expect_err("taken");
    assert_eq!(error.kind, DiskErrorKind::AlreadyExists);
    assert_eq!(disk.read("m").expect("there"), b"first");
}
