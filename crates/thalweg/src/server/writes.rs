//! Rows on their way into tables and sources: INSERT, UPDATE, DELETE, COPY, ingest. It must not know protocols.

use std::sync::{Arc, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use thalweg_core::{DeadLetter, SqlError, SqlState};
use thalweg_runtime::live::JobId;
use thalweg_serve::backend::{Answer, CopyLayout, IngestError, IngestTarget, Ingested};
use thalweg_sql::server::{
    CopyDirection, CopySide, Kind, Object, ObjectName, Oid, Privilege, Statement, StatementKind, WritePlan, ast, parse,
};
use thalweg_store::Log;

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
    if let Some(rows) = session.transaction.hold(table.oid, written.rows)? {
        let tickets =
            push(&session.server, vec![Push { running: Arc::clone(&running), rows, dead: Vec::new() }]).await?;
        drop(turn);
        if session.settings.is_on("rw_implicit_flush") {
            visible(&session.server, &running, tickets[0]).await;
        }
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
            Some(tickets) => return Ok(tickets),
            None if news.changed().await.is_err() => return Err(super::shutting_down()),
            None => {}
        }
    }
}

/// Hands rows in; `None` when a queue is full.
fn hand_in(server: &Server, pushes: &[Push]) -> Result<Option<Vec<u64>>, SqlError> {
    if server.is_stopping() {
        return Err(super::shutting_down());
    }
    let mut handed = Vec::with_capacity(pushes.len());
    for Push { running, rows, dead } in pushes {
        if let Some(error) = running.job.error() {
            let message = format!("{} does not run: {error}", running.job.spec.name);
            return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message));
        }
        let queue = running.queue.as_ref().ok_or_else(|| {
            SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{} takes no rows", running.job.spec.name))
        })?;
        handed.push((Arc::clone(queue), rows.clone(), dead.clone()));
    }
    // A log's order is its queue's order: it is held until the rows are in. Always in the order of jobs, so that two
    // who write to the same tables do not wait for each other.
    let mut logged: Vec<&Push> = pushes.iter().filter(|p| p.running.log.is_some() && p.rows.num_rows() > 0).collect();
    logged.sort_by_key(|p| p.running.job.id);
    let mut logs: Vec<(JobId, MutexGuard<'_, Log>)> = Vec::new();
    for Push { running, .. } in &logged {
        if let Some(log) = running.log.as_ref().filter(|_| logs.last().is_none_or(|(id, _)| *id != running.job.id)) {
            logs.push((running.job.id, log.lock().unwrap_or_else(PoisonError::into_inner)));
        }
    }
    // Whoever holds a log before the server makes it durable for the last time may still write; nobody after that.
    if server.is_stopping() {
        return Err(super::shutting_down());
    }
    if handed.iter().any(|(queue, ..)| !queue.has_room()) {
        return Ok(None);
    }
    for Push { running, rows, .. } in pushes.iter().filter(|p| p.rows.num_rows() > 0) {
        if let Some((_, log)) = logs.iter_mut().find(|(id, _)| *id == running.job.id) {
            log.append(&encoded(rows)?)?;
        }
    }
    Ok(server.engine.push(handed).ok())
}

/// Hands in again what a log holds, before anyone else can.
pub(super) fn put_back(server: &Server, running: &Running, records: Vec<Vec<u8>>) -> Result<(), SqlError> {
    let Some(queue) = &running.queue else { return Ok(()) };
    for record in records {
        let reader = StreamReader::try_new(record.as_slice(), None).map_err(thalweg_core::Error::from)?;
        for rows in reader {
            let rows = rows.map_err(thalweg_core::Error::from)?;
            // The engine reads while we hand in: a full queue has room in a moment.
            while server.engine.push(vec![(Arc::clone(queue), rows.clone(), Vec::new())]).is_err() {
                std::thread::yield_now();
            }
        }
    }
    Ok(())
}

fn encoded(rows: &RecordBatch) -> Result<Vec<u8>, SqlError> {
    let mut bytes = Vec::new();
    let written = StreamWriter::try_new(&mut bytes, &rows.schema()).and_then(|mut writer| {
        writer.write(rows)?;
        writer.finish()
    });
    written.map_err(thalweg_core::Error::from)?;
    Ok(bytes)
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
        pushes.push(Push { running, rows, dead: Vec::new() });
    }
    written(session, pushes).await
}

/// Hands in what belongs together and waits for it if the session is to see what it writes.
async fn written(session: &mut Session, pushes: Vec<Push>) -> Result<(), SqlError> {
    if pushes.is_empty() {
        return Ok(());
    }
    let running: Vec<Arc<Running>> = pushes.iter().map(|p| Arc::clone(&p.running)).collect();
    let tickets = push(&session.server, pushes).await?;
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
        Kind::Table(source) | Kind::Source(source) if source.connector().is_none() => source,
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
        if let Some(rows) = session.transaction.hold(table.oid, written.rows)? {
            pushes.push(Push { running: Arc::clone(&running), rows, dead: Vec::new() });
        }
    }
    written(session, pushes).await?;
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
    let batches: Vec<RecordBatch> = writes.into_iter().map(|w| w.rows).collect();
    let all = match batches.first() {
        Some(first) => arrow::compute::concat_batches(&first.schema(), &batches),
        None => Ok(RecordBatch::new_empty(
            running.queue.as_ref().map_or_else(|| Arc::clone(&target.schema), |q| q.schema()),
        )),
    };
    let all = all.map_err(|e| refused(thalweg_core::Error::from(e).into()))?;
    match hand_in(&session.server, &[Push { running, rows: all, dead }]).map_err(refused)? {
        Some(_) => Ok(Ingested { rows: count, set_aside: 0 }),
        None => Err(IngestError::Busy { retry_after_ms: RETRY_AFTER_MS }),
    }
}
