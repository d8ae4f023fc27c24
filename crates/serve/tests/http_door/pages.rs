//! Health, metrics, documentation and the status page.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use thalweg_serve::http::{Console, HttpConfig};

use crate::backend::Canned;
use crate::client::{start, start_with};

#[tokio::test]
async fn health_and_readiness() {
    let served = start(HttpConfig::default()).await;
    assert_eq!(served.get("/healthz?verbose", &[]).await.text(), "ok\n");
    assert_eq!(served.get("/readyz", &[]).await.status, 200);
    served.seen.unready.store(true, Ordering::SeqCst);
    let reply = served.get("/readyz", &[]).await;
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (503, Some("recovering")));
    assert_eq!(served.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn metrics_are_the_backends_and_the_doors() {
    let served = start(HttpConfig::default()).await;
    served.post("/v1/ingest/events", &[], "{\"id\":1}\nx\n").await;
    served.get("/nowhere", &[]).await;
    let text = served.get("/metrics", &[]).await.text();
    for line in [
        "thalweg_epochs_total 7",
        "thalweg_http_connections 1",
        "thalweg_http_ingest_rows_total 1",
        "thalweg_http_ingest_rejected_rows_total 1",
        "thalweg_http_ingest_bytes_total 11",
        "thalweg_http_requests_total{route=\"/v1/ingest/{source}\",status=\"200\"} 1",
        "thalweg_http_requests_total{route=\"other\",status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let family = name.trim_end_matches("_sum").trim_end_matches("_count");
        assert!(text.contains(&format!("# TYPE {family} ")), "{name} has a type");
        assert!(text.contains(&format!("# HELP {family} ")), "{name} has help");
    }
}

#[tokio::test]
async fn the_document_names_every_route_and_resolves() {
    let served = start(HttpConfig::default()).await;
    let reply = served.get("/openapi.json", &[]).await;
    let api = reply.json();
    for path in ["/v1/ingest/{source}", "/v1/sql", "/v1/subscribe", "/v1/token", "/metrics", "/healthz", "/readyz"] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    let text = reply.text();
    for reference in text.split("#/components/schemas/").skip(1).filter_map(|r| r.split('"').next()) {
        assert!(api["components"]["schemas"][reference].is_object(), "{reference}");
    }
}

#[tokio::test]
async fn pages_are_self_contained_under_a_strict_policy() {
    let served = start(HttpConfig::default()).await;
    for path in ["/", "/status", "/docs"] {
        let reply = served.get(path, &[]).await;
        let text = reply.text();
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!text.contains("http://") && !text.contains("https://"), "nothing from elsewhere");
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            for inline in text.split(open).skip(1).filter_map(|t| t.split(close).next()) {
                let hash = STANDARD.encode(digest(&SHA256, inline.as_bytes()));
                assert!(policy.contains(&format!("'sha256-{hash}'")), "{path}: {open} is allowed by its hash");
            }
        }
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
    }
    let status = served.get("/", &[]).await.text();
    assert!(status.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !status.contains("<script"), "{status}");
    let docs = served.get("/docs", &[]).await.text();
    assert!(!docs.contains("innerHTML"), "texts of the document stay texts");
}

#[tokio::test]
async fn the_console_is_served_to_anyone_and_is_all_that_is() {
    const FILES: &[(&str, &[u8])] =
        &[("index.html", b"<!doctype html>"), ("assets/a-1.js", b"1"), ("secret.txt", b"?")];
    let config = HttpConfig { console: Some(Console::of(FILES)), ..HttpConfig::default() };
    let served = start_with(Canned::without_trust(), config).await;
    let index = served.get("/", &[]).await;
    assert_eq!((index.status, index.text().as_str()), (200, "<!doctype html>"));
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    let policy = index.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let script = served.get("/assets/a-1.js", &[]).await;
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(script.header("cache-control").is_some_and(|cache| cache.contains("immutable")));
    for path in ["/secret.txt", "/status", "/index.html"] {
        assert_eq!(served.get(path, &[]).await.status, 401, "{path}");
    }
    for path in ["/assets/../secret.txt", "/assets/..%2fsecret.txt", "/assets/b.js"] {
        assert_ne!(served.get(path, &[]).await.status, 200, "{path}");
    }
    let elsewhere = served.get("/", &[("host", "evil.example")]).await;
    assert_eq!(elsewhere.status, 421, "{}", elsewhere.text());
}

#[tokio::test]
async fn unknown_routes_are_404_as_json() {
    let served = start(HttpConfig::default()).await;
    let reply = served.get("/debug/pprof", &[]).await;
    assert_eq!((reply.status, reply.code()), (404, "42704".to_owned()));
}
