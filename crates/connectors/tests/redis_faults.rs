//! The Redis sink while connections are cut at every request, the server is stopped, killed and held up, and the sink's
//! own process is killed: each epoch once.
#![cfg(feature = "redis")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::drive::{PATIENCE, ROWS, deliver_made, deliver_while, delta, epoch, open};
use support::proxy::{Door, Last, Proxy};
use support::redis::Server;
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::{Epoch, EpochRows, EpochSink, SinkError};

/// One server for all tests of this file, behind a proxy; and only one test at a time hurts it.
struct Place {
    proxy: Proxy,
    server: Server,
}

static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| {
    let proxy = Proxy::start();
    let server = Server::start(&[]);
    proxy.forward_to(&server.address());
    Mutex::new(Place { proxy, server })
});

fn place() -> MutexGuard<'static, Place> {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rest(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

/// A sink that adds entries to a stream, so that what comes twice is there twice.
fn adding(place: &Place, id: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
    let pairs = [&[("data_type", "stream"), ("stream", id)], pairs].concat();
    let request = place.server.request(id, &place.proxy.address(), &pairs);
    epoch_sink(EpochSinkRequest { key: None, append_only: true, ..request }).expect("valid")
}

/// Every row of the epochs up to `last` is in the stream once, in order, and nothing else.
fn assert_once(server: &Server, stream: &str, last: u64) {
    let ids = (1..=last).filter(|e| !e.is_multiple_of(5)).flat_map(|e| (0..ROWS).map(move |n| e * ROWS + n));
    let seen = server.entries(stream);
    assert!(seen.iter().map(|(_, fields)| &fields["id"]).eq(ids.map(|id| id.to_string()).collect::<Vec<_>>().iter()));
    assert!(seen.iter().all(|(id, fields)| {
        let (epoch, n) = id.split_once('-').expect("two numbers");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        number(&fields["id"]) == number(epoch) * ROWS + number(n) - 1
    }));
}

/// Whether key `key` is there after epoch `number`, and with what.
fn state(number: u64, key: u64) -> Option<String> {
    let known = number >= 1 && !(number * 31 + key * 17).is_multiple_of(3);
    known.then(|| format!("{number}/{key}"))
}

const KEYS: u64 = 7;

/// Epoch `number` of a stream with changes and deletions.
fn changing(number: u64) -> EpochRows {
    let texts: Vec<(u64, Option<String>, Option<String>)> =
        (0..KEYS).map(|key| (key, state(number - 1, key), state(number, key))).collect();
    let mut rows = Vec::new();
    for (key, old, new) in &texts {
        rows.extend(old.as_ref().map(|old| (*key as i64, old.as_str(), -1)));
        rows.extend(new.as_ref().map(|new| (*key as i64, new.as_str(), 1)));
    }
    EpochRows { epoch: Epoch(number), deltas: vec![delta(&rows)] }
}

/// The hashes of sink `id` are those of epoch `last` of [`changing`].
fn assert_standing(server: &Server, id: &str, last: u64) {
    let mut standing = BTreeMap::new();
    for key in 0..KEYS {
        standing.extend(state(last, key).map(|name| (format!("{id}:{key}"), name)));
    }
    assert_eq!(server.keys(&format!("{id}:*")), standing.keys().cloned().collect::<Vec<_>>());
    for (key, name) in standing {
        assert_eq!(server.hash(&key)["name"], name);
    }
}

/// Delivers two epochs at once with a cut at request 1, 2, 3, … of what a delivery (and the opening after it) asks, until
/// a delivery gets through before the cut.
fn cut_everywhere(last: Last) {
    let place = place();
    let (proxy, server) = (&place.proxy, &place.server);
    let suffix = format!("{last:?}").to_lowercase();
    let ids = (format!("cut-adds-{suffix}"), format!("cut-changes-{suffix}"));
    let mut adds = adding(&place, &ids.0, &[]);
    let mut changes = epoch_sink(server.request(&ids.1, &proxy.address(), &[])).expect("valid");
    let mut cuts = 0;
    let mut ends = Vec::new();
    for (make, to) in [(epoch as fn(u64) -> EpochRows, adds.as_mut()), (changing, changes.as_mut())] {
        let mut done = 0;
        for request in 1.. {
            let mut next = open(to, 1).map_or(1, |e| e.0 + 1);
            proxy.cut_at(request, last);
            let deadline = Instant::now() + PATIENCE;
            let goal = done + 2;
            while next <= goal {
                match to.deliver(&[make(next), make(next + 1)], Epoch(next + 1)) {
                    Ok(()) => next += 2,
                    Err(SinkError::Again(error)) => {
                        assert!(Instant::now() < deadline, "it is never delivered: {error}");
                        next = open(to, 1).map_or(1, |e| e.0 + 1);
                        // All of it is there, or nothing.
                        assert!(next == goal + 1 || next == goal - 1, "{next} of {goal}");
                    }
                    Err(SinkError::Fatal(error)) => panic!("{error}"),
                }
            }
            done = goal;
            if proxy.will_cut() {
                // The delivery asked less than that, and was not hurt.
                proxy.cut_at(0, last);
                break;
            }
            cuts += 1;
        }
        ends.push(done);
    }
    println!("{last:?}: {cuts} cuts");
    // Progress, MULTI, rows, EXEC, of each sink.
    assert!(cuts >= 8, "{cuts}");
    assert_once(server, &ids.0, ends[0]);
    assert_standing(server, &ids.1, ends[1]);
}

#[test]
fn a_delivery_that_is_cut_before_any_of_its_requests_is_there_once() {
    cut_everywhere(Last::Lost);
}

#[test]
fn a_delivery_that_is_cut_after_any_of_its_requests_is_there_once() {
    cut_everywhere(Last::Unanswered);
}

#[test]
fn an_opening_that_is_cut_anywhere_is_tried_again() {
    let place = place();
    let mut cuts = 0;
    for (turn, last) in [Last::Lost, Last::Unanswered].into_iter().enumerate() {
        for request in 1.. {
            let id = format!("opened-{turn}-{request}");
            let mut to = adding(&place, &id, &[]);
            place.proxy.cut_at(request, last);
            assert_eq!(open(to.as_mut(), 1), None);
            let spared = place.proxy.will_cut();
            place.proxy.cut_at(0, last);
            deliver_while(to.as_mut(), 2, |next| next <= 2, |_| ());
            assert_once(&place.server, &id, 2);
            if spared {
                break;
            }
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
    assert!(cuts >= 12, "{cuts}");
}

#[test]
fn an_older_server_that_is_overtaken_in_the_midst_of_a_delivery_delivers_nothing() {
    let place = place();
    let mut old = adding(&place, "overtaken", &[]);
    deliver_while(old.as_mut(), 1, |next| next <= 2, |_| ());
    // Progress, MULTI, the rows, EXEC: at each of them another one opens the target.
    for request in 1..=4 {
        let incarnation = 10 + request as u64 * 2;
        open(old.as_mut(), incarnation);
        place.proxy.cut_at(request, Last::Held);
        let ended = std::thread::scope(|scope| {
            let delivering = scope.spawn(|| old.deliver(&[epoch(3)], Epoch(3)));
            while place.proxy.will_cut() {
                rest(2);
            }
            let direct = [("data_type", "stream"), ("stream", "overtaken")];
            let request = place.server.request("overtaken", &place.server.address(), &direct);
            let mut new = epoch_sink(EpochSinkRequest { key: None, append_only: true, ..request }).expect("valid");
            assert_eq!(open(new.as_mut(), incarnation + 1), Some(Epoch(2)));
            place.proxy.set(Door::Open);
            delivering.join().expect("no panic")
        });
        let error = ended.expect_err("it is outdated").to_string();
        // When it has read the progress before, it only learns that it has changed.
        assert!(error.contains("this is only") == (request == 1), "{request}: {error}");
        let reopened = old.open(thalweg_core::Incarnation(incarnation)).expect_err("it is outdated").to_string();
        assert!(reopened.contains("this is only"), "{reopened}");
        assert_once(&place.server, "overtaken", 2);
    }
}

/// Delivers while `faults` happen, and some epochs at least; so many deliveries are in doubt that the faults have struck.
fn delivers_through(id: &str, doubts_min: usize, faults: impl FnOnce(&Place) + Send) {
    const LAST: u64 = 40;
    let place = &*place();
    let impatient: &[(&str, &str)] = &[("timeout.millis", "500")];
    std::thread::scope(|scope| {
        let (flows, flowing) = std::sync::mpsc::channel();
        let hurting = scope.spawn(move || {
            // Not before deliveries flow.
            while flowing.recv().expect("it delivers") < 4 {}
            faults(place);
        });
        let mut adds = adding(place, id, impatient);
        let (done, doubts) = deliver_while(
            adds.as_mut(),
            1,
            |next| next <= LAST || !hurting.is_finished(),
            |epoch| {
                // Nobody listens once it hurts.
                let _ = flows.send(epoch);
                rest(5);
            },
        );
        hurting.join().expect("hurt");
        assert_once(&place.server, id, done);
        println!("{id}: {done} epochs, {doubts} deliveries in doubt");
        assert!(doubts >= doubts_min, "{doubts}");
    });
}

#[test]
fn it_delivers_once_through_restarts_of_the_server() {
    delivers_through("restarted", 1, |place| {
        for _ in 0..3 {
            place.server.tell("restart");
            rest(300);
        }
    });
}

#[test]
fn it_delivers_once_through_crashes_of_the_server() {
    delivers_through("crashed", 1, |place| {
        for _ in 0..3 {
            place.server.tell("crash");
            rest(300);
        }
    });
}

#[test]
fn it_delivers_once_though_the_server_stops_for_longer_than_it_waits() {
    delivers_through("paused", 1, |place| {
        for pause in [200, 1_500] {
            place.server.tell("pause");
            rest(pause);
            place.server.tell("resume");
            rest(500);
        }
    });
}

#[test]
fn it_delivers_once_though_requests_and_answers_are_lost_for_a_while() {
    delivers_through("deaf", 2, |place| {
        for door in [Door::Deaf, Door::Silent, Door::Deaf, Door::Cut] {
            place.proxy.set(door);
            rest(1_000);
            place.proxy.reset();
            place.proxy.set(Door::Open);
            rest(500);
        }
    });
}

const CHILD: &str = "THALWEG_REDIS_CHILD";
/// Epochs that the killed children deliver between them.
const LAST: u64 = 600;

#[test]
fn a_process_that_delivers_until_it_is_killed() {
    // Does nothing unless the test below has started it.
    let Ok(login) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = login.split(' ').collect();
    let [address, password, incarnation] = words[..] else { panic!("three words") };
    let incarnation = incarnation.parse().expect("a number");
    let mut to = child_sink(address, password);
    deliver_made(to.as_mut(), incarnation, epoch, |next| next <= LAST, |epoch| println!("delivered {epoch}"));
}

fn child_sink(address: &str, password: &str) -> Box<dyn EpochSink> {
    let url = format!("redis://{address}");
    let pairs = [("redis.url", url.as_str()), ("password", password), ("data_type", "stream"), ("stream", "kills")];
    epoch_sink(EpochSinkRequest {
        name: "to_kills".to_owned(),
        id: "kills".to_owned(),
        cluster: "test".to_owned(),
        connector: "redis".to_owned(),
        options: support::drive::options(&pairs),
        schema: support::drive::schema(),
        key: None,
        append_only: true,
        disk: None,
    })
    .expect("valid")
}

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    let place = place();
    let server = &place.server;
    let seed = std::env::var("THALWEG_REDIS_SEED").ok().map_or(20_261_130, |s| s.parse().expect("a number"));
    println!("THALWEG_REDIS_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let program = std::env::current_exe().expect("this program");
    let mut delivered_by_the_killed = 0;
    for incarnation in 1..=30 {
        let mut child = Command::new(&program)
            .args(["--exact", "a_process_that_delivers_until_it_is_killed", "--nocapture"])
            .env(CHILD, format!("{} {} {incarnation}", server.address(), server.word("password")))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // Some are killed while they open, most after some deliveries and in the midst of another.
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let deliveries = if incarnation % 5 == 0 { 0 } else { random.random_range(1..=12) };
        let told = lines.map_while(Result::ok).filter(|l| l.starts_with("delivered")).take(deliveries).count();
        delivered_by_the_killed += told.saturating_sub(1);
        std::thread::park_timeout(Duration::from_micros(random.random_range(0..5_000)));
        // SIGKILL.
        let _ = child.kill();
        child.wait().expect("it is gone");
    }
    println!("{delivered_by_the_killed} deliveries by the killed");
    assert!(delivered_by_the_killed > 20, "{delivered_by_the_killed}");
    let mut to = child_sink(&server.address(), server.word("password"));
    deliver_while(to.as_mut(), 100, |next| next <= LAST, |_| ());
    assert_once(server, "kills", LAST);
    assert_eq!(open(to.as_mut(), 100), Some(Epoch(LAST)));
}
