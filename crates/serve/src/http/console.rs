//! `Console`: the files of the web console, and the routes that hand them out. They hold no data and need no
//! credentials: the page signs in by itself. It must not know what the page does.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::Embed;
use tower_http::compression::CompressionLayer;

use super::pages;

/// The first page.
const INDEX: &str = "index.html";

/// Everything from this server, nothing inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What a build of the console leaves. A debug build reads it when it is asked for; without a build there is none.
#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../../console/dist"]
#[allow_missing = true]
struct Built;

/// Content and media type by path within the folder.
type Files = dyn Fn(&str) -> Option<(Cow<'static, [u8]>, &'static str)> + Send + Sync;

/// The files of a web console, by their paths.
#[derive(Clone)]
pub struct Console(Arc<Files>);

impl Console {
    /// The one that this program was built with, if it was built with one.
    pub fn built() -> Option<Self> {
        let find = |path: &str| Built::get(path).map(|file| (file.data, media_type(path)));
        find(INDEX).map(|_| Self(Arc::new(find)))
    }

    /// These files.
    pub fn of(files: &'static [(&'static str, &'static [u8])]) -> Self {
        let find = move |path: &str| {
            let (_, content) = files.iter().find(|(name, _)| *name == path)?;
            Some((Cow::Borrowed(*content), media_type(path)))
        };
        Self(Arc::new(find))
    }

    /// `GET /` and `GET /assets/…`.
    pub(crate) fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let assets = self.clone();
        let index = move || async move { self.answer(INDEX, "no-cache") };
        // Their names hold their hashes.
        let asset = move |Path(path): Path<String>| async move {
            assets.answer(&format!("assets/{path}"), "public, max-age=31536000, immutable")
        };
        Router::new().route("/", get(index)).route("/assets/{*path}", get(asset)).layer(CompressionLayer::new())
    }

    fn answer(&self, path: &str, cache: &'static str) -> Response {
        let Some((content, media_type)) = (self.0)(path) else {
            return pages::no_such_route().into_response();
        };
        let headers: [(HeaderName, HeaderValue); 3] = [
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (CACHE_CONTROL, HeaderValue::from_static(cache)),
            (CONTENT_SECURITY_POLICY, POLICY),
        ];
        (headers, content.into_owned()).into_response()
    }
}

/// Of what a build of the console consists of.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
