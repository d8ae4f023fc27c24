//! What a receiver of `webhook` and `slack` gets, and what its answers do.

use ring::digest::{SHA256, digest};
use serde_json::json;
use thalweg_core::{Epoch, Incarnation};
use thalweg_disk::SimDisk;

use super::receiver::{Act, Receiver};
use super::{again, deliver, fatal, opened, request, rows, transition};
use crate::registry::EpochSinkRequest;

/// What one row becomes, with these options.
fn told(connector: &str, pairs: &[(&str, &str)], epochs: &[thalweg_core::EpochRows]) -> Vec<super::receiver::Request> {
    let receiver = Receiver::always(Act::status(200));
    let url = receiver.url("/hooks/in?of=us");
    let request = request(connector, &[&[("url", url.as_str())], pairs].concat(), &SimDisk::new());
    let mut sink = opened(EpochSinkRequest { schema: epochs[0].deltas[0].schema(), ..request });
    deliver(sink.as_mut(), epochs).expect("taken");
    receiver.seen().clone()
}

const FIRING: [(&str, &str); 2] = [("alert.name", "too \"hot\""), ("alert.severity", "critical")];

#[test]
fn a_row_is_a_json_object() {
    let seen = told("webhook", &[], &[rows(5, &[(1, Some("é\"\\\n"), 1), (2, None, -1), (3, Some(""), 2)])]);
    let bodies: Vec<_> = seen.iter().map(super::receiver::Request::json).collect();
    let body = |id: i64, name: &str| json!({ "sink": "told", "epoch": 5, "row": { "id": id, "name": name } });
    assert_eq!(bodies, [body(1, "é\"\\\n"), body(3, ""), body(3, "")]);
    let keys: Vec<&str> = seen.iter().map(super::receiver::Request::key).collect();
    assert_eq!(keys, ["c0ffee-7-told-5-0", "c0ffee-7-told-5-1", "c0ffee-7-told-5-2"]);
    let first = &seen[0];
    assert_eq!(first.line, "POST /hooks/in?of=us HTTP/1.1");
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("user-agent"), Some(concat!("thalweg/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(first.header("thalweg-signature"), None);
}

#[test]
fn what_goes_is_told_if_asked_for() {
    let seen = told("webhook", &[("changes", "all")], &[rows(5, &[(1, None, -2), (2, None, 1)])]);
    let ops: Vec<_> = seen.iter().map(|r| (r.json()["op"].clone(), r.json()["row"]["id"].clone())).collect();
    assert_eq!(ops, [(json!("delete"), json!(1)), (json!("delete"), json!(1)), (json!("insert"), json!(2))]);
}

#[test]
fn an_alert_says_what_fires() {
    let seen = told("webhook", &FIRING, &[transition(9, "firing", "sensor 7", 93.5)]);
    assert_eq!(
        seen[0].text(),
        r#"{"alert":"too \"hot\"","severity":"critical","transition":"firing","instance":"sensor 7","at":"2026-01-02 03:04:05","row":{"value":93.5}}"#
    );
}

#[test]
fn values_of_a_json_body_keep_to_their_place() {
    let body = r#"{"t": "<{{name}}> {{message.key}}", "id": {{id}}, "whole": {{ name }}, "n": [{{name}}, {}]}"#;
    let evil = "\", \"id\": 0, \"x\": \"\\";
    let seen = told("webhook", &[("body", body)], &[rows(1, &[(7, Some(evil), 1), (8, None, 1)])]);
    let expected = |id: i64, name: serde_json::Value| {
        let text = format!("<{}> c0ffee-7-told-1-{}", name.as_str().unwrap_or(""), id - 7);
        json!({ "t": text, "id": id, "whole": name, "n": [name, {}] })
    };
    assert_eq!(seen[0].json(), expected(7, json!(evil)));
    assert_eq!(seen[1].json(), expected(8, json!(null)));
    let plain = [("content_type", "text/plain; charset=utf-8"), ("body", "{{id}}: {{name}}{\n"), ("method", "put")];
    let seen = told("webhook", &plain, &[rows(1, &[(7, Some("a\"b"), 1)])]);
    assert_eq!((seen[0].text().as_str(), &seen[0].line[..4]), ("7: a\"b{\n", "PUT "));
    assert_eq!(seen[0].header("content-type"), Some("text/plain; charset=utf-8"));
}

/// HMAC as RFC 2104 defines it, from the hash alone.
fn hmac_sha256(secret: &[u8], text: &[u8]) -> String {
    let mut key = [0; 64];
    key[..secret.len()].copy_from_slice(secret);
    let pad = |byte: u8| key.map(|k| k ^ byte);
    let inner = digest(&SHA256, &[&pad(0x36)[..], text].concat());
    let outer = digest(&SHA256, &[&pad(0x5c)[..], inner.as_ref()].concat());
    outer.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_receiver_can_verify_what_it_gets() {
    let secret = "correct horse battery staple";
    let pairs = [("signature.secret", secret), ("header.X-Team", "a b"), ("header.authorization", "Bearer t")];
    let seen = told("webhook", &pairs, &[rows(1, &[(7, Some("é"), 1)])]);
    let first = &seen[0];
    assert_eq!((first.header("x-team"), first.header("authorization")), (Some("a b"), Some("Bearer t")));
    let (time, signature) = first.header("thalweg-signature").expect("signed").split_once(",v1=").expect("two parts");
    let time = time.strip_prefix("t=").expect("a time");
    let signed = [time.as_bytes(), b".", &first.body].concat();
    assert_eq!(signature, hmac_sha256(secret.as_bytes(), &signed));
    let announced = first.header("content-digest").expect("a digest");
    let encoded = announced.strip_prefix("sha-256=:").and_then(|d| d.strip_suffix(':')).expect("a byte sequence");
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).expect("Base64");
    assert_eq!(decoded, digest(&SHA256, &first.body).as_ref());
}

#[test]
fn slack_gets_text_in_which_values_are_text() {
    let seen = told("slack", &FIRING, &[transition(9, "firing", "<!channel> & <b>", 93.5)]);
    let text = "[critical] too \"hot\": firing\ninstance: &lt;!channel&gt; &amp; &lt;b&gt;\nat: 2026-01-02 03:04:05\nvalue: 93.5";
    assert_eq!(seen[0].json(), json!({ "text": text }));
    let template = [("text", "*{{alert.severity}}* <https://x/{{alert_instance}}|{{alert.name}}> {{transition}}")];
    let seen = told("slack", &[&FIRING[..], &template].concat(), &[transition(9, "resolved", "a>b", 1.0)]);
    assert_eq!(seen[0].json(), json!({ "text": "*critical* <https://x/a&gt;b|too \"hot\"> resolved" }));
    let seen = told("slack", &[("changes", "all")], &[rows(1, &[(1, None, -1)])]);
    assert_eq!(seen[0].json(), json!({ "text": "told (delete)\nid: 1\nname: NULL" }));
}

#[test]
fn a_refusal_stops_the_sink_or_is_left_out() {
    let content = format!("no such\nchannel {}", "x".repeat(300));
    for status in [400, 401, 403, 404, 410, 301, 307] {
        let mut first = true;
        let content = content.clone();
        let receiver = Receiver::start(move || match std::mem::take(&mut first) {
            true => Act::Answer(status, "location: http://127.0.0.1:1/\r\n".to_owned(), content.clone()),
            false => Act::status(200),
        });
        let url = receiver.url("/token-of-the-hook");
        let told = [rows(2, &[(1, None, 1), (2, None, 1)])];
        let disk = SimDisk::new();
        let mut sink = opened(request("webhook", &[("url", &url)], &disk));
        let message = fatal(deliver(sink.as_mut(), &told));
        assert!(message.contains(&format!("answers {status}: no such channel xxx")), "{message}");
        assert!(message.contains("on_refusal") && !message.contains("token-of-the-hook"), "{message}");
        assert!(message.matches('x').count() < 200, "{message}");
        assert_eq!(receiver.seen().len(), 1);
    }
    let mut first = true;
    let receiver = Receiver::start(move || Act::status(if std::mem::take(&mut first) { 422 } else { 200 }));
    let url = receiver.url("/");
    let disk = SimDisk::new();
    let mut sink = opened(request("webhook", &[("url", &url), ("on_refusal", "skip")], &disk));
    deliver(sink.as_mut(), &[rows(2, &[(1, None, 1), (2, None, 1)])]).expect("one is left out");
    assert_eq!(receiver.seen().iter().map(|r| r.key().to_owned()).collect::<Vec<_>>().len(), 2);
    assert_eq!(sink.open(Incarnation(1)).expect("as before"), Some(Epoch(2)));
    let notes = &mut super::super::progress::Notes::new(std::sync::Arc::new(disk), "7-told");
    assert_eq!(notes.open().expect("whole").expect("there").skipped, 1);
}

#[test]
fn a_target_that_asks_for_time_is_left_alone() {
    let receiver = Receiver::always(Act::Answer(429, "retry-after: 86400\r\n".to_owned(), String::new()));
    let url = receiver.url("/");
    let mut sink = opened(request("webhook", &[("url", &url)], &SimDisk::new()));
    let message = again(deliver(sink.as_mut(), &[rows(2, &[(1, None, 1)])]));
    assert!(message.contains("answers 429"), "{message}");
    for _ in 0..3 {
        let message = again(sink.open(Incarnation(1)));
        assert!(message.contains("left alone for ") && !message.contains("86400"), "{message}");
    }
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn what_is_too_long_is_refused_and_not_sent() {
    let receiver = Receiver::always(Act::status(200));
    let url = receiver.url("/");
    let long = "x".repeat(1024 * 1024);
    for (connector, part) in [("webhook", "no message may have more than 1048576"), ("slack", "Slack takes 40000")] {
        let mut sink = opened(request(connector, &[("url", &url)], &SimDisk::new()));
        let message = fatal(deliver(sink.as_mut(), &[rows(2, &[(1, Some(&long), 1)])]));
        assert!(message.contains(part) && message.len() < 500, "{message}");
    }
    assert!(receiver.seen().is_empty());
}

#[test]
fn nobody_there_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}/token-of-the-hook");
    let mut sink = opened(request("webhook", &[("url", &url)], &SimDisk::new()));
    let message = again(deliver(sink.as_mut(), &[rows(2, &[(1, None, 1)])]));
    assert!(message.contains(&format!("127.0.0.1:{port}: no answer")) && !message.contains("token"), "{message}");
}
