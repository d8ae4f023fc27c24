//! COPY both ways, in every layout, with a real driver and bare sockets.

mod support;

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use support::canned::copy_schema;
use support::raw::{self, Raw};
use support::{Open, open, told};
use tokio_postgres::Client;

type Row = (Option<i32>, Option<String>, Option<i64>);

fn copied(door: &Open) -> Vec<Row> {
    let batches = door.backend.copied.lock().expect("not poisoned");
    let rows = concat_batches(&copy_schema(), batches.iter()).expect("of the schema");
    let (a, b) = (rows.column(0).as_primitive::<Int32Type>(), rows.column(1).as_string_view());
    let c = rows.column(2).as_primitive::<TimestampMicrosecondType>();
    let row = |n: usize| {
        (
            a.is_valid(n).then(|| a.value(n)),
            b.is_valid(n).then(|| b.value(n).to_owned()),
            c.is_valid(n).then(|| c.value(n)),
        )
    };
    (0..rows.num_rows()).map(row).collect()
}

async fn out(client: &Client, layout: &str) -> Vec<u8> {
    let chunks = client.copy_out(&format!("copy out {layout}")).await.expect("it begins");
    chunks.try_fold(Vec::new(), async |all, chunk| Ok([all, chunk.to_vec()].concat())).await.expect("it ends")
}

async fn into(client: &Client, layout: &str, data: &[u8], piece: usize) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(&format!("copy in {layout}")).await?;
    pin_mut!(sink);
    for chunk in data.chunks(piece) {
        sink.send(Bytes::copy_from_slice(chunk)).await?;
    }
    sink.finish().await
}

#[tokio::test]
async fn rows_leave_as_text_and_csv() {
    let door = open().await;
    let client = door.client().await;
    let text = String::from_utf8(out(&client, "text").await).expect("UTF-8");
    assert_eq!(text, "1\ttab\\there\t2024-01-02 03:04:05.123\n\\N\t\t\\N\n3\t\\N\t1970-01-01 00:00:00\n");
    let csv = String::from_utf8(out(&client, "csv-header").await).expect("UTF-8");
    assert_eq!(csv, "a,b,c\n1,tab\there,2024-01-02 03:04:05.123\n,\"\",\n3,,1970-01-01 00:00:00\n");
}

#[tokio::test]
async fn what_leaves_comes_back_the_same_in_every_layout_and_at_every_cut() {
    let door = open().await;
    let client = door.client().await;
    let expected: [Row; 3] = [
        (Some(1), Some("tab\there".into()), Some(1_704_164_645_123_000)),
        (None, Some(String::new()), None),
        (Some(3), None, Some(0)),
    ];
    for layout in ["text", "text-header", "csv", "csv-header", "binary"] {
        let data = out(&client, layout).await;
        for piece in [1, 7, data.len()] {
            let rows = into(&client, layout, &data, piece).await.expect("taken");
            assert_eq!((rows, copied(&door)), (3, expected.to_vec()), "{layout}, {piece} bytes at a time");
        }
    }
}

#[tokio::test]
async fn many_rows_arrive() {
    let door = open().await;
    let client = door.client().await;
    let data: String = (0..50_000).map(|n| format!("{n}\trow {n}\t\\N\n")).collect();
    assert_eq!(into(&client, "text", data.as_bytes(), 100_000).await.expect("taken"), 50_000);
    let rows = copied(&door);
    assert_eq!((rows.len(), rows[49_999].clone()), (50_000, (Some(49_999), Some("row 49999".into()), None)));
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_session_goes_on() {
    let door = open().await;
    let client = door.client().await;
    let error = into(&client, "text", b"1\ta\t\\N\nx\tb\t\\N\n", 100).await.expect_err("x is no number");
    assert_eq!(told(&error).0, "22P02");
    let detail = error.as_db_error().and_then(|e| e.detail()).map(str::to_owned);
    assert_eq!(detail.as_deref(), Some("COPY, line 2, column a"));
    assert_eq!(told(&into(&client, "csv", b"1,a\n", 100).await.expect_err("too few")).0, "22P04");
    assert_eq!(told(&into(&client, "binary", b"PGCOPY?", 100).await.expect_err("not binary")).0, "22P04");
    assert!(copied(&door).is_empty());
    assert_eq!(into(&client, "text", b"1\ta\t\\N\n", 100).await.expect("good again"), 1);
}

#[tokio::test]
async fn copy_in_the_simple_protocol_and_its_failure() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    let data = |text: &[u8]| raw::message(b'd', text);
    raw.send(
        &[raw::query("copy in text; done NEXT"), data(b"1\ta"), data(b"\t\\N\n"), raw::message(b'c', b"")].concat(),
    )
    .await;
    let replies = raw.until_ready().await;
    assert_eq!(replies.iter().map(|r| r.kind).collect::<String>(), "GCCZ");
    assert_eq!((&replies[0].body[..], &replies[1].body[..]), (&b"\0\0\x03\0\0\0\0\0\0"[..], &b"COPY 1\0"[..]));
    raw.send(&[raw::query("copy in text"), raw::message(b'f', b"changed my mind\0")].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!(
        (replies[1].field('C'), replies[1].field('M')),
        ("57014".into(), "COPY from stdin failed: changed my mind".into())
    );
    // What was sent before the error was heard is passed over.
    let rest = [data(b"2\tb\t\\N\n"), raw::message(b'c', b""), raw::query("rows 1")].concat();
    raw.send(&[raw::query("copy in text"), data(b"x\ta\t\\N\n"), data(b"y\n"), rest].concat()).await;
    assert_eq!(raw.kinds().await, "GEZ");
    assert_eq!(raw.kinds().await, "TDCZ");
    raw.send(&[raw::query("copy in text"), raw::query("rows 1")].concat()).await;
    let replies = raw.until_ready().await;
    assert_eq!((replies[1].field('S'), replies[1].field('C')), ("FATAL".into(), "08P01".into()));
}

#[tokio::test]
async fn copy_in_the_extended_protocol_after_an_early_sync() {
    let door = open().await;
    let mut raw = Raw::dev(door.address).await;
    let begin = [raw::parse("", "copy in csv"), raw::bind("", ""), raw::execute("", 0), raw::sync()].concat();
    let end = [raw::message(b'd', b"7,x,\n"), raw::message(b'c', b""), raw::sync()].concat();
    raw.send(&[begin, end].concat()).await;
    assert_eq!(raw.kinds().await, "12GCZ");
    assert_eq!(copied(&door), [(Some(7), Some("x".into()), None)]);
}
