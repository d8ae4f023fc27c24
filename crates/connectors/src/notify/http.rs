//! `Http`: one address, to which bodies are sent, and the headers that go with them. It must not know what is in a body.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Certificate, Client, Method, Response, Url};
use thalweg_core::{Error, Options, Result, Secret};

use super::answer::judge;
use super::channel::Failure;
use super::options::{MESSAGE_BYTES, timeout};
use super::signature::{Signer, content_digest};
use crate::block::block_on;

/// The headers that options may add (count), and the bytes of one of them.
const HEADERS: usize = 32;
const HEADER_BYTES: usize = 8 * 1024;

/// Of an answer no more than this is read (bytes).
const ANSWER_BYTES: usize = 8 * 1024;

/// Headers that this sets, or the connection.
const OURS: [&str; 15] = [
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "thalweg-signature",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// An address to which bodies are sent. It prints no path and no header: both may hold secrets.
pub(super) struct Http {
    client: Client,
    method: Method,
    url: Url,
    /// Scheme, host and port, for messages.
    origin: String,
    headers: HeaderMap,
    signer: Option<Signer>,
}

impl Http {
    /// Takes the options of the address: `url`, `timeout.millis`, `ssl.ca.pem`, `header.NAME`, `signature.secret`.
    ///
    /// # Errors
    /// An address or a header that cannot be used.
    pub(super) fn take(options: &mut Options, method: Method, content_type: &str) -> Result<Self> {
        let url = address(&options.require("url", "https://example.com/hook")?)?;
        let origin = url.origin().ascii_serialization();
        let timeout = timeout(options)?;
        let mut headers = headers(options)?;
        let content_type = HeaderValue::from_str(content_type).map_err(|_| {
            Error::invalid(format!("option content_type = '{}' is no type", content_type.escape_debug()))
        })?;
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("thalweg/", env!("CARGO_PKG_VERSION"))));
        let signer = options.take("signature.secret").map(|text| Signer::new(&Secret::new(text))).transpose()?;
        let client = client(timeout, options.take("ssl.ca.pem"))?;
        Ok(Self { client, method, url, origin, headers, signer })
    }

    /// Sends `body` under `key`.
    ///
    /// # Errors
    /// It is not confirmed.
    pub(super) fn send(&self, key: &str, body: Vec<u8>) -> Result<(), Failure> {
        if body.len() > MESSAGE_BYTES {
            let bytes = body.len();
            return Err(Failure::Refused(format!(
                "it has {bytes} bytes, and no message may have more than {MESSAGE_BYTES}"
            )));
        }
        let now = SystemTime::now();
        let mut headers = self.headers.clone();
        let mut add = |name: &'static str, value: String| {
            let value = HeaderValue::from_str(&value);
            value.map(|value| drop(headers.insert(HeaderName::from_static(name), value)))
        };
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        add("idempotency-key", key.to_owned())
            .and_then(|()| add("content-digest", content_digest(&body)))
            .and_then(|()| self.signer.as_ref().map_or(Ok(()), |s| add("thalweg-signature", s.sign(seconds, &body))))
            .map_err(|e| Error::Internal(format!("a header of our own: {e}")))?;
        let request = self.client.request(self.method.clone(), self.url.clone()).headers(headers).body(body);
        let answered = block_on(async move {
            let mut response = request.send().await?;
            let body = beginning(&mut response).await;
            Ok::<_, reqwest::Error>((response, body))
        });
        match answered {
            Some(Ok((response, body))) => judge(&self.origin, response.status(), response.headers(), &body, now),
            Some(Err(error)) => Err(Failure::again(format!("{}: {}", self.origin, explain(&error)))),
            None => Err(Failure::again(format!("{}: the request was given up", self.origin))),
        }
    }
}

/// The beginning of an answer, as far as it comes: its status has said already what there is to know.
async fn beginning(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            body.truncate(ANSWER_BYTES);
            break;
        }
    }
    body
}

/// The address in option `url`.
fn address(text: &str) -> Result<Url> {
    // The text is not shown: it may hold a secret.
    let hint = "Write url = 'https://host:port/path'; a login goes into header.authorization = SECRET name.";
    let wrong = |what: &str| Error::invalid_with_hint(format!("option url {what}"), hint);
    let url = Url::parse(text.trim()).map_err(|e| wrong(&format!("is no address: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is not of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a login in it, where it would be shown"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a fragment (#…), which is never sent"));
    }
    Ok(url)
}

fn headers(options: &mut Options) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let given = options.take_prefixed("header.");
    if given.len() > HEADERS {
        return Err(Error::invalid(format!(
            "there are {} options header.…, and no more than {HEADERS} are sent",
            given.len()
        )));
    }
    for (name, value) in given {
        let wrong = |what: &str| Error::invalid(format!("option header.{name} {what}"));
        if OURS.contains(&name.as_str()) {
            return Err(wrong("is set by the sink and cannot be given"));
        }
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is not the name of a header"))?;
        if value.len() > HEADER_BYTES {
            return Err(wrong(&format!("has more than {HEADER_BYTES} bytes")));
        }
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong("has a value that no header can have"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// A client that goes to the address alone: no proxy, no redirect, no second try of its own.
fn client(timeout: Duration, authorities: Option<String>) -> Result<Client> {
    // The first caller in the process decides; all of them choose the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .no_proxy();
    if let Some(pem) = authorities {
        let wrong = |e: &dyn std::fmt::Display| Error::invalid(format!("option ssl.ca.pem: {e}"));
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| wrong(&e))?;
        if certificates.is_empty() {
            return Err(wrong(&"there is no certificate in it"));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|e| Error::invalid(format!("no client can be made: {}", explain(&e))))
}

/// What went wrong with a request, and why, without the address.
fn explain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "no answer".to_owned() };
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
