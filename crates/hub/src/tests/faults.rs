//! Operations of the disk that fail: each of a history once, in each way; and disks that are full for a while.

use std::sync::Arc;

use thalweg_disk::{Disk, Fault, Rng, SimDisk};

use super::history::History;
use super::model::Model;
use super::{append, open, record, values};
use crate::{Append, Hub, HubError, TopicOptions};

const ACTS: usize = 40;
/// Long runs with many faults; `THALWEG_HUB_CHAOS=17` runs one of them alone.
const CHAOS: u64 = 200;

/// Runs a history in which call number `at` fails; goes on after the error, or restarts where it must. Returns the
/// calls of the whole run.
fn run(seed: u64, at: u64, fault: Fault) -> u64 {
    let what = format!("seed {seed}, {fault:?} at {at}");
    let disk = SimDisk::new();
    disk.fail(at, fault);
    let mut history = History::new(disk, Model::default(), Rng::new(seed));
    let mut errors = 0;
    for _ in 0..ACTS {
        if let Err(e) = history.act() {
            errors += 1;
            assert!(matches!(e, HubError::Disk(_) | HubError::Poisoned(_)), "{what}: {e}");
            assert!(errors == 1 || history.is_poisoned(), "one fault, one error: {e}");
            lose_power(&history, seed ^ at, &what);
        }
        if history.is_poisoned() {
            history.restart();
        }
    }
    (0..3).for_each(|n| lose_power(&history, seed ^ at ^ n, &what));
    history.disk.calls()
}

/// What a crash now would leave is right.
fn lose_power(history: &History, seed: u64, what: &str) {
    let disk = Arc::new(history.disk.crash(seed));
    let opened = Hub::open_stepped(disk);
    let (hub, _) = opened.unwrap_or_else(|e| panic!("{what}, crash {seed}: it does not open: {e}"));
    let checked = history.model.check(&hub, history.disk.steps());
    checked.unwrap_or_else(|wrong| panic!("{what}, crash {seed}: {wrong}"));
    Model::goes_on(&hub);
}

#[test]
fn any_operation_may_fail_once() {
    let mut runs = 0;
    for seed in 0..4 {
        let calls = run(seed, u64::MAX, Fault::Io);
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            for at in 0..calls {
                run(seed, at, fault);
                runs += 1;
            }
        }
    }
    println!("{runs} runs, each with one failed operation");
    assert!(runs > 3_000, "{runs}");
}

/// A long run with many faults, restarts and power losses. Returns how many faults there were.
fn chaos(seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let (mut disk, mut model, mut faults) = (SimDisk::new(), Model::default(), 0);
    for phase in 0..4 {
        let what = format!("seed {seed}, phase {phase}");
        let mut history = History::new(disk, model, Rng::new(rng.next_u64()));
        for _ in 0..ACTS {
            if rng.one_in(5) {
                faults += 1;
                let fault = [Fault::Io, Fault::NoSpace, Fault::ShortWrite][rng.below(3)];
                history.disk.fail(history.disk.calls() + rng.below(12) as u64, fault);
            }
            if let Err(e) = history.act() {
                assert!(matches!(e, HubError::Disk(_) | HubError::Poisoned(_)), "{what}: {e}");
            }
            if history.is_poisoned() {
                history.restart();
            }
        }
        lose_power(&history, rng.next_u64(), &what);
        disk = history.disk.crash(rng.next_u64());
        let (hub, _) = Hub::open_stepped(Arc::new(disk.clone())).expect("it opens");
        let steps = history.disk.steps();
        history.model.check(&hub, steps).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        model = history.model;
        model.settle(&hub, steps);
    }
    faults
}

#[test]
fn faults_restarts_and_power_losses_in_any_order() {
    let only = std::env::var("THALWEG_HUB_CHAOS").ok().map(|s| s.parse::<u64>().expect("a number"));
    let seeds = only.map_or(0..CHAOS, |seed| seed..seed + 1);
    let faults: usize = seeds.clone().map(chaos).sum();
    println!("{faults} faults in {} runs", seeds.count());
    assert!(only.is_some() || faults > 5_000, "{faults}");
}

#[test]
fn a_full_disk_takes_nothing_loses_nothing_and_goes_on_when_there_is_room() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions { segment_bytes: 2_000, ..TopicOptions::default() }).expect("new");
    hub.create_topic("u", TopicOptions::default()).expect("new");
    append(&hub, "t", &["kept"]);
    let mut kept = vec!["kept".to_owned()];
    for more in [300, 5_000, 100, 900] {
        disk.set_capacity(Some(disk.bytes() + more));
        let error = loop {
            let text = format!("{}", kept.len()).repeat(50);
            let records = [record(0, text.clone())];
            // Both or none, whichever has no room.
            let both = [Append { topic: "u", records: &records }, Append { topic: "t", records: &records }];
            match hub.append(&both) {
                Ok(appended) => {
                    hub.wait(appended.ticket).expect("durable");
                    kept.push(text);
                }
                Err(e) => break e,
            }
        };
        assert!(error.is_no_space(), "{error}");
        let small = [record(0, "x")];
        let full = disk.bytes();
        disk.set_capacity(Some(full));
        assert!(hub.append(&[Append { topic: "t", records: &small }]).expect_err("full").is_no_space());
        assert!(hub.create_topic("v", TopicOptions::default()).expect_err("full").is_no_space());
        assert_eq!(disk.bytes(), full, "what did not fit is taken back");
        for hub in [&hub, &open(&disk.crash(more))] {
            assert_eq!(values(hub, "t"), kept);
            assert_eq!(values(hub, "u"), kept[1..]);
        }
        disk.set_capacity(None);
        append(&hub, "t", &["room again"]);
        kept.push("room again".to_owned());
        append(&hub, "u", &["room again"]);
    }
}

#[test]
fn a_topic_can_be_deleted_on_a_full_disk() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    for name in ["t", "u"] {
        hub.create_topic(name, TopicOptions { segment_bytes: 1, ..TopicOptions::default() }).expect("new");
        append(&hub, name, &["one", "two", "three"]);
    }
    disk.set_capacity(Some(disk.bytes()));
    assert!(disk.exists("reserve").expect("it can be told"));
    hub.delete_before("u", 1).expect("the reserve has room for a manifest");
    hub.delete_topic("t").expect("and what it freed for the next");
    assert_eq!(values(&hub, "u"), ["two", "three"]);
    disk.set_capacity(None);
    hub.create_topic("t", TopicOptions::default()).expect("room");
    assert!(disk.exists("reserve").expect("it can be told"), "space is kept again");
    // And a start on a full disk.
    disk.set_capacity(Some(disk.bytes()));
    assert_eq!(values(&open(&disk.restart()), "u"), ["two", "three"]);
}

#[test]
fn after_a_failed_fsync_everyone_is_told_and_nothing_is_taken() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    hub.create_topic("t", TopicOptions::default()).expect("new");
    append(&hub, "t", &["kept"]);
    let records = [record(0, "unknown")];
    let appended = hub.append(&[Append { topic: "t", records: &records }]).expect("taken");
    let (tell, told) = std::sync::mpsc::channel();
    hub.on_durable(appended.ticket, Box::new(move |outcome| tell.send(outcome).expect("open")));
    disk.fail(disk.calls(), Fault::Io);
    let is_poisoned = |e: &HubError| matches!(e, HubError::Poisoned(_));
    assert!(hub.wait(appended.ticket).is_err_and(|e| is_poisoned(&e)));
    assert!(told.recv().expect("told").is_err_and(|e| is_poisoned(&e)));
    assert!(hub.append(&[Append { topic: "t", records: &records }]).is_err_and(|e| is_poisoned(&e)));
    assert!(hub.create_topic("u", TopicOptions::default()).is_err_and(|e| is_poisoned(&e)));
    assert!(hub.delete_topic("t").is_err_and(|e| is_poisoned(&e)));
    assert_eq!(values(&hub, "t"), ["kept"], "what is durable is read still");
    let error = hub.close().expect_err("unknown").to_string();
    assert!(error.contains("takes nothing more until a restart") && error.contains("fsync"), "{error}");
    let hub = open(&disk.restart());
    append(&hub, "t", &["next"]);
    let values = values(&hub, "t");
    assert!(values.first().is_some_and(|v| v == "kept") && values.last().is_some_and(|v| v == "next"), "{values:?}");
}
