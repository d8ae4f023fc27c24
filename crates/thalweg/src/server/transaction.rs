//! Transactions as far as a stream needs them, and cursors. Reads in a block are of one epoch; writes in a block are held
//! back until COMMIT, so they are not seen before. It must not know tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures_util::{StreamExt, stream};
use thalweg_core::{SqlError, SqlState};
use thalweg_serve::backend::{Answer, RowStream, TransactionStatus};
use thalweg_sql::server::{CopyDirection, Oid, Statement, StatementKind, SubscriptionStatement, ast};
use tokio::sync::Mutex;

use super::read::Pinned;
use super::session::{Session, full};
use super::writes;

/// Bytes of writes that a transaction may hold back.
const MAX_PENDING_BYTES: usize = 256 << 20;

/// Where a session stands.
#[derive(Default)]
pub(crate) struct Transaction {
    block: Option<Block>,
}

#[derive(Default)]
struct Block {
    /// Of statements that were sent together, without BEGIN.
    implicit: bool,
    failed: bool,
    pinned: Option<Arc<Pinned>>,
    pending: Vec<(Oid, RecordBatch)>,
    bytes: usize,
    savepoints: Vec<(String, usize)>,
    /// What BEGIN or SET TRANSACTION said of it.
    read_only: Option<bool>,
    isolation: Option<String>,
}

impl Block {
    fn set(&mut self, modes: &[ast::TransactionMode]) {
        for mode in modes {
            match mode {
                ast::TransactionMode::AccessMode(access) => {
                    self.read_only = Some(*access == ast::TransactionAccessMode::ReadOnly);
                }
                ast::TransactionMode::IsolationLevel(level) => self.isolation = Some(level.to_string().to_lowercase()),
            }
        }
    }
}

impl Transaction {
    pub fn status(&self) -> TransactionStatus {
        match &self.block {
            None => TransactionStatus::Idle,
            Some(block) if block.implicit => TransactionStatus::Idle,
            Some(block) if block.failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::InBlock,
        }
    }

    /// Whether the block is said to write nothing, if anything was said.
    pub fn read_only(&self) -> Option<bool> {
        self.block.as_ref()?.read_only
    }

    /// The level of isolation that the block asked for; what it gets is one moment for all its reads.
    pub fn isolation(&self) -> Option<&str> {
        self.block.as_ref()?.isolation.as_deref()
    }

    /// SET TRANSACTION: nothing outside a block.
    pub fn set(&mut self, modes: &[ast::TransactionMode]) {
        if let Some(block) = self.block.as_mut().filter(|b| !b.implicit) {
            block.set(modes);
        }
    }

    pub fn is_failed(&self) -> bool {
        self.status() == TransactionStatus::Failed
    }

    pub fn fail(&mut self) {
        if let Some(block) = &mut self.block {
            block.failed = true;
        }
    }

    /// Statements that were sent together begin.
    pub fn begin_implicit(&mut self) {
        self.block.get_or_insert_with(|| Block { implicit: true, ..Block::default() });
    }

    /// What statements sent together have written, if they are in no other block.
    pub fn take_implicit(&mut self) -> Vec<(Oid, RecordBatch)> {
        self.block.take_if(|b| b.implicit).map(|b| b.pending).unwrap_or_default()
    }

    /// Nothing outlives what was sent together, outside a block.
    pub fn end_implicit(&mut self) {
        self.block.take_if(|b| b.implicit);
    }

    pub fn pinned(&self) -> Option<&Arc<Pinned>> {
        self.block.as_ref()?.pinned.as_ref()
    }

    pub fn pin(&mut self, pinned: &Arc<Pinned>) {
        if let Some(block) = &mut self.block {
            block.pinned = Some(Arc::clone(pinned));
        }
    }

    /// Holds a write back, or gives it back when there is no block.
    ///
    /// # Errors
    /// The block holds too much.
    pub fn hold(&mut self, table: Oid, rows: RecordBatch) -> Result<Option<RecordBatch>, SqlError> {
        let Some(block) = &mut self.block else { return Ok(Some(rows)) };
        block.bytes += rows.get_array_memory_size();
        if block.bytes > MAX_PENDING_BYTES {
            let message = format!("a transaction may write {} MiB", MAX_PENDING_BYTES >> 20);
            return Err(SqlError::new(SqlState::CONFIGURATION_LIMIT, message).hint("COMMIT more often."));
        }
        block.pending.push((table, rows));
        Ok(None)
    }

    /// The block holds writes back.
    pub fn has_pending(&self) -> bool {
        self.block.as_ref().is_some_and(|b| !b.pending.is_empty())
    }

    /// The block has written to `table`.
    pub fn has_written(&self, table: Oid) -> bool {
        self.block.as_ref().is_some_and(|b| b.pending.iter().any(|(of, _)| *of == table))
    }
}

/// A cursor: what is left of its rows. A FETCH takes them as its own reader does, so that no more than a batch is held.
pub(crate) struct Cursor {
    pub schema: SchemaRef,
    rows: Arc<Mutex<Remaining>>,
    hold: bool,
}

/// Rows that were not fetched yet.
struct Remaining {
    rows: RowStream,
    left: Option<RecordBatch>,
}

/// What changes rows or the catalog: nothing for a transaction that is read only.
pub(crate) fn writes(statement: &Statement) -> bool {
    use ast::Statement as Sql;
    match statement.kind.as_ref() {
        StatementKind::CreateTable(_)
        | StatementKind::CreateSource(_)
        | StatementKind::CreateView(_)
        | StatementKind::CreateSink(_)
        | StatementKind::CreateRole { .. }
        | StatementKind::AlterRole { .. }
        | StatementKind::Alert(_)
        | StatementKind::CreateDashboard(_)
        | StatementKind::Drop { .. }
        | StatementKind::Alter { .. }
        | StatementKind::Subscription(SubscriptionStatement::Create { .. })
        | StatementKind::Copy { direction: CopyDirection::In, .. } => true,
        StatementKind::Sql(sql) => matches!(
            sql.as_ref(),
            Sql::Insert(_)
                | Sql::Update(_)
                | Sql::Delete(_)
                | Sql::Truncate(_)
                | Sql::CreateSchema { .. }
                | Sql::CreateIndex(_)
                | Sql::Grant(_)
                | Sql::Revoke(_)
                | Sql::Comment { .. }
        ),
        _ => false,
    }
}

/// COMMIT and ROLLBACK are taken also when the block has failed.
pub(crate) fn ends(statement: &Statement) -> bool {
    matches!(
        statement.kind.as_ref(),
        StatementKind::Sql(sql) if matches!(sql.as_ref(), ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
    )
}

pub(crate) async fn run(session: &mut Session, sql: &ast::Statement, values: &[ArrayRef]) -> Result<Answer, SqlError> {
    use ast::Statement as Sql;
    let done = |tag: &str| Ok(Answer::Done(tag.to_owned()));
    match sql {
        Sql::StartTransaction { begin, modes, .. } => {
            if let Some(block) = session.transaction.block.as_mut().filter(|b| b.implicit) {
                block.implicit = false;
            } else if session.transaction.block.is_some() {
                session.notice("there is already a transaction in progress");
            } else {
                session.transaction.block = Some(Block::default());
            }
            session.transaction.set(modes);
            done(if *begin { "BEGIN" } else { "START TRANSACTION" })
        }
        Sql::Commit { .. } => commit(session).await,
        Sql::Rollback { savepoint: Some(name), .. } => {
            let Some(block) = &mut session.transaction.block else { return Err(no_block("ROLLBACK TO SAVEPOINT")) };
            let Some(at) = block.savepoints.iter().rposition(|(n, _)| *n == name.value) else {
                let message = format!("savepoint \"{}\" does not exist", name.value);
                return Err(SqlError::new(SqlState::INVALID_SAVEPOINT, message));
            };
            block.pending.truncate(block.savepoints[at].1);
            block.savepoints.truncate(at + 1);
            block.failed = false;
            done("ROLLBACK")
        }
        Sql::Rollback { .. } => {
            if session.transaction.block.take().is_none() {
                session.notice("there is no transaction in progress");
            }
            session.cursors.retain(|_, c| c.hold);
            done("ROLLBACK")
        }
        Sql::Savepoint { name } => {
            let Some(block) = &mut session.transaction.block else { return Err(no_block("SAVEPOINT")) };
            block.savepoints.push((name.value.clone(), block.pending.len()));
            done("SAVEPOINT")
        }
        Sql::ReleaseSavepoint { name } => {
            let Some(block) = &mut session.transaction.block else { return Err(no_block("RELEASE SAVEPOINT")) };
            match block.savepoints.iter().rposition(|(n, _)| *n == name.value) {
                Some(at) => block.savepoints.truncate(at),
                None => {
                    let message = format!("savepoint \"{}\" does not exist", name.value);
                    return Err(SqlError::new(SqlState::INVALID_SAVEPOINT, message));
                }
            }
            done("RELEASE")
        }
        Sql::Declare { stmts } => declare(session, stmts, values).await,
        Sql::Fetch { name, direction, .. } => fetch(session, &name.value, direction).await,
        Sql::Close { cursor } => {
            match cursor {
                ast::CloseCursor::All => {
                    session.cursors.clear();
                    session.followers.clear();
                }
                ast::CloseCursor::Specific { name } => {
                    let follower = session.followers.remove(&name.value).is_some();
                    if session.cursors.remove(&name.value).is_none() && !follower {
                        return Err(no_cursor(&name.value));
                    }
                }
            }
            done("CLOSE CURSOR")
        }
        _ => Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a statement of transactions")),
    }
}

async fn commit(session: &mut Session) -> Result<Answer, SqlError> {
    session.cursors.retain(|_, c| c.hold);
    match session.transaction.block.take() {
        None => {
            session.notice("there is no transaction in progress");
            Ok(Answer::Done("COMMIT".to_owned()))
        }
        // What PostgreSQL answers when there is nothing to commit any more.
        Some(block) if block.failed => Ok(Answer::Done("ROLLBACK".to_owned())),
        Some(block) => {
            writes::commit(session, block.pending).await?;
            Ok(Answer::Done("COMMIT".to_owned()))
        }
    }
}

fn no_block(what: &str) -> SqlError {
    SqlError::new(SqlState::NO_ACTIVE_TRANSACTION, format!("{what} can only be used in transaction blocks"))
}

pub(super) fn no_cursor(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

async fn declare(session: &mut Session, stmts: &[ast::Declare], values: &[ArrayRef]) -> Result<Answer, SqlError> {
    let [ast::Declare { names, hold, for_query: Some(query), .. }] = stmts else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "DECLARE name CURSOR FOR query is expected"));
    };
    let name = names.first().map(|n| n.value.clone()).unwrap_or_default();
    let hold = hold.unwrap_or(false);
    if session.transaction.block.is_none() && !hold {
        return Err(no_block("DECLARE CURSOR"));
    }
    if session.cursors.contains_key(&name) || session.followers.contains_key(&name) {
        return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
    }
    full(session.cursors.len())?;
    let Answer::Rows { schema, rows, .. } = session.query(query, values, "SELECT").await? else {
        return Err(SqlError::new(SqlState::INTERNAL_ERROR, "a query without rows"));
    };
    let rows = Arc::new(Mutex::new(Remaining { rows, left: None }));
    session.cursors.insert(name, Cursor { schema, rows, hold });
    Ok(Answer::Done("DECLARE CURSOR".to_owned()))
}

async fn fetch(session: &mut Session, name: &str, direction: &ast::FetchDirection) -> Result<Answer, SqlError> {
    use ast::FetchDirection as Direction;
    let number = |v: &ast::ValueWithSpan| v.value.to_string().parse::<usize>().ok();
    let count = match direction {
        Direction::Next | Direction::Forward { limit: None } => Some(1),
        Direction::All | Direction::ForwardAll => None,
        Direction::Count { limit } | Direction::Forward { limit: Some(limit) } => Some(
            number(limit)
                .ok_or_else(|| SqlError::new(SqlState::SYNTAX_ERROR, "FETCH takes a number of rows, NEXT or ALL"))?,
        ),
        _ => {
            let hint = "Cursors only go forward: FETCH NEXT, FETCH 100, FETCH ALL.";
            return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward").hint(hint));
        }
    };
    if session.followers.contains_key(name) {
        return super::cursors::fetch(session, name, count.unwrap_or(usize::MAX), Duration::ZERO).await;
    }
    let cursor = session.cursors.get(name).ok_or_else(|| no_cursor(name))?;
    let (schema, rows) = (Arc::clone(&cursor.schema), Arc::clone(&cursor.rows));
    let fetched = stream::unfold((rows, count.unwrap_or(usize::MAX)), |(rows, wanted)| async move {
        if wanted == 0 {
            return None;
        }
        let next = rows.lock().await.next(wanted).await?;
        let left = next.as_ref().map_or(0, |batch| wanted - batch.num_rows());
        Some((next, (rows, left)))
    });
    Ok(Answer::Rows { schema, rows: Box::pin(fetched), tag: "FETCH" })
}

/// `MOVE`: as `FETCH`, but the rows are only counted.
pub(crate) async fn skip(
    session: &mut Session,
    name: &str,
    direction: &ast::FetchDirection,
) -> Result<Answer, SqlError> {
    let mut count = 0;
    if let Answer::Rows { mut rows, .. } = fetch(session, name, direction).await? {
        while let Some(batch) = rows.next().await {
            count += batch?.num_rows();
        }
    }
    Ok(Answer::Done(format!("MOVE {count}")))
}

impl Remaining {
    /// The next rows, up to `wanted`.
    async fn next(&mut self, wanted: usize) -> Option<Result<RecordBatch, SqlError>> {
        let batch = match self.left.take() {
            Some(batch) => batch,
            None => match self.rows.next().await? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            },
        };
        let now = wanted.min(batch.num_rows());
        if now < batch.num_rows() {
            self.left = Some(batch.slice(now, batch.num_rows() - now));
        }
        Some(Ok(batch.slice(0, now)))
    }
}
