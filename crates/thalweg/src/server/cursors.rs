//! Subscriptions by name and cursors over them: the changes of a relation, fetched by whoever asks. What is kept of them
//! is the relation's change log. It must not know protocols.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use futures_util::stream;
use thalweg_core::{DeltaBatch, Epoch, SqlError, SqlState};
use thalweg_operators::Version;
use thalweg_runtime::live::{Begin, Changed, Pin, Relation};
use thalweg_serve::backend::Answer;
use thalweg_sql::server::{
    Kind, Object, ObjectName, Objects, Oid, Privilege, Since, Statement, SubscriptionStatement, quoted,
};

use super::ddl::{self, Made};
use super::session::{Session, full};
use super::subscribe::Rights;
use super::{Running, Server, shutting_down};
use crate::server::transaction::no_cursor;

/// Rows of one FETCH at most.
const MAX_FETCH: usize = 100_000;

/// A cursor over the changes of a relation.
pub(crate) struct Follower {
    /// The subscription or relation, for people.
    pub of: String,
    schema: SchemaRef,
    running: Arc<Running>,
    relation: Arc<Relation>,
    rights: Rights,
    state: State,
    /// Rows of the last batch that were not fetched yet.
    left: Option<RecordBatch>,
}

enum State {
    /// In the middle of what stood: what keeps it, its parts, the next part and the batch in it.
    Standing { pin: Pin, parts: Vec<Arc<Version>>, part: usize, batch: usize },
    /// Everything up to an epoch was given.
    After(Epoch),
}

impl Follower {
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows, or `None` when there are none yet.
    fn next(&mut self, server: &Server) -> Result<Option<RecordBatch>, SqlError> {
        if !self.rights.hold(server) {
            let message = "permission denied: the right to follow this was taken back";
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        if let Some(error) = self.running.job.error() {
            return Err(SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, error));
        }
        if let Some(left) = self.left.take() {
            return Ok(Some(left));
        }
        loop {
            let after = match &mut self.state {
                State::Standing { pin, parts, part, batch } => match parts.get(*part) {
                    Some(version) if *batch < version.num_batches() => {
                        let rows = version.batch(*batch)?;
                        *batch += 1;
                        if rows.num_rows() > 0 {
                            return self.shown(&rows, &vec!["Insert"; rows.num_rows()], None).map(Some);
                        }
                        continue;
                    }
                    Some(_) => {
                        (*part, *batch) = (*part + 1, 0);
                        continue;
                    }
                    None => pin.epoch(),
                },
                State::After(after) => *after,
            };
            self.state = State::After(after);
            let upto = server.engine.epoch();
            let Some((epoch, changed)) = self.relation.changes.first_between(after, upto).map_err(lost)? else {
                self.state = State::After(after.max(upto));
                return Ok(None);
            };
            self.state = State::After(epoch);
            if let Some(rows) = self.changes(&changed)? {
                return Ok(Some(rows));
            }
        }
    }

    /// What an epoch did, row by row: an update of a key is its old row, then its new one.
    fn changes(&self, changed: &Changed) -> Result<Option<RecordBatch>, SqlError> {
        let Some(delta) = self.relation.changes.consolidated(&changed.deltas)? else { return Ok(None) };
        let keys = match &self.relation.key {
            Some(key) => keys(&delta, key)?,
            None => Vec::new(),
        };
        let mut rows: Vec<u32> = (0..u32::try_from(delta.num_rows()).unwrap_or(u32::MAX)).collect();
        let weight = |row: &u32| delta.weight(*row as usize);
        if !keys.is_empty() {
            rows.sort_by(|a, b| keys[*a as usize].cmp(&keys[*b as usize]).then(weight(a).cmp(&weight(b))));
        } else {
            rows.sort_by_key(|row| weight(row) > 0);
        }
        let same = |a: Option<&u32>, b: Option<&u32>| match (a, b) {
            (Some(a), Some(b)) if !keys.is_empty() => {
                keys[*a as usize] == keys[*b as usize] && weight(a) * weight(b) < 0
            }
            _ => false,
        };
        let (mut places, mut ops) = (Vec::new(), Vec::new());
        for (i, row) in rows.iter().enumerate() {
            let op = match weight(row) < 0 {
                true if same(Some(row), rows.get(i + 1)) => "UpdateDelete",
                true => "Delete",
                false if i > 0 && same(rows.get(i - 1), Some(row)) => "UpdateInsert",
                false => "Insert",
            };
            for _ in 0..weight(row).unsigned_abs() {
                places.push(*row);
                ops.push(op);
            }
        }
        let rows = take_record_batch(&delta.rows, &UInt32Array::from(places)).map_err(thalweg_core::Error::from)?;
        self.shown(&rows, &ops, Some(changed.wall_clock.div_euclid(1_000))).map(Some)
    }

    fn shown(&self, rows: &RecordBatch, ops: &[&str], millis: Option<i64>) -> Result<RecordBatch, SqlError> {
        let ops: ArrayRef = Arc::new(ops.iter().map(Some).collect::<StringViewArray>());
        let times: ArrayRef = Arc::new(Int64Array::from(vec![millis; rows.num_rows()]));
        let columns = rows.columns().iter().cloned().chain([ops, times]).collect();
        Ok(RecordBatch::try_new(self.schema(), columns).map_err(thalweg_core::Error::from)?)
    }
}

/// The key of each row, in a form that can be compared.
fn keys(delta: &DeltaBatch, key: &[usize]) -> Result<Vec<OwnedRow>, SqlError> {
    let columns: Vec<ArrayRef> = key.iter().map(|c| Arc::clone(delta.rows.column(*c))).collect();
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(thalweg_core::Error::from)?;
    let rows = converter.convert_columns(&columns).map_err(thalweg_core::Error::from)?;
    Ok(rows.iter().map(|row| row.owned()).collect())
}

fn lost(from_micros: i64) -> SqlError {
    let millis = from_micros.div_euclid(1_000) + 1;
    let message = "the changes that the cursor wants are not kept any more";
    let hint = format!("DECLARE it anew: SINCE {millis} or later misses what is gone, FULL begins with all rows.");
    SqlError::new(SqlState::CONFIGURATION_LIMIT, message).hint(hint)
}

fn with_meta(schema: &SchemaRef) -> SchemaRef {
    let nullable = schema.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true)));
    let meta = [Field::new("op", DataType::Utf8View, true), Field::new("rw_timestamp", DataType::Int64, true)];
    Arc::new(Schema::new(nullable.chain(meta.into_iter().map(Arc::new)).collect::<Vec<_>>()))
}

pub(super) async fn run(
    session: &mut Session,
    statement: &Statement,
    of: &SubscriptionStatement,
) -> Result<Answer, SqlError> {
    match of {
        SubscriptionStatement::Create { .. } => ddl::run(session, statement).await.map(Answer::Done),
        SubscriptionStatement::Declare { name, of, since } => declare(session, name, of, *since).await,
        SubscriptionStatement::Fetch { name, count, timeout } => fetch(session, name, *count, *timeout).await,
    }
}

/// The relation that `name` means, itself or through a subscription, and how far back one may go.
fn meant(session: &Session, objects: &Objects, name: &ObjectName) -> Result<(Arc<Object>, Option<Duration>), SqlError> {
    let found = Arc::clone(objects.expect(name, &session.path())?);
    let (object, retention) = match &found.kind {
        Kind::Subscription(retention) => {
            let on = found.depends.first().and_then(|on| objects.get(*on)).cloned();
            let gone = || SqlError::new(SqlState::INTERNAL_ERROR, "a subscription of nothing");
            (on.ok_or_else(gone)?, Some(*retention))
        }
        _ => (found, None),
    };
    if !object.is_readable() {
        let message = format!("{} is a {}, whose changes are not kept", object.name, object.class());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint("Follow a table or a materialized view."));
    }
    if !objects.may_reach(&session.user(objects)?, &object, Privilege::Select) {
        let message = format!("permission denied for {} {}", object.class(), object.name);
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok((object, retention))
}

/// CREATE SUBSCRIPTION. Called under the catalog's lock.
pub(super) fn create(
    session: &mut Session,
    objects: &mut Objects,
    statement: &Statement,
    of: &SubscriptionStatement,
) -> Result<Made, SqlError> {
    let SubscriptionStatement::Create { name, if_not_exists, from, retention } = of else {
        return Err(SqlError::new(SqlState::INTERNAL_ERROR, "not a statement of the catalog"));
    };
    let schema = ddl::home(session, objects, name)?;
    let full = ObjectName { schema: Some(schema.clone()), name: name.name.clone() };
    if objects.find(&full, &[]).is_some() {
        let message = format!("relation {} already exists", quoted(&name.name));
        if *if_not_exists {
            session.notice(format!("{message}, skipping"));
            return Ok(Made::unchanged("CREATE SUBSCRIPTION"));
        }
        return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
    }
    let (on, _) = meant(session, objects, from)?;
    if let Some(relation) = session.server.running(on.oid).and_then(|r| r.relations.first().cloned()) {
        relation.changes.start();
    }
    let oid = objects.number();
    let owner = session.user(objects)?.oid;
    objects.put(Object {
        oid,
        schema,
        name: name.name.clone(),
        owner,
        kind: Kind::Subscription(*retention),
        sql: statement.text.to_string(),
        query: None,
        columns: with_meta(&on.columns),
        depends: BTreeSet::from([on.oid]),
        comment: None,
        column_comments: BTreeMap::new(),
        part_of: None,
    })?;
    Ok(Made::new("CREATE SUBSCRIPTION"))
}

async fn declare(session: &mut Session, name: &str, of: &ObjectName, since: Since) -> Result<Answer, SqlError> {
    if session.cursors.contains_key(name) || session.followers.contains_key(name) {
        return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
    }
    full(session.followers.len())?;
    let server = Arc::clone(&session.server);
    let objects = session.objects();
    let (object, retention) = meant(session, &objects, of)?;
    let rights = Rights::of(session, &BTreeSet::from([object.oid]))?;
    let (running, relation) = followed(&server, object.oid)?;
    server.ready(&running.job).await?;
    let changes = &relation.changes;
    let mut from = None;
    // Everything from the next epoch on must be kept.
    let kept = |from: &Option<Epoch>| from.is_some_and(|s| server.engine.epoch().next() >= s);
    server
        .wait_until(|| {
            from = from.or_else(|| changes.start());
            kept(&from)
        })
        .await;
    if server.is_stopping() {
        return Err(shutting_down());
    }
    let pin = server.engine.pin();
    let newest = pin.epoch();
    let state = match since {
        Since::Now => State::After(newest),
        Since::Full => State::Standing { parts: relation.at(newest), pin, part: 0, batch: 0 },
        Since::Begin => {
            State::After(changes.start().map_or(newest, |first| Epoch(first.0.saturating_sub(1))).min(newest))
        }
        Since::Millis(millis) => {
            let oldest = retention.map_or(i64::MIN, |r| {
                server.now().div_euclid(1_000).saturating_sub(i64::try_from(r.as_millis()).unwrap_or(i64::MAX))
            });
            if millis < oldest {
                return Err(lost(oldest.saturating_mul(1_000)));
            }
            match changes.begin_at(millis.saturating_mul(1_000), newest) {
                Begin::After(after) => State::After(after),
                Begin::Lost(from) => return Err(lost(from)),
            }
        }
    };
    let (of, schema) = (of.to_string(), with_meta(&relation.schema));
    session.followers.insert(name.to_owned(), Follower { of, schema, running, relation, rights, state, left: None });
    Ok(Answer::Done("DECLARE SUBSCRIPTION CURSOR".to_owned()))
}

fn followed(server: &Server, oid: Oid) -> Result<(Arc<Running>, Arc<Relation>), SqlError> {
    let running = server.running(oid);
    let relation = running.as_ref().and_then(|r| r.relations.first().cloned());
    running
        .zip(relation)
        .ok_or_else(|| SqlError::new(SqlState::NOT_IN_PREREQUISITE_STATE, "the relation to follow does not run"))
}

/// Up to `count` rows, waiting up to `timeout` for the first.
pub(super) async fn fetch(
    session: &mut Session,
    name: &str,
    count: usize,
    timeout: Duration,
) -> Result<Answer, SqlError> {
    let server = Arc::clone(&session.server);
    let follower = session.followers.get_mut(name).ok_or_else(|| no_cursor(name))?;
    let deadline = tokio::time::Instant::now() + timeout;
    let mut wanted = count.min(MAX_FETCH);
    let mut batches: Vec<Result<RecordBatch, SqlError>> = Vec::new();
    while wanted > 0 {
        let seen = server.engine.epoch();
        match follower.next(&server)? {
            Some(rows) => {
                let now = wanted.min(rows.num_rows());
                if now < rows.num_rows() {
                    follower.left = Some(rows.slice(now, rows.num_rows() - now));
                }
                wanted -= now;
                batches.push(Ok(rows.slice(0, now)));
            }
            None if !batches.is_empty() => break,
            None => {
                let job = &follower.running.job;
                let moved = server.wait_until(|| server.engine.epoch() > seen || job.error().is_some());
                if tokio::time::timeout_at(deadline, moved).await.is_err() {
                    break;
                }
                if server.is_stopping() {
                    return Err(shutting_down());
                }
            }
        }
    }
    Ok(Answer::Rows { schema: follower.schema(), rows: Box::pin(stream::iter(batches)), tag: "FETCH" })
}

/// The columns of a cursor.
pub(super) fn columns(session: &Session, name: &str) -> Result<SchemaRef, SqlError> {
    session.followers.get(name).map(Follower::schema).ok_or_else(|| no_cursor(name))
}
