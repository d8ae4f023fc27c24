//! Source and sink while the broker is restarted, stopped for a while, and cut off: nothing lost, nothing twice.
#![cfg(feature = "kafka")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::producer::Producer;
use support::broker::Broker;
use support::drive::deliver_while;
use support::proxy::{Door, Proxy};
use support::sink::{assert_once, sink};
use support::source::{PATIENCE, Reading, id_schema, kafka};
use support::topic::{numbers, producer, send};

/// One broker for all tests of this file, behind a proxy; and only one test at a time hurts it.
struct Place {
    proxy: Proxy,
    broker: Broker,
}

static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| {
    let proxy = Proxy::start();
    let broker = Broker::start(Some(proxy.port()));
    proxy.forward_to(broker.proxied());
    Mutex::new(Place { proxy, broker })
});

fn place() -> MutexGuard<'static, Place> {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rest(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

/// Faster than the client's defaults at noticing that nobody answers.
const IMPATIENT: &[(&str, &str)] = &[("properties.socket.timeout.ms", "3000")];

/// Writes numbers while `faults` happen, and after them; reads them all the while, once restarting the source.
fn reads_through(topic: &str, address: &str, place: &Place, faults: impl FnOnce(&Place) + Send) {
    place.broker.create(topic, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let writer = producer(place.broker.bootstrap(), &[("message.timeout.ms", "120000")]);
            let mut next = 0;
            while !done.load(Ordering::SeqCst) || next < 1_000 {
                send(&writer, topic, &numbers(0, [next]));
                send(&writer, topic, &numbers(1, [next]));
                next += 1;
                rest(1);
            }
            writer.flush(PATIENCE).expect("all are taken");
            next
        });
        let hurting = scope.spawn(|| {
            rest(300);
            faults(place);
            done.store(true, Ordering::SeqCst);
        });
        let source = || kafka(address, topic, id_schema(), IMPATIENT).expect("valid");
        let mut first = Reading::new(source(), BTreeMap::new());
        first.until("the first rows", |r| r.count() >= 100);
        first.until("the end of the faults", |_| done.load(Ordering::SeqCst));
        let mut seen = first.ids();
        let mut second = Reading::new(source(), first.offsets());
        drop(first);
        hurting.join().expect("hurt");
        let written = writing.join().expect("written");
        let before = seen.len();
        second.until("the rest", |r| before + r.count() >= 2 * written as usize);
        seen.extend(second.ids());
        seen.sort_unstable();
        assert_eq!(seen, (0..written).flat_map(|n| [n, n]).collect::<Vec<_>>());
    });
}

#[test]
fn the_source_reads_on_after_a_restart_of_the_broker() {
    let place = place();
    reads_through("restarted", place.broker.bootstrap(), &place, |place| place.broker.restart());
}

#[test]
fn the_source_reads_on_after_the_broker_was_stopped_for_a_while() {
    let place = place();
    reads_through("paused", place.broker.bootstrap(), &place, |place| {
        for _ in 0..2 {
            place.broker.pause();
            rest(4_000);
            place.broker.resume();
            rest(500);
        }
    });
}

#[test]
fn the_source_reads_on_after_it_was_cut_off() {
    let place = place();
    let address = place.proxy.address();
    reads_through("cut", &address, &place, |place| {
        for door in [Door::Cut, Door::Silent, Door::Deaf, Door::Cut] {
            place.proxy.set(door);
            rest(2_000);
            place.proxy.set(Door::Open);
            place.proxy.reset();
            rest(500);
        }
    });
}

/// Delivers while `faults` happen, and some epochs at least; so many deliveries are in doubt that the faults have struck.
fn delivers_through(topic: &str, address: &str, place: &Place, doubts_min: usize, faults: impl FnOnce(&Place) + Send) {
    const LAST: u64 = 40;
    place.broker.create(topic, 2);
    let options = [IMPATIENT, &[("properties.transaction.timeout.ms", "8000")]].concat();
    std::thread::scope(|scope| {
        let mut to = sink(topic, address, topic, &options);
        let (flows, flowing) = std::sync::mpsc::channel();
        let hurting = scope.spawn(move || {
            // Not before deliveries flow.
            while flowing.recv().expect("it delivers") < 4 {}
            faults(place);
        });
        let more = |next| next <= LAST || !hurting.is_finished();
        let (done, doubts) = deliver_while(to.as_mut(), 1, more, |epoch| {
            // Nobody listens once it hurts.
            let _ = flows.send(epoch);
        });
        hurting.join().expect("hurt");
        assert_once(&place.broker, topic, done);
        println!("{topic}: {done} epochs, {doubts} deliveries in doubt");
        assert!(doubts >= doubts_min, "{doubts}");
    });
}

#[test]
fn the_sink_delivers_once_through_restarts_of_the_broker() {
    let place = place();
    delivers_through("sink-restarted", place.broker.bootstrap(), &place, 0, |place| {
        place.broker.restart();
        rest(700);
        place.broker.restart();
    });
}

#[test]
fn the_sink_delivers_once_though_the_broker_stops_for_longer_than_a_transaction_may_take() {
    let place = place();
    delivers_through("sink-paused", place.broker.bootstrap(), &place, 1, |place| {
        place.broker.pause();
        rest(10_000);
        place.broker.resume();
    });
}

#[test]
fn the_sink_delivers_once_though_answers_are_lost_at_any_moment() {
    let place = place();
    let address = place.proxy.address();
    delivers_through("sink-cut", &address, &place, 1, |place| {
        // Requests may arrive whose answers do not: a commit that nobody hears of. At first for longer than it is waited
        // for, so that it is in doubt; then for as long as the client tries again by itself.
        place.proxy.set(Door::Deaf);
        rest(11_000);
        place.proxy.reset();
        place.proxy.set(Door::Open);
        rest(1_000);
        for (turn, door) in [Door::Deaf, Door::Cut, Door::Deaf, Door::Silent, Door::Deaf, Door::Cut].iter().enumerate()
        {
            place.proxy.set(*door);
            rest(1_000 + 300 * turn as u64);
            place.proxy.reset();
            place.proxy.set(Door::Open);
            rest(2_000 + 137 * turn as u64);
        }
    });
}
