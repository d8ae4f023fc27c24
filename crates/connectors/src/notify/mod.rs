//! `webhook`, `slack`, `email`, `log`: sinks that tell somebody, a message a row. They must not know why a row is told.
//!
//! Options of all of them:
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `changes` | `inserts`: rows that come; `all`: also rows that go, and each message says which | `inserts` |
//! | `on_refusal` | of a message that is refused for good: `stop` the sink, or `skip` the message | `stop` |
//! | `alert.name`, `alert.severity` | the rows are transitions of this alert, with columns `transition`, `alert_instance`, `at` | |
//!
//! Their own are in [`webhook`](mod@webhook), [`slack`](mod@slack), [`email`](mod@email) and [`log`](mod@log).
//!
//! Whom they tell does not keep how far a sink is. So a note of it is made durable in the data directory after every
//! message, one at a time, in order: a crash repeats at most the one message whose answer was not noted, under the same
//! key.

mod about;
mod answer;
mod body;
mod channel;
mod email;
mod http;
mod log;
mod message;
mod options;
mod progress;
mod signature;
mod sink;
mod slack;
#[cfg(test)]
mod tests;
mod webhook;

use thalweg_core::{EpochSink, Result};

use crate::registry::EpochSinkRequest;
use options::sink;

/// The sink of connector `webhook` that `request` describes.
pub(crate) fn webhook(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    sink(request, |options, about| Ok(Box::new(webhook::Webhook::take(options, about)?)))
}

/// The sink of connector `slack` that `request` describes.
pub(crate) fn slack(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    sink(request, |options, about| Ok(Box::new(slack::Slack::take(options, about)?)))
}

/// The sink of connector `email` that `request` describes.
pub(crate) fn email(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    sink(request, |options, about| Ok(Box::new(email::Email::take(options, about)?)))
}

/// The sink of connector `log` that `request` describes.
pub(crate) fn log(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    sink(request, |options, about| Ok(Box::new(log::Log::take(options, about)?)))
}
