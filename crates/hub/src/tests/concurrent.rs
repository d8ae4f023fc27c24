//! Many threads at once, with a thread that syncs: all that was acknowledged is there once, in each writer's order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use thalweg_disk::{Disk, LocalDisk, SimDisk};

use super::{all, record};
use crate::{Append, Hub, HubError, TopicOptions, Visibility};

const WRITERS: usize = 8;
const APPENDS: u64 = 150;
const TOPICS: [&str; 3] = ["a", "b", "c"];

/// What a writer has been told is durable: the number of its next append.
type Told = Arc<[AtomicU64; WRITERS]>;

fn make(disk: Arc<dyn Disk>) -> Hub {
    let (hub, _) = Hub::open(disk).expect("it opens");
    for topic in TOPICS {
        hub.create_topic(topic, TopicOptions { segment_bytes: 4_000, ..TopicOptions::default() }).expect("new");
    }
    hub
}

/// Appends to one topic, or now and then to all; waits, or lets itself be told.
fn write(hub: &Hub, writer: usize, told: &Told) {
    for n in 0..APPENDS {
        let records = [record(0, format!("{writer}.{n}"))];
        let topic = TOPICS[(writer + n as usize) % 3];
        let appended = if n % 5 == 0 {
            hub.append(&TOPICS.map(|topic| Append { topic, records: &records }))
        } else {
            hub.append(&[Append { topic, records: &records }])
        };
        let ticket = appended.expect("taken").ticket;
        if n % 3 == 0 {
            hub.wait(ticket).expect("durable");
            told[writer].fetch_max(n + 1, Ordering::SeqCst);
        } else {
            let told = Arc::clone(told);
            let durable = move |outcome: crate::Result<()>| {
                outcome.expect("durable");
                told[writer].fetch_max(n + 1, Ordering::SeqCst);
            };
            hub.on_durable(ticket, Box::new(durable));
        }
    }
}

/// Checks each topic: of each writer every append that goes there, in order, once, at least up to `told`.
fn check(hub: &Hub, told: &[u64]) {
    let mut whole: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for (t, topic) in TOPICS.iter().enumerate() {
        let found = all(hub, topic, Visibility::Durable);
        assert!(found.iter().map(|(offset, _)| *offset).eq(0..found.len() as u64), "offsets are dense");
        let mut next = [0; WRITERS];
        for (_, value) in found {
            let (writer, n) = value.split_once('.').expect("as it was written");
            let (writer, n): (usize, u64) = (writer.parse().expect("a number"), n.parse().expect("a number"));
            let goes_here = |n: u64| n.is_multiple_of(5) || (writer + n as usize) % 3 == t;
            let expected = (next[writer]..).find(|n| goes_here(*n)).expect("there is always another");
            assert_eq!(n, expected, "writer {writer} in {topic}");
            next[writer] = n + 1;
            if n.is_multiple_of(5) {
                *whole.entry((writer, n)).or_default() += 1;
            }
        }
        for (writer, told) in told.iter().enumerate() {
            let goes_here = |n: &u64| n.is_multiple_of(5) || (writer + *n as usize) % 3 == t;
            let lost: Vec<u64> = (next[writer]..*told).filter(goes_here).collect();
            assert!(lost.is_empty(), "writer {writer} in {topic} was told of {lost:?}");
        }
    }
    assert!(whole.values().all(|topics| *topics == TOPICS.len()), "an append to all topics is in all");
}

fn run(hub: &Hub, told: &Told, meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || write(hub, writer, told));
        }
        meanwhile();
    });
}

#[test]
fn writers_readers_and_a_restart_on_real_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = || Arc::new(LocalDisk::open(folder.path()).expect("a disk"));
    let hub = make(disk());
    let told = Told::default();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Readers only ever see more, without a gap.
        for topic in TOPICS {
            let (hub, is_over) = (&hub, &is_over);
            scope.spawn(move || {
                let mut next = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let end = hub.end_offset(topic).expect("there");
                    for batch in hub.read(topic, next, 10_000, Visibility::Durable).expect("there") {
                        assert_eq!(batch.base_offset(), next);
                        next = batch.end_offset();
                    }
                    assert!(next >= end, "what is durable is read");
                }
            });
        }
        run(&hub, &told, || {});
        is_over.store(true, Ordering::SeqCst);
    });
    let statistics = hub.statistics();
    println!("{} appends, {} fsyncs", statistics.appends, statistics.fsyncs);
    drop(hub);
    let (hub, recovered) = Hub::open(disk()).expect("it opens");
    assert_eq!(recovered.cut, []);
    check(&hub, &[APPENDS; WRITERS]);
}

#[test]
fn power_lost_while_all_write() {
    let disk = SimDisk::new();
    let hub = make(Arc::new(disk.clone()));
    let told = Told::default();
    let crashed = Mutex::new(Vec::new());
    run(&hub, &told, || {
        for seed in 0..200 {
            // What they were told before the power was lost.
            let told: Vec<u64> = told.iter().map(|n| n.load(Ordering::SeqCst)).collect();
            crashed.lock().expect("free").push((disk.crash(seed), told));
            std::thread::yield_now();
        }
    });
    for (disk, told) in crashed.into_inner().expect("free") {
        check(&Hub::open(Arc::new(disk)).expect("it opens").0, &told);
    }
    drop(hub);
    check(&Hub::open(Arc::new(disk.crash(1))).expect("it opens").0, &[APPENDS; WRITERS]);
}

#[test]
fn topics_are_deleted_and_shortened_under_writers_and_readers() {
    let disk = SimDisk::new();
    let hub = make(Arc::new(disk.clone()));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (hub, is_over) = (&hub, &is_over);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    let records = [record(0, vec![b'x'; 500])];
                    for n in 0..300 {
                        let topic = TOPICS[(writer + n) % 3];
                        let other = TOPICS[(writer + n + 1) % 3];
                        let appends = [topic, other].map(|topic| Append { topic, records: &records });
                        match hub.append(&appends) {
                            Ok(appended) => hub.wait(appended.ticket).expect("durable"),
                            Err(HubError::NoTopic(_)) => {}
                            Err(e) => panic!("{e}"),
                        }
                    }
                })
            })
            .collect();
        for topic in TOPICS {
            scope.spawn(move || {
                let mut next = 0;
                while !is_over.load(Ordering::SeqCst) {
                    match hub.read(topic, next, 5_000, Visibility::Durable) {
                        Ok(batches) => next = batches.last().map_or(next, |b| b.end_offset()),
                        Err(HubError::OutOfRange { start, .. }) => next = start,
                        Err(HubError::NoTopic(_)) => next = 0,
                        Err(e) => panic!("{e}"),
                    }
                }
            });
        }
        scope.spawn(move || {
            for n in 0_usize.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let topic = TOPICS[n % 3];
                if n % 7 == 3 {
                    hub.delete_topic(topic).expect("there");
                    hub.create_topic(topic, TopicOptions { segment_bytes: 4_000, ..TopicOptions::default() })
                        .expect("free again");
                } else {
                    let end = hub.end_offset(topic).expect("there");
                    hub.delete_before(topic, end).expect("well");
                }
            }
        });
        writers.into_iter().for_each(|w| w.join().expect("no panic"));
        is_over.store(true, Ordering::SeqCst);
    });
    drop(hub);
    let (_, recovered) = Hub::open(Arc::new(disk.restart())).expect("it opens");
    assert_eq!((recovered.cut, recovered.topics), (vec![], 3));
}
