//! The audit log: who came in, who changed the catalog and roles, who was refused. One JSON object a line, appended to a
//! file of its own and told to the log's target `audit`. Every event passes [`AuditLog::record`]; it must not know how
//! statements are run.
//!
//! What cannot be written is counted. Until a line says how many are missing, statements that change the catalog or
//! roles are refused: see [`AuditLog::ensure`].

mod attempt;
mod mask;
mod sink;
mod statement;
mod witness;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use thalweg_core::{SqlError, SqlState};
use thalweg_runtime::Clock;

pub(crate) use attempt::Attempt;
pub use mask::without_credentials;
pub(crate) use mask::without_secrets;
use sink::Sink;
pub(crate) use statement::masked;

/// Bytes of a statement that are kept; what is longer is cut.
const MAX_STATEMENT_BYTES: usize = 16 << 10;
/// Bytes of a user's or an object's name that are kept: a stranger chooses them.
const MAX_NAME_BYTES: usize = 256;

/// Which way a session came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Postgres,
    Http,
    /// The program that the engine is in.
    Embedded,
}

impl From<thalweg_serve::backend::Surface> for Surface {
    fn from(surface: thalweg_serve::backend::Surface) -> Self {
        match surface {
            thalweg_serve::backend::Surface::Postgres => Self::Postgres,
            thalweg_serve::backend::Surface::Http => Self::Http,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ServerStart,
    ServerStop,
    Login,
    LoginRefused,
    TokenIssued,
    Logout,
    /// A statement that changes the catalog.
    Ddl,
    /// A statement that makes, changes or drops a role.
    Role,
    /// GRANT or REVOKE.
    Grant,
    /// A statement that the user has no right to.
    PrivilegeRefused,
    /// Rows over HTTP that the user has no right to hand in.
    IngestDenied,
    /// So many events could not be written before this line.
    Lost,
}

impl Kind {
    /// As the log has it.
    fn name(self) -> &'static str {
        match self {
            Self::ServerStart => "server_start",
            Self::ServerStop => "server_stop",
            Self::Login => "login",
            Self::LoginRefused => "login_refused",
            Self::TokenIssued => "token_issued",
            Self::Logout => "logout",
            Self::Ddl => "ddl",
            Self::Role => "role",
            Self::Grant => "grant",
            Self::PrivilegeRefused => "privilege_refused",
            Self::IngestDenied => "ingest_denied",
            Self::Lost => "lost",
        }
    }

    /// What is on the disk before anyone learns that it has happened.
    fn is_durable(self) -> bool {
        matches!(self, Self::Ddl | Self::Role | Self::Grant | Self::ServerStart | Self::ServerStop | Self::Lost)
    }
}

impl Surface {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Http => "http",
            Self::Embedded => "embedded",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub user: String,
    pub peer: Option<SocketAddr>,
    pub surface: Surface,
}

/// A line of the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    #[serde(skip)]
    kind: Kind,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339, UTC, microseconds.
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Event {
    /// Of the server itself.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            event: kind.name(),
            user: None,
            peer: None,
            surface: None,
            object: None,
            statement: None,
            outcome: "ok",
            sqlstate: None,
            detail: None,
        }
    }

    pub fn of(kind: Kind, who: &Who) -> Self {
        let (user, surface) = (Some(cut(&who.user, MAX_NAME_BYTES)), Some(who.surface.name()));
        Self { user, peer: who.peer, surface, ..Self::new(kind) }
    }

    pub fn object(mut self, object: Option<String>) -> Self {
        self.object = object.map(|o| cut(&o, MAX_NAME_BYTES));
        self
    }

    /// The same, as another kind of event.
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, event: kind.name(), ..self }
    }

    /// With a statement's text, in which secrets are masked.
    pub fn statement(mut self, masked: &str) -> Self {
        self.statement = Some(cut(masked, MAX_STATEMENT_BYTES));
        self
    }

    pub fn failed(mut self, state: SqlState) -> Self {
        (self.outcome, self.sqlstate) = ("error", Some(state.0));
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn line(&self) -> Vec<u8> {
        let now = DateTime::from_timestamp_micros(Clock::System.now()).unwrap_or_default();
        let line = Line { time: now.to_rfc3339_opts(SecondsFormat::Micros, true), event: self };
        let mut bytes = serde_json::to_vec(&line).expect("names and texts have a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// The same in the server's own log.
    fn tell(&self) {
        tracing::info!(
            target: "audit",
            event = self.event,
            user = self.user,
            peer = self.peer.map(tracing::field::display),
            surface = self.surface,
            object = self.object,
            statement = self.statement,
            outcome = self.outcome,
            sqlstate = self.sqlstate,
            detail = self.detail,
        );
    }
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// See the module.
pub(crate) struct AuditLog(Mutex<State>);

struct State {
    sink: Option<Sink>,
    /// Events that could not be written.
    lost: u64,
    /// From the server's start to its stop.
    is_open: bool,
}

impl AuditLog {
    /// Opens the file at `path`, or none: then the server's own log is all there is.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self, SqlError> {
        let sink = path.map(Sink::open).transpose().map_err(|error| {
            let hint = "Give --audit-log a file that this user may write.";
            SqlError::new(SqlState::IO_ERROR, format!("the audit log cannot be opened: {error}")).hint(hint)
        })?;
        Ok(Self(Mutex::new(State { sink, lost: 0, is_open: false })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has started: from now on events are written.
    ///
    /// # Errors
    /// As [`AuditLog::record`].
    pub fn start(&self, event: &Event) -> Result<(), SqlError> {
        self.lock().is_open = true;
        self.record(event)
    }

    /// Writes an event. What changes the catalog, roles or grants is on the disk when this returns, as are the start and
    /// the stop of a server.
    ///
    /// # Errors
    /// It could not be written; the server's own log says why.
    pub fn record(&self, event: &Event) -> Result<(), SqlError> {
        let mut state = self.lock();
        if !state.is_open {
            return Ok(());
        }
        event.tell();
        state.write(event)
    }

    /// Writes an event that nothing hangs on: what cannot be written is counted, and told by the server's own log.
    pub fn note(&self, event: &Event) {
        // It is counted and told where it fails.
        let _ = self.record(event);
    }

    /// Nothing is missing in the log; or a line says now how much is.
    ///
    /// # Errors
    /// Events are missing, and this cannot be written either.
    pub fn ensure(&self) -> Result<(), SqlError> {
        let mut state = self.lock();
        if state.lost == 0 || !state.is_open {
            return Ok(());
        }
        let lost = state.lost;
        let event = Event::new(Kind::Lost).detail(format!("{lost} events could not be written"));
        state.write(&event)?;
        state.lost = 0;
        event.tell();
        Ok(())
    }

    /// The server stops: nothing more is written.
    pub fn stop(&self, event: &Event) {
        self.note(event);
        let mut state = self.lock();
        (state.sink, state.is_open) = (None, false);
    }
}

impl State {
    fn write(&mut self, event: &Event) -> Result<(), SqlError> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        sink.write(&event.line(), event.kind.is_durable()).map_err(|error| {
            self.lost += 1;
            tracing::error!(%error, event = event.event, "the audit log could not be written");
            let hint = "Make room on its disk or mend its permissions; until it can be written, statements that change \
                        the catalog or roles are refused.";
            SqlError::new(SqlState::IO_ERROR, format!("the audit log could not be written: {error}")).hint(hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).expect("readable");
        text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect()
    }

    #[test]
    fn a_line_says_when_what_who_and_how_it_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(Some(&path)).expect("it opens");
        log.record(&Event::new(Kind::Logout)).expect("nothing happens before the start");
        log.start(&Event::new(Kind::ServerStart)).expect("it is written");
        let who = Who { user: "ann\n".repeat(100), peer: Some(([127, 0, 0, 1], 5).into()), surface: Surface::Postgres };
        let event = Event::of(Kind::Ddl, &who).object(Some("t".to_owned())).statement(&"é".repeat(20_000));
        log.record(&event.failed(SqlState::DUPLICATE_TABLE)).expect("it is written");
        log.stop(&Event::new(Kind::ServerStop));
        log.record(&Event::new(Kind::Logout)).expect("nothing happens after the stop");
        let lines = lines(&path);
        let events: Vec<&str> = lines.iter().filter_map(|l| l["event"].as_str()).collect();
        assert_eq!(events, ["server_start", "ddl", "server_stop"]);
        let line = &lines[1];
        let expected = [
            ("event", "ddl"),
            ("peer", "127.0.0.1:5"),
            ("surface", "postgres"),
            ("object", "t"),
            ("outcome", "error"),
            ("sqlstate", "42P07"),
        ];
        for (key, value) in expected {
            assert_eq!(line[key], value, "{line}");
        }
        let time = line["time"].as_str().expect("a time");
        assert_eq!((time.len(), &time[10..11], &time[26..]), (27, "T", "Z"), "{time}");
        assert_eq!(line["user"].as_str().map(|u| u.chars().count()), Some(MAX_NAME_BYTES + 1));
        assert_eq!(line["statement"].as_str().map(str::len), Some(MAX_STATEMENT_BYTES + "…".len()));
    }

    #[test]
    fn what_is_missing_is_counted_and_told_when_it_can_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(Some(&path)).expect("it opens");
        log.start(&Event::new(Kind::ServerStart)).expect("it is written");
        log.lock().sink.as_mut().expect("a file").break_off();
        log.ensure().expect("nothing is missing yet");
        for _ in 0..2 {
            let error = log.record(&Event::new(Kind::Login)).expect_err("the file takes nothing");
            assert_eq!(error.state, SqlState::IO_ERROR, "{error}");
        }
        log.ensure().expect_err("it takes nothing still");
        // The operator has put it right.
        std::fs::remove_file(&path).expect("it is there");
        log.ensure().expect("it says what is missing");
        log.record(&Event::new(Kind::Login)).expect("it is written");
        let lines = lines(&path);
        assert_eq!(lines[0]["event"], "lost");
        assert_eq!(lines[0]["detail"], "3 events could not be written");
        assert_eq!(lines[1]["event"], "login");
    }
}
