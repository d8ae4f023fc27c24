//! The Redis sink and servers of every kind: how they are reached, which are refused, and what they must keep.
#![cfg(feature = "redis")]

mod support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use support::drive::{delta, epoch, open};
use support::proxy::{Last, Proxy};
use support::redis::{Server, progress_key};
use thalweg_connectors::epoch_sink;
use thalweg_core::{Epoch, EpochRows, EpochSink, Incarnation, SinkError};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(&["--tls"]));

fn fatal<T: std::fmt::Debug>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn again<T: std::fmt::Debug>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Again(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn one(epoch: u64) -> EpochRows {
    EpochRows { epoch: Epoch(epoch), deltas: vec![delta(&[(epoch as i64, "x", 1)])] }
}

fn delivers(to: &mut dyn EpochSink) {
    let next = open(to, 1).map_or(1, |e| e.0 + 1);
    to.deliver(&[one(next)], Epoch(next)).expect("delivered");
}

#[test]
fn a_server_is_reached_by_host_by_socket_and_with_tls() {
    let socket = format!("redis+unix://{}?db=3", SERVER.word("socket"));
    delivers(SERVER.sink("socket", &[("redis.url", &socket)]).as_mut());
    let other = format!("redis://{}/3", SERVER.address());
    delivers(SERVER.sink("socket", &[("redis.url", &other)]).as_mut());
    assert_eq!(SERVER.keys("socket:*"), Vec::<String>::new(), "in database 0");

    let (certificate, key) = (SERVER.file("server.crt"), SERVER.file("server.key"));
    let encrypted = format!("rediss://localhost:{}", SERVER.word("tls_port"));
    let tls = [
        ("redis.url", encrypted.as_str()),
        ("ssl.ca.pem", &certificate),
        ("ssl.certificate.pem", &certificate),
        ("ssl.private.key.pem", &key),
    ];
    delivers(SERVER.sink("tls", &tls).as_mut());
    assert_eq!(SERVER.keys("tls:*"), ["tls:1"]);
    // The server wants to know who comes; and the certificate is not for this name, nor from these authorities.
    let stranger = fatal(SERVER.sink("tls", &tls[..2]).open(Incarnation(1)));
    assert!(stranger.contains("alert"), "{stranger}");
    let by_number = format!("rediss://127.0.0.1:{}", SERVER.word("tls_port"));
    let wrong_name =
        fatal(SERVER.sink("tls", &[&[("redis.url", by_number.as_str())], &tls[1..]].concat()).open(Incarnation(1)));
    assert!(wrong_name.contains("invalid peer certificate"), "{wrong_name}");
    let unknown = fatal(SERVER.sink("tls", &[&tls[..1], &tls[2..]].concat()).open(Incarnation(1)));
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    let plain_port = format!("rediss://localhost:{}", SERVER.word("port"));
    let plain = [("redis.url", plain_port.as_str()), ("timeout.millis", "500")];
    again(SERVER.sink("tls", &[&plain, &tls[1..]].concat()).open(Incarnation(1)));
}

#[test]
fn a_server_that_cannot_be_used_says_why() {
    let refused = |pairs: &[(&str, &str)]| fatal(SERVER.sink("no", pairs).open(Incarnation(1)));
    let wrong = refused(&[("password", "hunter2")]);
    assert!(wrong.contains("WRONGPASS") && !wrong.contains("hunter2"), "{wrong}");
    let far = format!("redis://{}/99", SERVER.address());
    assert!(refused(&[("redis.url", &far)]).contains("database cannot be selected"));
    // A user with the rights that the documentation names, and one without any of them.
    let rights = "+info +config|get +watch +multi +exec +hset +hmget +del +pexpire +set +xadd +xinfo|stream";
    let words = ["ACL", "SETUSER", "sink", "on", ">s", "resetkeys", "~mine:*", "~thalweg:progress:*"];
    SERVER.ask::<()>(&[&words[..], &rights.split(' ').collect::<Vec<_>>()].concat());
    let login = [("username", "sink"), ("password", "s")];
    for (id, more) in [
        ("rights", &[("key_format", "mine:{id}"), ("ttl.seconds", "100")][..]),
        ("rights-s", &[("data_type", "string"), ("key_format", "mine:{id}")]),
        ("rights-x", &[("data_type", "stream"), ("stream", "mine:stream")]),
    ] {
        delivers(SERVER.sink(id, &[&login[..], more].concat()).as_mut());
    }
    let mut elsewhere = SERVER.sink("elsewhere", &login);
    open(elsewhere.as_mut(), 1);
    let error = fatal(elsewhere.deliver(&[one(1)], Epoch(1)));
    assert!(error.contains("NOPERM") && error.contains("ACL SETUSER"), "{error}");
    SERVER.ask::<()>(&["ACL", "SETUSER", "blind", "on", ">b", "~*", "+hset"]);
    assert!(refused(&[("username", "blind"), ("password", "b")]).contains("INFO"));
    // A server that is away is no reason to stop.
    let away = epoch_sink(SERVER.request("no", "127.0.0.1:1", &[])).expect("valid").open(Incarnation(1));
    again(away);
}

#[test]
fn part_of_a_cluster_is_refused_and_a_replica_awaited() {
    let cluster = Server::start(&["--set", "cluster-enabled yes"]);
    assert!(fatal(cluster.sink("c", &[]).open(Incarnation(1))).contains("Redis Cluster"));
    let replica = Server::start(&["--set", "replicaof 127.0.0.1 1"]);
    let mut to = replica.sink("r", &[]);
    assert!(again(to.open(Incarnation(1))).contains("READONLY"));
    // It takes over.
    replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    delivers(to.as_mut());
}

#[test]
fn a_full_server_takes_nothing_and_goes_on_when_there_is_room() {
    let server = Server::start(&[]);
    let mut to = server.sink("full", &[]);
    delivers(to.as_mut());
    let before = server.keys("full:*");
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(again(to.deliver(&[one(2)], Epoch(2))).contains("OOM"));
    assert!(again(to.open(Incarnation(1))).contains("OOM"));
    assert_eq!(server.keys("full:*"), before);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    delivers(to.as_mut());
    assert_eq!(server.keys("full:*"), ["full:1", "full:2"]);
    // An epoch that no transaction can hold is refused before it is sent again and again.
    server.ask::<()>(&["CONFIG", "SET", "client-query-buffer-limit", "2mb"]);
    open(to.as_mut(), 1);
    let large = "x".repeat(1024 * 1024);
    let rows = |epoch, ids: std::ops::Range<i64>| EpochRows {
        epoch: Epoch(epoch),
        deltas: vec![delta(&ids.map(|id| (id, large.as_str(), 1)).collect::<Vec<_>>())],
    };
    let error = fatal(to.deliver(&[rows(3, 10..20)], Epoch(3)));
    assert!(error.contains("client-query-buffer-limit"), "{error}");
    assert_eq!(open(to.as_mut(), 1), Some(Epoch(2)));
    to.deliver(&[rows(3, 10..11)], Epoch(3)).expect("delivered");
}

#[test]
fn many_epochs_go_in_several_transactions_each_with_its_progress() {
    let mut to = SERVER.sink("several", &[("data_type", "stream"), ("stream", "several")]);
    open(to.as_mut(), 1);
    let large = "x".repeat(1024 * 1024);
    let rows = |epoch: i64, wrong: bool| {
        let rows: Vec<(i64, &str, i64)> = (0..20).map(|n| (if wrong { 0 } else { n }, large.as_str(), 1)).collect();
        EpochRows { epoch: Epoch(epoch as u64), deltas: vec![delta(&rows)] }
    };
    // The second transaction fails, and the first stays.
    let epochs: Vec<EpochRows> = (1..=5).map(|epoch| rows(epoch, epoch == 5)).collect();
    assert!(fatal(to.deliver(&epochs, Epoch(9))).contains("same primary_key"));
    let held = open(to.as_mut(), 1).map_or(0, |e| e.0);
    assert!((2..=4).contains(&held), "{held}");
    assert_eq!(SERVER.ask::<u64>(&["XLEN", "several"]), held * 20);
    let epochs: Vec<EpochRows> = (1..=5).map(|epoch| rows(epoch, false)).collect();
    to.deliver(&epochs, Epoch(9)).expect("delivered");
    assert_eq!(SERVER.ask::<u64>(&["XLEN", "several"]), 100);
    assert_eq!(SERVER.progress("several")["last_epoch"], "9");
}

#[test]
fn a_delivery_of_which_a_part_is_refused_too_late_stops_the_sink_for_good() {
    let proxy = Proxy::start();
    proxy.forward_to(&SERVER.address());
    let words = ["ACL", "SETUSER", "late", "on", ">l", "~*", "+@all"];
    SERVER.ask::<()>(&words);
    let pairs = [("username", "late"), ("password", "l")];
    let mut to = epoch_sink(SERVER.request("torn", &proxy.address(), &pairs)).expect("valid");
    open(to.as_mut(), 1);
    // Progress, MULTI, the rows, EXEC: a right is taken away between the last two.
    proxy.cut_at(4, Last::Held);
    let error = std::thread::scope(|scope| {
        let delivering = scope.spawn(|| to.deliver(&[one(1)], Epoch(1)));
        let deadline = Instant::now() + Duration::from_secs(60);
        while proxy.will_cut() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        SERVER.ask::<()>(&["ACL", "SETUSER", "late", "-del"]);
        proxy.set(support::proxy::Door::Open);
        fatal(delivering.join().expect("no panic"))
    });
    assert!(error.contains("in part") && error.contains("NOPERM"), "{error}");
    SERVER.ask::<()>(&["ACL", "SETUSER", "late", "+@all"]);
    // Also for those who come later.
    let mut later = SERVER.sink("torn", &[]);
    assert!(fatal(later.open(Incarnation(2))).contains("in part"));
}

#[test]
fn what_valkey_confirms_is_in_its_append_only_file() {
    let valkey = Server::start(&["--valkey", "--set", "appendfsync everysec"]);
    let mut to = valkey.sink("valkey", &[("data_type", "stream"), ("stream", "valkey")]);
    for n in 1..=2 {
        let next = open(to.as_mut(), n).map_or(1, |e| e.0 + 1);
        to.deliver(&[epoch(next)], Epoch(next)).expect("delivered");
        // All of it is there, though the file is written once a second.
        let calls = valkey.ask::<String>(&["INFO", "commandstats"]);
        assert!(calls.contains("cmdstat_waitaof"), "it was not asked");
        valkey.tell("crash");
        assert_eq!(valkey.progress("valkey")["last_epoch"], n.to_string());
        assert_eq!(valkey.entries("valkey").len() as u64, n * 20);
    }
    // Without a file that holds it a delivery is not confirmed.
    valkey.ask::<()>(&["CONFIG", "SET", "appendonly", "no"]);
    let mut to = valkey.sink("unkept", &[("timeout.millis", "1000")]);
    delivers(to.as_mut());
    valkey.ask::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(valkey.ask::<u64>(&["EXISTS", &progress_key("unkept")]), 1);
}
