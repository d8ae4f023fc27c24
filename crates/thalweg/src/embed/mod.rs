//! `Thalweg`: the server's engine inside a Rust program. A thin layer over the sessions that the doors use; it must not
//! know SQL, protocols or how anything is answered.

mod changes;
mod connection;
mod parameter;
mod rows;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use thalweg_core::SqlError;
use thalweg_serve::backend::{CancelToken, Login, Surface};

use crate::server::audit::{self, Event, Kind, Who};
use crate::server::{Server, ServerConfig, Session};

pub use changes::{Changes, Update};
pub use connection::Connection;
pub use parameter::Parameter;
pub use rows::Rows;

/// Numbers of embedded sessions begin here, so that they are not those of a door that answers for the same server.
const FIRST_PROCESS_ID: u32 = 1 << 29;

/// Who statements are run as unless another role is asked for.
const ROOT: &str = "root";

/// The engine of `thalweg serve`, in this process. Clones are the same engine, for other tasks and threads.
///
/// Everything is asynchronous and runs on tokio with its timer; the dataflow and the queries compute on threads of their
/// own, so a single-threaded runtime will do.
///
/// The methods that run statements each open a session, as one request over HTTP does. What is to span several calls, a
/// transaction or a setting, needs a [`Connection`].
///
/// ```
/// use thalweg::{Config, Parameter, Thalweg};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let db = Thalweg::open_in_memory().await?;
/// db.execute(
///     "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR, amount BIGINT);
///      CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;
///      INSERT INTO orders VALUES (1, 'ann', 3), (2, 'bob', 4), (3, 'ann', 5);",
/// )
/// .await?;
/// db.flush().await?;
/// let rows = db.query_with("SELECT customer FROM totals WHERE total > $1", &[&4_i64]).await?;
/// assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
///
/// let mut changes = db.subscribe("totals").await?;
/// let first = changes.next().await.expect("a subscription does not end")?;
/// assert!(first.snapshot && first.num_rows() == 2);
/// db.close().await;
/// # Ok::<(), thalweg::SqlError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Thalweg::close`] ends it in order. Without that, the engine ends when the last handle, connection, answer and
/// subscription is dropped: rows that were taken are in the logs, and the thread that drops the last of them waits for
/// the engine's.
#[derive(Clone)]
pub struct Thalweg {
    server: Arc<Server>,
    next_process_id: Arc<AtomicU32>,
}

impl fmt::Debug for Thalweg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thalweg").finish_non_exhaustive()
    }
}

impl Thalweg {
    /// Opens the engine, with what its data directory holds: the tables' rows are in their views when this returns.
    ///
    /// # Errors
    /// The data directory is in use, damaged or cannot be written; threads cannot be started.
    pub async fn open(config: ServerConfig) -> Result<Self, SqlError> {
        Server::open(config).await.map(Self::from)
    }

    /// Opens the engine on a data directory, which is made if it is not there; all else as [`ServerConfig::default`] has it.
    ///
    /// # Errors
    /// As [`Thalweg::open`].
    pub async fn open_directory(data: impl AsRef<Path>) -> Result<Self, SqlError> {
        Self::open(ServerConfig { data: Some(data.as_ref().to_owned()), ..ServerConfig::default() }).await
    }

    /// Opens an engine that keeps everything in memory.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub async fn open_in_memory() -> Result<Self, SqlError> {
        Self::open(ServerConfig::default()).await
    }

    /// A session of the superuser `root`.
    ///
    /// # Errors
    /// There are as many sessions as there may be, or the engine was closed.
    pub fn connect(&self) -> Result<Connection, SqlError> {
        self.connect_as(ROOT)
    }

    /// A session of another role, with that role's rights. No password is asked for: the program holds the data anyway.
    ///
    /// # Errors
    /// As [`Thalweg::connect`]; there is no such role (SQLSTATE 28000).
    pub fn connect_as(&self, user: &str) -> Result<Connection, SqlError> {
        let who = Who { user: user.to_owned(), peer: None, surface: audit::Surface::Embedded };
        let event = |kind| Event::of(kind, &who);
        match self.session(user) {
            Ok(mut session) => {
                self.server.audit.note(&event(Kind::Login));
                session.logs_out = true;
                Ok(Connection::new(session))
            }
            Err(error) => {
                let refused = event(Kind::LoginRefused).failed(error.state).detail(error.message.clone());
                self.server.audit.note(&refused);
                Err(error)
            }
        }
    }

    /// A session for one call, which is no login.
    fn once(&self) -> Result<Connection, SqlError> {
        self.session(ROOT).map(Connection::new)
    }

    fn session(&self, user: &str) -> Result<Session, SqlError> {
        let number = self.next_process_id.fetch_add(1, Ordering::Relaxed);
        let login = Login {
            user: user.to_owned(),
            database: "dev".to_owned(),
            settings: Vec::new(),
            peer: None,
            surface: Surface::Postgres,
            process_id: FIRST_PROCESS_ID | (number % FIRST_PROCESS_ID),
            cancel: CancelToken::default(),
        };
        Session::new(Arc::clone(&self.server), login, audit::Surface::Embedded)
    }

    /// Runs statements: see [`Connection::execute`].
    ///
    /// # Errors
    /// The first statement that fails, with its SQLSTATE.
    pub async fn execute(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        self.once()?.execute(sql).await
    }

    /// Runs a statement with parameters: see [`Connection::execute_with`].
    ///
    /// # Errors
    /// As [`Thalweg::execute`].
    pub async fn execute_with(&self, sql: &str, parameters: &[&dyn Parameter]) -> Result<String, SqlError> {
        self.once()?.execute_with(sql, parameters).await
    }

    /// All rows of a query: see [`Connection::query`].
    ///
    /// # Errors
    /// As [`Thalweg::execute`].
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
        self.once()?.query(sql).await
    }

    /// All rows of a query with parameters: see [`Connection::query_with`].
    ///
    /// # Errors
    /// As [`Thalweg::execute`].
    pub async fn query_with(&self, sql: &str, parameters: &[&dyn Parameter]) -> Result<Vec<RecordBatch>, SqlError> {
        self.once()?.query_with(sql, parameters).await
    }

    /// The rows of a query as they come: see [`Connection::stream`].
    ///
    /// # Errors
    /// As [`Thalweg::execute`].
    pub async fn stream(&self, sql: &str, parameters: &[&dyn Parameter]) -> Result<Rows, SqlError> {
        self.once()?.stream(sql, parameters).await
    }

    /// Hands rows in: see [`Connection::ingest`].
    ///
    /// # Errors
    /// As [`Connection::ingest`].
    pub async fn ingest(&self, relation: &str, rows: RecordBatch) -> Result<u64, SqlError> {
        self.once()?.ingest(relation, rows).await
    }

    /// Waits until everything written so far can be read, in every view.
    ///
    /// # Errors
    /// The engine was closed.
    pub async fn flush(&self) -> Result<(), SqlError> {
        self.once()?.flush().await
    }

    /// Follows a relation or a query from a snapshot on: see [`Connection::subscribe`].
    ///
    /// # Errors
    /// As [`Connection::subscribe`].
    pub async fn subscribe(&self, query: &str) -> Result<Changes, SqlError> {
        self.once()?.subscribe(query).await
    }

    /// Follows a relation or a query on from an epoch: see [`Connection::subscribe_after`].
    ///
    /// # Errors
    /// As [`Connection::subscribe`].
    pub async fn subscribe_after(&self, query: &str, epoch: u64) -> Result<Changes, SqlError> {
        self.once()?.subscribe_after(query, epoch).await
    }

    /// Ends the engine in order: what was written reaches its views and the disk, the threads end, and the data directory
    /// is free for another. Whatever is asked afterwards, through any clone, is refused with SQLSTATE 57P01; subscriptions
    /// end with it. Closing twice does nothing.
    pub async fn close(&self) {
        self.server.stop().await;
    }
}

/// The engine of a server that is open, for the program that opened it: it sees what comes through the doors, and they see
/// what it writes.
impl From<Arc<Server>> for Thalweg {
    fn from(server: Arc<Server>) -> Self {
        Self { server, next_process_id: Arc::new(AtomicU32::new(0)) }
    }
}
