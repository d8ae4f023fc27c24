//! The PostgreSQL sink against a real server: each epoch once, every value as it was, and refusals that say why.
#![cfg(feature = "postgres")]

mod support;

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type, IntervalMonthDayNano, Schema};
use support::drive::{deliver_all, delta, epoch, open};
use support::postgres::Server;
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::{DeltaBatch, Epoch, EpochRows, Incarnation, SinkError};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(true));

fn rows(epoch: u64, changes: &[(i64, &str, i64)]) -> EpochRows {
    EpochRows { epoch: Epoch(epoch), deltas: vec![delta(changes)] }
}

fn fatal<T: std::fmt::Debug>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_become_rows_and_the_target_knows_how_far_it_is() {
    let mut to = SERVER.sink("rows", "rows", &[]);
    assert_eq!(open(to.as_mut(), 1), None);
    to.deliver(&[rows(1, &[(2, "b", 1), (1, "a", 1), (3, "c", 1)])], Epoch(1)).expect("delivered");
    // Several epochs come down to what is there after the last.
    let later = [
        rows(3, &[(1, "a", -1), (1, "A", 1), (3, "c", -1), (7, "x", 1)]),
        EpochRows { epoch: Epoch(4), deltas: Vec::new() },
        rows(5, &[(3, "C", 1), (2, "b", -1), (7, "x", -1)]),
    ];
    to.deliver(&later, Epoch(6)).expect("delivered");
    let table = "SELECT * FROM rows ORDER BY id";
    assert_eq!(SERVER.psql(table), "1|A\n3|C");
    // What is there already is left alone; epochs without rows count too.
    to.deliver(&[rows(5, &[(9, "no", 1)]), rows(7, &[(8, "h", 1)])], Epoch(8)).expect("delivered");
    to.deliver(&[], Epoch(9)).expect("delivered");
    assert_eq!(SERVER.psql(table), "1|A\n3|C\n8|h");
    drop(to);
    let mut again = SERVER.sink("rows", "rows", &[]);
    assert_eq!(open(again.as_mut(), 2), Some(Epoch(9)));
    assert_eq!(
        SERVER.psql("SELECT cluster, incarnation, last_epoch FROM thalweg_progress WHERE sink = 'rows'"),
        "test|2|9"
    );
    // Another sink has its own progress.
    assert_eq!(open(SERVER.sink("rows-2", "rows", &[]).as_mut(), 1), None);
}

#[test]
fn a_stream_without_a_key_is_added_row_by_row() {
    let request = |pairs: &[(&str, &str)], append_only| EpochSinkRequest {
        key: None,
        append_only,
        ..SERVER.request(if append_only { "adds" } else { "forced" }, &SERVER.port, "adds", pairs)
    };
    let mut to = epoch_sink(request(&[], true)).expect("valid");
    open(to.as_mut(), 1);
    to.deliver(&[rows(1, &[(1, "a", 2)]), rows(2, &[(1, "a", 1)])], Epoch(2)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT id, name, count(*) FROM adds GROUP BY 1, 2"), "1|a|3");
    assert!(fatal(to.deliver(&[rows(3, &[(1, "a", -1)])], Epoch(3))).contains("force_append_only"));
    let mut forced = epoch_sink(request(&[("force_append_only", "true")], false)).expect("valid");
    open(forced.as_mut(), 1);
    forced.deliver(&[rows(1, &[(1, "a", -1), (2, "b", 1)])], Epoch(1)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT id, count(*) FROM adds GROUP BY 1 ORDER BY 1"), "1|3\n2|1");
}

#[test]
fn what_was_sent_before_a_failure_is_never_seen() {
    let mut to = SERVER.sink("failures", "failures", &[]);
    open(to.as_mut(), 1);
    to.deliver(&[rows(1, &[(1, "a", 1), (2, "b", 1)])], Epoch(1)).expect("delivered");
    SERVER.psql("ALTER TABLE failures ADD CHECK (name <> 'bad')");
    // The deletion gets there before the row that the table refuses.
    let error = fatal(to.deliver(&[rows(2, &[(1, "a", -1), (3, "bad", 1)])], Epoch(2)));
    assert!(error.contains("check constraint") && error.contains("23514"), "{error}");
    // It must be opened again before it takes anything.
    assert!(matches!(to.deliver(&[rows(2, &[])], Epoch(2)), Err(SinkError::Again(_))));
    assert_eq!(open(to.as_mut(), 1), Some(Epoch(1)));
    assert_eq!(SERVER.psql("SELECT * FROM failures ORDER BY id"), "1|a\n2|b");
    let twice = fatal(to.deliver(&[rows(2, &[(1, "x", 1), (1, "y", 1)])], Epoch(2)));
    assert!(twice.contains("same primary_key"), "{twice}");
    open(to.as_mut(), 1);
    let zero = fatal(to.deliver(&[rows(2, &[(1, "a\0b", 1)])], Epoch(2)));
    assert!(zero.contains("column name") && zero.contains("U+0000"), "{zero}");
    open(to.as_mut(), 1);
    to.deliver(&[rows(2, &[(1, "good", 1)])], Epoch(2)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT * FROM failures ORDER BY id"), "1|good\n2|b");
}

#[test]
fn the_newer_of_two_incarnations_wins_and_the_older_does_it_no_harm() {
    let (mut old, mut new) = (SERVER.sink("zombies", "zombies", &[]), SERVER.sink("zombies", "zombies", &[]));
    deliver_all(old.as_mut(), 1, 2);
    assert_eq!(open(new.as_mut(), 2), Some(Epoch(2)));
    // The old one does not know yet: its transaction finds out.
    assert!(fatal(old.deliver(&[epoch(3)], Epoch(3))).contains("incarnation 2"));
    assert!(fatal(old.open(Incarnation(1))).contains("this is only 1"));
    new.deliver(&[epoch(3)], Epoch(3)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT count(*), min(id), max(id) FROM zombies"), "60|20|79");
}

#[test]
fn a_target_that_has_gone_back_is_noticed() {
    let mut to = SERVER.sink("rewound", "rewound", &[]);
    deliver_all(to.as_mut(), 1, 4);
    SERVER.psql("UPDATE thalweg_progress SET last_epoch = 2 WHERE sink = 'rewound'");
    assert!(fatal(to.deliver(&[epoch(5)], Epoch(5))).contains("SINK_REWOUND"));
    assert!(fatal(to.open(Incarnation(1))).contains("its progress is epoch 2 and was epoch 4"));
    SERVER.psql("DELETE FROM thalweg_progress WHERE sink = 'rewound'");
    assert!(fatal(to.open(Incarnation(1))).contains("SINK_REWOUND"));
    // Nobody remembers, and still: where there is progress there must be a table.
    let mut lost = SERVER.sink("lost", "lost", &[]);
    deliver_all(lost.as_mut(), 1, 2);
    SERVER.psql("DROP TABLE lost");
    let error = fatal(SERVER.sink("lost", "lost", &[]).open(Incarnation(2)));
    assert!(error.contains("SINK_REWOUND") && error.contains("held epoch 2"), "{error}");
}

/// Five rows of every type: four at its edges, and one of NULLs.
fn edges() -> Vec<(&'static str, ArrayRef, [&'static str; 4])> {
    let nines = 10_i128.pow(38) - 1;
    // The first moment that PostgreSQL has, and the last that we have, in microseconds.
    let (first, last) = (-210_866_803_200_000_000, i64::MAX);
    let interval = |months, days, nanos| Some(IntervalMonthDayNano::new(months, days, nanos));
    let moments = || TimestampMicrosecondArray::from(vec![Some(first), Some(-1), Some(0), Some(last), None]);
    let moments_as_text =
        ["4714-11-24 00:00:00 BC", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "294247-01-10 04:00:54.775807"];
    vec![
        (
            "b",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), Some(false), None])),
            ["true", "false", "true", "false"],
        ),
        (
            "i2",
            Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(-1), Some(0), Some(i16::MAX), None])),
            ["-32768", "-1", "0", "32767"],
        ),
        (
            "i4",
            Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(-1), Some(0), Some(i32::MAX), None])),
            ["-2147483648", "-1", "0", "2147483647"],
        ),
        (
            "i8",
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX), None])),
            ["-9223372036854775808", "-1", "0", "9223372036854775807"],
        ),
        (
            "f4",
            Arc::new(Float32Array::from(vec![Some(f32::MIN), Some(f32::NAN), Some(1e-45), Some(f32::INFINITY), None])),
            ["-3.4028235e+38", "NaN", "1e-45", "Infinity"],
        ),
        (
            "f8",
            Arc::new(Float64Array::from(vec![
                Some(f64::MAX),
                Some(f64::NEG_INFINITY),
                Some(5e-324),
                Some(0.1 + 0.2),
                None,
            ])),
            ["1.7976931348623157e+308", "-Infinity", "5e-324", "0.30000000000000004"],
        ),
        (
            "n",
            Arc::new(
                Decimal128Array::from(vec![Some(nines), Some(-nines), Some(1), Some(0), None])
                    .with_precision_and_scale(38, 10)
                    .expect("valid"),
            ),
            [
                "9999999999999999999999999999.9999999999",
                "-9999999999999999999999999999.9999999999",
                "0.0000000001",
                "0.0000000000",
            ],
        ),
        (
            "n0",
            Arc::new(
                Decimal128Array::from(vec![Some(nines), Some(-10_000), Some(100_000_001), Some(-1), None])
                    .with_precision_and_scale(38, 0)
                    .expect("valid"),
            ),
            ["99999999999999999999999999999999999999", "-10000", "100000001", "-1"],
        ),
        (
            "n38",
            Arc::new(
                Decimal128Array::from(vec![Some(nines), Some(-1), Some(10_i128.pow(37)), Some(0), None])
                    .with_precision_and_scale(38, 38)
                    .expect("valid"),
            ),
            [
                "0.99999999999999999999999999999999999999",
                "-0.00000000000000000000000000000000000001",
                "0.10000000000000000000000000000000000000",
                "0.00000000000000000000000000000000000000",
            ],
        ),
        (
            "t",
            Arc::new(StringViewArray::from(vec![
                Some(""),
                Some("a,'\"\\ ünï🦀 wider than a view"),
                Some("NULL"),
                Some("{1}"),
                None,
            ])),
            ["", "a,'\"\\ ünï🦀 wider than a view", "NULL", "{1}"],
        ),
        (
            "by",
            Arc::new(BinaryArray::from_opt_vec(vec![
                Some(&b""[..]),
                Some(&b"\0"[..]),
                Some(&b"\xff\xfe\\"[..]),
                Some(&b"abc"[..]),
                None,
            ])),
            ["\\x", "\\x00", "\\xfffe5c", "\\x616263"],
        ),
        (
            "d",
            Arc::new(Date32Array::from(vec![Some(-2_440_588), Some(-1), Some(10_957), Some(2_145_042_905), None])),
            ["4714-11-24 BC", "1969-12-31", "2000-01-01", "5874897-12-31"],
        ),
        (
            "ti",
            Arc::new(Time64MicrosecondArray::from(vec![
                Some(0),
                Some(1),
                Some(43_200_000_000),
                Some(86_399_999_999),
                None,
            ])),
            ["00:00:00", "00:00:00.000001", "12:00:00", "23:59:59.999999"],
        ),
        ("ts", Arc::new(moments()), moments_as_text),
        (
            "tz",
            Arc::new(moments().with_timezone("+00:00")),
            [
                "4714-11-24 00:00:00+00 BC",
                "1969-12-31 23:59:59.999999+00",
                "1970-01-01 00:00:00+00",
                "294247-01-10 04:00:54.775807+00",
            ],
        ),
        (
            "iv",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                interval(14, -3, 1_000),
                interval(0, 0, 0),
                interval(0, 40, -1_000_000_000),
                interval(-1, 0, 86_400_000_000_000),
                None,
            ])),
            ["1 year 2 mons -3 days +00:00:00.000001", "00:00:00", "40 days -00:00:01", "-1 mons +24:00:00"],
        ),
        (
            "l",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
                Some(vec![Some(1), None, Some(i64::MIN)]),
                Some(vec![]),
                Some(vec![None]),
                Some(vec![Some(0)]),
                None,
            ])),
            ["{1,NULL,-9223372036854775808}", "{}", "{NULL}", "{0}"],
        ),
    ]
}

#[test]
fn every_type_keeps_its_values_at_the_edges() {
    let edges = edges();
    let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
    let named = edges.iter().map(|(name, array, _)| (*name, array.clone()));
    let batch = RecordBatch::try_from_iter_with_nullable(
        std::iter::once(("row", number, false)).chain(named.map(|(name, array)| (name, array, true))),
    )
    .expect("one length");
    for (table, key) in [("edges", Some(vec![0])), ("edges_added", None)] {
        let mut request = SERVER.request(table, &SERVER.port, table, &[]);
        request.schema = batch.schema();
        request.append_only = key.is_none();
        request.key = key;
        let mut to = epoch_sink(request).expect("valid");
        open(to.as_mut(), 1);
        let delta = DeltaBatch::insert(batch.clone());
        to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![delta] }], Epoch(1)).expect("delivered");
        for (name, _, expected) in &edges {
            let lines =
                SERVER.psql(&format!("SELECT coalesce({name}::text, '<null>') || '<' FROM {table} ORDER BY row"));
            let expected: Vec<String> =
                expected.iter().map(|e| (*e).to_owned()).chain(["<null>".to_owned()]).map(|e| e + "<").collect();
            assert_eq!(lines.lines().collect::<Vec<_>>(), expected, "column {name} of {table}");
        }
    }
    // And each of them can be a key, by which its row is found and taken away.
    for (name, array, _) in &edges {
        let table = format!("key_{name}");
        let mut request = SERVER.request(&table, &SERVER.port, &table, &[]);
        request.schema = Arc::new(Schema::new(vec![Field::new(*name, array.data_type().clone(), true)]));
        let values = array.slice(0, if *name == "b" { 2 } else { 4 });
        let batch = RecordBatch::try_new(request.schema.clone(), vec![values]).expect("one column");
        let mut to = epoch_sink(request).expect("valid");
        open(to.as_mut(), 1);
        let change = DeltaBatch::insert(batch.clone());
        to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![change.clone()] }], Epoch(1)).expect("delivered");
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(SERVER.psql(&count), batch.num_rows().to_string(), "{name}");
        to.deliver(&[EpochRows { epoch: Epoch(2), deltas: vec![change.negated()] }], Epoch(2)).expect("delivered");
        assert_eq!(SERVER.psql(&count), "0", "{name}");
    }
}

#[test]
fn large_values_and_many_rows_get_there() {
    let mut to = SERVER.sink("large", "large", &[]);
    open(to.as_mut(), 1);
    let large = "x".repeat(1024 * 1024);
    let some: Vec<(i64, &str, i64)> = (0..10).map(|id| (id, large.as_str(), 1)).collect();
    to.deliver(&[rows(1, &some)], Epoch(1)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT count(*), sum(length(name)) FROM large"), "10|10485760");
    let many: Vec<(i64, &str, i64)> = (0..30_000).map(|id| (id, "y", 1)).collect();
    let gone: Vec<(i64, &str, i64)> = (0..20_000).map(|id| (id, "y", -1)).collect();
    to.deliver(&[rows(2, &many)], Epoch(2)).expect("delivered");
    to.deliver(&[rows(3, &gone)], Epoch(3)).expect("delivered");
    assert_eq!(SERVER.psql("SELECT count(*), min(id), max(length(name)) FROM large"), "10000|20000|1");
}

#[test]
fn a_table_that_is_there_is_taken_if_it_holds_every_value() {
    SERVER.psql(
        "CREATE TYPE mood AS ENUM ('glad'); CREATE DOMAIN doc AS jsonb; CREATE SCHEMA \"Odd \"\"one\"; \
         CREATE TABLE \"Odd \"\"one\".\"T t\" (\"ID\" numeric(30) PRIMARY KEY, extra text DEFAULT 'e', m mood, j doc, u uuid)",
    );
    let text = |v: &str| -> ArrayRef { Arc::new(StringArray::from(vec![v])) };
    let batch = RecordBatch::try_from_iter([
        ("ID", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("m", text("glad")),
        ("j", text("{\"a\": [1]}")),
        ("u", text("6f1e4d3c-0000-4000-8000-00000000000a")),
    ])
    .expect("one row");
    let mut request = SERVER.request("odd", &SERVER.port, "T t", &[("schema", "Odd \"one")]);
    request.schema = batch.schema();
    let mut to = epoch_sink(request).expect("valid");
    open(to.as_mut(), 1);
    let change = DeltaBatch::insert(batch);
    to.deliver(&[EpochRows { epoch: Epoch(1), deltas: vec![change.clone()] }], Epoch(1)).expect("delivered");
    let table = "SELECT * FROM \"Odd \"\"one\".\"T t\"";
    assert_eq!(SERVER.psql(table), "7|e|glad|{\"a\": [1]}|6f1e4d3c-0000-4000-8000-00000000000a");
    to.deliver(&[EpochRows { epoch: Epoch(2), deltas: vec![change.negated()] }], Epoch(2)).expect("delivered");
    assert_eq!(SERVER.psql(table), "");

    for (table, columns, parts) in [
        ("narrow", "id int PRIMARY KEY, name text", ["column id", "integer"]),
        ("lacking", "id bigint PRIMARY KEY", ["no column name", "ADD COLUMN"]),
        ("no_key", "id bigint, name text", ["42P10", "primary_key"]),
        ("other", "id text PRIMARY KEY, name text", ["type text", "bigint"]),
    ] {
        SERVER.psql(&format!("CREATE TABLE {table} ({columns})"));
        let error = fatal(SERVER.sink(table, table, &[]).open(Incarnation(1)));
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn a_server_that_cannot_be_used_says_why() {
    let refused = |pairs: &[(&str, &str)]| fatal(SERVER.sink("no", "no", pairs).open(Incarnation(1)));
    let absent = refused(&[("create_table", "false")]);
    assert!(absent.contains("table public.no does not exist"), "{absent}");
    assert!(refused(&[("password", "wrong")]).contains("28P01"));
    assert!(refused(&[("database", "nowhere")]).contains("Create the database"));
    assert!(refused(&[("schema", "nowhere")]).contains("3F000"));
    SERVER.psql("CREATE ROLE stranger LOGIN PASSWORD 'stranger'; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let error = refused(&[("user", "stranger"), ("password", "stranger")]);
    assert!(error.contains("42501") && error.contains("GRANT"), "{error}");
    // A server that is away is no reason to stop.
    let away = epoch_sink(SERVER.request("no", "1", "no", &[])).expect("valid").open(Incarnation(1));
    assert!(matches!(away, Err(SinkError::Again(_))), "{away:?}");
}

#[test]
fn connections_are_encrypted_as_asked() {
    let trusted = SERVER.certificate();
    let other = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    for (pairs, encrypted) in [
        (&[("sslmode", "disable")][..], "f"),
        (&[][..], "t"),
        (&[("sslmode", "require")], "t"),
        (&[("sslmode", "verify-full"), ("host", "localhost"), ("ssl.ca.pem", &trusted)], "t"),
    ] {
        let mut to = SERVER.sink("tls", "tls", pairs);
        open(to.as_mut(), 1);
        let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE application_name = 'thalweg' AND query LIKE '%public%tls%' ORDER BY backend_start DESC LIMIT 1";
        assert_eq!(SERVER.psql(sql), encrypted, "{pairs:?}");
    }
    // The certificate is not for this name; and these are no authorities.
    let mut wrong_name = SERVER.sink("tls", "tls", &[("sslmode", "verify-full"), ("ssl.ca.pem", &trusted)]);
    assert!(fatal(wrong_name.open(Incarnation(1))).contains("invalid peer certificate"));
    let wrong = SERVER.request("tls", &SERVER.port, "tls", &[("sslmode", "verify-full"), ("ssl.ca.pem", other)]);
    assert!(epoch_sink(wrong).err().expect("refused").to_string().contains("ssl.ca.pem"));
}
