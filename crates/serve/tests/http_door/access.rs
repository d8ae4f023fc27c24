//! Who is let in: the attempts 41 to 60 of the security recipes that this door can meet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thalweg_serve::backend::{Credential, ScramVerifier};
use thalweg_serve::http::HttpConfig;

use crate::backend::Canned;
use crate::client::{Reply, Served, start, start_with};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn whoami(served: &Served, authorization: &str) -> Reply {
    served.post("/v1/sql", &[("authorization", authorization)], "whoami").await
}

fn user(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["rows"][0][0].as_str().expect("a user").to_owned()
}

#[tokio::test]
async fn root_needs_nothing_if_it_is_trusted_and_passwords_work() {
    let served = start(HttpConfig::default()).await;
    assert_eq!(user(&served.sql("whoami").await), "root");
    assert_eq!(user(&whoami(&served, &basic("ann", "s3cret")).await), "ann");
    let forwarded = served.post("/v1/sql", &[("x-forwarded-user", "ann")], "whoami").await;
    assert_eq!(user(&forwarded), "root", "52: a header from outside is not believed");
}

#[tokio::test]
async fn everything_but_health_needs_credentials() {
    let served = start_with(Canned::without_trust(), HttpConfig::default()).await;
    for path in ["/", "/docs", "/openapi.json", "/metrics", "/v1/subscribe?query=quiet", "/debug/pprof"] {
        let reply = served.get(path, &[]).await;
        assert_eq!(reply.status, 401, "60: {path}");
        assert!(reply.header("www-authenticate").is_some_and(|h| h.contains("Basic")), "{path}");
    }
    for path in ["/v1/sql", "/v1/ingest/events", "/v1/token"] {
        assert_eq!(served.post(path, &[], "x").await.status, 401, "{path}");
    }
    assert_eq!(served.get("/healthz", &[]).await.status, 200);
    assert_eq!(served.get("/readyz", &[]).await.status, 200);
    assert_eq!(served.post("/v1/sql", &[("x-forwarded-user", "ann")], "whoami").await.status, 401);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_look_the_same() {
    let served = start_with(Canned::without_trust(), HttpConfig::default()).await;
    let wrong = whoami(&served, &basic("ann", "wrong")).await;
    let unknown = whoami(&served, &basic("eve", "wrong")).await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.body, unknown.body);
    assert!(!wrong.text().contains("ann"));
    let audit = served.seen.audit.lock().expect("no panic");
    assert_eq!(*audit, ["http login refused ann", "http login refused eve"]);
}

#[tokio::test]
async fn malformed_credentials_are_refused() {
    let served = start(HttpConfig::default()).await;
    let ann = basic("ann", "s3cret");
    let two = served.post("/v1/sql", &[("authorization", &ann), ("authorization", &ann)], "whoami").await;
    assert_eq!(two.status, 400, "50: two Authorization headers");
    let nul = format!("Basic {}", STANDARD.encode("ann\0x:s3cret"));
    for malformed in ["", "Basic", "Basic !!!", "Basic YW5u", "Negotiate x", "Digest username=\"ann\"", nul.as_str()] {
        assert_eq!(whoami(&served, malformed).await.status, 400, "{malformed}");
    }
}

#[tokio::test]
async fn credentials_in_the_url_are_refused() {
    let served = start(HttpConfig::default()).await;
    for query in ["token=x", "access_token=x", "query=quiet&Authorization=x", "user=ann&password=s3cret", "a=b&api_key"]
    {
        let reply = served.get(&format!("/metrics?{query}"), &[]).await;
        assert_eq!(reply.status, 400, "51: {query}");
    }
    let reply = served.get(&format!("http://ann:s3cret@{}/metrics", served.address), &[]).await;
    assert_eq!(reply.status, 400);
    assert!(!reply.text().contains("s3cret"));
}

#[tokio::test]
async fn forged_bearer_tokens_are_refused() {
    let served = start(HttpConfig::default()).await;
    let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let none = format!("{}.{}.", part("{\"alg\":\"none\"}"), part("{\"sub\":\"root\"}"));
    let kid = format!("{}.{}.AAAA", part("{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}"), part("{\"sub\":\"root\"}"));
    let long = "a".repeat(8000);
    for forged in ["x", "null", none.as_str(), kid.as_str(), long.as_str()] {
        let reply = whoami(&served, &format!("Bearer {forged}")).await;
        assert_eq!(reply.status, 401, "41 to 49: {forged}");
        assert!(reply.header("www-authenticate").is_some());
    }
}

pub async fn token(served: &Served) -> String {
    let reply = served.post("/v1/token", &[("authorization", &basic("ann", "s3cret"))], "").await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{}", reply.text());
    assert_eq!((&reply.json()["token_type"], &reply.json()["expires_in"]), (&"Bearer".into(), &3600.into()));
    assert_eq!(reply.json()["websocket_protocol"], "thalweg.token");
    reply.json()["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_token_stands_for_its_user_until_the_password_changes() {
    let served = start(HttpConfig::default()).await;
    let bearer = format!("Bearer {}", token(&served).await);
    assert_eq!(user(&whoami(&served, &bearer).await), "ann");
    let renewed = served.post("/v1/token", &[("authorization", &bearer)], "").await;
    assert_eq!(renewed.status, 401, "a token does not renew itself");
    let other = Credential::Scram(ScramVerifier::new("other"));
    served.seen.users.lock().expect("no panic").insert("ann".to_owned(), other);
    assert_eq!(whoami(&served, &bearer).await.status, 401);
    assert_eq!(whoami(&served, &basic("ann", "s3cret")).await.status, 401, "nor is the password remembered");
    assert_eq!(user(&whoami(&served, &basic("ann", "other")).await), "ann");
}

#[tokio::test]
async fn a_token_ends() {
    let config = HttpConfig { token_lifetime: std::time::Duration::ZERO, ..HttpConfig::default() };
    let served = start(config).await;
    let reply = served.post("/v1/token", &[("authorization", &basic("ann", "s3cret"))], "").await;
    let bearer = format!("Bearer {}", reply.json()["token"].as_str().expect("a token"));
    assert_eq!(whoami(&served, &bearer).await.status, 401);
}

#[tokio::test]
async fn after_five_wrong_passwords_an_address_waits() {
    let served = start(HttpConfig::default()).await;
    assert_eq!(user(&whoami(&served, &basic("ann", "s3cret")).await), "ann");
    for _ in 0..5 {
        assert_eq!(whoami(&served, &basic("ann", "wrong")).await.status, 401);
    }
    for password in ["wrong", "s3cret"] {
        let reply = whoami(&served, &basic("ann", password)).await;
        assert_eq!(reply.status, 429, "a remembered password cannot be guessed either");
        let seconds: u64 = reply.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
        assert!((1..=30).contains(&seconds), "{seconds}");
    }
    assert_eq!(served.sql("whoami").await.status, 200, "who shows nothing is not counted");
}

#[tokio::test]
async fn attempts_at_the_same_time_count_as_well() {
    let served = start(HttpConfig::default()).await;
    let wrong = basic("ann", "wrong");
    let replies = futures_util::future::join_all((0..60).map(|_| whoami(&served, &wrong))).await;
    let looked_at = replies.iter().filter(|r| r.status == 401).count();
    assert!(looked_at < 10, "{looked_at}");
    assert!(replies.iter().all(|r| r.status == 401 || r.status == 429));
}

#[tokio::test]
async fn foreign_origins_are_refused() {
    let config = HttpConfig { allowed_origins: vec!["https://good.example".to_owned()], ..HttpConfig::default() };
    let served = start(config).await;
    let own = format!("http://{}", served.address);
    for origin in [own.as_str(), "https://good.example"] {
        let reply = served.post("/v1/sql", &[("origin", origin)], "whoami").await;
        assert_eq!(reply.status, 200, "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
    }
    for origin in
        ["null", "https://good.example.evil", "https://good.example:444", "http://good.example", "https://evil.example"]
    {
        for (method, path) in [
            ("POST", "/v1/sql"),
            ("POST", "/v1/ingest/events"),
            ("GET", "/v1/subscribe?query=quiet"),
            ("OPTIONS", "/v1/sql"),
        ] {
            let reply = served.request(method, path, &[("origin", origin)], b"whoami").await;
            assert_eq!(reply.status, 403, "53, 54: {origin} {method} {path}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    let two = served.post("/v1/sql", &[("origin", &own), ("origin", "null")], "whoami").await;
    assert_eq!(two.status, 403);
    let image = served.get("/v1/subscribe?query=quiet", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(image.status, 403, "what a page embeds has no Origin");
    let preflight = [("origin", "https://good.example"), ("access-control-request-method", "POST")];
    let reply = served.request("OPTIONS", "/v1/sql", &preflight, b"").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn other_hosts_are_refused() {
    let served = start(HttpConfig::default()).await;
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:4567"] {
        let reply = served.post("/v1/sql", &[("host", host)], "whoami").await;
        assert_eq!(reply.status, 421, "59: {host}");
    }
    let two = served.post("/v1/sql", &[("host", "localhost"), ("host", "evil.example")], "whoami").await;
    assert_eq!(two.status, 400);
    let absolute = served.get("http://evil.example/metrics", &[]).await;
    assert_eq!(absolute.status, 421);
    assert_eq!(served.post("/v1/sql", &[("host", "localhost:1")], "whoami").await.status, 200);
    let probe = served.get("/healthz", &[("host", "10.0.0.1:4567")]).await;
    assert_eq!(probe.status, 200, "a probe need not know our names");
}
