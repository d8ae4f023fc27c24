//! What people and monitors look at: status, documentation, metrics, health. It must not know what the numbers mean.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::json;
use thalweg_core::SqlState;

use super::door::Door;
use super::failure::Failure;
use crate::backend::Backend;

const STYLE: &str = include_str!("pages/style.css");
const DOCS_SCRIPT: &str = include_str!("pages/docs.js");

/// Seconds after which the status page asks again.
const STATUS_REFRESH_SECONDS: u32 = 5;

/// Only the style of the page itself, by its hash; no script.
static STATUS_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| policy(&format!("style-src '{}'", hash(STYLE))));

/// As the status page, and the one script, which may ask this server only.
static DOCS_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    policy(&format!("style-src '{}'; script-src '{}'; connect-src 'self'", hash(STYLE), hash(DOCS_SCRIPT)))
});

/// Shows what the server tells about itself.
pub(crate) async fn status<B: Backend>(State(door): State<Arc<Door<B>>>) -> Response {
    let rows =
        door.backend.status().into_iter().map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(&name), escape(&value))
        });
    let ready = match door.backend.ready() {
        Ok(()) => "<p class=\"good\">ready</p>".to_owned(),
        Err(why) => format!("<p class=\"bad\">not ready: {}</p>", escape(&why)),
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Thalweg</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"{STATUS_REFRESH_SECONDS}\"><style>{STYLE}</style></head>\
         <body><main><h1>Thalweg</h1>{ready}<table>{}</table>\
         <nav><a href=\"/docs\">API</a> <a href=\"/metrics\">Metrics</a></nav></main></body></html>",
        rows.collect::<String>()
    );
    ([(CONTENT_SECURITY_POLICY, STATUS_POLICY.clone())], Html(page)).into_response()
}

/// Shows `/openapi.json` to a person.
pub(crate) async fn docs() -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Thalweg API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main id=\"docs\"><h1>Thalweg API</h1></main><script>{DOCS_SCRIPT}</script></body></html>"
    );
    ([(CONTENT_SECURITY_POLICY, DOCS_POLICY.clone())], Html(page)).into_response()
}

/// Counters of the server and of this door, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text format.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics<B: Backend>(State(door): State<Arc<Door<B>>>) -> Response {
    let mut text = door.backend.metrics();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    door.meters.write(&mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Answers as long as the process serves. Needs no credentials.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "It serves.")))]
pub(crate) async fn healthz() -> Response {
    "ok\n".into_response()
}

/// Whether queries are answered. Needs no credentials.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "Queries are answered."),
        (status = 503, description = "Not yet or no longer; the reason is in the body."),
    ),
)]
pub(crate) async fn readyz<B: Backend>(State(door): State<Arc<Door<B>>>) -> Response {
    let ready = match *door.closing.borrow() {
        true => Err("the server is going down".to_owned()),
        false => door.backend.ready(),
    };
    match ready {
        Ok(()) => Json(json!({ "ready": true })).into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "reason": reason }))).into_response()
        }
    }
}

/// No such route.
pub(crate) async fn not_found() -> Failure {
    no_such_route()
}

pub(crate) fn no_such_route() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, SqlState::UNDEFINED_OBJECT, "no such route").hint("See /docs.")
}

/// The route has other methods.
pub(crate) async fn method_not_allowed() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, SqlState::FEATURE_NOT_SUPPORTED, "not with this method")
        .hint("See /docs.")
}

fn policy(allowed: &str) -> HeaderValue {
    let text = format!("default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    HeaderValue::try_from(text).expect("hashes are ASCII")
}

fn hash(inline: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, inline.as_bytes())))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
