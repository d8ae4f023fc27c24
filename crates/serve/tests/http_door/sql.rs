//! Statements and their answers in every form.

use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use serde_json::json;
use thalweg_serve::http::HttpConfig;

use crate::client::{eventually, start};

#[tokio::test]
async fn rows_come_with_their_columns_and_count() {
    let served = start(HttpConfig::default()).await;
    let reply = served.sql("numbers 3").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let expected = json!({
        "columns": [{"name": "n", "type": "bigint"}, {"name": "t", "type": "character varying"}],
        "rows": [[0, "row 0"], [1, "row 1"], [2, "row 2"]],
        "row_count": 3,
        "command": "SELECT 3",
    });
    assert_eq!(reply.json(), expected);
}

#[tokio::test]
async fn several_statements_answer_an_array_and_none_an_empty_one() {
    let served = start(HttpConfig::default()).await;
    let reply = served.sql("create table x; numbers 1;").await;
    let commands: Vec<_> = reply.json().as_array().expect("an array").iter().map(|a| a["command"].clone()).collect();
    assert_eq!(commands, ["CREATE TABLE", "SELECT 1"]);
    assert_eq!(served.sql(" ; ").await.json(), json!([]));
    assert_eq!(served.sql("create table x").await.json()["row_count"], 0);
}

#[tokio::test]
async fn parameters_reach_the_statement_as_text() {
    let served = start(HttpConfig::default()).await;
    let body = json!({"sql": "echo", "parameters": [1, "two", null, true, {"k": 1}]}).to_string();
    let reply = served.post("/v1/sql", &[("content-type", "application/json")], &body).await;
    assert_eq!(reply.json()["rows"], json!([["1"], ["two"], [null], ["true"], ["{\"k\":1}"]]));
    let body = json!({"sql": "echo; echo", "parameters": [1]}).to_string();
    assert_eq!(served.post("/v1/sql", &[], &body).await.status, 400);
    assert_eq!(served.post("/v1/sql", &[], "{\"sqll\": \"echo\"}").await.status, 400);
    assert_eq!(served.post("/v1/sql", &[("content-type", "text/html")], "echo").await.status, 415);
    assert_eq!(served.post("/v1/sql", &[("content-type", "text/plain")], b"\xff").await.status, 400);
}

#[tokio::test]
async fn errors_say_all_and_have_their_status() {
    let served = start(HttpConfig::default()).await;
    let reply = served.sql("missing").await;
    assert_eq!(reply.status, 400);
    let expected = json!({"error": {
        "code": "42P01",
        "message": "relation \"missing\" does not exist",
        "detail": "There are two others.",
        "hint": "Create it.",
        "position": 15,
    }});
    assert_eq!(reply.json(), expected);
    assert_eq!(served.sql("syntax").await.json()["error"]["position"], 3);
    for (sql, status, code) in [
        ("syntax", 400, "42601"),
        ("forbidden", 403, "42501"),
        ("full", 503, "53300"),
        ("copy", 400, "0A000"),
        ("halfway", 400, "22012"),
        ("panic", 500, "XX000"),
    ] {
        let reply = served.sql(sql).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{sql}");
    }
    assert!(!served.sql("panic").await.text().contains("defect"), "a panic's message stays here");
    assert_eq!(served.sql("numbers 1").await.status, 200, "the server goes on");
}

#[tokio::test]
async fn rows_are_streamed_as_lines_csv_or_arrow() {
    let served = start(HttpConfig::default()).await;
    let lines = served.post("/v1/sql", &[("accept", "application/x-ndjson")], "create x; numbers 2").await;
    assert_eq!(lines.text(), "{\"n\":0,\"t\":\"row 0\"}\n{\"n\":1,\"t\":\"row 1\"}\n");
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let csv = served.post("/v1/sql", &[("accept", "text/csv")], "numbers 2").await;
    assert_eq!(csv.text(), "n,t\n0,row 0\n1,row 1\n");
    let media = "application/vnd.apache.arrow.stream";
    let arrow = served.post("/v1/sql", &[("accept", media)], "numbers 2500").await;
    assert!(arrow.whole);
    let batches = StreamReader::try_new(arrow.body.as_slice(), None).expect("a stream");
    let n: Vec<i64> =
        batches.flat_map(|b| b.expect("a batch").column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(n, (0..2500).collect::<Vec<_>>());
    let none = served.post("/v1/sql", &[("accept", media)], "numbers 0").await;
    assert_eq!(StreamReader::try_new(none.body.as_slice(), None).expect("a stream").count(), 0);
    assert_eq!(served.post("/v1/sql", &[("accept", "image/png")], "numbers 2").await.status, 406);
    assert_eq!(served.post("/v1/sql", &[("accept", "text/csv")], "missing").await.status, 400);
}

#[tokio::test]
async fn a_streamed_answer_that_fails_is_not_taken_for_a_whole_one() {
    let served = start(HttpConfig::default()).await;
    let reply = served.post("/v1/sql", &[("accept", "text/csv")], "halfway").await;
    assert_eq!(reply.status, 200);
    assert!(!reply.whole, "{}", reply.text());
}

#[tokio::test]
async fn json_answers_have_a_limit_and_streamed_ones_do_not() {
    let config = HttpConfig { sql_json_max_rows: 1000, ..HttpConfig::default() };
    let served = start(config).await;
    assert_eq!(served.sql("numbers 1000").await.json()["row_count"], 1000);
    let reply = served.sql("numbers 1001").await;
    assert_eq!((reply.status, reply.code()), (400, "54000".to_owned()));
    let lines = served.post("/v1/sql", &[("accept", "application/x-ndjson")], "numbers 5000").await;
    assert_eq!(lines.text().lines().count(), 5000);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled() {
    let config = HttpConfig { request_timeout: Duration::from_millis(50), ..HttpConfig::default() };
    let served = start(config).await;
    let reply = served.sql("forever").await;
    assert_eq!((reply.status, reply.code()), (408, "57014".to_owned()));
    eventually("the statement is cancelled", || served.seen.cancelled.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_statement() {
    let served = start(HttpConfig::default()).await;
    let socket = served.open("POST", "/v1/sql", &[], b"forever").await;
    eventually("the statement runs", || served.seen.connects.load(Ordering::SeqCst) == 1).await;
    assert!(!served.seen.cancelled.load(Ordering::SeqCst));
    drop(socket);
    eventually("the statement is cancelled", || served.seen.cancelled.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn nothing_is_answered_before_the_server_is_ready() {
    let served = start(HttpConfig::default()).await;
    served.seen.unready.store(true, Ordering::SeqCst);
    let reply = served.sql("numbers 1").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert!(reply.text().contains("recovering"));
}
