//! `Canned`: a backend whose answers are known. It must not know HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures_util::{StreamExt, stream};
use thalweg_core::{DeadLetter, DeltaBatch, SqlError, SqlState};
use thalweg_serve::backend::{
    Answer, Backend, CancelToken, Change, CopyLayout, Credential, Description, IngestError, IngestTarget, Ingested,
    Login, ScramVerifier, Session, Subscription, TransactionStatus,
};

/// What the sessions share with a test.
#[derive(Default)]
pub struct Seen {
    pub rows: Mutex<Vec<RecordBatch>>,
    pub dead: Mutex<Vec<DeadLetter>>,
    pub ingests: AtomicUsize,
    pub connects: AtomicUsize,
    pub cancelled: AtomicBool,
    /// Events that a subscription has handed out.
    pub events: AtomicUsize,
    pub users: Mutex<HashMap<String, Credential>>,
    pub unready: AtomicBool,
    pub audit: Mutex<Vec<String>>,
}

/// See the module.
pub struct Canned(pub Arc<Seen>);

impl Canned {
    pub fn new() -> Self {
        let seen = Seen::default();
        let users = HashMap::from([
            ("root".to_owned(), Credential::Trust),
            ("ann".to_owned(), Credential::Scram(ScramVerifier::new("s3cret"))),
        ]);
        *seen.users.lock().expect("no panic") = users;
        Self(Arc::new(seen))
    }

    /// Nobody comes in without a password.
    pub fn without_trust() -> Self {
        let canned = Self::new();
        canned.0.users.lock().expect("no panic").remove("root");
        canned
    }
}

impl Backend for Canned {
    type Session = CannedSession;

    fn credential(&self, user: &str) -> Option<Credential> {
        self.0.users.lock().expect("no panic").get(user).cloned()
    }

    fn connect(&self, login: Login) -> Result<CannedSession, SqlError> {
        self.0.connects.fetch_add(1, Ordering::SeqCst);
        Ok(CannedSession { seen: Arc::clone(&self.0), user: login.user, cancel: login.cancel })
    }

    fn audit(&self, event: &str, user: &str, _: Option<SocketAddr>) {
        self.0.audit.lock().expect("no panic").push(format!("{event} {user}"));
    }

    fn metrics(&self) -> String {
        "# HELP thalweg_epochs_total Epochs.\n# TYPE thalweg_epochs_total counter\nthalweg_epochs_total 7".to_owned()
    }

    fn ready(&self) -> Result<(), String> {
        if self.0.unready.load(Ordering::SeqCst) { Err("recovering".to_owned()) } else { Ok(()) }
    }

    fn status(&self) -> Vec<(String, String)> {
        vec![("epoch".to_owned(), "7".to_owned()), ("<b>x</b>".to_owned(), "<script>alert(1)</script>".to_owned())]
    }
}

pub struct CannedSession {
    seen: Arc<Seen>,
    user: String,
    cancel: CancelToken,
}

/// The columns that can be ingested.
pub fn events_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8View, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

/// Rows `from .. to` as `n` and the text `row n`.
pub fn numbers(from: i64, to: i64) -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    let t: ArrayRef = Arc::new(StringViewArray::from_iter_values((from..to).map(|n| format!("row {n}"))));
    RecordBatch::try_from_iter([("n", n), ("t", t)]).expect("two columns")
}

impl Session for CannedSession {
    type Statement = String;

    fn parse(&mut self, text: &str) -> Result<Vec<String>, SqlError> {
        if text.contains("syntax") {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"syntax\"").at(3));
        }
        Ok(text.split(';').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }

    async fn describe(&mut self, _: &String, _: &[Option<DataType>]) -> Result<Description, SqlError> {
        Ok(Description { parameters: Vec::new(), columns: None })
    }

    async fn execute(&mut self, statement: &String, parameters: &[ArrayRef]) -> Result<Answer, SqlError> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let rows = |batches: Vec<Result<RecordBatch, SqlError>>| {
            Ok(Answer::Rows { schema: numbers(0, 0).schema(), rows: stream::iter(batches).boxed(), tag: "SELECT" })
        };
        match words.as_slice() {
            ["numbers", count] => {
                let count: i64 = count.parse().expect("a test's number");
                rows((0..count).step_by(1000).map(|n| Ok(numbers(n, count.min(n + 1000)))).collect())
            }
            ["halfway"] => {
                rows(vec![Ok(numbers(0, 2)), Err(SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"))])
            }
            ["echo", ..] => {
                let texts: StringViewArray = parameters.iter().map(|p| p.iter_text()).collect::<Vec<_>>().into();
                let batch = RecordBatch::try_from_iter([("p", Arc::new(texts) as ArrayRef)]).expect("one column");
                Ok(Answer::Rows { schema: batch.schema(), rows: stream::iter([Ok(batch)]).boxed(), tag: "SELECT" })
            }
            ["whoami"] => {
                let user: ArrayRef = Arc::new(StringViewArray::from(vec![self.user.as_str()]));
                let batch = RecordBatch::try_from_iter([("user", user)]).expect("one column");
                Ok(Answer::Rows { schema: batch.schema(), rows: stream::iter([Ok(batch)]).boxed(), tag: "SELECT" })
            }
            ["create", ..] => Ok(Answer::Done("CREATE TABLE".to_owned())),
            ["missing"] => Err(SqlError::new(SqlState::UNDEFINED_TABLE, "relation \"missing\" does not exist")
                .detail("There are two others.")
                .hint("Create it.")
                .at(15)),
            ["forbidden"] => Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied")),
            ["full"] => Err(SqlError::new(SqlState::TOO_MANY_CONNECTIONS, "too many")),
            ["panic"] => panic!("a defect"),
            ["forever"] => {
                let (seen, cancel) = (Arc::clone(&self.seen), self.cancel.clone());
                // As a thread of the engine would: it ends when the token says so, whoever waits.
                let ended = tokio::spawn(async move {
                    cancel.cancelled().await;
                    seen.cancelled.store(true, Ordering::SeqCst);
                });
                ended.await.expect("no panic");
                Err(SqlError::new(SqlState::QUERY_CANCELED, "canceling statement"))
            }
            ["copy"] => Ok(Answer::CopyIn { schema: events_schema(), layout: CopyLayout::Binary }),
            _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("what is {statement}"))),
        }
    }

    async fn copy_rows(&mut self, _: RecordBatch) -> Result<(), SqlError> {
        Ok(())
    }

    async fn copy_done(&mut self) -> Result<u64, SqlError> {
        Ok(0)
    }

    fn copy_fail(&mut self) {}

    fn ingest_target(&mut self, relation: &str) -> Result<IngestTarget, SqlError> {
        match relation {
            "events" | "busy" => Ok(IngestTarget { relation: relation.to_owned(), schema: events_schema() }),
            "private" => Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied")),
            other => Err(SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation {other:?} does not exist"))),
        }
    }

    async fn ingest(
        &mut self,
        target: &IngestTarget,
        rows: Vec<RecordBatch>,
        dead: Vec<DeadLetter>,
    ) -> Result<Ingested, IngestError> {
        if target.relation == "busy" {
            return Err(IngestError::Busy { retry_after_ms: 1500 });
        }
        assert!(rows.iter().all(|r| r.schema() == target.schema), "rows are of the target's schema");
        let count = rows.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
        self.seen.ingests.fetch_add(1, Ordering::SeqCst);
        self.seen.rows.lock().expect("no panic").extend(rows);
        self.seen.dead.lock().expect("no panic").extend(dead);
        Ok(Ingested { rows: count, set_aside: 0 })
    }

    async fn subscribe(&mut self, query: &str, after: Option<u64>) -> Result<Subscription, SqlError> {
        let schema = numbers(0, 0).schema();
        let seen = Arc::clone(&self.seen);
        let count = move |change: Change| {
            seen.events.fetch_add(1, Ordering::SeqCst);
            Ok(change)
        };
        let epoch = move |epoch: u64, snapshot: bool, rows: DeltaBatch| {
            [
                Change::Begin { snapshot },
                Change::Rows(rows),
                Change::Commit { epoch, wall_clock: epoch as i64 * 1_000_000 },
            ]
        };
        let one = |epoch: u64| {
            let n = epoch as i64;
            let rows = RecordBatch::try_new(numbers(0, 0).schema(), numbers(n - 1, n + 1).columns().to_vec());
            DeltaBatch::new(rows.expect("the same columns"), Some(Int64Array::from(vec![-1, 1])))
        };
        let start = match after {
            Some(after) => Vec::from_iter((after + 1..after + 3).flat_map(|e| epoch(e, false, one(e)))),
            None => Vec::from_iter(epoch(10, true, DeltaBatch::insert(numbers(0, 3))).into_iter().chain(epoch(
                11,
                false,
                one(11),
            ))),
        };
        let events = match query {
            // Two epochs, then silence.
            "quiet" => stream::iter(start).chain(stream::pending()).map(count).boxed(),
            "ends" => stream::iter(start).map(count).boxed(),
            // A row of its own in each of thirty epochs, taken away five epochs later.
            "history" => {
                let rows = move |e: i64| numbers(e * 10, e * 10 + 3);
                let sum = move |upto: i64| (1.max(upto - 4)..=upto).map(rows).collect::<Vec<_>>();
                let snapshot = after.is_none().then(|| {
                    let all = arrow::compute::concat_batches(&rows(0).schema(), &sum(8)).expect("one schema");
                    epoch(8, true, DeltaBatch::insert(all))
                });
                let changes = (after.unwrap_or(8) + 1..=30).flat_map(move |e| {
                    let (added, taken) = (rows(e as i64), rows(e as i64 - 5));
                    let all = arrow::compute::concat_batches(&added.schema(), [&added, &taken]).expect("one schema");
                    epoch(e, false, DeltaBatch::new(all, Some(Int64Array::from(vec![1, 1, 1, -1, -1, -1]))))
                });
                stream::iter(snapshot.into_iter().flatten().chain(changes)).map(count).boxed()
            }
            "lost" => stream::iter([Change::Lost]).map(count).boxed(),
            "fails" => stream::iter([Err(SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"))]).boxed(),
            // About a megabyte an epoch, for ever.
            "flood" => stream::iter(1..)
                .flat_map(move |e| stream::iter(epoch(e, false, DeltaBatch::insert(numbers(0, 20_000)))))
                .map(count)
                .boxed(),
            other => return Err(SqlError::new(SqlState::UNDEFINED_TABLE, format!("no {other}"))),
        };
        Ok(Subscription { schema, events })
    }

    fn status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    fn abort(&mut self) {}

    fn sync(&mut self) {}

    fn parameter_changes(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn notices(&mut self) -> Vec<SqlError> {
        Vec::new()
    }
}

trait Text {
    fn iter_text(&self) -> Option<String>;
}

impl Text for ArrayRef {
    fn iter_text(&self) -> Option<String> {
        self.as_string::<i32>().iter().next().flatten().map(str::to_owned)
    }
}
