//! `Session`: a connection on which one question is asked after the other, each with a deadline. It must not know what
//! the questions are for.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::{Error, SinkError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row, Statement};

use super::tls::Tls;
use super::values::Param;
use crate::block::block_on;

/// How much longer than the server itself a client waits before it takes the server for gone.
const GRACE: Duration = Duration::from_secs(2);

/// A value of a small question.
pub(super) type Value = Box<dyn ToSql + Send + Sync>;

/// An open connection. When it is dropped, what was not committed is undone by the server.
pub(super) struct Session {
    client: Arc<Client>,
    timeout: Duration,
    /// The sink's name, for messages.
    name: String,
}

impl Session {
    /// Connects. Whatever the server confirms from then on survives its crash, and it gives up on what takes longer than
    /// `timeout`: also on a transaction whose client is gone without a word.
    pub(super) fn connect(config: &Config, tls: &Tls, timeout: Duration, name: &str) -> Result<Self, SinkError> {
        let (config, tls) = (config.clone(), tls.clone());
        let connected = ask(timeout + GRACE, async move {
            let (client, connection) = config.connect(tls).await?;
            // What goes wrong with the connection is told to whoever asks next.
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        });
        let client = connected.map_err(|failure| failure.judged(name, "the server cannot be reached"))?;
        let session = Self { client: Arc::new(client), timeout, name: name.to_owned() };
        let millis = timeout.as_millis();
        session.run(
            "the connection cannot be set up",
            format!(
                "SET statement_timeout = {millis}; SET lock_timeout = {millis}; \
                 SET idle_in_transaction_session_timeout = {millis}; \
                 SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
            ),
        )?;
        Ok(session)
    }

    /// Runs statements without parameters.
    pub(super) fn run(&self, what: &str, sql: impl Into<String>) -> Result<(), SinkError> {
        let (client, sql) = (self.client.clone(), sql.into());
        self.asked(what, async move { client.batch_execute(&sql).await })
    }

    /// The rows that answer `sql`.
    pub(super) fn query(&self, what: &str, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, SinkError> {
        let (client, sql) = (self.client.clone(), sql.to_owned());
        self.asked(what, async move {
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| &**v as &(dyn ToSql + Sync)).collect();
            client.query(&sql, &values).await
        })
    }

    /// A statement that will be executed often.
    pub(super) fn prepare(&self, what: &str, sql: &str) -> Result<Statement, SinkError> {
        let (client, sql) = (self.client.clone(), sql.to_owned());
        self.asked(what, async move { client.prepare(&sql).await })
    }

    /// Executes a statement with a column in each parameter.
    pub(super) fn execute(&self, what: &str, statement: &Statement, columns: Vec<Param>) -> Result<(), SinkError> {
        let (client, statement) = (self.client.clone(), statement.clone());
        self.asked(what, async move { client.execute_raw(&statement, columns).await.map(|_| ()) })
    }

    fn asked<T: Send + 'static>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
    ) -> Result<T, SinkError> {
        ask(self.timeout + GRACE, question).map_err(|failure| failure.judged(&self.name, what))
    }
}

/// Why a question has no answer.
enum Failure {
    Refused(tokio_postgres::Error),
    Late(Duration),
}

fn ask<T: Send + 'static>(
    patience: Duration,
    question: impl Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
) -> Result<T, Failure> {
    match block_on(async move { tokio::time::timeout(patience, question).await }) {
        Some(Ok(answer)) => answer.map_err(Failure::Refused),
        Some(Err(_)) | None => Err(Failure::Late(patience)),
    }
}

impl Failure {
    /// Whether a person must act, or it is to be tried again.
    fn judged(self, name: &str, what: &str) -> SinkError {
        let error = match self {
            Self::Late(patience) => {
                let message = format!("sink {name}: {what}: no answer within {} ms", patience.as_millis());
                return SinkError::Again(Error::invalid(message));
            }
            Self::Refused(error) => error,
        };
        let Some(told) = error.as_db_error() else {
            let mut message = format!("sink {name}: {what}: {error}");
            let mut reason = error.source();
            while let Some(source) = reason {
                message += &format!(": {source}");
                reason = source.source();
            }
            return if is_lasting(&message) {
                SinkError::Fatal(Error::invalid_with_hint(message, "Change the options, or the server's settings."))
            } else {
                SinkError::Again(Error::invalid(message))
            };
        };
        let detail = told.detail().map(|d| format!(": {d}")).unwrap_or_default();
        let code = told.code().code();
        let message = format!("sink {name}: {what}: {}{detail} (SQLSTATE {code})", told.message());
        // Classes of SQLSTATE that no second try gets rid of: features, data, constraints, logins, names, limits.
        if matches!(&code[..2], "0A" | "21" | "22" | "23" | "28" | "3D" | "3F" | "42" | "54") {
            let hint = told.hint().map(str::to_owned).or_else(|| hint(code).map(str::to_owned));
            return SinkError::Fatal(Error::Invalid { message, hint });
        }
        SinkError::Again(Error::invalid(message))
    }
}

/// The client itself says so, and only in words.
fn is_lasting(message: &str) -> bool {
    ["server does not support TLS", "password missing", "unsupported authentication", "invalid peer certificate"]
        .iter()
        .any(|part| message.contains(part))
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "42501" => "GRANT the right to the sink's user, or change the options.",
        "42P10" => "Make the columns of primary_key the primary key of the table, or unique.",
        "28P01" | "28000" => "Change user or password, or let the user in (pg_hba.conf).",
        "3D000" => "Create the database, or change option database.",
        "3F000" => "Create the schema, or change option schema.",
        "23502" => "Give the column a default in the table, or a value in the query.",
        _ => return None,
    })
}
