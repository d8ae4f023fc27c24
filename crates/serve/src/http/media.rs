//! Media types: what a body is, and what an answer should be. It must not know how they are read or written.

use axum::http::{HeaderMap, header};

/// Arrow's stream format.
pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";
/// Comma-separated values with a header line.
pub(crate) const CSV: &str = "text/csv";
/// One JSON value.
pub(crate) const JSON: &str = "application/json";
/// One JSON object a line.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The `Content-Type` without parameters, in lower case; `None` if there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(essence(value))
}

/// The first of `offered` that the client accepts, in the client's order; the first of all for `*/*` or no wish.
pub(crate) fn accepted<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let mut wished = false;
    for value in headers.get_all(header::ACCEPT) {
        for wish in value.to_str().unwrap_or_default().split(',') {
            let wish = essence(wish);
            if wish.is_empty() {
                continue;
            }
            wished = true;
            let fits = |offer: &&&str| {
                wish == ***offer
                    || wish == "*/*"
                    || wish.strip_suffix('*').is_some_and(|kind| kind.ends_with('/') && offer.starts_with(kind))
            };
            if let Some(offer) = offered.iter().find(fits) {
                return Some(offer);
            }
        }
    }
    if wished { None } else { offered.first().copied() }
}

fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(accept: Option<&str>) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().expect("a header value"));
        }
        accepted(&headers, &[JSON, NDJSON, CSV, ARROW])
    }

    #[test]
    fn the_clients_first_wish_that_is_offered_wins() {
        assert_eq!(choice(None), Some(JSON));
        assert_eq!(choice(Some("*/*")), Some(JSON));
        assert_eq!(choice(Some("text/html, text/csv;q=0.9, */*")), Some(CSV));
        assert_eq!(choice(Some("text/*")), Some(CSV));
        assert_eq!(choice(Some("Application/X-NDJSON")), Some(NDJSON));
        assert_eq!(choice(Some("image/png")), None);
    }
}
