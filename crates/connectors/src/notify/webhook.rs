//! `webhook`: a message is an HTTP request. It must not know what becomes of it.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `url` | `http://…` or `https://…`, without a login | required |
//! | `method` | `POST` or `PUT` | `POST` |
//! | `body` | a template, `{{column}}`; in JSON, values keep to their place | all of the message as JSON |
//! | `content_type` | of the body | `application/json` |
//! | `header.NAME` | a header; the value may be a `SECRET` | |
//! | `signature.secret` | signs each body: `Thalweg-Signature` | |
//! | `ssl.ca.pem` | the authorities that are trusted, as PEM text | the system's |
//! | `timeout.millis` | how long the answer may take | `10000` |

use reqwest::Method;
use thalweg_core::{Options, Result};

use super::about::About;
use super::body::Body;
use super::channel::{Channel, Failure};
use super::http::Http;
use super::message::Message;

/// Sends each message to an address.
pub(super) struct Webhook {
    http: Http,
    body: Body,
    about: About,
}

impl Webhook {
    /// # Errors
    /// Options that are wrong.
    pub(super) fn take(options: &mut Options, about: About) -> Result<Self> {
        const METHODS: &[(&str, bool)] = &[("post", true), ("put", false)];
        let method = if options.choice("method", METHODS, true)? { Method::POST } else { Method::PUT };
        let content_type = options.take("content_type").unwrap_or_else(|| "application/json".to_owned());
        let body = Body::take(options, &about, &content_type)?;
        Ok(Self { http: Http::take(options, method, &content_type)?, body, about })
    }
}

impl Channel for Webhook {
    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        self.http.send(&message.key, self.body.fill(&self.about, message)?)
    }
}
