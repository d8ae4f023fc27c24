//! Faults by a seed: a receiver that fails in every way, a disk that fails, processes that end. Every message is confirmed
//! at least once, in order, and comes again only where an answer was lost.

use std::panic::AssertUnwindSafe;

use serde_json::json;
use thalweg_core::{Epoch, EpochRows, EpochSink, Incarnation, SinkError};
use thalweg_disk::{Fault, Rng, SimDisk};

use super::receiver::{Act, Receiver, Request};
use super::{request, rows};
use crate::registry::epoch_sink;

const SEEDS: u64 = 200;

/// A message that is to be told.
#[derive(Debug)]
struct Expected {
    key: String,
    body: serde_json::Value,
}

/// Epochs with rows that come, go and come several times; and what is to be told of them.
fn story(rng: &mut Rng, all: bool) -> (Vec<EpochRows>, Vec<Expected>) {
    let mut epochs = Vec::new();
    let mut expected = Vec::new();
    let mut id = 0;
    let mut number = 0;
    for _ in 0..1 + rng.below(5) {
        number += 1 + rng.below(3) as u64;
        let mut told = Vec::new();
        let mut sequence = 0;
        for _ in 0..rng.below(5) {
            id += 1;
            let weight = [1, 1, 1, 2, 3, -1, -2][rng.below(7)];
            told.push((id, Some("x"), weight));
            for _ in 0..if weight > 0 || all { i64::abs(weight) } else { 0 } {
                let row = json!({ "id": id, "name": "x" });
                let op = if weight > 0 { "insert" } else { "delete" };
                let body = match all {
                    true => json!({ "sink": "told", "epoch": number, "op": op, "row": row }),
                    false => json!({ "sink": "told", "epoch": number, "row": row }),
                };
                expected.push(Expected { key: format!("c0ffee-7-told-{number}-{sequence}"), body });
                sequence += 1;
            }
        }
        epochs.push(rows(number, &told));
    }
    (epochs, expected)
}

fn fault(rng: &mut Rng) -> Act {
    let soon = "retry-after: 0\r\n".to_owned();
    match rng.below(24) {
        0 => Act::CutBefore,
        1 => Act::CutAfter,
        2 => Act::CutAnswer,
        3 => Act::status([408, 425, 500, 502, 503, 599][rng.below(6)]),
        4 => Act::Answer(429, soon, "slower".to_owned()),
        5 => Act::Answer(204, String::new(), String::new()),
        6 => Act::Answer(201, String::new(), "made".repeat(5_000)),
        _ => Act::status(200),
    }
}

/// A run: the requests in the order in which they were read, and how many there were when a process ended.
struct Run {
    seen: Vec<Request>,
    ends: Vec<usize>,
}

fn run(seed: u64, epochs: &[EpochRows], all: bool) -> Run {
    let mut acts = Rng::new(seed ^ 0xfa17);
    let receiver = Receiver::start(move || fault(&mut acts));
    let rng = &mut Rng::new(seed);
    let url = receiver.url("/hook");
    let changes = if all { "all" } else { "inserts" };
    // No answer is late: whatever is lost was lost by the plan.
    let pairs = [("url", url.as_str()), ("timeout.millis", "300000"), ("changes", changes)];
    let mut disk = SimDisk::new();
    let mut ends = Vec::new();
    let last = epochs.last().expect("an epoch").epoch;
    for incarnation in 1.. {
        let mut sink = epoch_sink(request("webhook", &pairs, &disk)).expect("valid");
        // Somewhere in this life the disk may fail.
        if rng.one_in(2) {
            let fault = [Fault::Io, Fault::NoSpace, Fault::ShortWrite][rng.below(3)];
            disk.fail(disk.calls() + rng.below(120) as u64, fault);
        }
        if live(sink.as_mut(), Incarnation(incarnation), epochs, last, rng) {
            break;
        }
        drop(sink);
        ends.push(receiver.seen().len());
        disk = if rng.one_in(2) { disk.crash(rng.next_u64()) } else { disk.restart() };
    }
    let seen = receiver.seen().clone();
    Run { seen, ends }
}

/// A life of a process, driven as a server does it; true if it has delivered everything.
fn live(sink: &mut dyn EpochSink, of: Incarnation, epochs: &[EpochRows], last: Epoch, rng: &mut Rng) -> bool {
    let mut held = None;
    loop {
        let step = match held {
            None => sink.open(of).map(|epoch| held = Some(epoch)),
            Some(epoch) if epoch == Some(last) => return true,
            Some(epoch) => {
                let from = epochs.partition_point(|e| Some(e.epoch) <= epoch);
                let some = &epochs[from..from + 1 + rng.below(epochs.len() - from)];
                let upto = some[some.len() - 1].epoch;
                sink.deliver(some, upto).map(|()| held = Some(Some(upto)))
            }
        };
        match step {
            Ok(()) if rng.one_in(8) => return false,
            Ok(()) => {}
            Err(SinkError::Again(_)) if rng.one_in(3) => return false,
            Err(SinkError::Again(_)) => held = None,
            Err(SinkError::Fatal(error)) => panic!("{error}"),
        }
    }
}

/// Holds what was read against what was to be told. Returns how many messages came again after they had been confirmed.
fn check(run: &Run, expected: &[Expected]) -> usize {
    let mut next = 0;
    let mut confirmed = true;
    let mut again = 0;
    let mut spent = Vec::new();
    for (at, request) in run.seen.iter().enumerate() {
        let repeats = next > 0 && request.key() == expected[next - 1].key;
        if repeats {
            // A confirmed one comes again only if the process ended before anything else was sent.
            if confirmed {
                assert!(run.ends.contains(&at), "message {at} again, though it was confirmed");
                assert!(!spent.contains(&at), "two doubles of one end");
                spent.push(at);
                again += 1;
            }
        } else {
            assert!(confirmed, "message {at} before the one before it is confirmed");
            assert!(next < expected.len(), "message {at} is none: {}", request.key());
            assert_eq!(request.key(), expected[next].key, "message {at}");
            next += 1;
        }
        assert_eq!(request.json(), expected[next - 1].body, "message {at}");
        confirmed = request.confirmed;
    }
    assert_eq!((next, confirmed), (expected.len(), true), "all is confirmed");
    again
}

#[test]
fn whatever_fails_each_message_is_confirmed_in_order() {
    let mut doubles = 0;
    let mut messages = 0;
    let mut ends = 0;
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let all = rng.one_in(2);
        let (epochs, expected) = story(rng, all);
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let run = run(seed, &epochs, all);
            (check(&run, &expected), run.ends.len())
        }));
        let (again, ended) = checked.unwrap_or_else(|_| panic!("seed {seed}"));
        doubles += again;
        ends += ended;
        messages += expected.len();
    }
    println!("{SEEDS} seeds, {messages} messages, {ends} ends of a process, {doubles} confirmed messages came again");
    assert!(doubles > 0 && doubles <= ends, "the window between answer and note was met: {doubles} of {ends}");
}

/// A receiver that never answers: every request is given up, and comes again under its key.
#[test]
fn a_message_without_an_answer_comes_again() {
    let mut acts = [Act::Hang, Act::Hang].into_iter();
    let receiver = Receiver::start(move || acts.next().unwrap_or_else(|| Act::status(200)));
    let url = receiver.url("/hook");
    let disk = SimDisk::new();
    let mut sink = super::opened(request("webhook", &[("url", &url), ("timeout.millis", "100")], &disk));
    let epochs = [rows(3, &[(1, None, 1), (2, None, 1)])];
    let mut given_up = Vec::new();
    // On a busy machine other answers may be late too.
    while let Err(error) = sink.deliver(&epochs, Epoch(3)) {
        let SinkError::Again(error) = error else { panic!("{error}") };
        given_up.push(error.to_string());
        assert_eq!(sink.open(Incarnation(1)).expect("as before"), None);
    }
    assert!(given_up.len() >= 2 && given_up[0].contains("no answer in time"), "{given_up:?}");
    let mut keys: Vec<String> = receiver.seen().iter().map(|r| r.key().to_owned()).collect();
    assert_eq!(keys[..3], vec!["c0ffee-7-told-3-0"; 3]);
    keys.dedup();
    assert_eq!(keys, ["c0ffee-7-told-3-0", "c0ffee-7-told-3-1"]);
}
