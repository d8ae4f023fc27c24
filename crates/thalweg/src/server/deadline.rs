//! How long a statement may run: until it is done, cancelled, or its time is up. It must not know what it does.

use std::time::Duration;

use arrow::array::ArrayRef;
use futures_util::{StreamExt, stream};
use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Answer, RowStream};
use thalweg_sql::server::{Statement, placed};

use super::session::Session;
use super::transaction;

impl Session {
    /// Runs a statement until it is cancelled or its time is up.
    pub(super) async fn in_time(&mut self, statement: &Statement, values: &[ArrayRef]) -> Result<Answer, SqlError> {
        if self.transaction.is_failed() && !transaction::ends(statement) {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new(SqlState::FAILED_TRANSACTION, message));
        }
        self.user(&self.objects())?;
        if self.is_read_only() && transaction::writes(statement) {
            let words = if statement.text.get(..6).is_some_and(|w| w.eq_ignore_ascii_case("create")) { 2 } else { 1 };
            let what: Vec<String> = statement.text.split_whitespace().take(words).map(str::to_uppercase).collect();
            let message = format!("cannot execute {} in a read-only transaction", what.join(" "));
            return Err(SqlError::new(SqlState::READ_ONLY_TRANSACTION, message));
        }
        self.login.cancel.arm();
        let timeout = self.settings.millis("statement_timeout").map(Duration::from_millis);
        let deadline = timeout.map(|t| tokio::time::Instant::now() + t);
        let cancel = self.login.cancel.clone();
        let answer = {
            let run = Box::pin(self.run(statement, values));
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(cancelled()),
                () = until(deadline) => Err(timed_out()),
                answer = run => answer,
            }
        };
        let answer = answer.map_err(|error| placed(error, statement))?;
        Ok(match answer {
            Answer::Rows { schema, rows, tag } => Answer::Rows { schema, rows: self.guarded(rows, deadline), tag },
            Answer::CopyOut { schema, rows, layout } => {
                Answer::CopyOut { schema, rows: self.guarded(rows, deadline), layout }
            }
            other => other,
        })
    }

    /// Ends `rows` when the statement is cancelled or its time is up.
    fn guarded(&self, rows: RowStream, deadline: Option<tokio::time::Instant>) -> RowStream {
        let cancel = self.login.cancel.clone();
        Box::pin(stream::unfold(Some(rows), move |rows| {
            let cancel = cancel.clone();
            async move {
                let mut rows = rows?;
                let next = tokio::select! {
                    biased;
                    () = cancel.cancelled() => Some(Err(cancelled())),
                    () = until(deadline) => Some(Err(timed_out())),
                    next = rows.next() => next,
                };
                match next? {
                    Ok(batch) => Some((Ok(batch), Some(rows))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        }))
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn cancelled() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

fn timed_out() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}
