//! The transactional Kafka sink against a real broker: each epoch once, whatever happens to the producer.
#![cfg(feature = "kafka")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rdkafka::producer::Producer;
use support::broker::Broker;
use support::drive::{deliver_all, deliver_while, delta, epoch, open};
use support::sink::{assert_once, place, request, sink};
use support::source::PATIENCE;
use support::topic::{Put, producer, send};
use thalweg_connectors::epoch_sink;
use thalweg_core::{Epoch, EpochRows, Incarnation, SinkError};

static BROKER: LazyLock<Broker> = LazyLock::new(|| Broker::start(None));

fn rows(epoch: u64, deltas: Vec<thalweg_core::DeltaBatch>) -> EpochRows {
    EpochRows { epoch: Epoch(epoch), deltas }
}

#[test]
fn changes_become_upserts_and_tombstones_and_the_target_knows_how_far_it_is() {
    BROKER.create("upserts", 1);
    let mut to = sink("upserts", BROKER.bootstrap(), "upserts", &[]);
    assert_eq!(open(to.as_mut(), 1), None);
    let first = rows(1, vec![delta(&[(2, "b", 1), (1, "a", 1)])]);
    let second = rows(3, vec![delta(&[(1, "a", -1)]), delta(&[(1, "A", 1), (2, "b", -1)])]);
    to.deliver(&[first, rows(2, Vec::new()), second], Epoch(4)).expect("delivered");
    let seen = BROKER.read_committed("upserts");
    let as_text: Vec<((u64, u64), &str, &str)> =
        seen.iter().map(|s| (place(s), s.key.as_str(), s.value.as_str())).collect();
    assert_eq!(
        as_text,
        [
            ((1, 0), "{\"id\":1}", "{\"id\":1,\"name\":\"a\"}"),
            ((1, 1), "{\"id\":2}", "{\"id\":2,\"name\":\"b\"}"),
            ((3, 0), "{\"id\":1}", "{\"id\":1,\"name\":\"A\"}"),
            ((3, 1), "{\"id\":2}", "null"),
        ]
    );
    // Epochs without rows count too.
    to.deliver(&[], Epoch(9)).expect("delivered");
    drop(to);
    let mut again = sink("upserts", BROKER.bootstrap(), "upserts", &[]);
    assert_eq!(open(again.as_mut(), 2), Some(Epoch(9)));
    // Another sink of the same cluster has its own progress.
    let mut other = sink("upserts-2", BROKER.bootstrap(), "upserts", &[]);
    assert_eq!(open(other.as_mut(), 1), None);
}

#[test]
fn what_was_sent_before_a_failure_is_never_seen() {
    BROKER.create("failures", 2);
    let to = request("failures", BROKER.bootstrap(), "failures", &[]);
    let mut to = epoch_sink(to).expect("valid");
    open(to.as_mut(), 1);
    to.deliver(&[epoch(1)], Epoch(1)).expect("delivered");
    // The third epoch cannot be said, after the second is sent: two rows have one key.
    let bad = rows(3, vec![delta(&[(1, "a", 1), (1, "b", 1)])]);
    match to.deliver(&[epoch(2), bad], Epoch(3)) {
        Err(SinkError::Fatal(error)) => assert!(error.to_string().contains("same primary_key"), "{error}"),
        other => panic!("{other:?}"),
    }
    // It must be opened again before it takes anything.
    assert!(matches!(to.deliver(&[epoch(2)], Epoch(2)), Err(SinkError::Again(_))));
    assert_eq!(open(to.as_mut(), 1), Some(Epoch(1)));
    assert_once(&BROKER, "failures", 1);
    deliver_all(to.as_mut(), 1, 7);
    assert_once(&BROKER, "failures", 7);
}

#[test]
fn the_newer_of_two_incarnations_wins_and_the_older_does_it_no_harm() {
    BROKER.create("zombies", 1);
    let make = || sink("zombies", BROKER.bootstrap(), "zombies", &[]);
    let (mut old, mut new) = (make(), make());
    deliver_all(old.as_mut(), 1, 2);
    assert_eq!(open(new.as_mut(), 2), Some(Epoch(2)));
    // The old one does not know yet: its transaction is refused.
    match old.deliver(&[epoch(3)], Epoch(3)) {
        Err(SinkError::Again(_)) => {}
        other => panic!("{other:?}"),
    }
    match old.open(Incarnation(1)) {
        Err(SinkError::Fatal(error)) => assert!(error.to_string().contains("incarnation 2"), "{error}"),
        other => panic!("{other:?}"),
    }
    // And that has not shut out the new one.
    new.deliver(&[epoch(3)], Epoch(3)).expect("delivered");
    assert_once(&BROKER, "zombies", 3);
}

#[test]
fn progress_is_not_overlooked_behind_an_open_transaction_of_another() {
    BROKER.create("behind", 1);
    let mut to = sink("behind", BROKER.bootstrap(), "behind", &[]);
    deliver_all(to.as_mut(), 1, 2);
    // Somebody else has a transaction open in the progress topic: what comes after it is not visible before it ends.
    let other = producer(BROKER.bootstrap(), &[("transactional.id", "somebody")]);
    other.init_transactions(PATIENCE).expect("initialised");
    other.begin_transaction().expect("begun");
    let record = Put { key: Some(b"somebody".to_vec()), value: Some(b"{}".to_vec()), ..Put::default() };
    send(&other, "thalweg-progress", &[record]);
    other.flush(PATIENCE).expect("taken");
    to.deliver(&[epoch(3)], Epoch(3)).expect("delivered");
    drop(to);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| open(sink("behind", BROKER.bootstrap(), "behind", &[]).as_mut(), 2));
        std::thread::park_timeout(Duration::from_millis(1500));
        other.commit_transaction(PATIENCE).expect("committed");
        assert_eq!(opening.join().expect("opens"), Some(Epoch(3)));
    });
    assert_once(&BROKER, "behind", 3);
}

#[test]
fn appends_and_changes_of_debezium_and_at_least_once() {
    BROKER.create("appends", 1);
    let mut appending = request("appends", BROKER.bootstrap(), "appends", &[("delivery", "at_least_once")]);
    appending.append_only = true;
    let mut to = epoch_sink(appending).expect("valid");
    assert_eq!(open(to.as_mut(), 1), None);
    to.deliver(&[rows(1, vec![delta(&[(1, "a", 2)])])], Epoch(1)).expect("delivered");
    assert_eq!(open(to.as_mut(), 1), None, "it keeps no progress");
    match to.deliver(&[rows(2, vec![delta(&[(1, "a", -1)])])], Epoch(2)) {
        Err(SinkError::Fatal(error)) => assert!(error.to_string().contains("force_append_only"), "{error}"),
        other => panic!("{other:?}"),
    }
    let values: Vec<(String, String)> =
        BROKER.read_committed("appends").into_iter().map(|s| (s.key, s.value)).collect();
    assert_eq!(values, vec![("null".to_owned(), "{\"id\":1,\"name\":\"a\"}".to_owned()); 2]);

    BROKER.create("changes", 1);
    let mut to = sink("changes", BROKER.bootstrap(), "changes", &[("format", "debezium"), ("key.encode", "text")]);
    open(to.as_mut(), 1);
    to.deliver(&[rows(1, vec![delta(&[(1, "a", 1)])]), rows(2, vec![delta(&[(1, "a", -1)])])], Epoch(2))
        .expect("delivered");
    let seen = BROKER.read_committed("changes");
    assert_eq!(seen[0].key, "1");
    assert_eq!(seen[0].value, "{\"before\":null,\"after\":{\"id\":1,\"name\":\"a\"},\"op\":\"c\"}");
    assert_eq!(seen[1].value, "{\"before\":{\"id\":1,\"name\":\"a\"},\"after\":null,\"op\":\"d\"}");
}

#[test]
fn a_target_that_cannot_be_used_says_why() {
    let message = |to: Result<Option<Epoch>, SinkError>| match to {
        Err(SinkError::Fatal(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    // A topic may be made any time: that is looked for again and again.
    let missing = match sink("x", BROKER.bootstrap(), "not-there", &[]).open(Incarnation(1)) {
        Err(SinkError::Again(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(missing.contains("topic 'not-there' does not exist"), "{missing}");
    BROKER.create("long", 1);
    let too_long = [("properties.transaction.timeout.ms", "99999999")];
    let refused = message(sink("x", BROKER.bootstrap(), "long", &too_long).open(Incarnation(1)));
    assert!(refused.contains("transaction.max.timeout.ms"), "{refused}");
    // A broker that is away is no reason to stop.
    let away = sink("x", "127.0.0.1:1", "t", &[]).open(Incarnation(1));
    assert!(matches!(away, Err(SinkError::Again(_))), "{away:?}");
}

const CHILD: &str = "THALWEG_SINK_CHILD";
/// Epochs that the killed children deliver between them.
const LAST: u64 = 400;

#[test]
fn a_process_that_delivers_until_it_is_killed() {
    // Does nothing unless the test below has started it.
    if let Ok(bootstrap) = std::env::var(CHILD) {
        let incarnation = std::env::var("THALWEG_SINK_INCARNATION").expect("given").parse().expect("a number");
        let mut to = sink("kills", &bootstrap, "kills", &[]);
        deliver_while(to.as_mut(), incarnation, |next| next <= LAST, |epoch| println!("delivered {epoch}"));
    }
}

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    BROKER.create("kills", 3);
    let mut random = SmallRng::seed_from_u64(20_261_125);
    let program = std::env::current_exe().expect("this program");
    let mut delivered_by_the_killed = 0;
    for incarnation in 1..=20 {
        let mut child = Command::new(&program)
            .args(["--exact", "a_process_that_delivers_until_it_is_killed", "--nocapture"])
            .env(CHILD, BROKER.bootstrap())
            .env("THALWEG_SINK_INCARNATION", incarnation.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // Some are killed while they open, most after some deliveries and in the midst of another.
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let deliveries = if incarnation % 5 == 0 { 0 } else { random.random_range(1..=12) };
        let told = lines.map_while(Result::ok).filter(|l| l.starts_with("delivered")).take(deliveries).count();
        delivered_by_the_killed += told.saturating_sub(1);
        std::thread::park_timeout(Duration::from_micros(random.random_range(0..40_000)));
        // SIGKILL.
        let _ = child.kill();
        child.wait().expect("it is gone");
    }
    assert!(delivered_by_the_killed > 20, "{delivered_by_the_killed}");
    let mut to = sink("kills", BROKER.bootstrap(), "kills", &[]);
    deliver_all(to.as_mut(), 100, LAST);
    assert_once(&BROKER, "kills", LAST);
    assert_eq!(open(to.as_mut(), 100), Some(Epoch(LAST)));
}
