//! `Transaction`: commands that take effect together or not at all, sent in pieces of bounded size. It must not know what
//! they do.

use redis::Value;
use thalweg_core::SinkError;

use super::commands::Commands;
use super::connect::Session;

/// Requests are sent, and their answers awaited, when there are so many bytes of them.
const PIECE_BYTES: usize = 1024 * 1024;

/// An open `MULTI`. Dropping it leaves the connection in it: that is to be thrown away too.
pub(super) struct Transaction<'a> {
    session: &'a mut Session,
    pending: Commands,
    bytes: u64,
    limit: u64,
}

impl<'a> Transaction<'a> {
    /// Begins one that takes `limit` bytes of requests.
    pub(super) fn begin(session: &'a mut Session, limit: u64) -> Result<Self, SinkError> {
        session.ask("a transaction cannot begin", ["MULTI"])?;
        Ok(Self { session, pending: Commands::default(), bytes: 0, limit })
    }

    /// Adds a command.
    pub(super) fn push<W: AsRef<[u8]>>(
        &mut self,
        words: impl IntoIterator<Item = W, IntoIter: ExactSizeIterator>,
    ) -> Result<(), SinkError> {
        self.pending.push(words);
        if self.pending.bytes().len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }

    /// Sends what is pending.
    fn flush(&mut self) -> Result<(), SinkError> {
        let what = "a command was not taken";
        self.bytes += self.pending.bytes().len() as u64;
        if self.bytes > self.limit {
            let message =
                format!("an epoch takes more than {} bytes, which the server does not take at once", self.limit);
            return Err(self.session.fatal(&message, "CONFIG SET client-query-buffer-limit to more."));
        }
        for answer in self.session.ask_all(what, &self.pending)? {
            if let Value::ServerError(error) = answer {
                return Err(self.session.refused(what, &error));
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Lets all of it take effect.
    pub(super) fn commit(mut self) -> Result<Ended, SinkError> {
        let what = "what became of the transaction is not known";
        if self.pending.count() > 0 {
            self.flush()?;
        }
        match self.session.ask(what, ["EXEC"])? {
            Value::Nil => Ok(Ended::Overtaken),
            Value::Array(answers) => {
                let refusals = answers.into_iter().filter_map(|answer| match answer {
                    Value::ServerError(error) => {
                        Some(format!("{} {}", error.code(), error.details().unwrap_or_default()))
                    }
                    _ => None,
                });
                let refusals: Vec<String> = refusals.collect();
                Ok(refusals
                    .first()
                    .map_or(Ended::Done, |first| Ended::Torn(format!("{first} ({} times)", refusals.len()))))
            }
            _ => Err(self.session.odd(what)),
        }
    }
}

/// How a transaction has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it has taken effect.
    Done,
    /// None of it: a key that was watched has changed.
    Overtaken,
    /// Part of it, and why the rest has not.
    Torn(String),
}
