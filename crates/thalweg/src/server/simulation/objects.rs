//! The objects of a simulated server, as SQL, and what each must hold when every writer has written so many rows. It must
//! not know lives or faults.
//!
//! Writer *w* writes the rows (*w*, 1), (*w*, 2), … into `a`, some of them also into `b`, and where *w* is even the number
//! of its last one into `latest`: what one call writes belongs together.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use thalweg_core::{DeltaBatch, Result};
use thalweg_plan::{RelationSpec, Write};
use thalweg_runtime::live::JobInput;
use thalweg_serve::backend::{CancelToken, Login, Surface};
use thalweg_sql::server::{JobPlan, JobSource, ObjectName, Oid, PUBLIC, parse};

use super::super::{Server, ServerConfig, Session, audit, ddl};

/// Name and statement, each after what it reads.
const OBJECTS: [(&str, &str); 10] = [
    ("a", "CREATE TABLE a (writer bigint, n bigint)"),
    ("b", "CREATE SOURCE b (writer bigint, n bigint)"),
    ("latest", "CREATE TABLE latest (writer bigint PRIMARY KEY, n bigint)"),
    (
        "per_writer",
        "CREATE MATERIALIZED VIEW per_writer AS \
         SELECT writer, count(*) AS c, sum(n)::bigint AS s, max(n) AS m FROM a GROUP BY writer",
    ),
    (
        "in_all",
        "CREATE MATERIALIZED VIEW in_all AS SELECT count(*) AS writers, sum(c)::bigint AS c FROM per_writer \
         HAVING count(*) > 0",
    ),
    (
        "in_both",
        "CREATE MATERIALIZED VIEW in_both AS SELECT a.writer, a.n FROM a JOIN b ON a.writer = b.writer AND a.n = b.n",
    ),
    (
        "per_writer_of_b",
        "CREATE MATERIALIZED VIEW per_writer_of_b AS \
         SELECT writer, count(*) AS c, sum(n)::bigint AS s FROM b GROUP BY writer",
    ),
    (
        "newest",
        "CREATE MATERIALIZED VIEW newest AS \
         SELECT p.writer, p.m, l.n FROM per_writer p JOIN latest l ON p.writer = l.writer",
    ),
    ("rows_out", "CREATE MATERIALIZED VIEW rows_out AS SELECT writer, n FROM a"),
    ("counts_out", "CREATE MATERIALIZED VIEW counts_out AS SELECT writer, c, s FROM per_writer"),
];

/// Those whose rows leave instead of being kept.
pub(super) const OUT: [&str; 2] = ["rows_out", "counts_out"];

/// An object as it is to be started.
pub(super) struct Planned {
    pub oid: Oid,
    pub name: &'static str,
    pub plan: JobPlan,
}

impl Planned {
    /// Its rows leave.
    pub fn is_out(&self) -> bool {
        OUT.contains(&self.name)
    }
}

/// All objects, planned once.
pub(super) fn planned() -> &'static [Planned] {
    static PLANNED: OnceLock<Vec<Planned>> = OnceLock::new();
    // A thread of its own: whoever asks may be within a runtime.
    PLANNED.get_or_init(|| std::thread::spawn(plan).join().expect("the objects can be planned"))
}

/// The number of an object.
pub(super) fn oid(name: &str) -> Oid {
    planned().iter().find(|p| p.name == name).expect("an object").oid
}

fn plan() -> Vec<Planned> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut config = ServerConfig::default();
        config.run.workers = 1;
        let server = Server::open(config).await.expect("it opens");
        let login = Login {
            user: "root".to_owned(),
            database: "dev".to_owned(),
            settings: Vec::new(),
            peer: None,
            surface: Surface::Postgres,
            process_id: 0,
            cancel: CancelToken::default(),
        };
        let mut session = Session::new(Arc::clone(&server), login, audit::Surface::Embedded).expect("there is room");
        for (_, sql) in OBJECTS {
            for statement in parse(sql).expect("the SQL is right") {
                ddl::run(&mut session, &statement).await.expect("it is made");
            }
        }
        let planned = OBJECTS.map(|(name, _)| planned_as(&server, name));
        drop(session);
        server.stop().await;
        planned.into()
    })
}

fn planned_as(server: &Server, name: &'static str) -> Planned {
    let full = ObjectName { schema: Some(PUBLIC.to_owned()), name: name.to_owned() };
    let oid = server.objects.load().find(&full, &[]).expect("it was made").oid;
    let running = server.running(oid).expect("it runs");
    let spec = &running.job.spec;
    let sources = spec.inputs.iter().map(|input| match input {
        JobInput::Source(_) => JobSource::Queue,
        JobInput::Relation(relation) => {
            let all = server.running.read().expect("not poisoned");
            let writes =
                |r: &Arc<super::super::Running>| r.relations.first().is_some_and(|first| first.id == relation.id);
            JobSource::Object(*all.iter().find(|(_, r)| writes(r)).expect("someone writes it").0)
        }
    });
    let of = &spec.plan.node(spec.plan.sinks[0].input).properties;
    let output =
        RelationSpec { append_only: of.append_only, key: of.key.clone(), distribution: of.distribution.clone() };
    let (plan, schema) = (spec.plan.clone(), Arc::clone(&of.schema));
    let sources = sources.collect();
    Planned { oid, name, plan: JobPlan { plan, sources, output, schema, notices: Vec::new(), mode: None } }
}

/// Rows as numbers, in order.
pub(super) type Rows = Vec<Vec<i64>>;

/// Row `n` of `writer` is in `b` as well.
fn is_in_b(writer: i64, n: i64) -> bool {
    (n * 7 + writer) % 3 == 0
}

/// What a call that writes the rows `from..=to` of `writer` hands in.
pub(super) fn written(writer: i64, from: i64, to: i64) -> Vec<(&'static str, Vec<(i64, i64)>)> {
    let of = |rows: &mut dyn Iterator<Item = i64>| rows.map(|n| (writer, n)).collect::<Vec<_>>();
    let mut parts = vec![
        ("a", of(&mut (from..=to))),
        ("b", of(&mut (from..=to).filter(|n| is_in_b(writer, *n)))),
        ("latest", of(&mut (to..=to).filter(|_| writer % 2 == 0))),
    ];
    parts.retain(|(_, rows)| !rows.is_empty());
    parts
}

/// Rows for a queue; where that is a table's, to be put in.
pub(super) fn batch(schema: SchemaRef, rows: &[(i64, i64)]) -> Result<RecordBatch> {
    let column = |f: fn(&(i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(f))) as ArrayRef;
    let mut columns = vec![column(|r| r.0), column(|r| r.1)];
    if schema.fields().len() > columns.len() {
        columns.push(Arc::new(Int8Array::from_iter_values(rows.iter().map(|_| Write::Upsert as i8))));
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The rows of a batch.
pub(super) fn numbers(batch: &RecordBatch) -> Rows {
    let columns: Vec<&Int64Array> = batch.columns().iter().map(|c| c.as_primitive::<Int64Type>()).collect();
    (0..batch.num_rows()).map(|i| columns.iter().map(|c| c.value(i)).collect()).collect()
}

/// The rows of a change, and their weights.
pub(super) fn changes(delta: &DeltaBatch) -> Vec<(Vec<i64>, i64)> {
    numbers(&delta.rows).into_iter().zip(delta.weights_array().values().iter().copied()).collect()
}

/// What every object holds when each writer has written so many rows.
pub(super) fn expected(written: &[i64]) -> BTreeMap<&'static str, Rows> {
    let counts: Vec<(i64, i64)> = (0..).zip(written.iter().copied()).filter(|(_, n)| *n > 0).collect();
    let a: Rows = counts.iter().flat_map(|(w, n)| (1..=*n).map(|i| vec![*w, i])).collect();
    let both: Rows = a.iter().filter(|row| is_in_b(row[0], row[1])).cloned().collect();
    let of_b = counts.iter().filter_map(|(w, n)| {
        let of: Vec<i64> = (1..=*n).filter(|i| is_in_b(*w, *i)).collect();
        (!of.is_empty()).then(|| vec![*w, of.len() as i64, of.iter().sum()])
    });
    let per_writer: Rows = counts.iter().map(|(w, n)| vec![*w, *n, n * (n + 1) / 2, *n]).collect();
    let even = || counts.iter().filter(|(w, _)| w % 2 == 0);
    let in_all = counts.iter().map(|c| c.1).sum();
    BTreeMap::from([
        ("latest", even().map(|(w, n)| vec![*w, *n]).collect()),
        ("in_all", if counts.is_empty() { Rows::new() } else { vec![vec![counts.len() as i64, in_all]] }),
        ("in_both", both),
        ("per_writer_of_b", of_b.collect()),
        ("newest", even().map(|(w, n)| vec![*w, *n, *n]).collect()),
        ("rows_out", a.clone()),
        ("counts_out", per_writer.iter().map(|row| row[..3].to_vec()).collect()),
        ("per_writer", per_writer),
        ("a", a),
    ])
}
