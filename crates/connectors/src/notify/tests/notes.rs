//! The notes of a sink: what a power loss leaves of them, and what is refused.

use std::sync::Arc;

use thalweg_core::{Epoch, Incarnation};
use thalweg_disk::{Disk, Fault, SimDisk};

use super::super::progress::{Next, Notes, Progress};
use super::receiver::{Act, Receiver};
use super::{again, deliver, fatal, opened, request, rows};
use crate::registry::epoch_sink;

fn notes(disk: &SimDisk) -> Notes {
    Notes::new(Arc::new(disk.clone()), "7-told")
}

fn after(sequence: u64) -> Progress {
    let next = Next { epoch: 9, sequence };
    Progress { incarnation: Incarnation(3), epoch: Some(Epoch(8)), next, skipped: 1 }
}

#[test]
fn a_power_loss_forgets_no_note_that_was_durable() {
    let disk = SimDisk::new();
    disk.record();
    let mut written = notes(&disk);
    assert_eq!(written.open().expect("a new disk"), None);
    let mut durable = Vec::new();
    for sequence in 0..20 {
        written.write(&after(sequence)).expect("room");
        durable.push(disk.steps());
    }
    let mut states = 0;
    let mut lost = 0;
    for state in disk.crash_states(40, 17) {
        states += 1;
        let least = durable.iter().filter(|steps| **steps <= state.steps).count() as u64;
        let mut found = notes(&state.disk);
        let number = found.open().expect("whole or not there").map_or(0, |progress| {
            assert_eq!(progress, after(progress.next.sequence));
            progress.next.sequence + 1
        });
        // That of the message in flight may be there already.
        assert!((least..=least + 1).contains(&number), "{number} notes after {least} at step {}", state.steps);
        lost += u64::from(number == least);
        found.write(&after(number)).expect("it goes on");
        assert_eq!(notes(&state.disk).open().expect("whole"), Some(after(number)));
    }
    assert!(states > 200 && lost > 0, "{states} states, {lost} without the note in flight");
    assert_eq!(disk.list("notify/7-told").expect("a folder").len(), 1, "old notes are removed");
}

#[test]
fn a_damaged_note_is_told_with_its_place() {
    let disk = SimDisk::new();
    let receiver = Receiver::always(Act::status(200));
    let url = receiver.url("/");
    let mut sink = opened(request("webhook", &[("url", &url)], &disk));
    deliver(sink.as_mut(), &[rows(1, &[(1, None, 1)])]).expect("taken");
    let path = format!("notify/7-told/{}", disk.list("notify/7-told").expect("a folder")[0].name);
    let whole = disk.read(&path).expect("a note");
    for bit in 0..whole.len() * 8 {
        let damaged = SimDisk::new();
        thalweg_disk::durable_folder(&damaged, "notify/7-told").expect("room");
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged.create(&path).and_then(|file| file.append(&bytes)).expect("room");
        let mut sink = epoch_sink(request("webhook", &[("url", &url)], &damaged)).expect("valid");
        let message = fatal(sink.open(Incarnation(2)));
        assert!(message.contains("sink told") && message.contains(".progress: damaged at byte 0"), "{message}");
    }
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn a_replaced_server_is_refused_and_the_new_one_goes_on() {
    let disk = SimDisk::new();
    let receiver = Receiver::always(Act::status(200));
    let url = receiver.url("/");
    let make = || epoch_sink(request("webhook", &[("url", &url)], &disk)).expect("valid");
    let (mut old, mut new) = (make(), make());
    assert_eq!(old.open(Incarnation(1)).expect("new"), None);
    deliver(old.as_mut(), &[rows(4, &[(1, None, 1)])]).expect("taken");
    assert_eq!(new.open(Incarnation(2)).expect("newer"), Some(Epoch(4)));
    // It was open before: its next note is in the way of the new one's, and then it is told.
    again(deliver(old.as_mut(), &[rows(5, &[(2, None, 1)])]));
    let message = fatal(old.open(Incarnation(1)));
    assert!(message.contains("incarnation 2") && message.contains("only 1"), "{message}");
    again(deliver(old.as_mut(), &[rows(5, &[(2, None, 1)])]));
    deliver(new.as_mut(), &[rows(5, &[(2, None, 1)])]).expect("taken");
    let keys: Vec<String> = receiver.seen().iter().map(|r| r.key().to_owned()).collect();
    assert_eq!(keys, ["c0ffee-7-told-4-0", "c0ffee-7-told-5-0", "c0ffee-7-told-5-0"]);
}

#[test]
fn a_process_that_cannot_note_does_not_send_again() {
    let disk = SimDisk::new();
    let receiver = Receiver::always(Act::status(200));
    let url = receiver.url("/");
    let mut sink = opened(request("webhook", &[("url", &url)], &disk));
    let told = [rows(2, &[(1, None, 1), (2, None, 1)])];
    disk.set_capacity(Some(disk.bytes()));
    again(deliver(sink.as_mut(), &told));
    for _ in 0..5 {
        again(sink.open(Incarnation(1)));
    }
    assert_eq!(receiver.seen().len(), 1, "nothing is sent as long as nothing can be noted");
    disk.set_capacity(None);
    assert_eq!(sink.open(Incarnation(1)).expect("room"), None);
    deliver(sink.as_mut(), &told).expect("taken");
    let keys: Vec<String> = receiver.seen().iter().map(|r| r.key().to_owned()).collect();
    assert_eq!(keys, ["c0ffee-7-told-2-0", "c0ffee-7-told-2-1"]);
    disk.fail(disk.calls(), Fault::Io);
    again(sink.open(Incarnation(1)));
}

#[test]
fn a_note_of_other_epochs_is_refused() {
    let disk = SimDisk::new();
    let mut answers = [Act::status(200), Act::status(200), Act::status(500)].into_iter().cycle();
    let receiver = Receiver::start(move || answers.next().expect("a cycle"));
    let url = receiver.url("/");
    let mut sink = opened(request("webhook", &[("url", &url)], &disk));
    again(deliver(sink.as_mut(), &[rows(2, &[(1, None, 3)])]));
    assert_eq!(sink.open(Incarnation(1)).expect("as before"), None);
    let message = fatal(deliver(sink.as_mut(), &[rows(2, &[(1, None, 1)])]));
    assert!(message.contains("2 messages of epoch 2 were confirmed, and there are only 1"), "{message}");
}
