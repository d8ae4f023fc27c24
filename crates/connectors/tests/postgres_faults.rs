//! The PostgreSQL sink while connections are cut at every request, the server is stopped, killed and held up, and the
//! sink's own process is killed: each epoch once.
#![cfg(feature = "postgres")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::drive::{PATIENCE, ROWS, deliver_made, deliver_while, delta, epoch, open};
use support::postgres::Server;
use support::proxy::{Door, Last, Proxy};
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::{Epoch, EpochRows, EpochSink, SinkError};

/// One server for all tests of this file, behind a proxy; and only one test at a time hurts it.
struct Place {
    proxy: Proxy,
    server: Server,
}

static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| {
    let proxy = Proxy::start();
    let server = Server::start(false);
    proxy.forward_to(&server.address());
    Mutex::new(Place { proxy, server })
});

fn place() -> MutexGuard<'static, Place> {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rest(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

/// A sink that adds rows, so that what comes twice is there twice.
fn adding(server: &Server, port: &str, table: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
    let request = server.request(table, port, table, pairs);
    epoch_sink(EpochSinkRequest { key: None, append_only: true, ..request }).expect("valid")
}

/// Every row of the epochs up to `last` is in `table` once, and nothing else.
fn assert_once(server: &Server, table: &str, last: u64) {
    let ids = (1..=last).filter(|e| !e.is_multiple_of(5)).flat_map(|e| (0..ROWS).map(move |n| e * ROWS + n));
    let (count, sum) = ids.fold((0, 0), |(count, sum), id| (count + 1, sum + id));
    let seen = server.psql(&format!("SELECT count(*), count(DISTINCT id), coalesce(sum(id), 0) FROM {table}"));
    assert_eq!(seen, format!("{count}|{count}|{sum}"));
}

/// Epoch `number` of a stream with changes and deletions: key `k` is there after it if …
fn changing(number: u64) -> EpochRows {
    const KEYS: u64 = 7;
    let state = |number: u64, key: u64| -> Option<String> {
        let known = number >= 1 && !(number * 31 + key * 17).is_multiple_of(3);
        known.then(|| format!("{number}/{key}"))
    };
    let mut rows = Vec::new();
    let texts: Vec<(u64, Option<String>, Option<String>)> =
        (0..KEYS).map(|key| (key, state(number - 1, key), state(number, key))).collect();
    for (key, old, new) in &texts {
        rows.extend(old.as_ref().map(|old| (*key as i64, old.as_str(), -1)));
        rows.extend(new.as_ref().map(|new| (*key as i64, new.as_str(), 1)));
    }
    EpochRows { epoch: Epoch(number), deltas: vec![delta(&rows)] }
}

/// What stands after epoch `last` of [`changing`].
fn standing(last: u64) -> String {
    let rows = &changing(last).deltas[0];
    let lines = (0..rows.num_rows()).filter(|row| rows.weight(*row) > 0).map(|row| {
        let cell = |column: usize| arrow::util::display::array_value_to_string(rows.column(column), row).expect("text");
        format!("{}|{}", cell(0), cell(1))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Delivers two epochs at once with a cut at request 1, 2, 3, … of what a delivery (and the opening after it) asks, until
/// a delivery gets through before the cut.
fn cut_everywhere(last: Last) {
    let place = place();
    let (proxy, server) = (&place.proxy, &place.server);
    let port = proxy.port().to_string();
    let suffix = format!("{last:?}").to_lowercase();
    let tables = (format!("cut_adds_{suffix}"), format!("cut_changes_{suffix}"));
    let mut adds = adding(server, &port, &tables.0, &[]);
    let mut changes = epoch_sink(server.request(&tables.1, &port, &tables.1, &[])).expect("valid");
    let mut done = 0;
    let mut cuts = 0;
    for (name, make) in [("adds", epoch as fn(u64) -> EpochRows), ("changes", changing)] {
        let to = if name == "adds" { adds.as_mut() } else { changes.as_mut() };
        done = 0;
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
    }
    println!("{last:?}: {cuts} cuts");
    // Begin, lock, rows, progress, commit at least, of each sink.
    assert!(cuts >= 10, "{cuts}");
    let adds_done = server.psql(&format!("SELECT last_epoch FROM thalweg_progress WHERE sink = '{}'", tables.0));
    assert_once(server, &tables.0, adds_done.parse().expect("a number"));
    assert_eq!(server.psql(&format!("SELECT id, name FROM {} ORDER BY id", tables.1)), standing(done));
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
    let port = place.proxy.port().to_string();
    let mut cuts = 0;
    for (turn, last) in [Last::Lost, Last::Unanswered].into_iter().enumerate() {
        for request in 1.. {
            let table = format!("opened_{turn}_{request}");
            let mut to = adding(&place.server, &port, &table, &[]);
            place.proxy.cut_at(request, last);
            assert_eq!(open(to.as_mut(), 1), None);
            let spared = place.proxy.will_cut();
            place.proxy.cut_at(0, last);
            deliver_while(to.as_mut(), 2, |next| next <= 2, |_| ());
            assert_once(&place.server, &table, 2);
            if spared {
                break;
            }
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
    assert!(cuts >= 16, "{cuts}");
}

/// Delivers while `faults` happen, and some epochs at least; so many deliveries are in doubt that the faults have struck.
fn delivers_through(table: &str, doubts_min: usize, faults: impl FnOnce(&Place) + Send) {
    const LAST: u64 = 40;
    let place = &*place();
    let port = place.proxy.port().to_string();
    let impatient: &[(&str, &str)] = &[("timeout.millis", "2000")];
    std::thread::scope(|scope| {
        let (flows, flowing) = std::sync::mpsc::channel();
        let hurting = scope.spawn(move || {
            // Not before deliveries flow.
            while flowing.recv().expect("it delivers") < 4 {}
            faults(place);
        });
        let mut adds = adding(&place.server, &port, table, impatient);
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
        assert_once(&place.server, table, done);
        println!("{table}: {done} epochs, {doubts} deliveries in doubt");
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
        for pause in [500, 6_000] {
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
            rest(5_000);
            place.proxy.reset();
            place.proxy.set(Door::Open);
            rest(700);
        }
    });
}

const CHILD: &str = "THALWEG_POSTGRES_CHILD";
/// Epochs that the killed children deliver between them.
const LAST: u64 = 600;

#[test]
fn a_process_that_delivers_until_it_is_killed() {
    // Does nothing unless the test below has started it.
    let Ok(login) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = login.split(' ').collect();
    let [port, user, password, incarnation] = words[..] else { panic!("four words") };
    let incarnation = incarnation.parse().expect("a number");
    let mut to = child_sink(port, user, password);
    deliver_made(to.as_mut(), incarnation, epoch, |next| next <= LAST, |epoch| println!("delivered {epoch}"));
}

fn child_sink(port: &str, user: &str, password: &str) -> Box<dyn EpochSink> {
    let pairs =
        [("host", "127.0.0.1"), ("port", port), ("user", user), ("password", password), ("database", "postgres")];
    epoch_sink(EpochSinkRequest {
        name: "to_kills".to_owned(),
        id: "kills".to_owned(),
        cluster: "test".to_owned(),
        connector: "postgres".to_owned(),
        options: support::drive::options(&[&pairs[..], &[("table", "kills")]].concat()),
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
    let mut random = SmallRng::seed_from_u64(20_261_125);
    let program = std::env::current_exe().expect("this program");
    let mut delivered_by_the_killed = 0;
    for incarnation in 1..=30 {
        let mut child = Command::new(&program)
            .args(["--exact", "a_process_that_delivers_until_it_is_killed", "--nocapture"])
            .env(CHILD, format!("{} {} {} {incarnation}", server.port, server.user, server.password))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // Some are killed while they open, most after some deliveries and in the midst of another.
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let deliveries = if incarnation % 5 == 0 { 0 } else { random.random_range(1..=12) };
        let told = lines.map_while(Result::ok).filter(|l| l.starts_with("delivered")).take(deliveries).count();
        delivered_by_the_killed += told.saturating_sub(1);
        std::thread::park_timeout(Duration::from_micros(random.random_range(0..20_000)));
        // SIGKILL.
        let _ = child.kill();
        child.wait().expect("it is gone");
    }
    println!("{delivered_by_the_killed} deliveries by the killed");
    assert!(delivered_by_the_killed > 20, "{delivered_by_the_killed}");
    let mut to = child_sink(&server.port, &server.user, &server.password);
    deliver_while(to.as_mut(), 100, |next| next <= LAST, |_| ());
    assert_once(server, "kills", LAST);
    assert_eq!(open(to.as_mut(), 100), Some(Epoch(LAST)));
}
