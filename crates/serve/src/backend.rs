//! The contract between the surfaces and whatever answers them: sessions, statements, answers, subscriptions.
//! It must not know protocols, sockets, SQL or dataflows.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use futures_util::Stream;
use thalweg_core::{DeadLetter, DeltaBatch, SqlError};
use tokio::sync::Notify;

/// Answers every surface.
pub trait Backend: Send + Sync + 'static {
    /// One connection's state.
    type Session: Session;

    /// What `user` must show to come in. `None`: there is no such user, or it may not log in; a surface then behaves
    /// exactly as if a password was wrong.
    fn credential(&self, user: &str) -> Option<Credential>;

    /// Opens a session for a user who has shown its credential.
    ///
    /// # Errors
    /// No such database, too many connections, a start-up setting that is wrong, shutting down.
    fn connect(&self, login: Login) -> Result<Self::Session, SqlError>;

    /// Writes one line to the audit log: logins and refusals, with the user and address.
    fn audit(&self, event: &str, user: &str, peer: Option<SocketAddr>);

    /// Prometheus text format, `# HELP` and `# TYPE` included.
    fn metrics(&self) -> String;

    /// `Ok` when queries are answered; otherwise why not.
    ///
    /// # Errors
    /// What is not ready, for a person.
    fn ready(&self) -> Result<(), String>;

    /// What the status page shows: name and value, in order.
    fn status(&self) -> Vec<(String, String)>;
}

/// What a user must show.
#[derive(Clone)]
pub enum Credential {
    /// Nothing: a user without a password, on loopback only (the backend has looked at the listener).
    Trust,
    /// A password, kept as SCRAM-SHA-256 keeps it (RFC 5802, RFC 7677).
    Scram(ScramVerifier),
}

/// A salted, hashed password: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, as PostgreSQL keeps it.
/// Whoever reads it cannot log in with it. It has no `Debug` so that it is not logged.
#[derive(Clone)]
pub struct ScramVerifier {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// Random bytes.
    pub salt: Vec<u8>,
    /// SHA-256 of the client key.
    pub stored_key: [u8; 32],
    /// HMAC of "Server Key".
    pub server_key: [u8; 32],
}

/// Through which door a session came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The PostgreSQL protocol.
    Postgres,
    /// HTTP, including WebSocket and server-sent events.
    Http,
}

/// Who connects.
#[derive(Clone, Debug)]
pub struct Login {
    /// The authenticated user.
    pub user: String,
    /// The database asked for.
    pub database: String,
    /// Start-up settings in order: `application_name`, `client_encoding`, `options=-c k=v` cut into pairs, …
    pub settings: Vec<(String, String)>,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// The door.
    pub surface: Surface,
    /// A number that names the session in `pg_stat_activity` and for cancelling; unique while it lives.
    pub process_id: u32,
    /// Set when the statement that runs is to be cancelled.
    pub cancel: CancelToken,
}

/// Cancels the statement that a session is running. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<(AtomicBool, Notify)>);

impl CancelToken {
    /// Cancels what runs now, or, if nothing does, nothing: see [`CancelToken::arm`].
    pub fn cancel(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    /// A statement begins: forget a cancel that came before it.
    pub fn arm(&self) {
        self.0.0.store(false, Ordering::SeqCst);
    }

    /// True when the statement is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Ready when the statement is to end.
    pub async fn cancelled(&self) {
        loop {
            let notified = self.0.1.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// Where a session stands between statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction block (`I`).
    Idle,
    /// In a block (`T`).
    InBlock,
    /// In a block that has failed: only ROLLBACK is taken (`E`).
    Failed,
}

/// One connection. Calls never overlap.
pub trait Session: Send + 'static {
    /// A parsed statement; kept by prepared statements and portals.
    type Statement: Clone + Send + Sync + 'static;

    /// Cuts `text` into statements; none for empty text or comments alone.
    ///
    /// # Errors
    /// The first statement that does not parse.
    fn parse(&mut self, text: &str) -> Result<Vec<Self::Statement>, SqlError>;

    /// The types of a statement's parameters and of its columns. `given` are the types that the client has named, by
    /// position; `None` or missing: to be inferred.
    fn describe(
        &mut self,
        statement: &Self::Statement,
        given: &[Option<DataType>],
    ) -> impl Future<Output = Result<Description, SqlError>> + Send;

    /// Runs a statement. `parameters` are arrays of one value each, of the types that `describe` told, or text
    /// (`Utf8`), which is read as a value of that type.
    fn execute(
        &mut self,
        statement: &Self::Statement,
        parameters: &[ArrayRef],
    ) -> impl Future<Output = Result<Answer, SqlError>> + Send;

    /// Rows for a `COPY … FROM STDIN` that [`Answer::CopyIn`] began. They take effect together in `copy_done`.
    fn copy_rows(&mut self, rows: RecordBatch) -> impl Future<Output = Result<(), SqlError>> + Send;

    /// The COPY has ended; returns the rows taken.
    fn copy_done(&mut self) -> impl Future<Output = Result<u64, SqlError>> + Send;

    /// The COPY has failed: nothing of it takes effect.
    fn copy_fail(&mut self);

    /// What `POST /v1/ingest/{relation}` writes to.
    ///
    /// # Errors
    /// No such relation, not one that takes rows, or no privilege.
    fn ingest_target(&mut self, relation: &str) -> Result<IngestTarget, SqlError>;

    /// Takes rows of the target's schema, and what could not be decoded beside them.
    fn ingest(
        &mut self,
        target: &IngestTarget,
        rows: Vec<RecordBatch>,
        dead: Vec<DeadLetter>,
    ) -> impl Future<Output = Result<Ingested, IngestError>> + Send;

    /// The changes of a query's answer, from a snapshot on or, with `after`, from the epoch after that one.
    fn subscribe(
        &mut self,
        query: &str,
        after: Option<u64>,
    ) -> impl Future<Output = Result<Subscription, SqlError>> + Send;

    /// The columns of a cursor that DECLARE has made: clients describe it as a portal.
    fn cursor(&self, _name: &str) -> Option<SchemaRef> {
        None
    }

    /// Statements that were sent together begin: what they write takes effect together, in
    /// [`Session::commit_implicit`], or not at all.
    fn begin_implicit(&mut self) {}

    /// The statements that were sent together have all succeeded.
    fn commit_implicit(&mut self) -> impl Future<Output = Result<(), SqlError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether a transaction block is open.
    fn status(&self) -> TransactionStatus;

    /// A statement has failed: an open block is failed from now on.
    fn abort(&mut self);

    /// `Sync`, or the end of a simple query: an implicit transaction ends here.
    fn sync(&mut self);

    /// Settings to tell the client (`ParameterStatus`): all of them at first, then what has changed since the last call.
    fn parameter_changes(&mut self) -> Vec<(String, String)>;

    /// Notices since the last call.
    fn notices(&mut self) -> Vec<SqlError>;
}

/// What a statement takes and yields.
#[derive(Clone, Debug)]
pub struct Description {
    /// Types of `$1`, `$2`, …; a field for its [`thalweg_core::PG_TYPE`] metadata.
    pub parameters: Vec<FieldRef>,
    /// Its columns, if it yields rows.
    pub columns: Option<SchemaRef>,
}

/// Rows of an answer as they come.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, SqlError>> + Send>>;

/// What a statement answers.
pub enum Answer {
    /// Rows, and the command tag's word: `SELECT` (the surface appends the count), `FETCH`, `SHOW`, `EXPLAIN`,
    /// `INSERT 0` (RETURNING), … A tag with `None` for count is sent as it is.
    Rows {
        /// Columns.
        schema: SchemaRef,
        /// Rows.
        rows: RowStream,
        /// Tag to which the number of rows is appended, e.g. `SELECT`.
        tag: &'static str,
    },
    /// No rows; the complete command tag, e.g. `CREATE TABLE`, `INSERT 0 3`.
    Done(String),
    /// Rows are wanted: `COPY … FROM STDIN`.
    CopyIn {
        /// The columns to send.
        schema: SchemaRef,
        /// How.
        layout: CopyLayout,
    },
    /// Rows leave as text or binary: `COPY … TO STDOUT`.
    CopyOut {
        /// Columns.
        schema: SchemaRef,
        /// Rows.
        rows: RowStream,
        /// How.
        layout: CopyLayout,
    },
}

/// How COPY writes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyLayout {
    /// PostgreSQL's text format (tabs and `\N` by default).
    Text {
        /// Between fields.
        delimiter: u8,
        /// What stands for NULL.
        null: String,
        /// A first line of names.
        header: bool,
    },
    /// Comma-separated values.
    Csv {
        /// Between fields.
        delimiter: u8,
        /// What stands for NULL when not quoted.
        null: String,
        /// A first line of names.
        header: bool,
        /// Around fields.
        quote: u8,
        /// Before a quote within quotes.
        escape: u8,
    },
    /// PostgreSQL's binary format.
    Binary,
}

/// A relation that takes rows.
#[derive(Clone, Debug)]
pub struct IngestTarget {
    /// Its name as the backend knows it.
    pub relation: String,
    /// The columns that may be sent; missing ones are null.
    pub schema: SchemaRef,
}

/// What became of ingested rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Rows taken.
    pub rows: u64,
    /// Rows that `EXPECT` dropped or put into quarantine.
    pub set_aside: u64,
}

/// Why rows were not taken.
#[derive(Debug)]
pub enum IngestError {
    /// The queue is full: the same rows may be sent again after this many milliseconds. Nothing was taken.
    Busy {
        /// Milliseconds.
        retry_after_ms: u64,
    },
    /// The rows are refused.
    Refused(SqlError),
}

/// The changes of a query's answer.
pub struct Subscription {
    /// The query's columns.
    pub schema: SchemaRef,
    /// Events as they come. The stream waits inside the backend's bounded retention, not in a queue of its own: a
    /// reader that is too slow skips to a consolidated change, and past the retention gets [`Change::Lost`].
    pub events: Pin<Box<dyn Stream<Item = Result<Change, SqlError>> + Send>>,
}

/// An event of a subscription. Everything between two `Commit`s belongs together.
#[derive(Clone, Debug)]
pub enum Change {
    /// The snapshot, or the changes of an epoch, begin.
    Begin {
        /// All rows up to `Commit` are a whole snapshot: forget what there was.
        snapshot: bool,
    },
    /// Rows with weights.
    Rows(DeltaBatch),
    /// All of an epoch is there; give `epoch` as `after` to go on from here.
    Commit {
        /// The epoch.
        epoch: u64,
        /// Microseconds since 1970-01-01 UTC when it was sealed.
        wall_clock: i64,
    },
    /// The retention no longer reaches back to `after`: subscribe again for a snapshot.
    Lost,
}
