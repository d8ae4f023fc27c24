//! What the answer to an HTTP request says of the message in it. It must not send anything.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::channel::{Failure, said};

/// Whether a message is confirmed by an answer of `status`, `headers` and the beginning `body` of its content.
///
/// # Errors
/// It is not: to be sent again (408, 425, 429, 5xx), or refused (all the others that are not 2xx).
pub(super) fn judge(
    to: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let said = said(&String::from_utf8_lossy(body));
    let said = if said.is_empty() { "no reason given".to_owned() } else { said };
    let why = format!("{to} answers {}: {said}", status.as_u16());
    let again = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if again {
        return Err(Failure::Again { why, after: retry_after(headers, now) });
    }
    if status.is_redirection() {
        return Err(Failure::Refused(format!("{why} (redirects are not followed: name the address itself)")));
    }
    Err(Failure::Refused(why))
}

/// How long `Retry-After` (RFC 9110, section 10.2.3) asks to wait: seconds, or until a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &str)]) -> Result<(), Failure> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().expect("a value")));
        let status = StatusCode::from_u16(status).expect("a status");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let body = format!("no\r\nway {}", "é".repeat(300));
        judge("http://x", status, &pairs.collect(), body.as_bytes(), now)
    }

    #[test]
    fn every_status_is_confirmed_tried_again_or_refused() {
        for status in 200..300 {
            assert!(judged(status, &[]).is_ok(), "{status}");
        }
        for status in [408, 425, 429].into_iter().chain(500..600) {
            assert!(matches!(judged(status, &[]), Err(Failure::Again { after: None, .. })), "{status}");
        }
        let refused = (300..500).filter(|status| ![408, 425, 429].contains(status));
        for status in refused.chain([101, 600, 999]) {
            let Err(Failure::Refused(why)) = judged(status, &[]) else { panic!("{status}") };
            assert!(why.starts_with(&format!("http://x answers {status}: no  way éé")), "{why}");
            assert!(why.chars().filter(|c| *c == 'é').count() == 200 - "no  way ".len(), "{why}");
        }
    }

    #[test]
    fn a_target_says_when_to_come_again() {
        let after = |value: &str| match judged(429, &[("retry-after", value)]) {
            Err(Failure::Again { after, .. }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("17"), Some(Duration::from_secs(17)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        // The date of RFC 9110's examples, 784,111,777 s after the epoch.
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for none in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(after(none), None, "{none}");
        }
    }
}
