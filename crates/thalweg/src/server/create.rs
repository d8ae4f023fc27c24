//! CREATE TABLE, SOURCE, VIEW, MATERIALIZED VIEW and SINK: planned, started, put into the catalog. It must not know how
//! that is logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use thalweg_connectors::{EpochSinkRequest, SourceRequest};
use thalweg_core::{EpochSink, SqlError, SqlState};
use thalweg_sql::server::{
    JobPlan, Kind, Object, ObjectName, Objects, Oid, PUBLIC, QUARANTINE, SourceObject, Statement, StatementKind,
    masked, quoted,
};

use super::Server;
use super::ddl::{Made, home, stop};
use super::jobs::{End, start};
use super::secrets::resolved;
use super::session::Session;
use crate::wiring::{Inferring, Registry};

pub(super) fn create(session: &mut Session, objects: &mut Objects, statement: &Statement) -> Result<Made, SqlError> {
    let (kind, uses) = match statement.kind.options() {
        Some(options) => {
            let (options, uses) = resolved(session, objects, options)?;
            (Arc::new(statement.kind.with_options(options)), uses)
        }
        None => (Arc::clone(&statement.kind), BTreeSet::new()),
    };
    let resolved = Statement { kind: Arc::clone(&kind), ..statement.clone() };
    let kind = kind.as_ref();
    let (name, if_not_exists) =
        kind.created().ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "nothing is created"))?;
    let tag = match kind {
        StatementKind::CreateTable(_) => "CREATE TABLE",
        StatementKind::CreateSource(_) => "CREATE SOURCE",
        StatementKind::CreateSink(_) => "CREATE SINK",
        _ if kind.is_materialized_view() => "CREATE MATERIALIZED VIEW",
        _ => "CREATE VIEW",
    };
    let schema = home(session, objects, &name)?;
    let full = ObjectName { schema: Some(schema.clone()), name: name.name.clone() };
    if let Some(taken) = objects.find(&full, &[]) {
        let message = format!("relation {} already exists", quoted(&name.name));
        if if_not_exists && taken.part_of.is_none() {
            session.notice(format!("{message}, skipping"));
            return Ok(Made::unchanged(tag));
        }
        return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
    }
    let server = Arc::clone(&session.server);
    let owner = session.user(objects)?.oid;
    let oid = objects.number();
    let mut made = Made::new(tag);
    let mut quarantine = None;
    let label = if schema == PUBLIC { name.name.clone() } else { format!("{schema}.{}", name.name) };
    let (kind, columns, query, depends) = match kind {
        StatementKind::CreateTable(_) | StatementKind::CreateSource(_) => {
            let table = tag == "CREATE TABLE";
            let connectors = Inferring::new(session.known_columns.take());
            let mut declared = server.database.declare(kind, &connectors, &label)?;
            made.found_columns = connectors.found();
            may_connect(session, objects, declared.connector())?;
            if let Some(connector) = declared.connector().filter(|_| server.is_open()) {
                valid_source(&label, connector, &declared)?;
            }
            if table || declared.connector().is_none() {
                if declared.expectations().quarantines() {
                    let (of, aside) = (objects.number(), declared.quarantine_table());
                    start_handed_in(&server, of, &aside, &format!("{label}{QUARANTINE}"), true)?;
                    made.started.push(of);
                    declared.quarantine = Some(of);
                    quarantine = Some((of, aside));
                }
                if let Err(error) = start_handed_in(&server, oid, &declared, &label, table) {
                    made.started.iter().for_each(|oid| stop(&server, *oid));
                    return Err(error);
                }
                made.started.push(oid);
                made.awaited = Some(oid);
            }
            let columns = declared.columns();
            (declared.into_kind(table), columns, None, uses)
        }
        StatementKind::CreateSink(_) => {
            let connector = kind.options().and_then(|o| o.clone().take("connector"));
            may_connect(session, objects, connector.as_deref())?;
            let planned = session.scoped(None, |scope| server.database.sink(scope, &resolved, &Registry))?;
            let Some(job) = planned.job else {
                return Err(SqlError::new(SqlState::INTERNAL_ERROR, "a sink without a job"));
            };
            let sink = epoch_sink(&server, oid, &label, kind, &job)?;
            let (end, of) = if sink.is_some() { (End::Outbox, Some(oid)) } else { (End::Connector, None) };
            let running = start(server.works(), &label, job, end, of)?;
            insert(&server, oid, running);
            made.started.push(oid);
            if let Some(sink) = sink {
                server.deliveries.begin(&server, oid, sink)?;
                made.awaited = Some(oid);
            }
            (Kind::Sink, planned.columns, Some(planned.query), planned.reads.union(&uses).copied().collect())
        }
        _ => {
            let planned = session.scoped(None, |scope| server.database.view(scope, statement, &label))?;
            let kind = match planned.job {
                None => Kind::View,
                Some(job) => {
                    job.notices.iter().for_each(|n| session.notice(n.clone()));
                    let output = job.output.clone();
                    let running = start(server.works(), &label, job, End::Relations, Some(oid))?;
                    insert(&server, oid, running);
                    made.started.push(oid);
                    made.awaited = Some(oid);
                    Kind::MaterializedView(output)
                }
            };
            (kind, planned.columns, Some(planned.query), planned.reads)
        }
    };
    let object = Object {
        oid,
        schema,
        name: name.name,
        owner,
        kind,
        sql: masked(&statement.text),
        query,
        columns,
        depends,
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    };
    if let Some((of, aside)) = quarantine {
        objects.put(Object {
            oid: of,
            name: format!("{}{QUARANTINE}", object.name),
            columns: aside.columns(),
            kind: aside.into_kind(true),
            depends: BTreeSet::from([oid]),
            part_of: Some(oid),
            ..object.clone()
        })?;
    }
    objects.put(object)?;
    Ok(made)
}

/// A wrong option is told now, not with the first query.
fn valid_source(label: &str, connector: &str, declared: &SourceObject) -> Result<(), SqlError> {
    let request = SourceRequest {
        name: label.to_owned(),
        connector: connector.to_owned(),
        options: declared.options().clone(),
        projection: (0..declared.writable().fields().len()).collect(),
        declared: declared.writable(),
        event_time: None,
        workers: 1,
    };
    thalweg_connectors::source(request)?;
    Ok(())
}

/// The sink of a connector whose target keeps its progress.
fn epoch_sink(
    server: &Server,
    oid: Oid,
    label: &str,
    kind: &StatementKind,
    job: &JobPlan,
) -> Result<Option<Box<dyn EpochSink>>, SqlError> {
    let Some(mut options) = kind.options().cloned() else { return Ok(None) };
    let connector = options.take("connector").unwrap_or_default();
    if !thalweg_connectors::has_epoch_sink(&connector) {
        return Ok(None);
    }
    if server.keeper.is_none() {
        let message = format!("a sink with connector {connector} delivers from checkpoints, and there are none");
        let hint = "Start the server with --data DIR.";
        return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, message).hint(hint));
    }
    let request = EpochSinkRequest {
        name: label.to_owned(),
        id: format!("{}-{}", oid.0, label.replace(|c: char| !c.is_ascii_alphanumeric(), "_")),
        cluster: server.cluster.clone(),
        connector,
        options,
        schema: Arc::clone(&job.schema),
        key: job.output.key.clone(),
        append_only: job.output.append_only,
        disk: server.disk(),
    };
    Ok(Some(thalweg_connectors::epoch_sink(request)?))
}

/// Connectors that reach files or the network do so with the server's rights: only a superuser may name them.
pub(super) fn may_connect(session: &Session, objects: &Objects, connector: Option<&str>) -> Result<(), SqlError> {
    const HARMLESS: [&str; 3] = ["datagen", "nexmark", "blackhole"];
    match connector {
        Some(name) if !HARMLESS.contains(&name) && !session.user(objects)?.superuser => {
            let message = format!("must be superuser to use connector {name}");
            Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
        }
        _ => Ok(()),
    }
}

fn insert(server: &Server, oid: Oid, running: Arc<super::Running>) {
    server.running.write().unwrap_or_else(PoisonError::into_inner).insert(oid, running);
}

/// Starts a table, or a source whose rows are handed in, with what its log holds.
fn start_handed_in(
    server: &Server,
    oid: Oid,
    declared: &SourceObject,
    label: &str,
    table: bool,
) -> Result<(), SqlError> {
    let job = server.database.handed_in(declared, label, table)?;
    // After a restart the topics are there, and those of relations that were dropped are not to come back.
    if server.is_open() {
        server.intake.create(oid)?;
    }
    let running = start(server.works(), label, job, End::Relations, Some(oid))?;
    insert(server, oid, running);
    Ok(())
}
