//! Every format of ingest, its rejects and its limits.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use serde_json::json;
use thalweg_serve::http::HttpConfig;
use tokio::time::timeout;

use crate::backend::Seen;
use crate::client::{DEADLINE, Reply, Served, start};

const LINES: &str =
    "{\"id\":1,\"name\":\"a\",\"at\":\"2026-11-01 00:00:00\"}\n\n{\"id\":\"x\"}\n{\"id\":2,\"more\":[1]}\nnonsense\n";

async fn post(served: &Served, media: &str, body: impl AsRef<[u8]>) -> Reply {
    served.post("/v1/ingest/events", &[("content-type", media)], body).await
}

fn ids(seen: &Seen) -> Vec<i64> {
    let rows = seen.rows.lock().expect("no panic");
    rows.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn lines_of_json_are_taken_and_bad_ones_reported() {
    let served = start(HttpConfig::default()).await;
    let reply = served.post("/v1/ingest/events", &[], LINES).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let report = reply.json();
    assert_eq!((&report["accepted"], &report["rejected"]), (&json!(2), &json!(2)));
    let reason = report["rejects"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("column id"), "{reason}");
    assert_eq!(report["rejects"][0]["row"], 2);
    assert_eq!(report["rejects"][0]["offset"], LINES.find("{\"id\":\"x\"").expect("there"));
    assert_eq!(
        (&report["rejects"][1]["row"], &report["rejects"][1]["offset"]),
        (&json!(4), &json!(LINES.find("nonsense")))
    );
    assert_eq!(ids(&served.seen), [1, 2]);
    let dead = served.seen.dead.lock().expect("no panic");
    assert_eq!(dead.iter().map(|d| d.raw.as_slice()).collect::<Vec<_>>(), [&b"{\"id\":\"x\"}"[..], b"nonsense"]);
}

#[tokio::test]
async fn strict_takes_all_or_nothing() {
    let served = start(HttpConfig::default()).await;
    let reply = served.post("/v1/ingest/events?strict=true", &[], LINES).await;
    assert_eq!(reply.status, 422);
    assert_eq!((&reply.json()["accepted"], &reply.json()["rejected"]), (&json!(0), &json!(2)));
    assert_eq!(served.seen.ingests.load(Ordering::SeqCst), 0);
    assert_eq!(served.post("/v1/ingest/events?strict=true", &[], "{\"id\":1}\n").await.status, 200);
    assert_eq!(served.post("/v1/ingest/events?stricct=true", &[], "{\"id\":1}\n").await.status, 400);
}

#[tokio::test]
async fn all_rejected_is_422_and_an_empty_body_is_fine() {
    let served = start(HttpConfig::default()).await;
    let reply = served.post("/v1/ingest/events", &[], "1\n2\n").await;
    assert_eq!((reply.status, reply.json()["rejected"].as_u64()), (422, Some(2)));
    assert_eq!(reply.code(), "22000");
    assert_eq!(served.seen.dead.lock().expect("no panic").len(), 2, "they are dead letters all the same");
    let reply = served.post("/v1/ingest/events", &[], "").await;
    assert_eq!((reply.status, reply.json()["accepted"].as_u64()), (200, Some(0)));
}

#[tokio::test]
async fn json_arrays_and_objects() {
    let served = start(HttpConfig::default()).await;
    let array = "[ {\"id\": 1,\n \"name\": \"a\\nb\"},\n 7, {\"id\":2} ]";
    let reply = post(&served, "application/json; charset=utf-8", array).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reject = &reply.json()["rejects"][0];
    assert_eq!((&reject["row"], &reject["offset"]), (&json!(2), &json!(array.find('7'))));
    assert_eq!(post(&served, "application/json", "{\"id\":\n3}").await.status, 200);
    assert_eq!(post(&served, "application/json", "[]").await.status, 200);
    assert_eq!(ids(&served.seen), [1, 2, 3]);
    assert_eq!(served.seen.rows.lock().expect("no panic")[0].column(1).as_string_view().value(0), "a\nb");
    for broken in ["", "[{\"id\":4}", "{\"id\":4}{\"id\":5}", "[{\"id\":4}] x", "[{\"id\":4},]"] {
        let reply = post(&served, "application/json", broken).await;
        assert_eq!(reply.status, 400, "{broken}");
    }
    assert_eq!(ids(&served.seen), [1, 2, 3], "nothing of a broken body is taken");
}

#[tokio::test]
async fn a_long_array_is_decoded_in_chunks_with_its_own_places() {
    let served = start(HttpConfig::default()).await;
    let elements: Vec<String> =
        (0..20_000).map(|n| if n == 15_000 { "null".to_owned() } else { format!("{{\"id\":{n}}}") }).collect();
    let body = format!("[{}]", elements.join(","));
    let reply = post(&served, "application/json", &body).await;
    assert_eq!(reply.json()["accepted"], 19_999);
    let reject = &reply.json()["rejects"][0];
    assert_eq!((&reject["row"], &reject["offset"]), (&json!(15_001), &json!(body.find("null"))));
}

#[tokio::test]
async fn csv_columns_are_named_by_the_header() {
    let served = start(HttpConfig::default()).await;
    let body = "\u{feff}ignored,NAME,id\nx,\"a,\nb\",1\ny,,2\nz,c\nz,c,three\n";
    let reply = post(&served, "text/csv", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((&reply.json()["accepted"], &reply.json()["rejected"]), (&json!(2), &json!(2)));
    assert_eq!(reply.json()["rejects"][0]["offset"], json!(body.find("z,c")));
    assert_eq!(ids(&served.seen), [1, 2]);
    {
        let rows = served.seen.rows.lock().expect("no panic");
        let names = rows[0].column(1).as_string_view();
        assert_eq!(names.iter().collect::<Vec<_>>(), [Some("a,\nb"), None]);
        assert_eq!(rows[0].column(2).null_count(), 2, "a column that is not there is NULL");
    }
    for wrong in ["name\na\n", "a,b\n1,2\n", "id,id\n1,2\n", "\nid\n1\n"] {
        assert_eq!(post(&served, "text/csv", wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(post(&served, "text/csv", "").await.status, 200);
}

fn arrow_body(batch: &RecordBatch, options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).expect("starts");
    writer.write(batch).expect("writes");
    writer.into_inner().expect("finishes")
}

fn arrow_batch() -> RecordBatch {
    let id: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("x"), Some("3"), None]));
    let keys = Int32Array::from(vec![Some(0), Some(1), None, Some(0)]);
    let values = Arc::new(StringArray::from(vec!["a", "b"]));
    let name: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, values));
    RecordBatch::try_from_iter([("name", name), ("ID", id)]).expect("two columns")
}

#[tokio::test]
async fn arrow_columns_are_matched_by_name_and_cast() {
    let served = start(HttpConfig::default()).await;
    let media = "application/vnd.apache.arrow.stream";
    let body = arrow_body(&arrow_batch(), IpcWriteOptions::default());
    let reply = post(&served, media, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((&reply.json()["accepted"], &reply.json()["rejected"]), (&json!(2), &json!(2)));
    assert_eq!(reply.json()["rejects"][0]["row"], 2);
    assert_eq!(ids(&served.seen), [1, 3]);
    let names: Vec<Option<String>> = {
        let rows = served.seen.rows.lock().expect("no panic");
        assert_eq!(rows[0].column(2).as_primitive::<TimestampMicrosecondType>().len(), 2);
        rows[0].column(1).as_string_view().iter().map(|n| n.map(str::to_owned)).collect()
    };
    assert_eq!(names, [Some("a".to_owned()), None]);
    assert_eq!(served.seen.dead.lock().expect("no panic")[0].raw, br#"{"name":"b","ID":"x"}"#);
}

#[tokio::test]
async fn hostile_arrow_is_refused_and_hurts_nobody() {
    let served = start(HttpConfig::default()).await;
    let media = "application/vnd.apache.arrow.stream";
    let body = arrow_body(&arrow_batch(), IpcWriteOptions::default());
    for cut in (1..body.len() - 8).step_by(7) {
        let status = post(&served, media, &body[..cut]).await.status;
        assert!(status == 400 || status == 200, "{cut}: {status}");
    }
    for at in (0..body.len()).step_by(3) {
        let mut flipped = body.clone();
        flipped[at] ^= 0xff;
        let status = post(&served, media, &flipped).await.status;
        assert!([200, 400, 413, 422].contains(&status), "{at}: {status}");
    }
    let mut huge = 0xffff_ffff_u32.to_le_bytes().to_vec();
    huge.extend_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert_eq!(post(&served, media, &huge).await.status, 400);
    let zstd = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    // Without the codec the writer cannot make such a stream, and the reader must not meet one.
    if let Ok(options) = zstd {
        let written = std::panic::catch_unwind(|| arrow_body(&arrow_batch(), options));
        if let Ok(body) = written {
            assert_eq!(post(&served, media, &body).await.status, 400);
        }
    }
    assert_eq!(post(&served, media, &body).await.status, 200, "the server goes on");
}

#[tokio::test]
async fn compressed_bodies_are_opened() {
    let served = start(HttpConfig::default()).await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"id\":1}\n").expect("compresses");
    let gzip = gzip.finish().expect("compresses");
    let zstd = zstd::encode_all(&b"{\"id\":2}\n"[..], 1).expect("compresses");
    for (encoding, body) in [("gzip", &gzip), ("zstd", &zstd)] {
        let reply = served.post("/v1/ingest/events", &[("content-encoding", encoding)], body).await;
        assert_eq!(reply.status, 200, "{encoding}: {}", reply.text());
    }
    assert_eq!(ids(&served.seen), [1, 2]);
    let cut = served.post("/v1/ingest/events", &[("content-encoding", "gzip")], &gzip[..gzip.len() - 9]).await;
    assert_eq!(cut.status, 400);
    let unknown = served.post("/v1/ingest/events", &[("content-encoding", "br")], "x").await;
    assert_eq!((unknown.status, unknown.code()), (415, "0A000".to_owned()));
}

#[tokio::test]
async fn bodies_have_a_limit_before_and_after_decompression() {
    let config = HttpConfig { body_limit_bytes: 100_000, ..HttpConfig::default() };
    let served = start(config).await;
    let long = vec![b' '; 100_001];
    let reply = served.post("/v1/ingest/events", &[], &long).await;
    assert_eq!((reply.status, reply.code()), (413, "54000".to_owned()));
    let mut chunked = Vec::new();
    for piece in long.chunks(50_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let reply = served.post("/v1/ingest/events", &[("transfer-encoding", "chunked")], &chunked).await;
    assert_eq!(reply.status, 413);
    let bomb = zstd::encode_all(&vec![b' '; 50_000_000][..], 1).expect("compresses");
    assert!(bomb.len() < 100_000);
    let reply = served.post("/v1/ingest/events", &[("content-encoding", "zstd")], &bomb).await;
    assert_eq!(reply.status, 413);
    assert_eq!(served.post("/v1/ingest/events", &[], "{\"id\":1}").await.status, 200);
}

#[tokio::test]
async fn rows_and_rejects_of_a_request_are_bounded() {
    let config = HttpConfig { ingest_rows_limit_bytes: 1_000_000, ingest_max_rejects: 1000, ..HttpConfig::default() };
    let served = start(config).await;
    let small = "{\"id\":1}\n".repeat(100_000);
    let reply = served.post("/v1/ingest/events", &[], &small).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    let reply = served.post("/v1/ingest/events", &[], "0\n".repeat(1001)).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(served.seen.ingests.load(Ordering::SeqCst), 0);
    let reply = served.post("/v1/ingest/events", &[], "0\n".repeat(1000)).await;
    assert_eq!((reply.status, reply.json()["rejects"].as_array().map(Vec::len)), (422, Some(100)));
}

#[tokio::test]
async fn refusals_have_their_status() {
    let served = start(HttpConfig::default()).await;
    let busy = served.post("/v1/ingest/busy", &[], "{\"id\":1}").await;
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("2")), "1.5 s, rounded up");
    assert!(busy.json()["error"]["message"].is_string());
    let unknown = served.post("/v1/ingest/nothing", &[], "{\"id\":1}").await;
    assert_eq!((unknown.status, unknown.code()), (404, "42P01".to_owned()));
    assert_eq!(served.post("/v1/ingest/private", &[], "{\"id\":1}").await.status, 403);
    let media = post(&served, "application/pdf", "id=1").await;
    assert_eq!(media.status, 415);
    assert!(media.json()["error"]["hint"].as_str().is_some_and(|h| h.contains("application/x-ndjson")));
    assert_eq!(served.get("/v1/ingest/events", &[]).await.status, 405);
}

#[tokio::test]
async fn sessions_are_kept_for_the_next_request() {
    let served = start(HttpConfig::default()).await;
    for _ in 0..10 {
        assert_eq!(served.post("/v1/ingest/events", &[], "{\"id\":1}").await.status, 200);
    }
    assert_eq!(served.seen.connects.load(Ordering::SeqCst), 1);
    let ann = ("authorization", "Basic YW5uOnMzY3JldA==");
    assert_eq!(served.post("/v1/ingest/events", &[ann], "{\"id\":1}").await.status, 200);
    assert_eq!(served.seen.connects.load(Ordering::SeqCst), 2, "but not for another user's");
}

#[tokio::test]
async fn bodies_at_the_same_time_share_a_limit() {
    let served = start(HttpConfig { bodies_limit_bytes: 64 * 1024, ..HttpConfig::default() }).await;
    let held = served.open("POST", "/v1/ingest/events", &[("content-length", "1000")], b"{").await;
    let busy = async {
        while served.post("/v1/ingest/events", &[], "{\"id\":1}").await.status != 429 {}
        served.post("/v1/ingest/events", &[], "{\"id\":1}").await.header("retry-after").map(str::to_owned)
    };
    assert_eq!(timeout(DEADLINE, busy).await.expect("the room is taken").as_deref(), Some("1"));
    drop(held);
    let free = async { while served.post("/v1/ingest/events", &[], "{\"id\":1}").await.status != 200 {} };
    timeout(DEADLINE, free).await.expect("the room is given back");
}
