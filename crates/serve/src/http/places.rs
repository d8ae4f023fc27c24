//! `Places`: where a request may be addressed to and which pages may send it (against DNS rebinding and cross-site
//! requests). It must not know users.

use std::io;
use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use thalweg_core::SqlState;

use super::failure::Failure;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The allowed hosts and origins.
#[derive(Debug)]
pub(crate) struct Places {
    /// In lower case, without ports.
    hosts: Vec<String>,
    /// Bound to all addresses: a host that is an IP address is one of ours. (A rebinding attack needs a name.)
    any_address: bool,
    origins: Vec<Origin>,
}

/// Scheme, host and port, as a browser compares them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Places {
    /// # Errors
    /// An origin that is not one.
    pub(crate) fn new(hosts: &[String], origins: &[String], bound: SocketAddr) -> io::Result<Self> {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let own = match bound.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let origins = origins.iter().map(|text| {
            Origin::parse(text).ok_or_else(|| {
                let message = format!("allowed origin {text:?} is not of the form https://host[:port]");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })
        });
        Ok(Self {
            hosts: loopback.into_iter().chain([own]).chain(hosts.iter().map(|h| h.to_ascii_lowercase())).collect(),
            any_address: bound.ip().is_unspecified(),
            origins: origins.collect::<io::Result<_>>()?,
        })
    }

    /// The host that the request is for, if it is allowed.
    pub(crate) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, Failure> {
        if headers.get_all(HOST).iter().count() > 1 {
            return Err(Failure::bad_request("more than one Host header"));
        }
        let named = match headers.get(HOST) {
            Some(value) => Some(
                Authority::try_from(value.as_bytes())
                    .map_err(|_| Failure::bad_request("the Host header is not a host name"))?,
            ),
            None => None,
        };
        let target = uri.authority().cloned();
        for authority in [&named, &target].into_iter().flatten() {
            if authority.as_str().contains('@') {
                return Err(credentials_in_url());
            }
            if !self.is_ours(authority.host()) {
                return Err(Failure::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    SqlState::INVALID_AUTHORIZATION,
                    "the request is addressed to a host that is not this server",
                )
                .hint("Add the name to the allowed hosts, or use the address that the server listens on."));
            }
        }
        target.or(named).ok_or_else(|| Failure::bad_request("the Host header is missing"))
    }

    /// Refuses what a page of another origin sends. A request without `Origin` is not from a page's script, except when
    /// the browser says so itself.
    pub(crate) fn check_origin(&self, headers: &HeaderMap, own: &Authority, tls: bool) -> Result<(), Failure> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(value) = origins.next() else {
            let site = headers.get(SEC_FETCH_SITE).map(|v| v.as_bytes());
            return if site == Some(b"cross-site") { Err(foreign_origin()) } else { Ok(()) };
        };
        let origin = value.to_str().ok().and_then(Origin::parse).ok_or_else(foreign_origin)?;
        let same = Origin {
            tls,
            host: own.host().to_ascii_lowercase(),
            port: own.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        };
        if origins.next().is_none() && (origin == same || self.origins.contains(&origin)) {
            return Ok(());
        }
        Err(foreign_origin())
    }

    /// Some page of another origin may call.
    pub(crate) fn any_origin(&self) -> bool {
        !self.origins.is_empty()
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        (self.any_address && address) || self.hosts.contains(&host)
    }
}

impl Origin {
    /// `scheme://host[:port]` and nothing more; not `null`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = Authority::try_from(rest).ok().filter(|a| !a.as_str().contains('@') && !a.host().is_empty())?;
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().len() == authority.host().len() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        Some(Self { tls, host: authority.host().to_ascii_lowercase(), port })
    }
}

/// Credentials in a URL end up in logs and histories.
pub(crate) fn credentials_in_url() -> Failure {
    Failure::bad_request("credentials in the URL are refused").hint("Send them in the Authorization header.")
}

fn foreign_origin() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, SqlState::INVALID_AUTHORIZATION, "pages of this origin may not call the server")
        .hint("Add the origin to the allowed origins.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(bound: &str) -> Places {
        let bound = bound.parse().expect("an address");
        Places::new(&["db.example".into()], &["https://good.example".into()], bound).expect("sound origins")
    }

    fn host(places: &Places, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a header value"));
        places.check_host(&Uri::from_static("/"), &headers).is_ok()
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let local = places("127.0.0.1:4567");
        for good in ["localhost", "LOCALHOST:1", "127.0.0.1:4567", "[::1]:4567", "db.example"] {
            assert!(host(&local, good), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "db.example.",
            "192.0.2.1",
            "a@localhost",
            "",
        ] {
            assert!(!host(&local, bad), "{bad}");
        }
        let open = places("0.0.0.0:4567");
        assert!(host(&open, "192.0.2.1:4567"));
        assert!(!host(&open, "evil.example"));
    }

    #[test]
    fn origins_are_compared_whole() {
        let places = places("127.0.0.1:4567");
        let own = Authority::from_static("localhost:4567");
        let check = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, axum::http::HeaderValue::from_static(origin));
            places.check_origin(&headers, &own, false).is_ok()
        };
        for good in ["http://localhost:4567", "https://good.example", "https://GOOD.example:443"] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://good.example.evil",
            "https://evil.example/https://good.example",
            "https://good.example@evil.example",
            "http://good.example",
            "https://good.example:8443",
            "https://notgood.example",
            "https://localhost:4567",
            "http://localhost",
            "http://localhost:4567/",
            "file://good.example",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn a_wrong_entry_is_refused_at_the_start() {
        let bound = "127.0.0.1:1".parse().expect("an address");
        for wrong in ["*", "null", "good.example", "https://good.example/"] {
            assert!(Places::new(&[], &[wrong.into()], bound).is_err(), "{wrong}");
        }
    }
}
