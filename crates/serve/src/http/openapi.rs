//! The OpenAPI document: what the door's routes take and answer. It must not know how they do it.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{gate, ingest, media, pages, sql, subscribe};

#[derive(OpenApi)]
#[openapi(
    info(title = "Thalweg", description = "Streaming SQL: rows in, statements, and answers that follow the rows."),
    paths(
        ingest::ingest,
        sql::sql,
        subscribe::subscribe,
        gate::token,
        pages::metrics,
        pages::healthz,
        pages::readyz
    ),
    modifiers(&Security),
    security(("basic" = []), ("bearer" = [])),
    tags(
        (name = "data", description = "Rows in and out."),
        (name = "access", description = "Who may."),
        (name = "operations", description = "How it does."),
    ),
)]
struct Document;

/// The two ways to log in.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

static TEXT: LazyLock<String> =
    LazyLock::new(|| Document::openapi().to_pretty_json().expect("the document has a JSON form"));

/// The OpenAPI document of this door as JSON.
pub fn openapi_json() -> &'static str {
    &TEXT
}

pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, media::JSON)], openapi_json()).into_response()
}
