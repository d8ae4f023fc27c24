//! `Channel`: how a message gets to somebody, and why it does not. It must not know what was told before.

use std::time::Duration;

use thalweg_core::Error;

use super::message::Message;

/// A way to somebody.
pub(super) trait Channel: Send {
    /// Hands over one message; `Ok` when it is confirmed.
    ///
    /// # Errors
    /// It is not known to be there.
    fn send(&mut self, message: &Message) -> Result<(), Failure>;
}

/// Why a message is not confirmed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer, or one that asks to come again: not sooner than `after`.
    Again { why: String, after: Option<Duration> },
    /// This message will never be taken.
    Refused(String),
    /// No message can be sent before a person has acted.
    Broken(Error),
}

impl Failure {
    /// Nothing is known of how long it will take.
    pub(super) fn again(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), after: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// What the other side said, for an error: the first 200 characters, on one line.
pub(super) fn said(answer: &str) -> String {
    const SAID_CHARACTERS: usize = 200;
    answer.trim().chars().take(SAID_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
