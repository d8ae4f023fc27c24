//! The query protocols against a real driver and bare sockets.

mod support;

use futures_util::{TryStreamExt, pin_mut};
use support::raw::{self, Raw};
use support::{open, told};
use tokio_postgres::SimpleQueryMessage as Simple;

/// Rows and tags of a simple query.
fn text_rows(messages: &[Simple]) -> Vec<Vec<Option<String>>> {
    let rows = messages.iter().filter_map(|m| match m {
        Simple::Row(row) => Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn every_type_as_text() {
    let door = open().await;
    let messages = door.client().await.simple_query("types").await.expect("rows");
    let rows = text_rows(&messages);
    let expected = [
        "t",
        "-2",
        "-4",
        "-8",
        "1.5",
        "-Infinity",
        "-12345.678",
        "grün",
        "v",
        "\\x00ff",
        "2024-01-02",
        "03:04:05.12",
        "2024-01-02 03:04:05.123",
        "2024-01-02 03:04:05.123+00",
        "1 mon 2 days 03:04:05",
        "11111111-1111-1111-1111-111111111111",
        "{1,NULL,3}",
        "{\"a b\",NULL,\"NULL\",\"q\\\"\\\\\"}",
        "{\"a\":1}",
        "{\"a\": 1}",
        "4000000000",
        "n",
        "r",
        "1259",
        "11111111-1111-1111-1111-111111111111",
        "1 -2",
        "23 25",
        "integer",
        "",
        "4294967295",
        "18446744073709551615",
    ];
    assert_eq!(rows[0], expected.map(|text| Some(text.to_owned())));
    assert!(rows[1].iter().all(Option::is_none));
}

#[tokio::test]
async fn several_statements_run_until_one_fails() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    raw.send(&raw::query("rows 2; done CREATE TABLE; show x; fail; rows 1")).await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "TDDCCTDCEZ");
    let tags: Vec<_> = replies.iter().filter(|r| r.kind == 'C').map(|r| r.body.clone()).collect();
    assert_eq!(tags, [&b"SELECT 2\0"[..], b"CREATE TABLE\0", b"SHOW\0"]);
    let error = &replies[8];
    let fields: Vec<String> = "SVCMDHP".chars().map(|code| error.field(code)).collect();
    assert_eq!(fields, ["ERROR", "ERROR", "22012", "division by zero", "d", "h", "3"]);
}

#[tokio::test]
async fn empty_texts_and_bad_ones() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    raw.send(&raw::query("")).await;
    assert_eq!(raw.kinds().await, "IZ");
    raw.send(&raw::query(" ; ")).await;
    assert_eq!(raw.kinds().await, "IZ");
    raw.send(&raw::query("rows 1; bad")).await;
    assert_eq!(raw.kinds().await, "EZ");
    raw.send(&raw::message(b'Q', b"rows '\xff'\0")).await;
    assert_eq!(raw.until_ready().await[0].field('C'), "22021");
    raw.send(&raw::message(b'F', b"anything")).await;
    assert_eq!(raw.until_ready().await[0].field('C'), "0A000");
}

#[tokio::test]
async fn settings_notices_and_the_transaction_are_told() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    raw.send(&raw::query("set application_name x; notice careful")).await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "SCNCZ");
    assert_eq!(replies[0].body, b"application_name\0x\0");
    assert_eq!((replies[2].field('S'), replies[2].field('M')), ("NOTICE".into(), "careful".into()));
    let mut status = async |text: &str| {
        raw.send(&raw::query(text)).await;
        raw.until_ready().await.last().map(|r| r.body[0] as char)
    };
    assert_eq!(status("begin").await, Some('T'));
    assert_eq!(status("fail").await, Some('E'));
    assert_eq!(status("rows 1").await, Some('E'));
    assert_eq!(status("rollback").await, Some('I'));
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let door = open().await;
    let client = door.client().await;
    let rows = client.query("rows 100000", &[]).await.expect("rows");
    assert_eq!(rows.len(), 100_000);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (n as i64, format!("row {n}").as_str()));
    }
}

#[tokio::test]
async fn an_error_after_rows_ends_the_statement_and_not_the_session() {
    let door = open().await;
    let client = door.client().await;
    let error = client.query("late 1500", &[]).await.expect_err("it fails late");
    assert_eq!(told(&error), ("22012".into(), "division by zero".into()));
    assert_eq!(client.query("rows 3", &[]).await.expect("rows").len(), 3);
}

#[tokio::test]
async fn what_is_there_is_sent_while_more_is_awaited() {
    let door = open().await;
    let client = door.client().await;
    let rows = client.query_raw("drip", Vec::<i32>::new()).await.expect("a stream");
    pin_mut!(rows);
    let first = tokio::time::timeout(support::SOON, rows.try_next()).await.expect("in time").expect("a row");
    assert!(first.is_some());
}

#[tokio::test]
async fn portals_are_fetched_in_steps() {
    let door = open().await;
    let mut client = door.client().await;
    let transaction = client.transaction().await.expect("begin");
    let portal = transaction.bind("rows 2500", &[]).await.expect("a portal");
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(transaction.query_portal(&portal, 1000).await.expect("rows").len());
    }
    assert_eq!(sizes, [1000, 1000, 500, 0]);
    assert_eq!(transaction.query_portal(&portal, 0).await.expect("none left").len(), 0);
}

#[tokio::test]
async fn a_portal_suspends_and_goes_on_and_ends_with_its_transaction() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    let step = [raw::parse("s", "rows 3"), raw::bind("p", "s"), raw::execute("p", 2), raw::execute("p", 2)].concat();
    raw.send(&[step, raw::execute("p", 2), raw::sync()].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "12DDsDCCZ");
    assert_eq!((&replies[6].body[..], &replies[7].body[..]), (&b"SELECT 1\0"[..], &b"SELECT 0\0"[..]));
    raw.send(&[raw::execute("p", 0), raw::sync()].concat()).await;
    assert_eq!(raw.until_ready().await[0].field('C'), "34000");
    let both = [raw::query("begin"), raw::bind("p", "s"), raw::execute("p", 1), raw::sync()].concat();
    raw.send(&[both, raw::execute("p", 0), raw::sync()].concat()).await;
    assert_eq!(raw.kinds().await, "CZ");
    assert_eq!(raw.kinds().await, "2DsZ");
    assert_eq!(raw.kinds().await, "DDCZ");
}

#[tokio::test]
async fn errors_of_the_extended_protocol() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    let mut state = async |messages: &[Vec<u8>]| {
        raw.send(&[messages.concat(), raw::sync()].concat()).await;
        let replies = raw.until_ready().await;
        let kinds: String = replies.iter().map(|r| r.kind).collect();
        let error = replies.iter().find(|r| r.kind == 'E').map(|r| r.field('C')).unwrap_or_default();
        (kinds, error)
    };
    let both = |kinds: &str, error: &str| (kinds.to_owned(), error.to_owned());
    assert_eq!(state(&[raw::parse("", "rows 1; rows 2"), raw::bind("", "")]).await, both("EZ", "42601"));
    assert_eq!(state(&[raw::parse("a", "rows 1"), raw::parse("a", "rows 1")]).await, both("1EZ", "42P05"));
    assert_eq!(state(&[raw::bind("", "no")]).await, both("EZ", "26000"));
    assert_eq!(state(&[raw::execute("no", 0)]).await, both("EZ", "34000"));
    assert_eq!(state(&[raw::message(b'D', b"Sno\0")]).await, both("EZ", "26000"));
    assert_eq!(state(&[raw::message(b'D', b"Pno\0")]).await, both("EZ", "34000"));
    assert_eq!(state(&[raw::parse("", "undescribable")]).await, both("EZ", "42P01"));
    assert_eq!(state(&[raw::parse("", "echo int4"), raw::bind("", "")]).await, both("1EZ", "08P01"));
    assert_eq!(state(&[raw::message(b'B', b"\0\0")]).await, both("EZ", "08P01"));
    assert_eq!(
        state(&[raw::parse("", "changed"), raw::bind("", ""), raw::execute("", 0)]).await,
        both("12EZ", "0A000")
    );
    let again = [raw::parse("", "done X"), raw::bind("", ""), raw::execute("", 0), raw::execute("", 0)];
    assert_eq!(state(&again).await, both("12CEZ", "55000"));
    assert_eq!(state(&[raw::bind("p", "a"), raw::bind("p", "a")]).await, both("2EZ", "42P03"));
    // Closing a statement closes its portals; closing what is not there is no error.
    let closing =
        [raw::bind("q", "a"), raw::message(b'C', b"Sa\0"), raw::message(b'C', b"Pno\0"), raw::execute("q", 0)];
    assert_eq!(state(&closing).await, both("233EZ", "34000"));
    assert_eq!(state(&[raw::parse("", ""), raw::bind("", ""), raw::execute("", 0)]).await, both("12IZ", ""));
    let skipped = [raw::parse("", "bad"), raw::query("rows 1"), raw::parse("", "rows 1")];
    assert_eq!(state(&skipped).await, both("EZ", "42601"));
}

#[tokio::test]
async fn statements_and_portals_are_described() {
    let door = open().await;
    let client = door.client().await;
    let statement = client.prepare("echo numeric").await.expect("prepared");
    assert_eq!(statement.params().iter().map(|t| t.name()).collect::<Vec<_>>(), ["numeric"]);
    assert_eq!(statement.columns()[0].type_().name(), "numeric");
    assert!(client.prepare("done SET").await.expect("prepared").columns().is_empty());
    let mut raw = Raw::dev(door.address).await;
    let formats = raw::message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01");
    raw.send(
        &[raw::parse("", "rows 1"), formats, raw::message(b'D', b"P\0"), raw::execute("", 0), raw::sync()].concat(),
    )
    .await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "12TDCZ");
    let expected = b"\0\x02n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\x01t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01";
    assert_eq!(replies[2].body, expected);
    assert_eq!(replies[3].body, b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\x05row 0");
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let door = open().await;
    let client = door.client().await;
    let statement = client.prepare("echo int8").await.expect("prepared");
    let numbers: Vec<i64> = (0..500).collect();
    let answers = futures_util::future::try_join_all(numbers.iter().map(|n| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[n]).await.map(|row| row.get::<_, i64>(0)) }
    }));
    assert_eq!(answers.await.expect("all answered"), numbers);
}

#[tokio::test]
async fn start_up_settings_reach_the_backend() {
    let door = open().await;
    let settings = "user=dev dbname=d application_name=app options='-c search_path=a\\\\ b --geqo=off'";
    let client = door.client_as(settings).await.expect("in");
    let rows = text_rows(&client.simple_query("login").await.expect("a row"));
    let told = rows[0][0].clone().expect("not null");
    assert!(told.starts_with("dev@d [(\"search_path\", \"a b\"), (\"geqo\", \"off\"), "), "{told}");
    assert!(told.contains("(\"application_name\", \"app\")"), "{told}");
    let refused = door.client_as("user=dev dbname=nowhere").await.expect_err("no such database");
    assert_eq!(told_state(&refused), "3D000");
}

fn told_state(error: &tokio_postgres::Error) -> String {
    told(error).0
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_next_statement() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    raw.send(&[raw::query("rows 1"), raw::query("wait")].concat()).await;
    assert_eq!(raw.kinds().await, "TDCZ");
}
