//! `PostgresSink`: deliveries as transactions, with the sink's progress in the same transaction. It must not know how
//! values are written.
//!
//! A connection on which anything went wrong is thrown away: what became of its transaction is then read back from the
//! progress table when the sink is opened again, and never guessed.

use arrow::array::RecordBatch;
use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};
use tokio_postgres::Statement;

use super::connect::Session;
use super::options::{SinkOptions, Style};
use super::progress::{Progress, ProgressRow};
use super::table::{Statements, create, exists};
use super::types::Column;
use super::values::Chunks;
use crate::changes::{added, net};

/// A table as a sink.
pub(super) struct PostgresSink {
    name: String,
    options: SinkOptions,
    progress: ProgressRow,
    /// The last epoch that the table was seen to hold: it never holds less.
    held: Option<Epoch>,
    open: Option<Open>,
}

/// An open sink.
struct Open {
    session: Session,
    statements: Statements,
    incarnation: Incarnation,
}

impl PostgresSink {
    pub(super) fn new(name: String, cluster: String, id: String, options: SinkOptions) -> Self {
        let progress = ProgressRow::new(&options.table.schema, &cluster, &id);
        Self { name, options, progress, held: None, open: None }
    }

    /// The progress in the locked row, unless someone newer has written it, or it is older than it was.
    fn stored(&self, session: &Session, incarnation: Incarnation) -> Result<Progress, SinkError> {
        let stored = self.progress.lock(session)?;
        let epoch = stored.and_then(|s| s.epoch);
        match stored {
            Some(stored) if stored.incarnation > incarnation => Err(SinkError::Fatal(Error::invalid_with_hint(
                format!(
                    "the target has seen incarnation {} of sink {}; this is only {}",
                    stored.incarnation.0, self.name, incarnation.0
                ),
                "Another server runs on a newer copy of the data directory: stop one of them.",
            ))),
            Some(stored) if epoch >= self.held => Ok(stored),
            _ => Err(self.rewound(&format!("its progress is {} and was {}", said(epoch), said(self.held)))),
        }
    }

    fn rewound(&self, what: &str) -> SinkError {
        SinkError::Fatal(Error::invalid_with_hint(
            format!("SINK_REWOUND: table {} of sink {} is older than it was: {what}", self.options.table, self.name),
            "The database was restored, or the table dropped. Drop the sink and create it anew, for a new table.",
        ))
    }

    /// Writes who we are, so that anyone before us is known to be outdated; makes the table if it is not there.
    fn claim(&self, session: &Session, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        session.run("a transaction cannot begin", "BEGIN")?;
        let stored = self.stored(session, incarnation)?;
        if !exists(session, &self.options.table)? {
            if let Some(epoch) = stored.epoch {
                return Err(self.rewound(&format!("it is gone, and held epoch {}", epoch.0)));
            }
            if !self.options.create {
                return Err(SinkError::Fatal(Error::invalid_with_hint(
                    format!("table {} does not exist", self.options.table),
                    "Create it, or let the sink do so: create_table = 'true'.",
                )));
            }
            create(session, &self.options)?;
        }
        self.progress.write(session, Progress { incarnation, ..stored })?;
        session.run("it is not known whether the sink was claimed", "COMMIT")?;
        Ok(stored.epoch)
    }

    fn deliver_open(&self, open: &Open, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let session = &open.session;
        session.run("a transaction cannot begin", "BEGIN")?;
        let stored = self.stored(session, open.incarnation)?;
        if stored.incarnation < open.incarnation {
            return Err(self.rewound("it does not know who wrote last"));
        }
        thalweg_core::failpoint!("postgres.locked");
        let news: Vec<&EpochRows> = epochs.iter().filter(|e| Some(e.epoch) > stored.epoch).collect();
        match self.options.style {
            Style::Append { forced } => {
                for batch in added(&news, forced).map_err(|e| self.fatal(e))? {
                    self.send(open, &open.statements.put, &batch, &self.options.columns)?;
                }
            }
            Style::Upsert => {
                let (schema, key) = (&self.options.schema, &self.options.key);
                let net = net(schema, key, &news).map_err(|e| self.fatal(e))?;
                if let Some(delete) = &open.statements.delete {
                    let columns: Vec<Column> = key.iter().map(|k| self.options.columns[*k].clone()).collect();
                    let gone = net.gone.project(key).map_err(|e| self.fatal(e.into()))?;
                    self.send(open, delete, &gone, &columns)?;
                }
                self.send(open, &open.statements.put, &net.there, &self.options.columns)?;
            }
        }
        thalweg_core::failpoint!("postgres.rows_sent");
        let epoch = stored.epoch.max(Some(upto));
        self.progress.write(session, Progress { epoch, incarnation: open.incarnation })?;
        thalweg_core::failpoint!("postgres.progress_sent");
        session.run("what became of the commit is not known", "COMMIT")?;
        thalweg_core::failpoint!("postgres.committed");
        Ok(())
    }

    fn send(
        &self,
        open: &Open,
        statement: &Statement,
        rows: &RecordBatch,
        columns: &[Column],
    ) -> Result<(), SinkError> {
        for piece in Chunks::new(rows, columns).map_err(|e| self.fatal(e))? {
            open.session.execute("rows were not taken", statement, piece.map_err(|e| self.fatal(e))?)?;
        }
        Ok(())
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
}

/// An epoch in words.
fn said(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| "nothing".to_owned(), |e| format!("epoch {}", e.0))
}

impl EpochSink for PostgresSink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        self.open = None;
        let options = &self.options;
        let session = Session::connect(&options.config, &options.tls, options.timeout, &self.name)?;
        self.progress.ensure(&session)?;
        let epoch = self.claim(&session, incarnation)?;
        thalweg_core::failpoint!("postgres.claimed");
        let statements = Statements::prepare(&session, options)?;
        self.held = self.held.max(epoch);
        self.open = Some(Open { session, statements, incarnation });
        Ok(epoch)
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else {
            return Err(SinkError::Again(Error::Internal(format!("sink {} is not open", self.name))));
        };
        self.deliver_open(&open, epochs, upto)?;
        self.held = self.held.max(Some(upto));
        self.open = Some(open);
        Ok(())
    }
}
