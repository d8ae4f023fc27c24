//! `NotifySink`: epochs as messages, one in flight, with a durable note after each. It must not know whom it tells.

use std::time::{Duration, Instant};

use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};

use super::channel::{Channel, Failure};
use super::message::{Changes, Message, places};
use super::progress::{Next, Notes, Progress};

/// A target that asks to be left alone for longer than this (15 minutes) is asked again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// What becomes of a sink whose message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRefusal {
    Stop,
    Skip,
}

/// A sink that tells somebody.
pub(super) struct NotifySink {
    pub(super) name: String,
    /// What the keys of its messages begin with.
    pub(super) key: String,
    pub(super) changes: Changes,
    pub(super) on_refusal: OnRefusal,
    pub(super) notes: Notes,
    pub(super) channel: Box<dyn Channel>,
    /// How far it is: ahead of the newest note where that could not be written.
    pub(super) reached: Option<Progress>,
    pub(super) is_open: bool,
    /// The target asked to be left alone until then.
    pub(super) rest: Option<Instant>,
}

impl NotifySink {
    /// Sends one message and notes it.
    fn tell(&mut self, message: &Message, next: Next, progress: &mut Progress) -> Result<(), SinkError> {
        match self.channel.send(message) {
            Ok(()) => {}
            Err(Failure::Refused(why)) if self.on_refusal == OnRefusal::Skip => {
                progress.skipped += 1;
                let (sink, key, skipped) = (&self.name, &message.key, progress.skipped);
                tracing::error!(sink, key, skipped, "a message was refused and is left out: {why}");
            }
            Err(failure) => return Err(self.failed(failure)),
        }
        progress.next = next;
        self.note(progress)
    }

    fn note(&mut self, progress: &Progress) -> Result<(), SinkError> {
        // Known before it is durable: if the disk refuses, this process does not send the message again.
        self.reached = Some(*progress);
        self.notes.write(progress).map_err(|e| self.of_disk(e))
    }

    fn failed(&mut self, failure: Failure) -> SinkError {
        match failure {
            Failure::Again { why, after } => {
                self.rest = after.map(|after| Instant::now() + after.min(LONGEST_WAIT));
                SinkError::Again(Error::invalid(format!("sink {}: {why}", self.name)))
            }
            Failure::Refused(why) => SinkError::Fatal(Error::invalid_with_hint(
                format!("sink {}: a message was refused: {why}", self.name),
                "Mend the target and restart the server, or create the sink anew with on_refusal = 'skip'.",
            )),
            Failure::Broken(error) => SinkError::Fatal(named(&self.name, error)),
        }
    }

    fn of_disk(&self, error: Error) -> SinkError {
        match error {
            error @ Error::Io { .. } => SinkError::Again(error),
            other => SinkError::Fatal(named(&self.name, other)),
        }
    }

    /// Delivers one epoch from where `progress` is.
    fn deliver_epoch(&mut self, epoch: &EpochRows, progress: &mut Progress) -> Result<(), SinkError> {
        let number = epoch.epoch.0;
        if number < progress.next.epoch {
            return Ok(());
        }
        let confirmed = if number == progress.next.epoch { progress.next.sequence } else { 0 };
        let mut sequence = 0;
        for place in places(epoch, self.changes) {
            if sequence >= confirmed {
                let message = place.message(&self.key, epoch.epoch, sequence, self.changes);
                self.tell(&message, Next { epoch: number, sequence: sequence + 1 }, progress)?;
            }
            sequence += 1;
        }
        if sequence < confirmed {
            return Err(SinkError::Fatal(Error::invalid_with_hint(
                format!(
                    "sink {}: its note says that {confirmed} messages of epoch {number} were confirmed, and there are only \
                     {sequence}",
                    self.name
                ),
                "The note is of another data directory: drop the sink and create it anew.",
            )));
        }
        Ok(())
    }
}

/// `error` with the name of the sink.
fn named(sink: &str, error: Error) -> Error {
    let message = |message: String| format!("sink {sink}: {message}");
    match error {
        Error::Invalid { message: text, hint } => Error::Invalid { message: message(text), hint },
        Error::Data(text) => Error::Data(message(text)),
        other => other,
    }
}

impl EpochSink for NotifySink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.is_open = false;
        if let Some(left) = self.rest.and_then(|rest| rest.checked_duration_since(Instant::now())) {
            let seconds = left.as_secs() + 1;
            let message = format!("sink {}: the target asks to be left alone for {seconds} s more", self.name);
            return Err(SinkError::Again(Error::invalid(message)));
        }
        self.rest = None;
        let stored = self.notes.open().map_err(|e| self.of_disk(e))?;
        let newer = stored.map(|s| s.incarnation).filter(|i| *i > incarnation);
        if let Some(newer) = newer {
            return Err(SinkError::Fatal(Error::invalid_with_hint(
                format!(
                    "incarnation {} has written the progress of sink {}; this is only {}",
                    newer.0, self.name, incarnation.0
                ),
                "Another server runs on this data directory: stop one of them.",
            )));
        }
        let mut progress = stored.unwrap_or_default();
        if let Some(reached) = self.reached.filter(|reached| reached.is_ahead_of(&progress)) {
            progress = reached;
        }
        progress.incarnation = incarnation;
        // Nothing is sent as long as nothing can be noted.
        if Some(progress) != stored {
            self.note(&progress)?;
        }
        self.reached = Some(progress);
        self.is_open = true;
        Ok(progress.epoch)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let Some(mut progress) = self.reached.filter(|_| std::mem::take(&mut self.is_open)) else {
            return Err(SinkError::Again(Error::Internal(format!("sink {} is not open", self.name))));
        };
        let whole = progress.epoch;
        for epoch in epochs.iter().filter(|e| Some(e.epoch) > whole) {
            self.deliver_epoch(epoch, &mut progress)?;
        }
        if Some(upto) > progress.epoch {
            progress.epoch = Some(upto);
            progress.next = progress.next.max(Next { epoch: upto.0.saturating_add(1), sequence: 0 });
            self.note(&progress)?;
        }
        self.is_open = true;
        Ok(())
    }
}
