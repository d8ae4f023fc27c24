//! The Redis sink against a real server: each epoch once, every value as text, and refusals that say why.
#![cfg(feature = "redis")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, IntervalMonthDayNano};
use support::drive::{deliver_all, delta, epoch, open};
use support::redis::{Server, progress_key};
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::{DeltaBatch, Epoch, EpochRows, EpochSink, Incarnation, SinkError};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(&["--tls"]));

fn rows(epoch: u64, changes: &[(i64, &str, i64)]) -> EpochRows {
    EpochRows { epoch: Epoch(epoch), deltas: vec![delta(changes)] }
}

fn fatal<T: std::fmt::Debug>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// What three deliveries do, to any kind of sink.
fn deliver_changes(to: &mut dyn EpochSink) {
    assert_eq!(open(to, 1), None);
    to.deliver(&[rows(1, &[(2, "b", 1), (1, "a", 1), (3, "c", 1)])], Epoch(1)).expect("delivered");
    // Several epochs come down to what is there after the last.
    let later = [
        rows(3, &[(1, "a", -1), (1, "A", 1), (3, "c", -1), (7, "x", 1)]),
        EpochRows { epoch: Epoch(4), deltas: Vec::new() },
        rows(5, &[(3, "C", 1), (2, "b", -1), (7, "x", -1)]),
    ];
    to.deliver(&later, Epoch(6)).expect("delivered");
    // What is there already is left alone; epochs without rows count too.
    to.deliver(&[rows(5, &[(9, "no", 1)]), rows(7, &[(8, "h", 1)])], Epoch(8)).expect("delivered");
    to.deliver(&[], Epoch(9)).expect("delivered");
}

#[test]
fn changes_become_hashes_and_the_target_knows_how_far_it_is() {
    let mut to = SERVER.sink("hashes", &[]);
    deliver_changes(to.as_mut());
    assert_eq!(SERVER.keys("hashes:*"), ["hashes:1", "hashes:3", "hashes:8"]);
    assert_eq!(SERVER.hash("hashes:1"), map(&[("id", "1"), ("name", "A")]));
    assert_eq!(SERVER.hash("hashes:3"), map(&[("id", "3"), ("name", "C")]));
    drop(to);
    let mut again = SERVER.sink("hashes", &[]);
    assert_eq!(open(again.as_mut(), 2), Some(Epoch(9)));
    let progress = [("cluster", "test"), ("sink", "hashes"), ("incarnation", "2"), ("last_epoch", "9")];
    assert_eq!(SERVER.progress("hashes"), map(&progress));
    // Another sink has its own progress.
    assert_eq!(open(SERVER.sink("hashes-2", &[]).as_mut(), 1), None);
}

#[test]
fn changes_become_strings() {
    deliver_changes(SERVER.sink("strings", &[("data_type", "string")]).as_mut());
    assert_eq!(SERVER.keys("strings:*"), ["strings:1", "strings:3", "strings:8"]);
    assert_eq!(SERVER.string("strings:3").as_deref(), Some(r#"{"id":3,"name":"C"}"#));
    let formats =
        [("data_type", "string"), ("value_format", "<{name}> of {{{id}}}"), ("key_format", "names/{id}/name")];
    deliver_changes(SERVER.sink("formats", &formats).as_mut());
    assert_eq!(SERVER.keys("names/*"), ["names/1/name", "names/3/name", "names/8/name"]);
    assert_eq!(SERVER.string("names/8/name").as_deref(), Some("<h> of {8}"));
}

#[test]
fn changes_become_entries_of_a_stream() {
    let mut to = SERVER.sink("entries", &[("data_type", "stream"), ("stream", "entries")]);
    deliver_changes(to.as_mut());
    let entry =
        |id: &str, op: &str, row: &str, name: &str| (id.to_owned(), map(&[("op", op), ("id", row), ("name", name)]));
    let expected = [
        entry("1-1", "insert", "1", "a"),
        entry("1-2", "insert", "2", "b"),
        entry("1-3", "insert", "3", "c"),
        entry("3-1", "update", "1", "A"),
        entry("3-2", "delete", "3", "c"),
        entry("3-3", "insert", "7", "x"),
        entry("5-1", "delete", "2", "b"),
        entry("5-2", "insert", "3", "C"),
        entry("5-3", "delete", "7", "x"),
        entry("7-1", "insert", "8", "h"),
    ];
    assert_eq!(SERVER.entries("entries"), expected);
    assert_eq!(SERVER.progress("entries")["last_entry"], "7-1");
    // Consumers may take entries away, but nobody else may add any.
    SERVER.ask::<u64>(&["XTRIM", "entries", "MAXLEN", "0"]);
    let mut again = SERVER.sink("entries", &[("data_type", "stream"), ("stream", "entries")]);
    assert_eq!(open(again.as_mut(), 2), Some(Epoch(9)));
    SERVER.ask::<String>(&["XADD", "entries", "*", "a", "b"]);
    assert!(fatal(again.deliver(&[rows(10, &[(1, "A", -1)])], Epoch(10))).contains("not added"));
    SERVER.ask::<u64>(&["DEL", "entries"]);
    assert!(fatal(again.open(Incarnation(2))).contains("SINK_REWOUND: "), "the stream is gone");
}

#[test]
fn a_stream_of_additions_has_rows_as_they_are() {
    let pairs = [("data_type", "stream"), ("stream", "adds"), ("stream.maxlen", "1")];
    let request = |id: &str, pairs: &[(&str, &str)], append_only| EpochSinkRequest {
        key: None,
        append_only,
        ..SERVER.request(id, &SERVER.address(), pairs)
    };
    let mut to = epoch_sink(request("adds", &pairs[..2], true)).expect("valid");
    open(to.as_mut(), 1);
    to.deliver(&[rows(1, &[(1, "a", 2)]), rows(2, &[(1, "a", 1)])], Epoch(2)).expect("delivered");
    let row = map(&[("id", "1"), ("name", "a")]);
    let entry = |id: &str| (id.to_owned(), row.clone());
    assert_eq!(SERVER.entries("adds"), [entry("1-1"), entry("1-2"), entry("2-1")]);
    assert!(fatal(to.deliver(&[rows(3, &[(1, "a", -1)])], Epoch(3))).contains("force_append_only"));
    // A template is one field, and only about so many entries are kept: Redis takes them away a hundred at a time.
    let pairs = [&pairs[..1], &[("stream", "few"), ("stream.maxlen", "10")]].concat();
    let pairs = [&pairs[..], &[("value_format", "{id}={name}"), ("force_append_only", "true")]].concat();
    let mut forced = epoch_sink(request("few", &pairs, false)).expect("valid");
    open(forced.as_mut(), 1);
    let many: Vec<(i64, &str, i64)> = (0..1_000).map(|id| (id, "x", if id % 2 == 0 { 1 } else { -1 })).collect();
    forced.deliver(&[rows(1, &many)], Epoch(1)).expect("delivered");
    let kept = SERVER.entries("few");
    assert!((10..=210).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last(), Some(&("1-500".to_owned(), map(&[("value", "998=x")]))));
}

#[test]
fn a_key_lives_as_long_as_it_is_said() {
    let lives = |key: &str| SERVER.ask::<i64>(&["PTTL", key]);
    for (id, kind) in [("ttl-h", "hash"), ("ttl-s", "string")] {
        let mut to = SERVER.sink(id, &[("data_type", kind), ("ttl.seconds", "100")]);
        open(to.as_mut(), 1);
        to.deliver(&[rows(1, &[(1, "a", 1)])], Epoch(1)).expect("delivered");
        assert!((90_000..=100_000).contains(&lives(&format!("{id}:1"))), "{kind}");
        assert_eq!(lives(&progress_key(id)), -1, "progress stays");
    }
}

#[test]
fn whatever_was_under_a_key_is_replaced() {
    SERVER.ask::<()>(&["SET", "over:1", "a string"]);
    SERVER.ask::<()>(&["HSET", "over:2", "other", "x", "name", "y"]);
    SERVER.ask::<()>(&["RPUSH", "over-s:1", "a list"]);
    for (id, kind) in [("over", "hash"), ("over-s", "string")] {
        let mut to = SERVER.sink(id, &[("data_type", kind)]);
        open(to.as_mut(), 1);
        to.deliver(&[rows(1, &[(1, "a", 1), (2, "b", 1)])], Epoch(1)).expect("delivered");
    }
    assert_eq!(SERVER.hash("over:1"), map(&[("id", "1"), ("name", "a")]));
    assert_eq!(SERVER.hash("over:2"), map(&[("id", "2"), ("name", "b")]));
    assert_eq!(SERVER.string("over-s:1").as_deref(), Some(r#"{"id":1,"name":"a"}"#));
    // But a stream must be one.
    SERVER.ask::<()>(&["SET", "no-stream", "x"]);
    let mut to = SERVER.sink("no-stream", &[("data_type", "stream"), ("stream", "no-stream")]);
    assert!(fatal(to.open(Incarnation(1))).contains("WRONGTYPE"));
}

#[test]
fn what_was_sent_before_a_failure_is_never_seen() {
    let mut to = SERVER.sink("failures", &[]);
    open(to.as_mut(), 1);
    to.deliver(&[rows(1, &[(1, "a", 1), (2, "b", 1)])], Epoch(1)).expect("delivered");
    let twice = fatal(to.deliver(&[rows(2, &[(1, "x", 1), (1, "y", 1)])], Epoch(2)));
    assert!(twice.contains("same primary_key"), "{twice}");
    // It must be opened again before it takes anything.
    assert!(matches!(to.deliver(&[rows(2, &[])], Epoch(2)), Err(SinkError::Again(_))));
    assert_eq!(open(to.as_mut(), 1), Some(Epoch(1)));
    to.deliver(&[rows(2, &[(1, "a", -1), (1, "good", 1)])], Epoch(2)).expect("delivered");
    assert_eq!(SERVER.hash("failures:1"), map(&[("id", "1"), ("name", "good")]));
    assert_eq!(SERVER.progress("failures")["last_epoch"], "2");
}

#[test]
fn the_newer_of_two_incarnations_wins_and_the_older_does_it_no_harm() {
    let stream = [("data_type", "stream"), ("stream", "zombies")];
    let (mut old, mut new) = (SERVER.sink("zombies", &stream), SERVER.sink("zombies", &stream));
    deliver_all(old.as_mut(), 1, 2);
    assert_eq!(open(new.as_mut(), 2), Some(Epoch(2)));
    // The old one does not know yet: it finds out when it reads the progress.
    assert!(fatal(old.deliver(&[epoch(3)], Epoch(3))).contains("incarnation 2"));
    assert!(fatal(old.open(Incarnation(1))).contains("this is only 1"));
    new.deliver(&[epoch(3)], Epoch(3)).expect("delivered");
    assert_eq!(SERVER.entries("zombies").len(), 60);
}

#[test]
fn a_target_that_has_gone_back_is_noticed() {
    let mut to = SERVER.sink("rewound", &[]);
    deliver_all(to.as_mut(), 1, 4);
    SERVER.ask::<()>(&["HSET", &progress_key("rewound"), "last_epoch", "2"]);
    assert!(fatal(to.deliver(&[epoch(5)], Epoch(5))).contains("SINK_REWOUND"));
    assert!(fatal(to.open(Incarnation(1))).contains("its progress is epoch 2 and was epoch 4"));
    SERVER.ask::<()>(&["DEL", &progress_key("rewound")]);
    assert!(fatal(to.open(Incarnation(1))).contains("SINK_REWOUND"));
    SERVER.ask::<()>(&["SET", &progress_key("rewound"), "x"]);
    assert!(fatal(to.open(Incarnation(1))).contains("WRONGTYPE"));
    SERVER.ask::<()>(&["DEL", &progress_key("rewound")]);
    SERVER.ask::<()>(&["HSET", &progress_key("rewound"), "incarnation", "x"]);
    assert!(fatal(to.open(Incarnation(1))).contains("incarnation is no number"));
}

/// Four rows of every type: three at its edges, and one of NULLs. As text, and in JSON.
fn edges() -> Vec<(&'static str, ArrayRef, [&'static str; 3], [&'static str; 3])> {
    let nines = 10_i128.pow(38) - 1;
    let interval = |months, days, nanos| Some(IntervalMonthDayNano::new(months, days, nanos));
    let moments = || TimestampMicrosecondArray::from(vec![Some(-1), Some(0), Some(i64::MAX), None]);
    let decimals = Decimal128Array::from(vec![Some(nines), Some(-nines), Some(0), None]);
    let items = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None, Some(i64::MIN)]),
        Some(vec![]),
        Some(vec![None]),
        None,
    ]);
    let member: ArrayRef = Arc::new(StringArray::from(vec![Some("x\"y"), None, Some(""), None]));
    let member = (Arc::new(Field::new("m", DataType::Utf8, true)), member);
    let objects = StructArray::from((vec![member], arrow::buffer::Buffer::from([0b0111])));
    vec![
        (
            "b",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
            ["true", "false", "true"],
            ["true", "false", "true"],
        ),
        (
            "i2",
            Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(0), Some(i16::MAX), None])),
            ["-32768", "0", "32767"],
            ["-32768", "0", "32767"],
        ),
        (
            "i8",
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(0), Some(i64::MAX), None])),
            ["-9223372036854775808", "0", "9223372036854775807"],
            ["-9223372036854775808", "0", "9223372036854775807"],
        ),
        (
            "f4",
            Arc::new(Float32Array::from(vec![Some(f32::MIN), Some(f32::NAN), Some(1e-45), None])),
            ["-3.4028235e+38", "NaN", "1e-45"],
            ["-3.4028235e+38", "\"NaN\"", "1e-45"],
        ),
        (
            "f8",
            Arc::new(Float64Array::from(vec![Some(0.1 + 0.2), Some(f64::NEG_INFINITY), Some(5e-324), None])),
            ["0.30000000000000004", "-Infinity", "5e-324"],
            ["0.30000000000000004", "\"-Infinity\"", "5e-324"],
        ),
        (
            "n",
            Arc::new(decimals.with_precision_and_scale(38, 10).expect("valid")),
            ["9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0.0000000000"],
            ["9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0.0000000000"],
        ),
        (
            "t",
            Arc::new(StringViewArray::from(vec![
                Some(""),
                Some("a\r\n\0'\"\\ ünï🦀 wider than a view"),
                Some("NULL"),
                None,
            ])),
            ["", "a\r\n\0'\"\\ ünï🦀 wider than a view", "NULL"],
            ["\"\"", "\"a\\r\\n\\u0000'\\\"\\\\ ünï🦀 wider than a view\"", "\"NULL\""],
        ),
        (
            "by",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&b""[..]), Some(&b"\0\xff"[..]), Some(&b"abc"[..]), None])),
            ["\\x", "\\x00ff", "\\x616263"],
            ["\"\\\\x\"", "\"\\\\x00ff\"", "\"\\\\x616263\""],
        ),
        (
            "d",
            Arc::new(Date32Array::from(vec![Some(-2_440_588), Some(10_957), Some(2_145_042_905), None])),
            ["4714-11-24 BC", "2000-01-01", "5874897-12-31"],
            ["\"4714-11-24 BC\"", "\"2000-01-01\"", "\"5874897-12-31\""],
        ),
        (
            "ti",
            Arc::new(Time64MicrosecondArray::from(vec![Some(0), Some(1), Some(86_399_999_999), None])),
            ["00:00:00", "00:00:00.000001", "23:59:59.999999"],
            ["\"00:00:00\"", "\"00:00:00.000001\"", "\"23:59:59.999999\""],
        ),
        (
            "ts",
            Arc::new(moments()),
            ["1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "294247-01-10 04:00:54.775807"],
            ["\"1969-12-31T23:59:59.999999\"", "\"1970-01-01T00:00:00\"", "\"294247-01-10T04:00:54.775807\""],
        ),
        (
            "tz",
            Arc::new(moments().with_timezone("+00:00")),
            ["1969-12-31 23:59:59.999999+00", "1970-01-01 00:00:00+00", "294247-01-10 04:00:54.775807+00"],
            [
                "\"1969-12-31T23:59:59.999999+00:00\"",
                "\"1970-01-01T00:00:00+00:00\"",
                "\"294247-01-10T04:00:54.775807+00:00\"",
            ],
        ),
        (
            "iv",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                interval(14, -3, 1_000),
                interval(0, 0, 0),
                interval(0, 40, -1_000_000_000),
                None,
            ])),
            ["1 year 2 mons -3 days +00:00:00.000001", "00:00:00", "40 days -00:00:01"],
            ["\"1 year 2 mons -3 days +00:00:00.000001\"", "\"00:00:00\"", "\"40 days -00:00:01\""],
        ),
        (
            "l",
            Arc::new(items),
            ["[1,null,-9223372036854775808]", "[]", "[null]"],
            ["[1,null,-9223372036854775808]", "[]", "[null]"],
        ),
        (
            "o",
            Arc::new(objects),
            ["{\"m\":\"x\\\"y\"}", "{\"m\":null}", "{\"m\":\"\"}"],
            ["{\"m\":\"x\\\"y\"}", "{\"m\":null}", "{\"m\":\"\"}"],
        ),
    ]
}

#[test]
fn every_type_is_the_text_that_it_should_be() {
    let edges = edges();
    let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..4));
    let named = edges.iter().map(|(name, array, ..)| (*name, array.clone()));
    let batch = RecordBatch::try_from_iter_with_nullable(
        std::iter::once(("row", number, false)).chain(named.map(|(name, array)| (name, array, true))),
    )
    .expect("one length");
    let shapes: [(&str, &[(&str, &str)]); 3] = [
        ("types", &[]),
        ("types-j", &[("data_type", "string")]),
        ("types-s", &[("data_type", "stream"), ("stream", "types-s")]),
    ];
    for (id, pairs) in shapes {
        let mut request = SERVER.request(id, &SERVER.address(), pairs);
        request.schema = batch.schema();
        let mut to = epoch_sink(request).expect("valid");
        open(to.as_mut(), 1);
        let delta = DeltaBatch::insert(batch.clone());
        to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![delta] }], Epoch(1)).expect("delivered");
    }
    let entries = SERVER.entries("types-s");
    for row in 0..4 {
        // A field that is NULL is not there.
        let mut fields = map(&[("row", &row.to_string())]);
        let mut object = format!("{{\"row\":{row}");
        for (name, _, text, json) in &edges {
            object += &format!(",\"{name}\":{}", if row < 3 { json[row] } else { "null" });
            if row < 3 {
                fields.insert((*name).to_owned(), text[row].to_owned());
            }
        }
        assert_eq!(SERVER.hash(&format!("types:{row}")), fields);
        assert_eq!(SERVER.string(&format!("types-j:{row}")), Some(object + "}"));
        fields.insert("op".to_owned(), "insert".to_owned());
        assert_eq!(entries[row].1, fields);
    }
    // And each of them can be a key, by which its row is found and taken away.
    for (name, array, text, _) in &edges {
        let id = format!("key-{name}");
        let mut request = SERVER.request(&id, &SERVER.address(), &[]);
        let values = array.slice(0, if *name == "b" { 2 } else { 3 });
        let batch = RecordBatch::try_from_iter([(*name, values)]).expect("one column");
        request.schema = batch.schema();
        let mut to = epoch_sink(request).expect("valid");
        open(to.as_mut(), 1);
        let change = DeltaBatch::insert(batch.clone());
        to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![change.clone()] }], Epoch(1)).expect("delivered");
        let mut keys: Vec<String> = text[..batch.num_rows()].iter().map(|t| format!("{id}:{t}")).collect();
        keys.sort();
        assert_eq!(SERVER.keys(&format!("{id}:*")), keys);
        to.deliver(&[EpochRows { epoch: Epoch(2), deltas: vec![change.negated()] }], Epoch(2)).expect("delivered");
        assert_eq!(SERVER.keys(&format!("{id}:*")), Vec::<String>::new());
    }
}

#[test]
fn large_values_and_many_rows_get_there_together() {
    let mut to = SERVER.sink("large", &[("data_type", "string"), ("value_format", "{name}")]);
    open(to.as_mut(), 1);
    let large = "x".repeat(1024 * 1024);
    let some: Vec<(i64, &str, i64)> = (0..10).map(|id| (id, large.as_str(), 1)).collect();
    to.deliver(&[rows(1, &some)], Epoch(1)).expect("delivered");
    assert_eq!(SERVER.string("large:9").map(|s| s.len()), Some(large.len()));
    let many: Vec<(i64, &str, i64)> = (10..30_000).map(|id| (id, "y", 1)).collect();
    let gone: Vec<(i64, &str, i64)> = (10..20_000).map(|id| (id, "y", -1)).collect();
    to.deliver(&[rows(2, &many)], Epoch(2)).expect("delivered");
    to.deliver(&[rows(3, &gone)], Epoch(3)).expect("delivered");
    let keys = SERVER.keys("large:*");
    assert_eq!((keys.len(), keys.first().map(String::as_str)), (10_010, Some("large:0")));
}
