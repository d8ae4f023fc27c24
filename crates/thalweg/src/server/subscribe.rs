//! Subscriptions: the changes of a relation or a query, from a snapshot on or from an epoch that is still kept.
//! It must not know protocols.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures_util::{StreamExt, stream};
use thalweg_core::{DeltaBatch, Epoch, SqlError, SqlState};
use thalweg_runtime::live::{Engine, Followed, Job, JobInput, Pin, Relation};
use thalweg_serve::backend::{Answer, Change, Subscription};
use thalweg_sql::server::{JobPlan, JobSource, Oid, Privilege, ast, bytes_text};

use super::audit::{Event, Kind, Who};
use super::jobs::{End, start};
use super::session::Session;
use super::{Server, shutting_down, writes};

/// A relation that is followed, and the job that was made for it alone, if one was.
struct Followable {
    server: Arc<Server>,
    relation: Arc<Relation>,
    job: Arc<Job>,
    own: bool,
    /// Who follows, and what of it that user may read by itself: when that ends, so does the subscription.
    rights: Rights,
}

/// What a subscriber was allowed at the start.
#[derive(Clone, Default)]
pub(super) struct Rights {
    user: Option<Oid>,
    reads: Vec<Oid>,
    /// For the audit log, when they end.
    who: Option<Who>,
}

impl Rights {
    pub(super) fn of(session: &Session, reads: &BTreeSet<Oid>) -> Result<Self, SqlError> {
        let objects = session.objects();
        let user = session.user(&objects)?;
        let may = |oid: &&Oid| objects.get(**oid).is_some_and(|o| objects.may_reach(&user, o, Privilege::Select));
        Ok(Self { user: Some(user.oid), reads: reads.iter().filter(may).copied().collect(), who: Some(session.who()) })
    }

    pub(super) fn hold(&self, server: &Server) -> bool {
        let objects = server.objects.load();
        let Some(user) = self.user.and_then(|oid| objects.user_by_oid(oid)) else { return self.user.is_none() };
        let may = |oid: &Oid| objects.get(*oid).is_none_or(|o| objects.may_reach(user, o, Privilege::Select));
        self.reads.iter().all(may)
    }
}

impl Drop for Followable {
    fn drop(&mut self) {
        if self.own {
            self.server.engine.remove(&self.job);
        }
    }
}

impl Followable {
    fn engine(&self) -> &Engine {
        &self.server.engine
    }
}

/// The columns of a subscription over the PostgreSQL wire: the epoch, what happened, then the query's.
pub(crate) fn columns(session: &Session, query: &ast::Query) -> Result<SchemaRef, SqlError> {
    let planned = session.scoped(None, |scope| session.server.database.followed(scope, query))?;
    Ok(with_meta(&planned.columns))
}

fn with_meta(schema: &SchemaRef) -> SchemaRef {
    let meta = [Field::new("epoch", DataType::Int64, false), Field::new("weight", DataType::Int64, false)];
    let meta = meta.into_iter().map(Arc::new);
    Arc::new(Schema::new(meta.chain(schema.fields().iter().cloned()).collect::<Vec<_>>()))
}

/// Follows `query`.
pub(crate) async fn open(session: &mut Session, query: &str, after: Option<u64>) -> Result<Subscription, SqlError> {
    let query = if query.trim().contains(char::is_whitespace) {
        writes::query_of(query)?
    } else {
        // A relation's name stands for all of it.
        writes::query_of(&format!("SUBSCRIBE TO {query}"))?
    };
    follow(session, &query, after).await
}

async fn follow(session: &mut Session, query: &ast::Query, after: Option<u64>) -> Result<Subscription, SqlError> {
    let planned = session.scoped(None, |scope| session.server.database.followed(scope, query))?;
    let job = planned.job.ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "a query without a job"))?;
    let rights = Rights::of(session, &planned.reads)?;
    let mut followable = followable(session, job)?;
    followable.rights = rights;
    let followable = Arc::new(followable);
    session.server.ready(&followable.job).await?;
    let changes = &followable.relation.changes;
    let mut since = None;
    session
        .server
        .wait_until(|| {
            since = since.or_else(|| changes.start());
            // Everything from the next epoch on must be kept.
            since.is_some_and(|s: Epoch| session.server.engine.epoch().next() >= s)
        })
        .await;
    if session.server.is_stopping() {
        return Err(shutting_down());
    }
    let schema = Arc::clone(&followable.relation.schema);
    if after.is_some_and(|after| Epoch(after) > session.server.engine.epoch()) {
        // Of another server, or of this one's future: nothing that we keep goes on from there.
        return Ok(Subscription { schema, events: Box::pin(stream::iter([Ok(Change::Lost)])) });
    }
    let state = match after {
        Some(after) => State::After(Epoch(after)),
        None => State::Snapshot,
    };
    let events = stream::unfold(Some((followable, state)), |at| async move {
        let (followable, state) = at?;
        next(followable, state).await
    });
    Ok(Subscription { schema, events: Box::pin(events.flat_map(stream::iter)) })
}

/// The answer of a query that only the engine can read, once all that it reads has ended or, for tables, is there.
pub(crate) async fn answered(session: &mut Session, query: &ast::Query, tag: &'static str) -> Result<Answer, SqlError> {
    let server = Arc::clone(&session.server);
    let planned = session.scoped(None, |scope| server.database.engine_query(scope, query))?;
    let pulls = planned.job.sources.contains(&JobSource::Connector);
    let running = start(server.works(), "query", planned.job.clone(), End::Relations, None)?;
    let relation = running.relations.first().cloned();
    let relation = relation.ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "a query without rows"))?;
    let job = Followable {
        server: Arc::clone(&server),
        relation,
        job: Arc::clone(&running.job),
        own: true,
        rights: Rights::default(),
    };
    if pulls && job.job.spec.inputs.iter().any(|i| matches!(i, JobInput::Source(s) if !s.bounded())) {
        let hint = "Make a materialized view of it, or SUBSCRIBE to it.";
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "the query reads a source without end").hint(hint));
    }
    server.ready(&job.job).await?;
    if pulls {
        server.wait_until(|| server.engine.has_ended(&job.job) || job.job.error().is_some()).await;
        server.ready(&job.job).await?;
    }
    let pin = server.engine.pin();
    let (mut answer, mut bytes) = (Vec::new(), 0);
    let limit = session.query_memory_bytes();
    for part in job.relation.at(pin.epoch()) {
        for i in 0..part.num_batches() {
            let batch = part.batch(i)?;
            bytes += batch.get_array_memory_size();
            if bytes > limit {
                let message = format!("the answer needs more than {}: its query_memory_limit", bytes_text(limit));
                return Err(SqlError::new(SqlState::OUT_OF_MEMORY, message)
                    .hint("Make a materialized view of it, or SET query_memory_limit higher."));
            }
            answer.push(batch);
        }
    }
    let mut rest = server.database.rest(&planned, answer)?;
    rest.memory_bytes = limit;
    let rows = server.database.run(&rest, &[], server.now()).await?;
    Ok(Answer::Rows { schema: planned.schema, rows, tag })
}

/// A table or view that stands for the whole query, or a job that computes it.
fn followable(session: &Session, plan: JobPlan) -> Result<Followable, SqlError> {
    let server = Arc::clone(&session.server);
    if let (true, [JobSource::Object(oid)]) = (plan.plan.passes_all(), &plan.sources[..])
        && let Some(running) = server.running(*oid)
        && let Some(relation) = running.relations.first()
    {
        let (relation, job) = (Arc::clone(relation), Arc::clone(&running.job));
        return Ok(Followable { server, relation, job, own: false, rights: Rights::default() });
    }
    let running = start(server.works(), "subscription", plan, End::Relations, None)?;
    let relation = running.relations.first().cloned();
    let relation = relation.ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "a query without rows"))?;
    Ok(Followable { server, relation, job: Arc::clone(&running.job), own: true, rights: Rights::default() })
}

enum State {
    Snapshot,
    After(Epoch),
}

type Events = Vec<Result<Change, SqlError>>;

/// The next events, and where to go on.
async fn next(followable: Arc<Followable>, state: State) -> Option<(Events, Option<(Arc<Followable>, State)>)> {
    match state {
        State::Snapshot => {
            let pin = followable.engine().pin();
            let events = snapshot(&followable, &pin);
            let epoch = pin.epoch();
            drop(pin);
            Some((events, Some((followable, State::After(epoch)))))
        }
        State::After(after) => {
            let server = Arc::clone(&followable.server);
            let mut upto = after;
            loop {
                server.wait_until(|| server.engine.epoch() > upto || followable.job.error().is_some()).await;
                if server.is_stopping() {
                    return Some((vec![Err(shutting_down())], None));
                }
                if !followable.rights.hold(&server) {
                    if let Some(who) = &followable.rights.who {
                        let event = Event::of(Kind::PrivilegeRefused, who).failed(SqlState::INSUFFICIENT_PRIVILEGE);
                        server.audit.note(&event.detail("a subscription ended: its right was taken back"));
                    }
                    let message = "permission denied: the right to follow this was taken back";
                    return Some((vec![Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message))], None));
                }
                if let Some(error) = followable.job.error() {
                    return Some((vec![Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, error))], None));
                }
                upto = server.engine.epoch();
                let changes = match followable.relation.changes.between(after, upto) {
                    Followed::Lost => return Some((vec![Ok(Change::Lost)], None)),
                    Followed::Changes(changes) => changes,
                };
                // Whoever is slow gets what several epochs did together.
                match followable.relation.changes.consolidated(&changes) {
                    Err(error) => return Some((vec![Err(error.into())], None)),
                    Ok(None) => {}
                    Ok(Some(change)) => {
                        let events = bracketed(false, vec![change], upto, server.now());
                        return Some((events, Some((followable, State::After(upto)))));
                    }
                }
            }
        }
    }
}

fn snapshot(followable: &Followable, pin: &Pin) -> Events {
    let mut rows = Vec::new();
    for part in followable.relation.at(pin.epoch()) {
        for i in 0..part.num_batches() {
            match part.batch(i) {
                Ok(batch) if batch.num_rows() > 0 => rows.push(DeltaBatch::insert(batch)),
                Ok(_) => {}
                Err(error) => return vec![Err(error.into())],
            }
        }
    }
    bracketed(true, rows, pin.epoch(), followable.server.now())
}

fn bracketed(snapshot: bool, rows: Vec<DeltaBatch>, epoch: Epoch, wall_clock: i64) -> Events {
    let begin = Change::Begin { snapshot };
    let rows = rows.into_iter().map(Change::Rows);
    let commit = Change::Commit { epoch: epoch.0, wall_clock };
    [begin].into_iter().chain(rows).chain([commit]).map(Ok).collect()
}

/// `SUBSCRIBE` over the PostgreSQL wire: rows that do not end until the client cancels.
pub(crate) async fn rows(session: &mut Session, query: &ast::Query) -> Result<Answer, SqlError> {
    let subscription = follow(session, query, None).await?;
    let schema = with_meta(&subscription.schema);
    let of_rows = Arc::clone(&schema);
    let mut held: Vec<DeltaBatch> = Vec::new();
    let rows = subscription.events.filter_map(move |event| {
        let row = match event {
            Err(error) => Some(Err(error)),
            Ok(Change::Rows(delta)) => {
                held.push(delta);
                None
            }
            Ok(Change::Begin { .. }) => None,
            Ok(Change::Lost) => {
                Some(Err(SqlError::new(SqlState::CONFIGURATION_LIMIT, "the subscription fell too far behind")))
            }
            Ok(Change::Commit { epoch, .. }) => {
                let held = std::mem::take(&mut held);
                Some(numbered(&of_rows, &held, epoch)).filter(|r| r.as_ref().map_or(true, |b| b.num_rows() > 0))
            }
        };
        std::future::ready(row)
    });
    Ok(Answer::Rows { schema, rows: Box::pin(rows), tag: "SUBSCRIBE" })
}

fn numbered(schema: &SchemaRef, deltas: &[DeltaBatch], epoch: u64) -> Result<RecordBatch, SqlError> {
    let inner = Arc::new(Schema::new(schema.fields().iter().skip(2).cloned().collect::<Vec<_>>()));
    let parts: Vec<RecordBatch> = deltas.iter().map(|d| d.rows.clone()).collect();
    let all = arrow::compute::concat_batches(&inner, &parts).map_err(thalweg_core::Error::from)?;
    let weights: Vec<i64> = deltas.iter().flat_map(|d| (0..d.num_rows()).map(|i| d.weight(i))).collect();
    let epochs = Int64Array::from(vec![i64::try_from(epoch).unwrap_or(i64::MAX); all.num_rows()]);
    let meta: [ArrayRef; 2] = [Arc::new(epochs), Arc::new(Int64Array::from(weights))];
    let columns = meta.into_iter().chain(all.columns().iter().cloned()).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).map_err(thalweg_core::Error::from)?)
}
