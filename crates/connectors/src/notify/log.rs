//! `log`: a message is an event of the server's log, target `thalweg::notify`. It must not know where the log goes.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `level` | `error`, `warn`, `info`, `debug` | by the alert's severity: `critical` and `error` are errors, `warning` warns; otherwise `info` |

use thalweg_core::{Options, Result};
use tracing::Level;

use super::about::About;
use super::channel::{Channel, Failure};
use super::message::{Message, Op};

/// An event of this level, with these fields. The level of an event is part of its call site.
macro_rules! event {
    ($at:expr, $($fields:tt)*) => {
        match $at {
            Level::ERROR => tracing::event!(target: "thalweg::notify", Level::ERROR, $($fields)*),
            Level::WARN => tracing::event!(target: "thalweg::notify", Level::WARN, $($fields)*),
            Level::INFO => tracing::event!(target: "thalweg::notify", Level::INFO, $($fields)*),
            _ => tracing::event!(target: "thalweg::notify", Level::DEBUG, $($fields)*),
        }
    };
}

/// Writes each message into the server's log.
pub(super) struct Log {
    level: Level,
    about: About,
}

impl Log {
    /// # Errors
    /// Options that are wrong.
    pub(super) fn take(options: &mut Options, about: About) -> Result<Self> {
        const LEVELS: &[(&str, Level)] =
            &[("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG)];
        let severity = about.alert.as_ref().map(|alert| alert.severity.to_lowercase());
        let by_severity = match severity.as_deref() {
            Some("critical" | "error") => Level::ERROR,
            Some("warning") => Level::WARN,
            _ => Level::INFO,
        };
        Ok(Self { level: options.choice("level", LEVELS, by_severity)?, about })
    }
}

impl Channel for Log {
    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        let Message { key, epoch, op, .. } = message;
        let row = self.about.row_json(message)?;
        let headline = self.about.headline(message)?;
        let (sink, epoch, op) = (&self.about.sink, epoch.0, op.map(Op::name));
        let alert = self.about.alert.as_ref();
        let (name, severity) = (alert.map(|a| a.name.as_str()), alert.map(|a| a.severity.as_str()));
        let (transition, instance) = self.about.alert_texts(message)?.unzip();
        event!(self.level, sink, epoch, key, op, alert = name, severity, transition, instance, row, "{headline}");
        Ok(())
    }
}
