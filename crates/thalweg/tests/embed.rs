//! The engine inside a program: what the embedding API promises, and the example, which is run here so that it stays true.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thalweg::arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use thalweg::arrow::datatypes::Int64Type;
use thalweg::arrow::util::pretty::pretty_format_batches;
use thalweg::{Config, SqlState, Thalweg, Update};

#[allow(dead_code)]
#[path = "../examples/embed.rs"]
mod example;

/// Long enough for anything that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

async fn memory() -> Thalweg {
    let mut config = Config::default();
    config.run.workers = 2;
    Thalweg::open(config).await.expect("it opens")
}

async fn directory(path: &Path) -> Thalweg {
    Thalweg::open_directory(path).await.expect("it opens")
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// The rows as lines of cells.
async fn lines(db: &Thalweg, sql: &str) -> Vec<String> {
    let rows = db.query(sql).await.expect("the query is right");
    let table = pretty_format_batches(&rows).expect("rows can be shown").to_string();
    let cells = |line: &str| line.trim_matches(['|', ' ']).split('|').map(str::trim).collect::<Vec<_>>().join(" ");
    table.lines().filter(|l| l.starts_with('|')).skip(1).map(cells).collect()
}

#[tokio::test]
async fn the_example_says_what_it_should() {
    let mut out = Vec::new();
    example::run(&mut out).await.expect("it runs");
    let said = String::from_utf8(out).expect("UTF-8");
    for part in ["ann      | 25     | 600", "bob      | 25     | 625", "2 customers have spent more than 100"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(said.contains(r#"followed: {"ann": 600, "bob": 625}"#), "{said}");
    assert!(said.contains("missed since then: 1 change(s)"), "{said}");
}

#[tokio::test]
async fn statements_have_their_tags_and_queries_their_rows() {
    let db = memory().await;
    let tags = db
        .execute("CREATE TABLE t (k INT PRIMARY KEY, v VARCHAR); INSERT INTO t VALUES (1, 'a'), (2, NULL); FLUSH; SELECT * FROM t")
        .await
        .expect("they run");
    assert_eq!(tags, ["CREATE TABLE", "INSERT 0 2", "FLUSH", "SELECT 2"]);
    assert_eq!(lines(&db, "SELECT k, v FROM t ORDER BY k").await, ["1 a", "2"]);
    assert!(db.query("DELETE FROM t WHERE k = 2").await.expect("it runs").is_empty());
    db.flush().await.expect("it is open");

    let mut rows = db.stream("SELECT n FROM generate_series(1, 30000) AS g (n)", &[]).await.expect("it runs");
    assert_eq!(rows.schema().field(0).name(), "n");
    let (mut count, mut batches) = (0, 0);
    while let Some(batch) = rows.next().await {
        count += batch.expect("no row fails").num_rows();
        batches += 1;
    }
    assert_eq!(count, 30_000);
    assert!(batches > 1, "they came in pieces");
    db.close().await;
}

#[tokio::test]
async fn parameters_keep_their_types_and_text_takes_the_statements() {
    let db = memory().await;
    db.execute("CREATE TABLE t (k INT PRIMARY KEY, v VARCHAR, at TIMESTAMP, ok BOOLEAN)").await.expect("it runs");
    let insert = "INSERT INTO t VALUES ($1, $2, $3, $4)";
    let tag = db.execute_with(insert, &[&1_i32, &"a'b", &"2024-05-06 07:08:09", &true]).await.expect("it runs");
    assert_eq!(tag, "INSERT 0 1");
    db.execute_with(insert, &[&"2", &None::<String>, &None::<String>, &None::<bool>]).await.expect("it runs");
    db.flush().await.expect("it is open");
    let found = db.query_with("SELECT v FROM t WHERE k = $1 AND ok", &[&1_i64]).await.expect("it runs");
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    let of_array: ArrayRef = Arc::new(Int32Array::from(vec![2]));
    let found = db.query_with("SELECT v FROM t WHERE k = $1", &[&of_array]).await.expect("it runs");
    assert!(found[0].column(0).is_null(0));
    let two: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let error = db.query_with("SELECT v FROM t WHERE k = $1", &[&two]).await.expect_err("an array of two");
    assert!(error.message.contains("$1") && error.message.contains('2'), "{error}");
    let error = db.query_with("SELECT v FROM t WHERE k = $1", &[&"x"]).await.expect_err("not a number");
    assert_eq!(error.state, SqlState::INVALID_TEXT_REPRESENTATION, "{error}");
}

#[tokio::test]
async fn errors_have_a_sqlstate_and_a_way_out() {
    let db = memory().await;
    let failing = [
        ("SELEC 1", SqlState::SYNTAX_ERROR),
        ("SELECT * FROM missing", SqlState::UNDEFINED_TABLE),
        ("SELECT nope FROM t", SqlState::UNDEFINED_COLUMN),
        ("CREATE TABLE t (k INT)", SqlState::DUPLICATE_TABLE),
        ("SELECT 1 / (k - k) FROM t", SqlState::DIVISION_BY_ZERO),
        ("INSERT INTO t VALUES (NULL)", SqlState::NOT_NULL_VIOLATION),
        ("COPY t FROM STDIN", SqlState::FEATURE_NOT_SUPPORTED),
        ("COPY t TO STDOUT", SqlState::FEATURE_NOT_SUPPORTED),
        ("SUBSCRIBE TO t", SqlState::FEATURE_NOT_SUPPORTED),
    ];
    db.execute("CREATE TABLE t (k INT PRIMARY KEY); INSERT INTO t VALUES (1); FLUSH").await.expect("it runs");
    for (sql, state) in failing {
        let error = db.execute(sql).await.expect_err(sql);
        assert_eq!(error.state, state, "{sql}: {error}");
    }
    for sql in ["SELECT 1; SELECT 2", ""] {
        let error = db.query(sql).await.expect_err("not one statement");
        assert_eq!(error.state, SqlState::SYNTAX_ERROR, "{error}");
    }
    // One failing statement stops nothing else.
    assert_eq!(lines(&db, "SELECT k FROM t").await, ["1"]);
}

#[tokio::test]
async fn statements_together_take_effect_together_or_not_at_all() {
    let db = memory().await;
    db.execute("CREATE TABLE t (k INT PRIMARY KEY)").await.expect("it runs");
    let error = db.execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (NULL)").await.expect_err("a null key");
    assert_eq!(error.state, SqlState::NOT_NULL_VIOLATION);
    db.flush().await.expect("it is open");
    assert_eq!(lines(&db, "SELECT k FROM t").await, [""; 0]);

    let mut connection = db.connect().expect("there is room");
    connection.execute("BEGIN").await.expect("it runs");
    connection.execute("INSERT INTO t VALUES (2)").await.expect("it runs");
    connection.ingest("t", batch(vec![("k", numbers([3, 4]))])).await.expect("they fit");
    db.flush().await.expect("it is open");
    assert_eq!(lines(&db, "SELECT k FROM t").await, [""; 0], "held back");
    connection.execute("COMMIT; FLUSH").await.expect("it runs");
    assert_eq!(lines(&db, "SELECT k FROM t ORDER BY k").await, ["2", "3", "4"]);

    connection.execute("BEGIN; INSERT INTO t VALUES (5)").await.expect("it runs");
    connection.query("SELECT nope FROM t").await.expect_err("no such column");
    let error = connection.execute("SELECT 1").await.expect_err("the transaction has failed");
    assert_eq!(error.state, SqlState::FAILED_TRANSACTION);
    connection.execute("ROLLBACK; FLUSH").await.expect("it runs");
    assert_eq!(lines(&db, "SELECT count(*) FROM t").await, ["3"]);
}

#[tokio::test]
async fn a_call_that_is_broken_off_leaves_a_connection_as_it_was() {
    let db = memory().await;
    db.execute("CREATE TABLE t (k INT PRIMARY KEY)").await.expect("it runs");
    let mut connection = db.connect().expect("there is room");
    let slow = connection.execute("INSERT INTO t VALUES (1); SELECT pg_sleep(3600)");
    tokio::time::timeout(Duration::from_millis(50), slow).await.expect_err("it sleeps");
    connection.execute("INSERT INTO t VALUES (2)").await.expect("it runs");
    connection.flush().await.expect("it is open");
    assert_eq!(lines(&db, "SELECT k FROM t").await, ["2"]);
}

#[tokio::test]
async fn rows_are_matched_by_name_and_cast_and_get_defaults() {
    let db = memory().await;
    db.execute(
        "CREATE TABLE t (k BIGINT PRIMARY KEY, v VARCHAR DEFAULT 'none', n SMALLINT);
         CREATE SOURCE clicks (page VARCHAR, ms BIGINT);
         CREATE MATERIALIZED VIEW slow AS SELECT page, count(*) AS n FROM clicks WHERE ms > 500 GROUP BY page;
         CREATE SCHEMA sales; CREATE TABLE sales.orders (id INT PRIMARY KEY);",
    )
    .await
    .expect("they run");
    let k: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let n: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), None]));
    assert_eq!(db.ingest("t", batch(vec![("n", n), ("k", k)])).await.expect("they fit"), 2);
    let pages: ArrayRef = Arc::new(StringArray::from(vec!["/a", "/b", "/a"]));
    let clicks = batch(vec![("page", pages), ("ms", numbers([900, 1, 901]))]);
    assert_eq!(db.ingest("clicks", clicks).await.expect("they fit"), 3);
    assert_eq!(db.ingest("sales.orders", batch(vec![("id", numbers([9]))])).await.expect("they fit"), 1);
    db.flush().await.expect("it is open");
    assert_eq!(lines(&db, "SELECT k, v, n FROM t ORDER BY k").await, ["1 none 7", "2 none"]);
    assert_eq!(lines(&db, "SELECT page, n FROM slow").await, ["/a 2"]);
    assert_eq!(lines(&db, "SELECT id FROM sales.orders").await, ["9"]);

    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let list: ArrayRef =
        Arc::new(thalweg::arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]));
    let cases = [
        ("missing", vec![("k", numbers([1]))], SqlState::UNDEFINED_TABLE),
        ("t", vec![("k", numbers([1])), ("nope", numbers([1]))], SqlState::UNDEFINED_COLUMN),
        ("t", vec![("k", text)], SqlState::DATA_EXCEPTION),
        ("t", vec![("k", numbers([3])), ("n", numbers([70_000]))], SqlState::DATA_EXCEPTION),
        ("t", vec![("k", null)], SqlState::NOT_NULL_VIOLATION),
        ("t", vec![("k", list)], SqlState::DATATYPE_MISMATCH),
        ("slow", vec![("page", numbers([1]))], SqlState::WRONG_OBJECT_TYPE),
    ];
    for (relation, columns, state) in cases {
        let error = db.ingest(relation, batch(columns)).await.expect_err(relation);
        assert_eq!(error.state, state, "{relation}: {error}");
    }
    db.flush().await.expect("it is open");
    assert_eq!(lines(&db, "SELECT count(*) FROM t").await, ["2"], "nothing of what was refused");
}

#[tokio::test]
async fn roles_have_their_rights_and_no_others() {
    let db = memory().await;
    db.execute("CREATE TABLE t (k INT PRIMARY KEY); CREATE USER ann; GRANT SELECT ON t TO ann")
        .await
        .expect("they run");
    let mut ann = db.connect_as("ann").expect("she may");
    ann.query("SELECT * FROM t").await.expect("granted");
    for error in [
        ann.execute("INSERT INTO t VALUES (1)").await.expect_err("not granted"),
        ann.ingest("t", batch(vec![("k", numbers([1]))])).await.expect_err("not granted"),
        ann.execute("CREATE USER eve").await.expect_err("not granted"),
    ] {
        assert_eq!(error.state, SqlState::INSUFFICIENT_PRIVILEGE, "{error}");
    }
    // Her own password is hers to change, and the catalog's log takes that back in.
    let mut ann = db.connect_as("ann").expect("she may");
    ann.execute("ALTER USER ann PASSWORD 'x'; ALTER USER ann NOCREATEDB").await.expect("nothing but a password");
    for sql in ["ALTER USER ann CREATEDB", "ALTER USER ann SUPERUSER", "ALTER USER root PASSWORD 'x'"] {
        let error = ann.execute(sql).await.expect_err(sql);
        assert_eq!(error.state, SqlState::INSUFFICIENT_PRIVILEGE, "{error}");
    }
    assert_eq!(db.connect_as("eve").expect_err("unknown").state, SqlState::INVALID_AUTHORIZATION);
}

/// What an update leaves of a z-set of `(name, total)` rows.
fn apply(held: &mut BTreeMap<(String, i64), i64>, update: &Update) {
    if update.snapshot {
        held.clear();
    }
    for delta in &update.deltas {
        let (names, totals) = (delta.column(0).as_string_view(), delta.column(1).as_primitive::<Int64Type>());
        for row in 0..delta.num_rows() {
            let at = held.entry((names.value(row).to_owned(), totals.value(row))).or_default();
            *at += delta.weight(row);
        }
    }
    held.retain(|_, weight| *weight != 0);
}

/// The same of the view itself.
async fn stands(db: &Thalweg) -> BTreeMap<(String, i64), i64> {
    let rows = db.query("SELECT name, total FROM totals").await.expect("it is there");
    let row = |batch: &RecordBatch, i| {
        let (names, totals) = (batch.column(0).as_string_view(), batch.column(1).as_primitive::<Int64Type>());
        ((names.value(i).to_owned(), totals.value(i)), 1)
    };
    rows.iter().flat_map(|b| (0..b.num_rows()).map(move |i| row(b, i))).collect()
}

async fn with_totals(db: &Thalweg) {
    db.execute(
        "CREATE TABLE t (k BIGINT PRIMARY KEY, name VARCHAR, n BIGINT);
         CREATE MATERIALIZED VIEW totals AS SELECT name, sum(n) AS total FROM t GROUP BY name;",
    )
    .await
    .expect("they run");
}

fn people(keys: std::ops::Range<i64>) -> RecordBatch {
    let names = keys.clone().map(|k| ["ann", "bob", "eve"][k as usize % 3]);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
    batch(vec![("k", numbers(keys.clone())), ("name", names), ("n", numbers(keys))])
}

/// Takes updates until they add up to `wanted`; each held state on the way is one that the view had.
async fn follow(
    changes: &mut thalweg::Changes,
    held: &mut BTreeMap<(String, i64), i64>,
    wanted: &BTreeMap<(String, i64), i64>,
) -> u64 {
    let mut last = 0;
    let all = async {
        while held != wanted {
            let update = changes.next().await.expect("it does not end").expect("it does not fail");
            assert!(update.epoch > last, "epochs grow");
            last = update.epoch;
            apply(held, &update);
            assert!(held.values().all(|weight| *weight == 1), "whole epochs only: {held:?}");
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("the updates come");
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_has_a_snapshot_then_changes_that_add_up_and_resumes() {
    let db = memory().await;
    with_totals(&db).await;
    db.ingest("t", people(0..30)).await.expect("they fit");
    db.flush().await.expect("it is open");

    let mut changes = db.subscribe("totals").await.expect("it can be followed");
    assert_eq!(changes.schema().fields().len(), 2);
    let first = changes.next().await.expect("a snapshot").expect("it does not fail");
    assert!(first.snapshot);
    let mut held = BTreeMap::new();
    apply(&mut held, &first);
    assert_eq!(held, stands(&db).await);

    let writer = tokio::spawn({
        let db = db.clone();
        async move {
            for round in 1..20 {
                db.ingest("t", people(round * 30..(round + 1) * 30)).await.expect("they fit");
                db.execute(&format!("DELETE FROM t WHERE k = {}", round * 30)).await.expect("it runs");
            }
            db.flush().await.expect("it is open");
        }
    });
    writer.await.expect("it does not panic");
    let wanted = stands(&db).await;
    let epoch = follow(&mut changes, &mut held, &wanted).await;
    drop(changes);

    db.execute("DELETE FROM t WHERE name = 'bob'; INSERT INTO t VALUES (-1, 'zoe', 5); FLUSH").await.expect("they run");
    let mut changes = db.subscribe_after("totals", epoch).await.expect("it can be followed");
    let wanted = stands(&db).await;
    assert!(wanted.contains_key(&("zoe".to_owned(), 5)));
    follow(&mut changes, &mut held, &wanted).await;

    // Of no epoch of ours.
    let mut lost = db.subscribe_after("totals", u64::MAX).await.expect("it can be asked for");
    let error = lost.next().await.expect("an answer").expect_err("nothing goes on from there");
    assert_eq!(error.state, SqlState::CONFIGURATION_LIMIT, "{error}");
    assert!(lost.next().await.is_none(), "after an error it has ended");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_write_and_read_at_the_same_time() {
    const TASKS: i64 = 4;
    const BATCHES: i64 = 20;
    let db = memory().await;
    db.execute(
        "CREATE TABLE t (k BIGINT PRIMARY KEY, task BIGINT);
         CREATE MATERIALIZED VIEW per_task AS SELECT task, count(*) AS n FROM t GROUP BY task;",
    )
    .await
    .expect("they run");
    let tasks = (0..TASKS).map(|task| {
        let db = db.clone();
        tokio::spawn(async move {
            for i in 0..BATCHES {
                let keys = (0..100).map(|k| (i * TASKS + task) * 100 + k);
                let rows = batch(vec![("k", numbers(keys)), ("task", numbers([task; 100]))]);
                db.ingest("t", rows).await.expect("they fit");
                // A reader sees whole batches only.
                let rows = db.query_with("SELECT n FROM per_task WHERE task = $1", &[&task]).await.expect("it runs");
                for batch in rows.iter().filter(|b| b.num_rows() > 0) {
                    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0) % 100, 0);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no task fails");
    }
    db.flush().await.expect("it is open");
    let expected: Vec<String> = (0..TASKS).map(|task| format!("{task} {}", BATCHES * 100)).collect();
    assert_eq!(lines(&db, "SELECT task, n FROM per_task ORDER BY task").await, expected);
    db.close().await;
}

#[test]
fn a_thread_without_async_uses_a_runtime_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let db = runtime.block_on(memory());
    let other = db.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(other.execute("CREATE TABLE t (k INT PRIMARY KEY); INSERT INTO t VALUES (1); FLUSH"))
    });
    thread.join().expect("no panic").expect("they run");
    assert_eq!(runtime.block_on(lines(&db, "SELECT k FROM t")), ["1"]);
    // Dropped where nothing async runs.
    drop(runtime);
    drop(db);
}

#[tokio::test]
async fn a_directory_keeps_what_it_has_and_closing_frees_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = directory(folder.path()).await;
    with_totals(&db).await;
    db.ingest("t", people(0..10)).await.expect("they fit");
    let taken = Thalweg::open_directory(folder.path()).await.expect_err("one at a time");
    assert!(taken.message.contains("another process"), "{taken}");
    let mut connection = db.connect().expect("there is room");
    let mut changes = db.subscribe("totals").await.expect("it can be followed");
    changes.next().await.expect("a snapshot").expect("it does not fail");
    let waiting = tokio::spawn(async move {
        loop {
            if let Err(error) = changes.next().await.expect("it ends with an error") {
                return (error, changes.next().await.is_none());
            }
        }
    });
    db.close().await;
    // A subscriber that waits is told, and everything else is refused.
    let (error, ended) = tokio::time::timeout(PATIENCE, waiting).await.expect("it is woken").expect("no panic");
    assert_eq!((error.state, ended), (SqlState::ADMIN_SHUTDOWN, true));
    for error in [
        db.query("SELECT 1").await.expect_err("closed"),
        connection.query("SELECT 1").await.expect_err("closed"),
        connection.execute("CREATE TABLE late (k INT)").await.expect_err("closed"),
        connection.ingest("t", people(10..11)).await.expect_err("closed"),
    ] {
        assert_eq!(error.state, SqlState::ADMIN_SHUTDOWN, "{error}");
    }
    db.close().await;

    // The handles of the closed engine are still there.
    let again = directory(folder.path()).await;
    let held = stands(&again).await;
    assert_eq!(held, stands_of(0..10));
    again.ingest("t", people(10..20)).await.expect("they fit");
    // Dropped without being closed: what was taken is in the log.
    drop(again);
    drop(connection);
    let last = directory(folder.path()).await;
    assert_eq!(stands(&last).await, stands_of(0..20));
    last.close().await;
}

/// What `totals` is for those keys.
fn stands_of(keys: std::ops::Range<i64>) -> BTreeMap<(String, i64), i64> {
    let mut sums = BTreeMap::<&str, i64>::new();
    keys.for_each(|k| *sums.entry(["ann", "bob", "eve"][k as usize % 3]).or_default() += k);
    sums.into_iter().map(|(name, sum)| ((name.to_owned(), sum), 1)).collect()
}

#[tokio::test]
async fn a_producer_waits_for_the_views_instead_of_filling_the_memory() {
    let db = memory().await;
    db.execute("CREATE SOURCE s (v VARCHAR); CREATE MATERIALIZED VIEW c AS SELECT count(*) AS n, sum(length(v)) AS bytes FROM s")
        .await
        .expect("they run");
    // Three times what waits in a queue at most.
    let big = "x".repeat(1 << 20);
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(big.as_str(), 8)));
    for _ in 0..24 {
        db.ingest("s", batch(vec![("v", Arc::clone(&values))])).await.expect("they fit");
    }
    db.flush().await.expect("it is open");
    let row = format!("{} {}", 24 * 8, (24 * 8) << 20);
    assert_eq!(lines(&db, "SELECT n, bytes FROM c").await, [row]);
    db.close().await;
}
