//! Checkpoints of the long-lived engine: what was saved at an epoch, and an engine that goes on from there.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{Epoch, Options};
use thalweg_plan::{Distribution, Operation, Plan, PlanBuilder, Properties, RelationSpec, SinkSpec, SourceSpec, Write};
use thalweg_runtime::RunConfig;
use thalweg_runtime::live::{
    Checkpoint, Durable, Engine, Job, JobInput, JobOutput, JobSpec, PushQueue, Relation, SavedJob, SavedPart,
};

type Rows = Vec<(i64, i64)>;

const PATIENCE: Duration = Duration::from_secs(60);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Int64, false)]))
}

fn properties(schema: &SchemaRef, append_only: bool, key: Option<Vec<usize>>) -> Properties {
    let distribution = key.clone().map_or(Distribution::Any, Distribution::Hash);
    Properties { schema: Arc::clone(schema), append_only, key, distribution, bounds: vec![None; schema.fields().len()] }
}

fn source(name: &str, schema: &SchemaRef, relation: Option<RelationSpec>) -> SourceSpec {
    SourceSpec {
        name: name.to_owned(),
        connector: String::new(),
        options: Options::default(),
        declared: Arc::clone(schema),
        projection: (0..schema.fields().len()).collect(),
        generated: Vec::new(),
        watermark: None,
        schema: Arc::clone(schema),
        dead_used: false,
        relation,
    }
}

fn sink(name: &str) -> SinkSpec {
    SinkSpec { name: name.to_owned(), connector: String::new(), options: Options::default(), order: Vec::new() }
}

/// A table by `k`, from a queue.
fn table() -> Plan {
    let writes = thalweg_core::writes_schema(&schema());
    let mut builder = PlanBuilder::default();
    let source = builder.source(source("table", &writes, None));
    let scan = builder.add(Operation::Scan { source }, Vec::new(), properties(&writes, true, None));
    let moved = Properties { distribution: Distribution::Hash(vec![0]), ..properties(&writes, true, None) };
    let moved = builder.add(Operation::Exchange { keys: vec![0] }, vec![scan], moved);
    let key = vec![0];
    let rows = builder.add(Operation::Table { key }, vec![moved], properties(&schema(), false, Some(vec![0])));
    builder.sink(sink("table"), rows);
    builder.finish()
}

/// A view that passes the table on.
fn view() -> Plan {
    let known = RelationSpec { append_only: false, key: Some(vec![0]), distribution: Distribution::Hash(vec![0]) };
    let mut builder = PlanBuilder::default();
    let source = builder.source(source("view", &schema(), Some(known)));
    let scan = builder.add(Operation::Scan { source }, Vec::new(), properties(&schema(), false, Some(vec![0])));
    builder.sink(sink("view"), scan);
    builder.finish()
}

/// An engine with the table and the view, and what its keeper got.
struct Bench {
    engine: Engine,
    news: Receiver<Epoch>,
    checkpoints: Arc<Mutex<Vec<Checkpoint>>>,
    table: (Arc<Job>, Arc<Relation>, Arc<PushQueue>),
    view: (Arc<Job>, Arc<Relation>),
}

impl Bench {
    fn new(workers: usize, restored: &BTreeMap<u64, SavedJob>) -> Self {
        let bench = Self::before_hand_in(workers, restored, Duration::from_secs(3600));
        bench.engine.take_checkpoints();
        bench
    }

    /// It takes no checkpoints yet.
    fn before_hand_in(workers: usize, restored: &BTreeMap<u64, SavedJob>, interval: Duration) -> Self {
        let (tell, news) = channel();
        let config = RunConfig { workers, checkpoint_interval: Some(interval), ..RunConfig::default() };
        let observer = Box::new(move |epoch| {
            let _ = tell.send(epoch);
        });
        let checkpoints = Arc::<Mutex<Vec<Checkpoint>>>::default();
        let kept = Arc::clone(&checkpoints);
        let keeper = Box::new(move |checkpoint| kept.lock().expect("not poisoned").push(checkpoint));
        let engine = Engine::held(config, observer, keeper).expect("it starts");
        let durable = |key: u64| Some(Durable { key, restored: restored.get(&key).cloned().map(Arc::new) });
        let add = |name: &str, plan, input, key, relation: &Arc<Relation>| {
            let outputs = vec![JobOutput::Relation(Arc::clone(relation))];
            let spec = JobSpec { name: name.to_owned(), plan, inputs: vec![input], outputs, durable: durable(key) };
            engine.add(spec).expect("it is added")
        };
        let (queue, source) = engine.queue(thalweg_core::writes_schema(&schema()));
        let rows = engine.relation(schema(), Some(vec![0]), false);
        let job = add("table", table(), JobInput::Source(source), 1, &rows);
        let seen = engine.relation(schema(), Some(vec![0]), false);
        let reader = add("view", view(), JobInput::Relation(Arc::clone(&rows)), 2, &seen);
        engine.begin();
        let bench = Self { engine, news, checkpoints, table: (job, rows, queue), view: (reader, seen) };
        for job in [&bench.table.0, &bench.view.0] {
            bench.wait("jobs", || bench.engine.is_ready(job));
        }
        bench
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited too long for {what}");
            assert_eq!((self.table.0.error(), self.view.0.error()), (None, None));
            let _ = self.news.recv_timeout(Duration::from_millis(100));
        }
    }

    fn write(&self, rows: &[(i64, i64, Write)]) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
            Arc::new(Int8Array::from_iter_values(rows.iter().map(|r| r.2 as i8))),
        ];
        let rows = RecordBatch::try_new(thalweg_core::writes_schema(&schema()), columns).expect("three columns");
        let (job, _, queue) = &self.table;
        let tickets = self.engine.push(vec![(Arc::clone(queue), rows, Vec::new())]).expect("there is room");
        self.wait("the rows", || self.engine.is_visible(job, tickets[0]));
    }

    /// The rows of the table and of the view.
    fn read(&self) -> (Rows, Rows) {
        let pin = self.engine.pin();
        (read(&self.table.1, pin.epoch()), read(&self.view.1, pin.epoch()))
    }

    /// Takes a checkpoint and adds it to what was saved before.
    fn checkpoint(&self, saved: &mut BTreeMap<u64, SavedJob>) -> Epoch {
        self.engine.want_checkpoint();
        self.wait("a checkpoint", || !self.checkpoints.lock().expect("not poisoned").is_empty());
        let checkpoint = self.checkpoints.lock().expect("not poisoned").remove(0);
        for change in checkpoint.jobs {
            let job = saved.entry(change.key).or_default();
            job.sources = change.sources;
            for ((worker, slot), tables) in change.parts {
                let part = SavedPart { worker, workers: checkpoint.workers, tables };
                job.parts.entry(slot).or_default().push(part);
            }
        }
        self.engine.checkpoint_written();
        checkpoint.epoch
    }
}

fn read(relation: &Relation, epoch: Epoch) -> Rows {
    let mut found = Vec::new();
    for part in relation.at(epoch) {
        for i in 0..part.num_batches() {
            let batch = part.batch(i).expect("it filters");
            let column = |c: usize| batch.column(c).as_primitive::<Int64Type>().clone();
            found.extend(column(0).values().iter().copied().zip(column(1).values().iter().copied()));
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn an_engine_goes_on_from_its_last_checkpoint_with_any_number_of_workers() {
    for (before, after) in [(1, 1), (2, 2), (1, 3), (3, 2)] {
        let mut saved = BTreeMap::new();
        let mut model = BTreeMap::new();
        let mut bench = Bench::new(before, &saved);
        for round in 0..4 {
            for step in 0..3 {
                let rows: Vec<(i64, i64, Write)> = (0..40)
                    .map(|i| {
                        let key = (i * 7 + step * 11 + round * 13) % 60;
                        (key, i + round * 100, if i % 5 == 4 { Write::Delete } else { Write::Upsert })
                    })
                    .collect();
                for (key, value, write) in &rows {
                    match write {
                        Write::Delete => drop(model.remove(key)),
                        _ => drop(model.insert(*key, *value)),
                    }
                }
                bench.write(&rows);
                if step == 1 {
                    bench.checkpoint(&mut saved);
                }
            }
            let epoch = bench.checkpoint(&mut saved);
            // What is written after the last checkpoint is not in it.
            bench.write(&[(1000, round, Write::Upsert)]);
            drop(bench);
            let workers = if round % 2 == 0 { after } else { before };
            bench = Bench::new(workers, &saved);
            assert!(bench.engine.epoch() > epoch, "epochs go on");
            let expected: Vec<(i64, i64)> = model.iter().map(|(k, v)| (*k, *v)).collect();
            let (table, view) = bench.read();
            assert_eq!(table, expected, "the table, {before} to {workers} workers, round {round}");
            assert_eq!(view, expected, "the view, {before} to {workers} workers, round {round}");
        }
    }
}

#[test]
fn a_checkpoint_holds_changes_only_and_says_how_far_queues_were_read() {
    let bench = Bench::new(2, &BTreeMap::new());
    let rows: Vec<_> = (0..100).map(|k| (k, k, Write::Upsert)).collect();
    bench.write(&rows);
    let mut saved = BTreeMap::new();
    bench.checkpoint(&mut saved);
    // Nothing takes no place in the queue: the next push is not taken for one that was read.
    bench.write(&[]);
    bench.write(&[(7, 70, Write::Upsert)]);
    bench.checkpoint(&mut saved);
    let rows_of = |key: u64| -> usize {
        saved[&key].parts.values().flatten().flat_map(|part| &part.tables).map(|t| t.upserts.num_rows()).sum()
    };
    assert_eq!(rows_of(1), 102, "the table's operator, which its relation has them from: 100 rows, one became another");
    assert_eq!(rows_of(2), 102, "the view's relation");
    assert_eq!(saved[&1].sources[0].offsets.values().map(|o| o.0).collect::<Vec<_>>(), [2], "two pushes were read");
}

#[test]
fn no_checkpoint_is_taken_before_everything_is_handed_in_again() {
    for workers in [1, 3] {
        let bench = Bench::before_hand_in(workers, &BTreeMap::new(), Duration::ZERO);
        let taken = || bench.checkpoints.lock().expect("not poisoned").len();
        bench.engine.want_checkpoint();
        for key in 0..5 {
            bench.write(&[(key, key, Write::Upsert)]);
        }
        assert_eq!(taken(), 0, "{workers} workers: epochs have passed, and none of them was one");
        let last = RecordBatch::try_new(
            thalweg_core::writes_schema(&schema()),
            vec![
                Arc::new(Int64Array::from(vec![9])) as ArrayRef,
                Arc::new(Int64Array::from(vec![9])),
                Arc::new(Int8Array::from(vec![Write::Upsert as i8])),
            ],
        );
        let last = vec![(Arc::clone(&bench.table.2), last.expect("three columns"), Vec::new())];
        bench.engine.push(last).expect("there is room");
        bench.engine.take_checkpoints();
        bench.wait("a checkpoint", || taken() > 0);
        let mut saved = BTreeMap::new();
        bench.checkpoint(&mut saved);
        let read: Vec<u64> = saved[&1].sources[0].offsets.values().map(|o| o.0).collect();
        assert_eq!(read, [6], "{workers} workers: it has the last push, which nobody had waited for");
    }
}

#[test]
fn a_checkpoint_that_is_owed_is_taken_again_though_nothing_has_changed() {
    let bench = Bench::before_hand_in(1, &BTreeMap::new(), Duration::from_millis(20));
    let taken = || bench.checkpoints.lock().expect("not poisoned").len();
    bench.engine.take_checkpoints();
    bench.write(&[(1, 1, Write::Upsert)]);
    for attempt in 1..=3 {
        bench.wait("a checkpoint", || taken() == attempt);
        bench.engine.checkpoint_owed();
    }
}
