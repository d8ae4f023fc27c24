//! The routes, and the checks that every request passes before its handler, outermost first. It must not know what
//! handlers do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use thalweg_core::SqlState;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

use super::door::{Connection, Door};
use super::failure::Failure;
use super::{gate, ingest, openapi, pages, sql, subscribe};
use crate::backend::Backend;

/// The router over `door`.
pub(crate) fn router<B: Backend>(door: Arc<Door<B>>) -> Router {
    let with_bodies = Router::new()
        .route("/v1/ingest/{source}", post(ingest::ingest::<B>))
        .route("/v1/sql", post(sql::sql::<B>))
        .layer(RequestDecompressionLayer::new())
        .layer(from_fn(check_encoding));
    let first = match door.config.console.clone() {
        Some(console) => console.routes(),
        None => Router::new()
            .route("/", get(pages::status::<B>))
            .layer(from_fn_with_state(Arc::clone(&door), gate::authenticate::<B>)),
    };
    let guarded = Router::new()
        .merge(with_bodies)
        .route("/v1/subscribe", get(subscribe::subscribe::<B>))
        .route("/v1/token", post(gate::token::<B>))
        .route("/metrics", get(pages::metrics::<B>))
        .route("/openapi.json", get(openapi::openapi))
        .route("/docs", get(pages::docs))
        .route("/status", get(pages::status::<B>))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(pages::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&door), gate::authenticate::<B>))
        .merge(first)
        .layer(cors(&door))
        .layer(from_fn_with_state(Arc::clone(&door), check_place::<B>));
    let health = Router::new().route("/healthz", get(pages::healthz)).route("/readyz", get(pages::readyz::<B>));
    let outermost = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&door), count::<B>))
        .layer(from_fn(harden))
        .layer(CatchPanicLayer::custom(|_| Failure::internal().into_response()));
    guarded.merge(health).layer(outermost).with_state(door)
}

/// Answers the preflight requests of allowed origins; foreign ones do not get here.
fn cors<B: Backend>(door: &Door<B>) -> CorsLayer {
    let layer = CorsLayer::new();
    if !door.places.any_origin() {
        return layer;
    }
    layer
        .allow_origin(AllowOrigin::predicate(|_, _| true))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::ACCEPT,
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE])
}

async fn count<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    connection.begun.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    door.meters.request(route, response.status().as_u16(), begun.elapsed());
    response
}

/// Headers for browsers that hold for every answer.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// Refuses a compression that is not undone.
async fn check_encoding(request: Request, next: Next) -> Result<Response, Failure> {
    let encoding = request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match encoding {
        None | Some(b"gzip" | b"zstd" | b"identity") => Ok(next.run(request).await),
        Some(_) => {
            let message = "the body is compressed in a way that is not undone";
            let failure = Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, SqlState::FEATURE_NOT_SUPPORTED, message);
            Err(failure.hint("Compress with gzip or zstd, once."))
        }
    }
}

async fn check_place<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let checked = door
        .places
        .check_host(request.uri(), request.headers())
        .and_then(|own| door.places.check_origin(request.headers(), &own, connection.tls));
    if let Err(failure) = checked {
        tracing::warn!(peer = %connection.peer, status = failure.status.as_u16(), "request refused");
        return Err(failure);
    }
    Ok(next.run(request).await)
}
