//! The progress key: how far a sink is, in a hash that is written in the sink's own transactions and watched by them. It
//! must not know what a sink writes.

use redis::Value;
use thalweg_core::{Epoch, Incarnation, SinkError};

use super::commands::Commands;
use super::connect::Session;
use super::stream::{EntryId, LastEntry};
use super::transaction::Transaction;

/// How far a sink is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last epoch that the target holds.
    pub(super) epoch: Option<Epoch>,
    /// Who was the last to write.
    pub(super) incarnation: Incarnation,
    /// The last entry that was added to a stream.
    pub(super) entry: Option<EntryId>,
    /// A delivery has taken effect in part, and why.
    pub(super) torn: Option<String>,
}

/// What a transaction is to be built on: when it changes, the transaction comes to nothing.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `None`: there is no such key.
    pub(super) progress: Option<Progress>,
    /// Of the stream, if there is to be one.
    pub(super) last: LastEntry,
}

/// The key of one sink.
pub(super) struct ProgressKey {
    key: String,
    cluster: String,
    sink: String,
}

impl ProgressKey {
    /// That of sink `sink` of `cluster`.
    pub(super) fn new(cluster: &str, sink: &str) -> Self {
        Self { key: format!("thalweg:progress:{cluster}:{sink}"), cluster: cluster.to_owned(), sink: sink.to_owned() }
    }

    /// Reads the key, and the end of `stream`, and watches both.
    pub(super) fn watch(&self, session: &mut Session, stream: Option<&str>) -> Result<Seen, SinkError> {
        let what = "its progress cannot be read";
        let mut commands = Commands::default();
        commands.push(["WATCH", &self.key].into_iter().chain(stream).collect::<Vec<_>>());
        commands.push(["HMGET", &self.key, "incarnation", "last_epoch", "last_entry", "torn"]);
        if let Some(stream) = stream {
            commands.push(["XINFO", "STREAM", stream]);
        }
        let mut answers = session.ask_all(what, &commands)?.into_iter();
        if let Some(Value::ServerError(error)) = answers.next() {
            return Err(session.refused(what, &error));
        }
        let progress = match answers.next() {
            Some(Value::Array(fields)) => self.read(session, &fields)?,
            Some(Value::ServerError(error)) => return Err(session.refused(what, &error)),
            _ => return Err(session.odd(what)),
        };
        let last = match (stream, answers.next()) {
            (Some(stream), Some(answer)) => LastEntry::read(session, stream, &answer)?,
            _ => LastEntry::NONE,
        };
        Ok(Seen { progress, last })
    }

    fn read(&self, session: &Session, fields: &[Value]) -> Result<Option<Progress>, SinkError> {
        let text = |field: &Value| match field {
            Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        };
        let [incarnation, epoch, entry, torn] = fields else { return Err(session.odd("its progress cannot be read")) };
        let Some(incarnation) = text(incarnation) else { return Ok(None) };
        let wrong = |field: &str| {
            let message = format!("{} is not the progress of a sink: {field} is no number", self.key);
            session.fatal(&message, "Something else has written to this key: drop the sink and create it anew.")
        };
        let number = |field: &str, text: String| text.parse::<u64>().map_err(|_| wrong(field));
        let entry = text(entry).map(|e| EntryId::parse(&e).ok_or_else(|| wrong("last_entry"))).transpose()?;
        Ok(Some(Progress {
            epoch: text(epoch).map(|e| number("last_epoch", e)).transpose()?.map(Epoch),
            incarnation: Incarnation(number("incarnation", incarnation)?),
            entry,
            torn: text(torn),
        }))
    }

    /// Writes the key with the transaction.
    pub(super) fn write(&self, transaction: &mut Transaction<'_>, progress: &Progress) -> Result<(), SinkError> {
        let incarnation = progress.incarnation.0.to_string();
        let mut words = vec!["HSET".to_owned(), self.key.clone(), "cluster".to_owned(), self.cluster.clone()];
        let mut field = |name: &str, value: String| words.extend([name.to_owned(), value]);
        field("sink", self.sink.clone());
        field("incarnation", incarnation);
        if let Some(epoch) = progress.epoch {
            field("last_epoch", epoch.0.to_string());
        }
        if let Some(entry) = progress.entry {
            field("last_entry", entry.to_string());
        }
        transaction.push(words)
    }

    /// Notes, for whoever opens the sink again, that a delivery has taken effect in part.
    pub(super) fn write_torn(&self, session: &mut Session, why: &str) -> Result<(), SinkError> {
        session.ask("its progress cannot be written", ["HSET", &self.key, "torn", why]).map(drop)
    }
}
