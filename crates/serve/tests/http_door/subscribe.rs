//! Server-sent events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_serve::http::HttpConfig;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{DEADLINE, Served, dechunk, find, start};

/// What a browser would have read so far, until `enough`.
async fn read_until(socket: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            if let Some(head) = find(&bytes, b"\r\n\r\n") {
                let text = String::from_utf8(dechunk(&bytes[head + 4..]).0).expect("UTF-8");
                if enough(&text) {
                    return text;
                }
            }
            assert_ne!(
                socket.read_buf(&mut bytes).await.expect("reads"),
                0,
                "ended: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    };
    timeout(DEADLINE, read).await.expect("comes")
}

/// The events: name, id, data.
fn events(text: &str) -> Vec<(String, Option<String>, Value)> {
    let blocks = text.split("\n\n").filter(|b| b.contains("event: "));
    let events = blocks.map(|block| {
        let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
        let data = field("data: ").expect("data");
        (field("event: ").expect("a name"), field("id: "), serde_json::from_str(&data).expect("JSON"))
    });
    events.collect()
}

fn commits(text: &str) -> usize {
    text.matches("event: commit").count()
}

async fn open(served: &Served, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    served.open("GET", path, headers, b"").await
}

#[tokio::test]
async fn a_snapshot_and_then_changes_each_in_brackets() {
    let served = start(HttpConfig::default()).await;
    let mut socket = open(&served, "/v1/subscribe?query=quiet", &[]).await;
    let text = read_until(&mut socket, |t| commits(t) == 2 && t.ends_with("\n\n")).await;
    let columns = json!([{"name": "n", "type": "bigint"}, {"name": "t", "type": "character varying"}]);
    let row = |w: i64, n: i64| json!({"w": w, "row": {"n": n, "t": format!("row {n}")}});
    let expected = [
        ("begin", None, json!({"snapshot": true, "columns": columns})),
        ("changes", None, json!({"rows": [row(1, 0), row(1, 1), row(1, 2)]})),
        ("commit", Some("10"), json!({"epoch": 10, "time": "1970-01-01T00:00:10Z"})),
        ("begin", None, json!({"snapshot": false})),
        ("changes", None, json!({"rows": [row(-1, 10), row(1, 11)]})),
        ("commit", Some("11"), json!({"epoch": 11, "time": "1970-01-01T00:00:11Z"})),
    ];
    let expected = expected.map(|(name, id, data)| (name.to_owned(), id.map(str::to_owned), data));
    assert_eq!(events(&text), expected);
}

#[tokio::test]
async fn resumes_after_an_epoch() {
    let served = start(HttpConfig::default()).await;
    // A browser sends the last id, and the URL that it first had.
    for (path, headers) in [
        ("/v1/subscribe?query=quiet&after=41", &[][..]),
        ("/v1/subscribe?query=quiet&after=3", &[("last-event-id", "41")]),
    ] {
        let mut socket = open(&served, path, headers).await;
        let text = read_until(&mut socket, |t| commits(t) == 2).await;
        let events = events(&text);
        assert_eq!(events[0].2["snapshot"], false);
        assert_eq!(events[2].2["epoch"], 42);
    }
    let reply = served.get("/v1/subscribe?query=quiet", &[("last-event-id", "x")]).await;
    assert_eq!(reply.status, 400);
}

/// What a browser holds: it applies an epoch when its commit is there.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, i64>,
    after: Option<String>,
}

impl Model {
    fn apply(&mut self, text: &str) {
        let (mut pending, mut snapshot) = (Vec::new(), false);
        let complete = text.rfind("\n\n").map_or("", |end| &text[..end + 2]);
        for (name, id, data) in events(complete) {
            match name.as_str() {
                "begin" => {
                    snapshot = data["snapshot"] == true;
                    pending.clear();
                }
                "changes" => pending.extend(data["rows"].as_array().expect("rows").clone()),
                "commit" => {
                    if snapshot {
                        self.rows.clear();
                    }
                    for row in pending.drain(..) {
                        let n = row["row"]["n"].as_i64().expect("a number");
                        *self.rows.entry(n).or_default() += row["w"].as_i64().expect("a weight");
                    }
                    self.rows.retain(|_, weight| *weight != 0);
                    self.after = id;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_subscriber_that_is_cut_again_and_again_has_every_epoch_once() {
    let served = start(HttpConfig::default()).await;
    for step in (1..1500).step_by(13) {
        let mut model = Model::default();
        let mut cut = step;
        while model.after.as_deref() != Some("30") {
            let after = model.after.clone().unwrap_or_default();
            let reply = served.get("/v1/subscribe?query=history", &[("last-event-id", after.as_str())]).await;
            let text = reply.text();
            model.apply(&text[..cut.min(text.len())]);
            let epoch: i64 = model.after.as_deref().map_or(0, |a| a.parse().expect("an epoch"));
            let expected = (epoch - 4..=epoch).flat_map(|e| [e * 10, e * 10 + 1, e * 10 + 2]).map(|n| (n, 1));
            assert!(epoch == 0 || model.rows.iter().map(|(n, w)| (*n, *w)).eq(expected), "{step}: {epoch}");
            cut += 97;
        }
    }
}

#[tokio::test]
async fn the_last_event_says_how_it_ended() {
    let served = start(HttpConfig::default()).await;
    let lost = served.get("/v1/subscribe?query=lost&after=5", &[]).await;
    assert_eq!(
        events(&lost.text()),
        [("lost".to_owned(), Some(String::new()), json!({"after": 5}))],
        "the id is forgotten"
    );
    let ends = served.get("/v1/subscribe?query=ends", &[]).await;
    let events_of = |text: &str| events(text).pop().expect("an event");
    let (name, _, data) = events_of(&ends.text());
    assert_eq!((name.as_str(), &data["after"]), ("resume", &json!(11)));
    let (name, _, data) = events_of(&served.get("/v1/subscribe?query=fails", &[]).await.text());
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("22012")));
    let refused = served.get("/v1/subscribe?query=nothing", &[]).await;
    assert_eq!((refused.status, refused.code()), (400, "42P01".to_owned()));
    assert_eq!(served.get("/v1/subscribe", &[]).await.status, 400);
}

#[tokio::test]
async fn a_row_that_does_not_fit_the_queue_ends_the_subscription_with_an_error() {
    let served = start(HttpConfig { subscriber_queue_bytes: 20, ..HttpConfig::default() }).await;
    let text = served.get("/v1/subscribe?query=flood", &[]).await.text();
    let (name, _, data) = events(&text).pop().expect("an event");
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("54000")), "{text}");
}

#[tokio::test]
async fn a_quiet_subscription_has_a_heartbeat() {
    let config = HttpConfig { heartbeat: Duration::from_millis(20), ..HttpConfig::default() };
    let served = start(config).await;
    let mut socket = open(&served, "/v1/subscribe?query=quiet", &[]).await;
    let text = read_until(&mut socket, |t| t.matches("\n:\n").count() >= 3).await;
    assert_eq!(commits(&text), 2);
}

#[tokio::test]
async fn shutdown_says_where_to_resume() {
    let served = start(HttpConfig::default()).await;
    let mut socket = open(&served, "/v1/subscribe?query=quiet", &[]).await;
    read_until(&mut socket, |t| commits(t) == 2).await;
    served.stop.send(()).expect("serves");
    let mut rest = Vec::new();
    timeout(DEADLINE, socket.read_to_end(&mut rest)).await.expect("ends").expect("reads");
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.contains("event: resume\ndata: {\"after\":11"), "{rest}");
    timeout(DEADLINE, served.ended).await.expect("ends").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_nothing_up_and_is_told_or_cut() {
    let config = HttpConfig { stall_timeout: Duration::from_millis(200), ..HttpConfig::default() };
    let served = start(config).await;
    let mut socket = open(&served, "/v1/subscribe?query=flood", &[]).await;
    let events = || served.seen.events.load(Ordering::SeqCst);
    // The sockets' buffers fill up, and then nothing more is asked of the backend.
    let mut before = 0;
    let full = async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = events();
            if now > 0 && now == before {
                return;
            }
            before = now;
        }
    };
    timeout(DEADLINE, full).await.expect("it stops asking");
    assert!(events() < 3 * 64, "at most 64 MB in all buffers of both ends: {}", events());
    assert_eq!(served.sql("numbers 1").await.status, 200, "others are served");
    let mut rest = Vec::new();
    let ended = timeout(DEADLINE, socket.read_to_end(&mut rest)).await.expect("the server ends it");
    let told = String::from_utf8_lossy(&rest).contains("event: resume");
    assert!(told || ended.is_err() || !rest.ends_with(b"0\r\n\r\n"), "told, or cut so that a browser resumes");
    let gone = || async { served.get("/metrics", &[]).await.text().contains("thalweg_http_subscribers 0") };
    timeout(DEADLINE, async { while !gone().await {} }).await.expect("it is no subscriber any more");
}

#[tokio::test]
async fn subscribers_are_limited_and_leave_their_place() {
    let config = HttpConfig { max_subscribers: 1, ..HttpConfig::default() };
    let served = start(config).await;
    let mut first = open(&served, "/v1/subscribe?query=quiet", &[]).await;
    read_until(&mut first, |t| commits(t) == 2).await;
    assert_eq!(served.get("/v1/subscribe?query=ends", &[]).await.status, 503);
    drop(first);
    let free = async { while served.get("/v1/subscribe?query=ends", &[]).await.status != 200 {} };
    timeout(DEADLINE, free).await.expect("the place is free again");
}
