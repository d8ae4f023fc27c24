//! `slack`: a message is one of a Slack channel, by an incoming webhook. It must not know HTTP.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `url` | the address of the incoming webhook; a `SECRET`, since whoever knows it can write there | required |
//! | `text` | a template, `{{column}}`; its own text may use Slack's formatting, values are text alone | a line about the message, a line a value |
//! | `header.NAME`, `signature.secret`, `ssl.ca.pem`, `timeout.millis` | as of `webhook` | |

use reqwest::Method;
use thalweg_core::{Options, Result};

use super::about::About;
use super::channel::{Channel, Failure};
use super::http::Http;
use super::message::Message;
use crate::template::Template;

/// Slack cuts longer texts (characters).
const TEXT_CHARACTERS: usize = 40_000;

/// Writes each message into a channel of Slack.
pub(super) struct Slack {
    http: Http,
    text: Option<Template>,
    about: About,
}

impl Slack {
    /// # Errors
    /// Options that are wrong.
    pub(super) fn take(options: &mut Options, about: About) -> Result<Self> {
        let text = about.template("text", options)?;
        Ok(Self { http: Http::take(options, Method::POST, "application/json")?, text, about })
    }

    fn text(&self, message: &Message) -> Result<String> {
        match &self.text {
            Some(template) => self.about.fill(template, message, escaped),
            None => {
                let text = format!("{}\n{}", self.about.headline(message)?, self.about.lines(message)?);
                Ok(escaped(text.trim_end()))
            }
        }
    }
}

impl Channel for Slack {
    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        let text = self.text(message)?;
        let characters = text.chars().count();
        if characters > TEXT_CHARACTERS {
            let why = format!("its text has {characters} characters, and Slack takes {TEXT_CHARACTERS}");
            return Err(Failure::Refused(why));
        }
        let body = serde_json::json!({ "text": text });
        self.http.send(&message.key, body.to_string().into_bytes())
    }
}

/// `text` without the three characters that have a meaning in Slack (its documentation, "Formatting text for app
/// surfaces: Escaping text").
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}
