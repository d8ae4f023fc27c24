//! Rows on their way into tables and sources: INSERT, UPDATE, DELETE, COPY, ingest. It must not know protocols.

use std::sync::{Arc, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use futures_util::TryStreamExt;
use thalweg_core::{DeadLetter, SqlError, SqlState};
use thalweg_serve::backend::{Answer, CopyLayout, IngestError, IngestTarget, Ingested};
use thalweg_sql::server::{
    CopyDirection, CopySide, Kind, Object, ObjectName, Oid, Privilege, Statement, StatementKind, WritePlan, ast, parse,
};

use super::intake::{Handed, Settled};
use super::read::Pinned;
use super::session::Session;
use super::{Running, Server};

/// Milliseconds after which a writer may try again when a queue is full.
const RETRY_AFTER_MS: u64 = 100;
/// Bytes that one COPY may bring: they take effect together, so they wait in memory.
const MAX_COPY_BYTES: usize = 1 << 30;

/// A COPY that goes on.
pub(crate) struct Copying {
    table: Arc<Object>,
    columns: Vec<usize>,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// INSERT, UPDATE or DELETE.
pub(crate) async fn run(session: &mut Session, sql: &ast::Statement, values: &[ArrayRef]) -> Result<Answer, SqlError> {
    run_as(session, sql, values, None).await
}

async fn run_as(
    session: &mut Session,
    sql: &ast::Statement,
    values: &[ArrayRef],
    instead: Option<Privilege>,
) -> Result<Answer, SqlError> {
    let given: Vec<Option<DataType>> =
        values.iter().map(|v| (v.data_type() != &DataType::Utf8).then(|| v.data_type().clone())).collect();
    let plan = planned_as(session, sql, &given, instead)?;
    let table = Arc::clone(&plan.table);
    let running = running(&session.server, &table)?;
    // Who reads what it changes goes alone, and after everything that was written before.
    let mut turn = None;
    let plan = if plan.reads_table() {
        if session.transaction.has_written(table.oid) && is_bag(&table) {
            let hint = "COMMIT first, or give the table a PRIMARY KEY.";
            let message = format!("table {} without a primary key is changed twice in a transaction", table.name);
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint));
        }
        turn = Some(Arc::clone(&running.turn).lock_owned().await);
        let before = running.queue.as_ref().map_or(0, |q| q.last_ticket());
        visible(&session.server, &running, before).await;
        planned_as(session, sql, &given, instead)?
    } else {
        plan
    };
    let written = session.server.database.written(&plan, values, session.server.now()).await?;
    let mut pushes = held_back(session, &running, &table, written.rows)?;
    pushes.extend(set_aside(session, written.aside)?);
    if !pushes.is_empty() {
        put(session, pushes, turn).await?;
    }
    match &plan.returning {
        None => Ok(Answer::Done(format!("{} {}", plan.tag(), written.count))),
        Some(items) => {
            let database = &session.server.database;
            let query = session.scoped(None, |scope| {
                let nothing = Nothing;
                let scope = thalweg_sql::server::Scope { contents: Some(&nothing), ..*scope };
                database.returning(&scope, &table, items, written.affected)
            })?;
            let rows = database.run(&query, &[], session.server.now()).await?;
            Ok(Answer::Rows { schema: query.schema, rows, tag: plan.tag() })
        }
    }
}

/// A push of rows, unless the transaction holds them back.
fn held_back(
    session: &mut Session,
    running: &Arc<Running>,
    table: &Object,
    rows: RecordBatch,
) -> Result<Vec<Push>, SqlError> {
    let rows = session.transaction.hold(table.oid, rows)?;
    let push = |rows| Push { oid: table.oid, running: Arc::clone(running), rows, dead: Vec::new() };
    Ok(rows.into_iter().map(push).collect())
}

/// As [`held_back`], for rows that go into a quarantine; says so.
fn set_aside(session: &mut Session, aside: Option<(Oid, RecordBatch)>) -> Result<Vec<Push>, SqlError> {
    let Some((oid, rows)) = aside else { return Ok(Vec::new()) };
    let objects = session.objects();
    let gone = || SqlError::new(SqlState::UNDEFINED_TABLE, "the quarantine was dropped");
    let quarantine = objects.get(oid).ok_or_else(gone)?;
    session.notice(format!("{} rows are set aside in {}", rows.num_rows(), quarantine.full_name()));
    let running = running(&session.server, quarantine)?;
    held_back(session, &running, quarantine, rows)
}

/// RETURNING reads nothing but the rows written.
struct Nothing;

impl thalweg_sql::server::Contents for Nothing {
    fn read(&self, _object: Oid) -> Result<Vec<Arc<dyn thalweg_sql::server::Stored>>, SqlError> {
        Ok(Vec::new())
    }

    fn read_dead(&self, _object: Oid) -> Result<Vec<Arc<dyn thalweg_sql::server::Stored>>, SqlError> {
        Ok(Vec::new())
    }
}

/// The plan of a write, at the newest epoch, once the user's privileges are known to allow it.
pub(crate) fn planned(
    session: &Session,
    sql: &ast::Statement,
    given: &[Option<DataType>],
) -> Result<WritePlan, SqlError> {
    planned_as(session, sql, given, None)
}

/// As [`planned`], where `instead` is the privilege that the statement asks for by another name.
fn planned_as(
    session: &Session,
    sql: &ast::Statement,
    given: &[Option<DataType>],
    instead: Option<Privilege>,
) -> Result<WritePlan, SqlError> {
    let privilege = instead.unwrap_or(match sql {
        ast::Statement::Insert(_) => Privilege::Insert,
        ast::Statement::Update(_) => Privilege::Update,
        _ => Privilege::Delete,
    });
    let pinned = Pinned::now(&session.server);
    let objects = session.objects();
    let user = session.user(&objects)?;
    let plan = session.scoped(Some(&pinned), |scope| {
        // Finding the rows to change is no reading of them, unless the statement names columns.
        let changes = |o: &Object| reads_nothing(sql) && objects.may_reach(&user, o, privilege);
        let may_read = |o: &Object| (scope.may_read)(o) || changes(o);
        let scope = thalweg_sql::server::Scope { may_read: &may_read, ..*scope };
        session.server.database.write(&scope, sql, given)
    })?;
    allowed(session, &plan.table, privilege)?;
    if plan.returning.is_some() {
        allowed(session, &plan.table, Privilege::Select)?;
    }
    Ok(plan)
}

/// An UPDATE or DELETE whose conditions and values name no column.
fn reads_nothing(sql: &ast::Statement) -> bool {
    let named = |e: &ast::Expr| {
        let found = ast::visit_expressions(e, |e| match e {
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) | ast::Expr::Subquery(_) => {
                std::ops::ControlFlow::Break(())
            }
            _ => std::ops::ControlFlow::Continue(()),
        });
        found.is_break()
    };
    match sql {
        ast::Statement::Update(update) => {
            update.selection.is_none() && update.from.is_none() && !update.assignments.iter().any(|a| named(&a.value))
        }
        ast::Statement::Delete(delete) => delete.selection.is_none(),
        _ => false,
    }
}

fn allowed(session: &Session, object: &Object, privilege: Privilege) -> Result<(), SqlError> {
    let objects = session.objects();
    if objects.may_reach(&session.user(&objects)?, object, privilege) {
        return Ok(());
    }
    let message = format!("permission denied for {} {}", object.class(), object.name);
    Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

fn is_bag(table: &Object) -> bool {
    matches!(&table.kind, Kind::Table(t) if t.primary_key().is_empty())
}

fn running(server: &Server, object: &Object) -> Result<Arc<Running>, SqlError> {
    let message = || format!("{} {} does not run", object.class(), object.name);
    server.running(object.oid).ok_or_else(|| SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message()))
}

/// Rows for one table or source.
pub(crate) struct Push {
    pub oid: Oid,
    pub running: Arc<Running>,
    pub rows: RecordBatch,
    pub dead: Vec<DeadLetter>,
}

/// Hands rows in, all in one epoch; waits while a queue is full. Returns a ticket for each.
pub(crate) async fn push(server: &Server, pushes: Vec<Push>) -> Result<Vec<u64>, SqlError> {
    let mut news = server.news();
    loop {
        news.borrow_and_update();
        match hand_in(server, &pushes)? {
            Some(taken) => return settled(taken).await,
            None if news.changed().await.is_err() => return Err(super::shutting_down()),
            None => {}
        }
    }
}

/// Hands rows in; `None` when a queue is full.
fn hand_in(server: &Server, pushes: &[Push]) -> Result<Option<Settled>, SqlError> {
    if server.is_stopping() {
        return Err(super::shutting_down());
    }
    let mut handed = Vec::with_capacity(pushes.len());
    for Push { oid, running, rows, dead } in pushes {
        if let Some(error) = running.job.error() {
            let message = format!("{} does not run: {error}", running.job.spec.name);
            return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message));
        }
        let queue = running.queue.as_ref().ok_or_else(|| {
            SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{} takes no rows", running.job.spec.name))
        })?;
        handed.push(Handed { oid: *oid, queue: Arc::clone(queue), rows: rows.clone(), dead: dead.clone() });
    }
    server.intake.take(handed)
}

/// Waits until what was handed in is durable and in its queues.
async fn settled(settled: Settled) -> Result<Vec<u64>, SqlError> {
    settled.await.unwrap_or_else(|_| Err(super::shutting_down()))
}

/// Waits until what has `ticket` can be read, in every view.
pub(crate) async fn visible(server: &Server, running: &Running, ticket: u64) {
    server.wait_until(|| server.engine.is_visible(&running.job, ticket) || running.job.error().is_some()).await;
}

/// Waits until everything written so far can be read, in every view.
pub(crate) async fn flush(server: &Server) {
    let running: Vec<Arc<Running>> =
        server.running.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
    for running in running {
        if let Some(queue) = &running.queue {
            visible(server, &running, queue.last_ticket()).await;
        }
    }
}

/// The writes of a transaction.
pub(crate) async fn commit(session: &mut Session, pending: Vec<(Oid, RecordBatch)>) -> Result<(), SqlError> {
    let mut pushes = Vec::with_capacity(pending.len());
    for (table, rows) in pending {
        let running = session.server.running(table).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_TABLE, "a table that the transaction wrote to was dropped")
        })?;
        pushes.push(Push { oid: table, running, rows, dead: Vec::new() });
    }
    put(session, pushes, None).await
}

/// Someone's turn at a table.
type Turn = Option<tokio::sync::OwnedMutexGuard<()>>;

/// Hands in what belongs together, ends the turn, and waits for the rows if the session is to see what it writes.
async fn put(session: &mut Session, pushes: Vec<Push>, turn: Turn) -> Result<(), SqlError> {
    if pushes.is_empty() {
        return Ok(());
    }
    let running: Vec<Arc<Running>> = pushes.iter().map(|p| Arc::clone(&p.running)).collect();
    let tickets = push(&session.server, pushes).await?;
    drop(turn);
    if session.settings.is_on("rw_implicit_flush") {
        for (running, ticket) in running.iter().zip(tickets) {
            visible(&session.server, running, ticket).await;
        }
    }
    Ok(())
}

pub(crate) async fn truncate(session: &mut Session, truncate: &ast::Truncate) -> Result<Answer, SqlError> {
    for target in &truncate.table_names {
        let name = ObjectName::of(&target.name);
        let objects = session.objects();
        let table = objects.expect(&name, &session.path())?;
        allowed(session, table, Privilege::Truncate)?;
        let mut parsed = parse(&format!("DELETE FROM {}", table.full_name()))?;
        if let Some(Statement { kind, .. }) = parsed.pop()
            && let StatementKind::Sql(sql) = kind.as_ref()
        {
            run_as(session, sql, &[], Some(Privilege::Truncate)).await?;
        }
    }
    Ok(Answer::Done("TRUNCATE TABLE".to_owned()))
}

/// REPLAY QUARANTINE: what is as expected now leaves the quarantine for its relation, in one epoch.
pub(crate) async fn replay(
    session: &mut Session,
    name: &ObjectName,
    selection: Option<&ast::Expr>,
) -> Result<Answer, SqlError> {
    let objects = session.objects();
    let table = Arc::clone(objects.expect(name, &session.path())?);
    let quarantine = table.source().and_then(|s| objects.get(s.quarantine?));
    let Some((quarantine, held)) = quarantine.and_then(|q| Some((Arc::clone(q), Arc::clone(q.source()?)))) else {
        let message = format!("{} {} has no quarantine to replay", table.class(), table.name);
        let hint = "Rows that are read from outside are judged each time they are read; rows that are handed in are \
                    kept where an expectation says ON VIOLATION QUARANTINE.";
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint));
    };
    allowed(session, &table, Privilege::Insert)?;
    allowed(session, &quarantine, Privilege::Delete)?;
    let (into, from) = (running(&session.server, &table)?, running(&session.server, &quarantine)?);
    // Who reads what it changes goes alone, and after everything that was written before.
    let turn = Some(Arc::clone(&from.turn).lock_owned().await);
    visible(&session.server, &from, from.queue.as_ref().map_or(0, |q| q.last_ticket())).await;
    let filter = selection.map_or_else(String::new, |e| format!(" WHERE {e}"));
    let query = query_of(&format!("SELECT * FROM {}{filter}", quarantine.full_name()))?;
    let Answer::Rows { rows, .. } = session.query(&query, &[], "REPLAY").await? else {
        return Err(SqlError::new(SqlState::INTERNAL_ERROR, "a query without rows"));
    };
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let Some(first) = batches.first() else { return Ok(Answer::Done("REPLAY 0".to_owned())) };
    let rows = arrow::compute::concat_batches(&first.schema(), &batches).map_err(thalweg_core::Error::from)?;
    let replayed = session.server.database.replayed(&table, &held, &rows, session.server.now())?;
    let mut pushes = held_back(session, &into, &table, replayed.rows)?;
    pushes.extend(held_back(session, &from, &quarantine, replayed.taken)?);
    put(session, pushes, turn).await?;
    if replayed.left > 0 {
        session.notice(format!(
            "{} rows are still not as expected and stay in {}",
            replayed.left,
            quarantine.full_name()
        ));
    }
    Ok(Answer::Done(format!("REPLAY {}", replayed.count)))
}

/// COPY.
pub(crate) async fn copy(
    session: &mut Session,
    side: &CopySide,
    direction: CopyDirection,
    options: &[(String, String)],
) -> Result<Answer, SqlError> {
    let layout = layout(options)?;
    match (side, direction) {
        (CopySide::Relation(name, columns), CopyDirection::In) => {
            let objects = session.objects();
            let table = Arc::clone(objects.expect(name, &session.path())?);
            allowed(session, &table, Privilege::Insert)?;
            let (columns, schema) = chosen(&table, columns)?;
            session.copying = Some(Copying { table, columns, batches: Vec::new(), bytes: 0 });
            Ok(Answer::CopyIn { schema, layout })
        }
        (CopySide::Query(_), CopyDirection::In) => {
            Err(SqlError::new(SqlState::SYNTAX_ERROR, "COPY FROM needs a table, not a query"))
        }
        (side, CopyDirection::Out) => {
            let query = match side {
                CopySide::Query(query) => query.clone(),
                CopySide::Relation(name, columns) => {
                    let columns: Vec<String> = columns.iter().map(|c| thalweg_sql::server::quoted(c)).collect();
                    let items = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
                    query_of(&format!("SELECT {items} FROM {name}"))?
                }
            };
            match session.query(&query, &[], "COPY").await? {
                Answer::Rows { schema, rows, .. } => Ok(Answer::CopyOut { schema, rows, layout }),
                other => Ok(other),
            }
        }
    }
}

/// The query of a text that is one.
pub(crate) fn query_of(text: &str) -> Result<Box<ast::Query>, SqlError> {
    let mut parsed = parse(text)?;
    match (parsed.pop().map(|s| s.kind), parsed.is_empty()) {
        (Some(kind), true) => match kind.as_ref() {
            StatementKind::Query(query) | StatementKind::Subscribe(query) => Ok(query.clone()),
            _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, "a query is expected").hint("Give SELECT …")),
        },
        _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, "one query is expected")),
    }
}

fn chosen(table: &Object, names: &[String]) -> Result<(Vec<usize>, SchemaRef), SqlError> {
    let source = match &table.kind {
        Kind::Table(source) => source,
        Kind::Source(source) if source.connector().is_none() => source,
        _ => {
            let message = format!("{} is a {}, not a table", table.name, table.class());
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
    };
    let writable = source.writable();
    let columns: Vec<usize> = if names.is_empty() {
        (0..writable.fields().len()).collect()
    } else {
        let place = |n: &String| {
            let message = || format!("column \"{n}\" of relation \"{}\" does not exist", table.name);
            writable.index_of(n).map_err(|_| SqlError::new(SqlState::UNDEFINED_COLUMN, message()))
        };
        names.iter().map(place).collect::<Result<_, _>>()?
    };
    let schema = writable.project(&columns).map_err(thalweg_core::Error::from)?;
    Ok((columns, Arc::new(schema)))
}

fn layout(options: &[(String, String)]) -> Result<CopyLayout, SqlError> {
    let get = |name: &str| options.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let wrong = |message: String| SqlError::new(SqlState::SYNTAX_ERROR, message);
    let known = ["format", "delimiter", "null", "header", "quote", "escape", "encoding", "freeze", "force_quote"];
    if let Some((unknown, _)) = options.iter().find(|(n, _)| !known.contains(&n.as_str())) {
        return Err(wrong(format!("option \"{unknown}\" not recognized")).hint(format!("Known: {}.", known.join(", "))));
    }
    let byte = |name: &str, default: u8| match get(name).map(str::as_bytes) {
        None => Ok(default),
        Some([one]) => Ok(*one),
        Some(_) => Err(wrong(format!("COPY {name} must be a single one-byte character"))),
    };
    let header = get("header").is_some_and(|v| !matches!(v, "false" | "off" | "0"));
    match get("format").unwrap_or("text") {
        "text" => Ok(CopyLayout::Text {
            delimiter: byte("delimiter", b'\t')?,
            null: get("null").unwrap_or("\\N").to_owned(),
            header,
        }),
        "csv" => {
            let quote = byte("quote", b'"')?;
            Ok(CopyLayout::Csv {
                delimiter: byte("delimiter", b',')?,
                null: get("null").unwrap_or("").to_owned(),
                header,
                quote,
                escape: byte("escape", quote)?,
            })
        }
        "binary" => Ok(CopyLayout::Binary),
        other => Err(wrong(format!("COPY format \"{other}\" not recognized")).hint("Use text, csv or binary.")),
    }
}

pub(crate) fn copy_rows(session: &mut Session, rows: RecordBatch) -> Result<(), SqlError> {
    let copying = session.copying.as_mut().ok_or_else(no_copy)?;
    copying.bytes += rows.get_array_memory_size();
    if copying.bytes > MAX_COPY_BYTES {
        session.copying = None;
        let message = format!("one COPY may bring {} MiB", MAX_COPY_BYTES >> 20);
        return Err(SqlError::new(SqlState::CONFIGURATION_LIMIT, message).hint("Cut the input into several COPYs."));
    }
    copying.batches.push(rows);
    Ok(())
}

pub(crate) async fn copy_done(session: &mut Session) -> Result<u64, SqlError> {
    let Copying { table, columns, batches, .. } = session.copying.take().ok_or_else(no_copy)?;
    let running = running(&session.server, &table)?;
    let (mut count, mut pushes) = (0, Vec::new());
    // Every row is looked at before the first takes effect.
    for rows in &batches {
        let written = session.server.database.handed(&table, &columns, rows, session.server.now())?;
        count += written.count;
        pushes.extend(held_back(session, &running, &table, written.rows)?);
        pushes.extend(set_aside(session, written.aside)?);
    }
    put(session, pushes, None).await?;
    Ok(count)
}

fn no_copy() -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, "no COPY goes on")
}

/// What HTTP may write to.
pub(crate) fn ingest_target(session: &mut Session, relation: &str) -> Result<IngestTarget, SqlError> {
    let name = match relation.split_once('.') {
        Some((schema, name)) => ObjectName { schema: Some(schema.to_owned()), name: name.to_owned() },
        None => ObjectName::bare(relation),
    };
    let objects = session.objects();
    let object = objects.expect(&name, &session.path())?;
    allowed(session, object, Privilege::Insert)?;
    let (_, schema) = chosen(object, &[])?;
    Ok(IngestTarget { relation: object.full_name(), schema })
}

pub(crate) async fn ingest(
    session: &mut Session,
    target: &IngestTarget,
    rows: Vec<RecordBatch>,
    dead: Vec<DeadLetter>,
) -> Result<Ingested, IngestError> {
    let refused = IngestError::Refused;
    let objects = session.objects();
    let name = match target.relation.split_once('.') {
        Some((schema, name)) => ObjectName { schema: Some(schema.to_owned()), name: name.to_owned() },
        None => ObjectName::bare(target.relation.clone()),
    };
    let object = objects.expect(&name, &session.path()).map_err(refused)?;
    let running = running(&session.server, object).map_err(refused)?;
    let columns: Vec<usize> = (0..target.schema.fields().len()).collect();
    let now = session.server.now();
    let mut writes = Vec::new();
    for batch in rows {
        writes.push(session.server.database.handed(object, &columns, &batch, now).map_err(refused)?);
    }
    let count = writes.iter().map(|w| w.count).sum();
    let aside: Vec<Push> = writes
        .iter_mut()
        .map(|w| set_aside(session, w.aside.take()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?
        .into_iter()
        .flatten()
        .collect();
    let rows_aside = aside.iter().map(|p| p.rows.num_rows() as u64).sum();
    let batches: Vec<RecordBatch> = writes.into_iter().map(|w| w.rows).collect();
    let all = match batches.first() {
        Some(first) => arrow::compute::concat_batches(&first.schema(), &batches),
        None => Ok(RecordBatch::new_empty(
            running.queue.as_ref().map_or_else(|| Arc::clone(&target.schema), |q| q.schema()),
        )),
    };
    let all = all.map_err(|e| refused(thalweg_core::Error::from(e).into()))?;
    let mut pushes = vec![Push { oid: object.oid, running, rows: all, dead }];
    pushes.extend(aside);
    match hand_in(&session.server, &pushes).map_err(refused)? {
        Some(taken) => {
            settled(taken).await.map_err(refused)?;
            Ok(Ingested { rows: count, set_aside: rows_aside })
        }
        None => Err(IngestError::Busy { retry_after_ms: RETRY_AFTER_MS }),
    }
}
