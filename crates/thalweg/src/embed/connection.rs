//! `Connection`: one session of an embedded engine. It runs statements as the doors do and must not know what they mean.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Answer, Session as _};
use thalweg_sql::server::{CopyDirection, CopySide, ObjectName, Statement, StatementKind};

use super::changes::Changes;
use super::parameter::{Parameter, arrays};
use super::rows::Rows;
use crate::server::{Session, shutting_down};

/// A session: settings, a transaction, prepared statements. Calls come one after the other; work side by side takes
/// several connections.
///
/// A call whose future is dropped before it is ready is broken off: what it has not begun does not happen, and the
/// connection can be used again.
pub struct Connection {
    session: Session,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("user", &self.session.login.user).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    /// Runs statements one after the other and returns their command tags: `CREATE TABLE`, `INSERT 0 3`, `SELECT 5`. Rows
    /// that they yield are counted and dropped.
    ///
    /// As in PostgreSQL, what several statements write takes effect together or not at all, unless they hold BEGIN or
    /// COMMIT; statements that change the catalog take effect one by one.
    ///
    /// # Errors
    /// The first statement that fails, with its SQLSTATE; the rest is left out.
    pub async fn execute(&mut self, sql: &str) -> Result<Vec<String>, SqlError> {
        self.ready()?;
        let outcome = self.run_all(sql).await;
        self.ended(outcome)
    }

    async fn run_all(&mut self, sql: &str) -> Result<Vec<String>, SqlError> {
        let statements = self.session.parse(sql)?;
        let several = statements.len() > 1;
        if several {
            self.session.begin_implicit();
        }
        let mut tags = Vec::with_capacity(statements.len());
        for statement in &statements {
            tags.push(self.answer(statement, &[]).await?.tag().await?);
        }
        if several {
            self.session.commit_implicit().await?;
        }
        Ok(tags)
    }

    /// Runs one statement with parameters `$1`, `$2`, … and returns its command tag.
    ///
    /// # Errors
    /// As [`Connection::execute`]; the text is not one statement (42601); a parameter does not fit (22P02, 42804).
    pub async fn execute_with(&mut self, sql: &str, parameters: &[&dyn Parameter]) -> Result<String, SqlError> {
        self.ready()?;
        let outcome = async { self.one(sql, parameters).await?.tag().await }.await;
        self.ended(outcome)
    }

    /// All rows of a query, at one epoch. Empty for a statement that yields none. The rows are all in memory at once;
    /// [`Connection::stream`] gives them one batch at a time.
    ///
    /// # Errors
    /// As [`Connection::execute_with`]. SUBSCRIBE has no last row (0A000).
    pub async fn query(&mut self, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
        self.query_with(sql, &[]).await
    }

    /// As [`Connection::query`], with parameters.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn query_with(&mut self, sql: &str, parameters: &[&dyn Parameter]) -> Result<Vec<RecordBatch>, SqlError> {
        self.ready()?;
        let outcome = async {
            match self.one(sql, parameters).await? {
                Answered::Tag(_) => Ok(Vec::new()),
                Answered::Rows(_, "SUBSCRIBE") => Err(endless()),
                Answered::Rows(rows, _) => rows.all().await,
            }
        };
        let outcome = outcome.await;
        self.ended(outcome)
    }

    /// The rows of a query as they are computed; the epoch that they are of stays readable until they are dropped. Without
    /// columns for a statement that yields no rows.
    ///
    /// # Errors
    /// As [`Connection::execute_with`]; what fails later comes as the last item.
    pub async fn stream(&mut self, sql: &str, parameters: &[&dyn Parameter]) -> Result<Rows, SqlError> {
        self.ready()?;
        let outcome = self.one(sql, parameters).await;
        self.ended(outcome).map(|answered| match answered {
            Answered::Tag(_) => Rows::none(),
            Answered::Rows(rows, _) => rows,
        })
    }

    /// Hands the rows of a batch in to a table, or to a source whose rows are handed in; the name is as the catalog has it:
    /// `orders`, `sales.orders`. Columns are matched by name and cast to the relation's types; those that the batch lacks
    /// get their defaults. Returns how many rows were taken.
    ///
    /// All rows become visible in one epoch, to whoever reads after [`Connection::flush`]. Waits while the relation's queue
    /// is full (64 MiB wait in it), so a producer goes no faster than the views that read it; dropped while it waits,
    /// nothing is taken. In a transaction the rows are held back until COMMIT.
    ///
    /// # Errors
    /// Nothing is taken: no such relation (42P01) or column (42703), a value that its type does not hold (22000), a null
    /// where none may be (23502), no privilege (42501), more than a COPY may bring (53400).
    pub async fn ingest(&mut self, relation: &str, rows: RecordBatch) -> Result<u64, SqlError> {
        self.ready()?;
        let outcome = self.hand_in(relation, &rows).await;
        self.ended(outcome)
    }

    async fn hand_in(&mut self, relation: &str, rows: &RecordBatch) -> Result<u64, SqlError> {
        let schema = rows.schema();
        let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        if let Some((_, twice)) = columns.iter().enumerate().find(|(i, c)| columns[..*i].contains(c)) {
            return Err(SqlError::new(SqlState("42701"), format!("column \"{twice}\" is there twice")));
        }
        if columns.is_empty() {
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, "the rows have no columns"));
        }
        let name = match relation.split_once('.') {
            Some((schema, name)) => ObjectName { schema: Some(schema.to_owned()), name: name.to_owned() },
            None => ObjectName::bare(relation),
        };
        let text: Arc<str> = format!("COPY {name} FROM STDIN").into();
        let side = CopySide::Relation(name, columns);
        let kind = StatementKind::Copy { side, direction: CopyDirection::In, options: Vec::new() };
        let statement = Statement { kind: Arc::new(kind), text: Arc::clone(&text), whole: text };
        let Answer::CopyIn { schema, .. } = self.session.execute(&statement, &[]).await? else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "COPY does not take rows"));
        };
        self.session.copy_rows(conformed(rows, &schema)?).await?;
        self.session.copy_done().await
    }

    /// Waits until everything written so far can be read, in every view.
    ///
    /// # Errors
    /// The engine was closed.
    pub async fn flush(&mut self) -> Result<(), SqlError> {
        self.execute("FLUSH").await.map(drop)
    }

    /// Follows a relation, named alone, or a query: first all its rows at one epoch, then what each epoch changes. The
    /// subscription does not need the connection any more.
    ///
    /// # Errors
    /// No such relation, no privilege, a query that cannot be followed; the query's own, when it fails.
    pub async fn subscribe(&mut self, query: &str) -> Result<Changes, SqlError> {
        self.follow(query, None).await
    }

    /// As [`Connection::subscribe`], but instead of a snapshot the changes after `epoch`, which is the epoch of the last
    /// [`Update`](super::Update) that was dealt with. A relation's latest 64 MiB of changes are kept from when it was first
    /// followed; what is no longer kept, or of an engine that was closed since, ends the subscription with SQLSTATE 53400.
    ///
    /// # Errors
    /// As [`Connection::subscribe`].
    pub async fn subscribe_after(&mut self, query: &str, epoch: u64) -> Result<Changes, SqlError> {
        self.follow(query, Some(epoch)).await
    }

    async fn follow(&mut self, query: &str, after: Option<u64>) -> Result<Changes, SqlError> {
        self.ready()?;
        self.session.subscribe(query, after).await.map(Changes::new)
    }

    /// Notices since the last call: `relation "t" already exists, skipping`, a view that will grow for ever.
    pub fn notices(&mut self) -> Vec<SqlError> {
        self.session.notices()
    }

    /// Looks whether the engine is open, and ends what a call that was broken off has left behind.
    fn ready(&mut self) -> Result<(), SqlError> {
        self.session.sync();
        self.session.copy_fail();
        if self.session.server.is_stopping() { Err(shutting_down()) } else { Ok(()) }
    }

    /// An open transaction has failed if its statement has; nothing else outlives a call.
    fn ended<T>(&mut self, outcome: Result<T, SqlError>) -> Result<T, SqlError> {
        if outcome.is_err() {
            self.session.abort();
            self.session.copy_fail();
        }
        self.session.sync();
        outcome
    }

    async fn one(&mut self, sql: &str, parameters: &[&dyn Parameter]) -> Result<Answered, SqlError> {
        let values = arrays(parameters)?;
        match &self.session.parse(sql)?[..] {
            [statement] => self.answer(statement, &values).await,
            several => {
                let message = format!("one statement is expected, not {}", several.len());
                Err(SqlError::new(SqlState::SYNTAX_ERROR, message).hint("execute takes several, without parameters."))
            }
        }
    }

    async fn answer(&mut self, statement: &Statement, values: &[ArrayRef]) -> Result<Answered, SqlError> {
        let no_copy = |hint: &str| {
            SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY is not available to an embedding program").hint(hint)
        };
        match self.session.execute(statement, values).await? {
            Answer::Rows { schema, rows, tag } => Ok(Answered::Rows(Rows::new(schema, rows), tag)),
            Answer::Done(tag) => Ok(Answered::Tag(tag)),
            Answer::CopyIn { .. } => Err(no_copy("Use ingest.")),
            Answer::CopyOut { .. } => Err(no_copy("Use query or stream.")),
        }
    }
}

enum Answered {
    Tag(String),
    Rows(Rows, &'static str),
}

impl Answered {
    /// The command tag; rows are counted.
    async fn tag(self) -> Result<String, SqlError> {
        match self {
            Self::Tag(tag) => Ok(tag),
            Self::Rows(_, "SUBSCRIBE") => Err(endless()),
            Self::Rows(rows, tag) => rows.count().await.map(|count| format!("{tag} {count}")),
        }
    }
}

fn endless() -> SqlError {
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "a subscription has no last row").hint("Use subscribe, or stream.")
}

/// The columns of `rows` in the types of `to`, which has the same columns in the same order.
fn conformed(rows: &RecordBatch, to: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = rows.columns().iter().zip(to.fields()).map(|(column, field)| {
        let (from, to) = (column.data_type(), field.data_type());
        if from != to && !can_cast_types(from, to) {
            let message = format!("column \"{}\" is {from}, which does not become {to}", field.name());
            return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let wrong = |e| SqlError::new(SqlState::DATA_EXCEPTION, format!("column \"{}\": {e}", field.name()));
        cast_with_options(column, to, &strict).map_err(wrong)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    // What may be null is looked at with the defaults, which only the relation knows.
    let fields: Vec<_> = to.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let made = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
    Ok(made.map_err(thalweg_core::Error::from)?)
}
