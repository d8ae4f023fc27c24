//! Logs through crashes, full disks and damage.

use thalweg_disk::{Disk, Fault, Rng, SimDisk};

use super::*;

const NAME: &str = "log";
const MARKS: &str = "log.marks";

fn open(disk: &SimDisk) -> (Log, Vec<Vec<u8>>) {
    let (log, replayed) = Log::open(disk, NAME).expect("it opens");
    (log, replayed.records)
}

fn refused(disk: &SimDisk) -> String {
    Log::open(disk, NAME).expect_err("it is damaged").to_string()
}

fn written(records: &[&[u8]]) -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    records.iter().for_each(|record| log.write(record).expect("it takes records"));
    disk
}

/// The same files with other bytes in one of them; without any, it is removed.
fn with(disk: &SimDisk, name: &str, bytes: Option<&[u8]>) -> SimDisk {
    let copy = SimDisk::new();
    for entry in disk.list("").expect("a folder") {
        let own = disk.read(&entry.name).expect("readable");
        let bytes = if entry.name == name { bytes } else { Some(own.as_slice()) };
        if let Some(bytes) = bytes {
            copy.create(&entry.name).and_then(|file| file.append(bytes)).expect("room");
        }
    }
    copy
}

#[test]
fn what_was_written_is_read_back() {
    let disk = written(&[b"one", b"", b"three"]);
    let (mut log, _) = open(&disk);
    log.write(b"four").expect("it takes records");
    assert_eq!(open(&disk.restart()).1, [&b"one"[..], b"", b"three", b"four"]);
}

#[test]
fn every_crash_leaves_what_was_acknowledged_and_at_most_one_record_more() {
    let (mut states, mut torn) = (0, 0);
    for seed in 0..20 {
        let disk = SimDisk::new();
        disk.record();
        let mut rng = Rng::new(seed);
        let mut acknowledged = vec![(0, Vec::new())];
        let (mut log, mut records) = open(&disk);
        for i in 0..12_u8 {
            if rng.one_in(5) {
                log = open(&disk).0;
            }
            let record = vec![i; rng.below(1_500)];
            log.write(&record).expect("it takes records");
            records.push(record);
            acknowledged.push((disk.steps(), records.clone()));
        }
        for state in disk.crash_states(40, seed) {
            let least = &acknowledged.iter().rev().find(|(steps, _)| *steps <= state.steps).expect("the first").1;
            let (_, found) = Log::open(&state.disk, NAME).unwrap_or_else(|e| panic!("seed {seed}, {state}: {e}"));
            assert!(found.records.starts_with(least), "seed {seed}, {state}: something acknowledged is gone");
            assert!(records.starts_with(&found.records), "seed {seed}, {state}: something else is there");
            assert!(found.records.len() <= least.len() + 1, "seed {seed}, {state}");
            (states, torn) = (states + 1, torn + usize::from(found.cut_bytes > 0));
            // It goes on from there, through another crash.
            let (mut log, _) = open(&state.disk);
            log.write(b"next").expect("it takes records");
            let last = open(&state.disk.crash(seed)).1.pop();
            assert_eq!(last.as_deref(), Some(&b"next"[..]), "seed {seed}, {state}");
        }
    }
    println!("{states} crash states, {torn} with a torn end");
    assert!(states > 1_000 && torn > 50, "{states} states, {torn} torn: too few to mean anything");
}

#[test]
fn the_enumeration_finds_an_fsync_that_is_left_out() {
    let disk = SimDisk::new();
    drop(open(&disk));
    disk.forget_syncs(|_, path| path == NAME);
    disk.record();
    let (mut log, _) = open(&disk);
    log.write(b"one").expect("it takes records");
    let acknowledged = disk.steps();
    let after = disk.crash_states(40, 0).filter(|state| state.steps >= acknowledged);
    let lost = after.filter(|state| Log::open(&state.disk, NAME).map_or(true, |(_, found)| found.records.is_empty()));
    assert!(lost.count() > 0);
}

#[test]
fn any_operation_may_fail_and_what_was_acknowledged_stays() {
    let mut failed = 0;
    for call in 0.. {
        let mut faults = 0;
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let disk = written(&[b"one"]);
            let before = disk.calls();
            disk.fail(before + call, fault);
            let mut acknowledged = vec![b"one".to_vec()];
            if let Ok((mut log, _)) = Log::open(&disk, NAME) {
                for record in [&b"two"[..], b"three"] {
                    match log.write(record) {
                        Ok(()) => acknowledged.push(record.to_vec()),
                        Err(_) => faults += 1,
                    }
                }
            } else {
                faults += 1;
            }
            let found = open(&disk.restart()).1;
            let kept = found.iter().filter(|record| acknowledged.contains(record)).count();
            assert_eq!(kept, acknowledged.len(), "call {call}, {fault:?}: {found:?}");
        }
        failed += faults;
        if faults == 0 {
            break;
        }
    }
    assert!(failed > 20, "{failed} failures are too few");
}

#[test]
fn a_full_disk_takes_nothing_and_goes_on_when_there_is_room() {
    for room in 0..200 {
        let disk = written(&[b"one"]);
        let (mut log, _) = open(&disk);
        disk.set_capacity(Some(disk.bytes() + room));
        let fits = log.write(&[b'x'; 100]).is_ok();
        assert_eq!(fits, room >= 124, "a record of 108 bytes and a mark, {room} bytes of room");
        assert_eq!(open(&disk).1.len(), 1 + usize::from(fits), "it is as it was answered");
        disk.set_capacity(None);
        log.write(b"two").expect("there is room");
        assert_eq!(open(&disk).1.last().map(Vec::as_slice), Some(&b"two"[..]));
    }
}

#[test]
fn a_durable_log_loses_nothing_silently() {
    let disk = written(&[b"one", b"two two", b"three"]);
    let (whole, marks) = (disk.read(NAME).expect("readable"), disk.read(MARKS).expect("readable"));
    for length in 0..whole.len() {
        let copy = with(&disk, NAME, Some(&whole[..length]));
        let message = refused(&copy);
        assert!(message.starts_with("log: damaged at byte "), "{message}");
        assert_eq!(copy.read(NAME).expect("readable"), &whole[..length], "nothing was changed");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let copy = with(&disk, NAME, Some(&bytes));
        let message = refused(&copy);
        assert!(message.starts_with("log: damaged at byte "), "{message}");
        assert_eq!(copy.read(NAME).expect("readable"), bytes, "nothing was changed");
    }
    assert!(refused(&with(&disk, NAME, None)).contains("the file is missing; 47 bytes of it were durable"));
    // An older copy of it.
    assert!(refused(&with(&disk, NAME, Some(&whole[..19]))).contains("47 bytes were durable"));
    // Marks that are damaged do no harm.
    for length in 0..marks.len() {
        assert_eq!(open(&with(&disk, MARKS, Some(&marks[..length]))).1.len(), 3);
    }
    for bit in 0..marks.len() * 8 {
        let mut bytes = marks.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&with(&disk, MARKS, Some(&bytes))).1.len(), 3);
    }
    assert_eq!(open(&with(&disk, MARKS, None)).1.len(), 3);
}

#[test]
fn the_refusal_names_the_place_and_the_checksums() {
    let disk = written(&[b"one", b"two"]);
    let mut bytes = disk.read(NAME).expect("readable");
    *bytes.last_mut().expect("some") ^= 1;
    let message = refused(&with(&disk, NAME, Some(&bytes)));
    assert!(
        message.starts_with("log: damaged at byte 19: expected checksum ") && message.contains("found"),
        "{message}"
    );
}

#[test]
fn a_log_of_before_the_marks_opens_and_has_marks_from_then_on() {
    let disk = written(&[b"one", b"two", b"three"]);
    let whole = disk.read(NAME).expect("readable");
    let old = |bytes: &[u8]| with(&with(&disk, MARKS, None), NAME, Some(bytes));
    for length in 0..whole.len() {
        let copy = old(&whole[..length]);
        let records = open(&copy).1.len();
        assert_eq!(records, [19, 30, 43].iter().filter(|end| **end <= length).count(), "cut at {length}");
        let mut shorter = copy.read(NAME).expect("readable");
        shorter.pop();
        refused(&with(&copy, NAME, Some(&shorter)));
    }
    // In all but the last record, damage is told from a torn end.
    for bit in 8 * 8..30 * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let message = refused(&old(&bytes));
        assert!(message.contains("damaged at byte"), "bit {bit}: {message}");
    }
}
