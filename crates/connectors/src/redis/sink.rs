//! `RedisSink`: deliveries as transactions, with the sink's progress in the same transaction. It must not know how rows
//! become commands.
//!
//! A transaction watches the progress that it is built on, so that it comes to nothing if anyone else has written it. A
//! connection on which anything went wrong is thrown away: what became of its transaction is then read back when the
//! sink is opened again, and never guessed.

use redis::Value;
use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};

use super::connect::Session;
use super::health::{Health, Keeps};
use super::options::{Shape, SinkOptions};
use super::progress::{Progress, ProgressKey, Seen};
use super::rows::{Failure, last, together, write};
use super::stream::LastEntry;
use super::transaction::{Ended, Transaction};

/// Epochs with more rows than this (bytes in memory) are not delivered in one transaction, which holds up the server's
/// other clients.
const TOGETHER_BYTES: usize = 64 * 1024 * 1024;

/// Keys of a Redis as a sink.
pub(super) struct RedisSink {
    name: String,
    options: SinkOptions,
    progress: ProgressKey,
    /// The last epoch that the target was seen to hold: it never holds less.
    held: Option<Epoch>,
    warned: bool,
    open: Option<Open>,
}

/// An open sink.
struct Open {
    session: Session,
    health: Health,
    incarnation: Incarnation,
}

impl RedisSink {
    pub(super) fn new(name: String, cluster: &str, id: &str, options: SinkOptions) -> Self {
        Self { name, options, progress: ProgressKey::new(cluster, id), held: None, warned: false, open: None }
    }

    fn stream(&self) -> Option<&str> {
        match &self.options.shape {
            Shape::Stream(stream) => Some(&stream.name),
            _ => None,
        }
    }

    /// The progress that is there, watched: unless someone newer has written it, or it is older than it was.
    fn stored(&self, session: &mut Session, incarnation: Incarnation) -> Result<Progress, SinkError> {
        let Seen { progress, last } = self.progress.watch(session, self.stream())?;
        let epoch = progress.as_ref().and_then(|p| p.epoch);
        let stored = match progress {
            Some(stored) if stored.incarnation > incarnation => {
                return Err(SinkError::Fatal(Error::invalid_with_hint(
                    format!(
                        "the target has seen incarnation {} of sink {}; this is only {}",
                        stored.incarnation.0, self.name, incarnation.0
                    ),
                    "Another server runs on a newer copy of the data directory: stop one of them.",
                )));
            }
            _ if epoch < self.held => {
                return Err(self.rewound(&format!("its progress is {} and was {}", said(epoch), said(self.held))));
            }
            other => other.unwrap_or_default(),
        };
        if let Some(why) = &stored.torn {
            return Err(session.fatal(
                &format!("a delivery has taken effect in part: {why}"),
                "Drop the sink, delete its keys, and create it anew.",
            ));
        }
        match (self.stream(), last.cmp(&LastEntry(stored.entry))) {
            (Some(stream), std::cmp::Ordering::Less) => Err(self.rewound(&format!("stream {stream} has lost entries"))),
            (Some(stream), std::cmp::Ordering::Greater) => Err(session.fatal(
                &format!("stream {stream} has entries that the sink has not added"),
                "Nobody else may add to it: name another stream, or delete it.",
            )),
            _ => Ok(stored),
        }
    }

    fn rewound(&self, what: &str) -> SinkError {
        SinkError::Fatal(Error::invalid_with_hint(
            format!("SINK_REWOUND: the target of sink {} is older than it was: {what}", self.name),
            "Redis has lost what it had confirmed, or was emptied or restored. Drop the sink, delete its keys, and create it \
             anew.",
        ))
    }

    /// Writes who we are, so that anyone before us is known to be outdated.
    fn claim(
        &self,
        session: &mut Session,
        health: &Health,
        incarnation: Incarnation,
    ) -> Result<Option<Epoch>, SinkError> {
        let stored = self.stored(session, incarnation)?;
        let epoch = stored.epoch;
        let mut transaction = Transaction::begin(session, health.transaction_bytes)?;
        self.progress.write(&mut transaction, &Progress { incarnation, ..stored })?;
        match transaction.commit()? {
            Ended::Done => self.wait(session, health).map(|()| epoch),
            Ended::Overtaken => Err(self.overtaken()),
            Ended::Torn(why) => {
                Err(session.fatal(&format!("its progress cannot be written: {why}"), "See the server's log."))
            }
        }
    }

    /// Delivers `epochs`, after which the target is at `upto`.
    fn transact(&self, open: &mut Open, epochs: &[&EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let stored = self.stored(&mut open.session, open.incarnation)?;
        if stored.incarnation < open.incarnation {
            return Err(self.rewound("it does not know who wrote last"));
        }
        let news: Vec<&EpochRows> = epochs.iter().filter(|e| Some(e.epoch) > stored.epoch).copied().collect();
        let mut transaction = Transaction::begin(&mut open.session, open.health.transaction_bytes)?;
        let entry = write(&self.options, &news, &mut transaction).map_err(|failure| match failure {
            Failure::Rows(error) => self.fatal(error),
            Failure::Target(error) => error,
        })?;
        let progress = Progress {
            epoch: stored.epoch.max(Some(upto)),
            incarnation: open.incarnation,
            entry: entry.or(stored.entry),
            torn: None,
        };
        self.progress.write(&mut transaction, &progress)?;
        match transaction.commit()? {
            Ended::Done => Ok(()),
            Ended::Overtaken => Err(self.overtaken()),
            Ended::Torn(why) => {
                self.progress.write_torn(&mut open.session, &why)?;
                let hint = "Drop the sink, delete its keys, and create it anew.";
                Err(open.session.fatal(&format!("a delivery has taken effect in part: {why}"), hint))
            }
        }
    }

    /// Waits until what was confirmed is kept, where a server can tell.
    fn wait(&self, session: &mut Session, health: &Health) -> Result<(), SinkError> {
        if !self.options.wait_aof || health.keeps != Keeps::WhenAsked {
            return Ok(());
        }
        let what = "the append-only file does not hold the delivery yet";
        // The server answers before the client takes it for gone.
        let millis = (self.options.timeout.as_millis() / 2).to_string();
        match session.ask(what, ["WAITAOF", "1", "0", &millis])? {
            Value::Array(counts) if matches!(counts.first(), Some(Value::Int(1..))) => Ok(()),
            _ => Err(SinkError::Again(Error::invalid(format!("sink {}: {what}", self.name)))),
        }
    }

    fn overtaken(&self) -> SinkError {
        SinkError::Again(Error::invalid(format!(
            "sink {}: someone else has written to its progress or its stream",
            self.name
        )))
    }

    /// No second try would end differently.
    fn fatal(&self, error: Error) -> SinkError {
        let named = |message: String| format!("sink {}: {message}", self.name);
        SinkError::Fatal(match error {
            Error::Invalid { message, hint } => Error::Invalid { message: named(message), hint },
            Error::Data(message) => Error::Data(named(message)),
            other => other,
        })
    }

    fn warn(&mut self, health: &Health) {
        if !std::mem::replace(&mut self.warned, true) {
            for warning in health.warnings(self.options.wait_aof) {
                tracing::warn!(sink = self.name, "{warning}");
            }
        }
    }
}

/// An epoch in words.
fn said(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| "nothing".to_owned(), |e| format!("epoch {}", e.0))
}

impl EpochSink for RedisSink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.open = None;
        let mut session = Session::connect(&self.options, &self.name)?;
        let health = Health::examine(&mut session)?;
        self.warn(&health);
        let epoch = self.claim(&mut session, &health, incarnation)?;
        self.held = self.held.max(epoch);
        self.open = Some(Open { session, health, incarnation });
        Ok(epoch)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let Some(mut open) = self.open.take() else {
            return Err(SinkError::Again(Error::Internal(format!("sink {} is not open", self.name))));
        };
        let all: Vec<&EpochRows> = epochs.iter().collect();
        let mut rest = &all[..];
        loop {
            let (now, later) = together(rest, TOGETHER_BYTES);
            let reached = if later.is_empty() { Some(upto) } else { last(now) };
            self.transact(&mut open, now, reached.unwrap_or(upto))?;
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        self.wait(&mut open.session, &open.health)?;
        self.held = self.held.max(Some(upto));
        self.open = Some(open);
        Ok(())
    }
}
