//! The long-lived engine: jobs that come and go, what readers see at an epoch, pushes that belong together.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use thalweg_core::{DeltaBatch, Epoch, EpochHeader, Offset, Options, Sink, Source, Split, SplitReader};
use thalweg_plan::{Distribution, Operation, Plan, PlanBuilder, Properties, RelationSpec, SinkSpec, SourceSpec};
use thalweg_runtime::RunConfig;
use thalweg_runtime::live::{
    Engine, Followed, Job, JobInput, JobOutput, JobSpec, JobState, PushQueue, QUEUE_BYTES, Relation,
};

/// Far beyond what anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, false)]))
}

fn rows(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_new(schema(), vec![column]).expect("one column")
}

/// A plan that passes one source on.
fn passing(name: &str, relation: bool) -> Plan {
    let spec = RelationSpec { append_only: true, key: None, distribution: Distribution::Any };
    let mut builder = PlanBuilder::default();
    let source = builder.source(SourceSpec {
        name: name.to_owned(),
        connector: String::new(),
        options: Options::default(),
        declared: schema(),
        projection: vec![0],
        generated: Vec::new(),
        watermark: None,
        schema: schema(),
        dead_used: false,
        relation: relation.then_some(spec),
    });
    let properties = Properties {
        schema: schema(),
        append_only: true,
        key: None,
        distribution: Distribution::Any,
        bounds: vec![None],
    };
    let scan = builder.add(Operation::Scan { source }, Vec::new(), properties);
    let sink =
        SinkSpec { name: name.to_owned(), connector: String::new(), options: Options::default(), order: Vec::new() };
    builder.sink(sink, scan);
    builder.finish()
}

struct Bench {
    engine: Engine,
    news: Receiver<Epoch>,
}

impl Bench {
    fn new(workers: usize) -> Self {
        let (tell, news) = channel();
        let config = RunConfig { workers, ..RunConfig::default() };
        let observer = Box::new(move |epoch| {
            let _ = tell.send(epoch);
        });
        Self { engine: Engine::start(config, observer).expect("it starts"), news }
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited too long for {what}");
            let _ = self.news.recv_timeout(Duration::from_millis(100));
        }
    }

    fn add(&self, name: &str, input: JobInput) -> (Arc<Job>, Arc<Relation>) {
        let relation = self.engine.relation(schema(), None, true);
        let is_relation = matches!(input, JobInput::Relation(_));
        let plan = passing(name, is_relation);
        let outputs = vec![JobOutput::Relation(Arc::clone(&relation))];
        let job = self.engine.add(JobSpec { name: name.to_owned(), plan, inputs: vec![input], outputs, durable: None });
        let job = job.expect("it is added");
        self.wait(name, || {
            assert_eq!(job.error(), None, "{name} has failed");
            self.engine.is_ready(&job)
        });
        (job, relation)
    }

    fn fed(&self, name: &str) -> (Arc<Job>, Arc<Relation>, Arc<PushQueue>) {
        let (queue, source) = self.engine.queue(schema());
        let (job, relation) = self.add(name, JobInput::Source(source));
        (job, relation, queue)
    }

    fn push(&self, job: &Job, queue: &Arc<PushQueue>, values: &[i64]) {
        let tickets = self.engine.push(vec![(Arc::clone(queue), rows(values), Vec::new())]).expect("there is room");
        self.wait("the rows", || self.engine.is_visible(job, tickets[0]));
    }
}

fn read(relation: &Relation, epoch: Epoch) -> Vec<i64> {
    let mut found = Vec::new();
    for part in relation.at(epoch) {
        for i in 0..part.num_batches() {
            found.extend(part.batch(i).expect("it filters").column(0).as_primitive::<Int64Type>().values().iter());
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn a_job_that_comes_later_begins_with_what_stands_and_follows() {
    for workers in [1, 3] {
        let bench = Bench::new(workers);
        let (job, first, queue) = bench.fed("first");
        bench.push(&job, &queue, &[1, 2, 3]);
        let (_, second) = bench.add("second", JobInput::Relation(Arc::clone(&first)));
        let (_, third) = bench.add("third", JobInput::Relation(Arc::clone(&second)));
        bench.push(&job, &queue, &[4]);
        let pin = bench.engine.pin();
        for relation in [&first, &second, &third] {
            assert_eq!(read(relation, pin.epoch()), [1, 2, 3, 4], "{workers} workers");
        }
    }
}

#[test]
fn a_pinned_epoch_stays_as_it_was() {
    let bench = Bench::new(2);
    let (job, relation, queue) = bench.fed("t");
    bench.push(&job, &queue, &[1]);
    let pin = bench.engine.pin();
    for n in 2..50 {
        bench.push(&job, &queue, &[n]);
    }
    assert_eq!(read(&relation, pin.epoch()), [1]);
    drop(pin);
    assert_eq!(read(&relation, bench.engine.pin().epoch()).len(), 49);
}

#[test]
fn what_is_pushed_together_is_seen_together() {
    let bench = Bench::new(2);
    let (left_job, left, left_queue) = bench.fed("left");
    let (_, right, right_queue) = bench.fed("right");
    std::thread::scope(|scope| {
        let engine = &bench.engine;
        let (left_queue, right_queue) = (&left_queue, &right_queue);
        let writers: Vec<_> = (0..3)
            .map(|w| {
                scope.spawn(move || {
                    for n in 0..300 {
                        let pushes =
                            [left_queue, right_queue].map(|q| (Arc::clone(q), rows(&[w * 1000 + n]), Vec::new()));
                        engine.push(pushes.into()).expect("there is room");
                    }
                })
            })
            .collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let pin = engine.pin();
            assert_eq!(read(&left, pin.epoch()), read(&right, pin.epoch()), "at epoch {}", pin.epoch());
        }
    });
    bench.wait("the last rows", || bench.engine.is_visible(&left_job, left_queue.last_ticket()));
    assert_eq!(read(&left, bench.engine.pin().epoch()).len(), 900);
}

#[test]
fn jobs_are_removed_while_others_go_on() {
    let bench = Bench::new(2);
    let (job, relation, queue) = bench.fed("stays");
    for n in 0..10 {
        let (gone, _) = bench.add("goes", JobInput::Relation(Arc::clone(&relation)));
        bench.push(&job, &queue, &[n]);
        bench.engine.remove(&gone);
        assert_eq!(gone.state(), JobState::Dropped);
        bench.push(&job, &queue, &[n]);
    }
    assert_eq!(read(&relation, bench.engine.pin().epoch()).len(), 20);
    assert_eq!(bench.engine.jobs().len(), 1);
}

#[test]
fn a_follower_gets_every_change_after_its_epoch() {
    let bench = Bench::new(2);
    let (job, relation, queue) = bench.fed("t");
    bench.push(&job, &queue, &[1]);
    bench.wait("the log", || relation.changes.start().is_some_and(|since| bench.engine.epoch().next() >= since));
    let after = bench.engine.epoch();
    let before = read(&relation, after);
    bench.push(&job, &queue, &[2, 3]);
    bench.push(&job, &queue, &[4]);
    let upto = bench.engine.epoch();
    let Followed::Changes(changes) = relation.changes.between(after, upto) else { panic!("they are kept") };
    let mut all = before;
    for change in changes {
        all.extend(change.column(0).as_primitive::<Int64Type>().values().iter());
    }
    all.sort_unstable();
    assert_eq!(all, read(&relation, upto));
    assert!(matches!(relation.changes.between(Epoch(0), upto), Followed::Lost));
}

/// A target that is broken.
struct Broken;

impl Sink for Broken {
    fn write(&mut self, _delta: &DeltaBatch) -> thalweg_core::Result<()> {
        panic!("the target is broken")
    }

    fn commit(&mut self, _header: &EpochHeader) -> thalweg_core::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> thalweg_core::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_one_job_stops_that_job_alone() {
    let bench = Bench::new(2);
    let (job, relation, queue) = bench.fed("goes on");
    let inputs = vec![JobInput::Relation(Arc::clone(&relation))];
    let outputs = vec![JobOutput::Sink(Arc::new(|_| Ok(Box::new(Broken))))];
    let plan = passing("breaks", true);
    let broken = bench
        .engine
        .add(JobSpec { name: "breaks".to_owned(), plan, inputs, outputs, durable: None })
        .expect("it is added");
    bench.wait("the sink", || bench.engine.is_ready(&broken));
    bench.push(&job, &queue, &[1]);
    bench.wait("its end", || broken.state() == JobState::Failed);
    assert!(broken.error().is_some_and(|e| e.contains("the target is broken")), "{:?}", broken.error());
    bench.push(&job, &queue, &[2]);
    assert_eq!(read(&relation, bench.engine.pin().epoch()), [1, 2]);
    assert_eq!(bench.engine.fault(), None);
}

/// A source that says it has a split, and panics when that is read.
struct Poison;

impl Source for Poison {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn splits(&self) -> thalweg_core::Result<Vec<Split>> {
        Ok(vec![Split { id: "one".into(), lower_bound: None }])
    }

    fn open(&self, _split: &Split, _from: Offset) -> thalweg_core::Result<Box<dyn SplitReader>> {
        panic!("the input is poison")
    }

    fn bounded(&self) -> bool {
        false
    }
}

#[test]
fn a_panic_in_a_source_stops_those_that_read_it_alone() {
    let bench = Bench::new(2);
    let (job, relation, queue) = bench.fed("goes on");
    bench.push(&job, &queue, &[1]);
    let add = |name: &str, input: JobInput| {
        let is_relation = matches!(input, JobInput::Relation(_));
        let to = bench.engine.relation(schema(), None, true);
        let outputs = vec![JobOutput::Relation(Arc::clone(&to))];
        let spec = JobSpec {
            name: name.to_owned(),
            plan: passing(name, is_relation),
            inputs: vec![input],
            outputs,
            durable: None,
        };
        (bench.engine.add(spec).expect("it is added"), to)
    };
    let (poisoned, of) = add("poisoned", JobInput::Source(Arc::new(Poison)));
    let (reader, _) = add("reader", JobInput::Relation(of));
    bench.wait("their end", || [&poisoned, &reader].iter().all(|job| job.state() == JobState::Failed));
    assert!(poisoned.error().is_some_and(|e| e.contains("source poisoned panicked: the input is poison")));
    bench.push(&job, &queue, &[2]);
    assert_eq!(read(&relation, bench.engine.pin().epoch()), [1, 2]);
    assert_eq!(bench.engine.fault(), None);
}

#[test]
fn a_full_queue_takes_nothing() {
    let bench = Bench::new(1);
    let (queue, _source) = bench.engine.queue(schema());
    let large = rows(&vec![0; QUEUE_BYTES / 8]);
    let push = |q: &Arc<PushQueue>| bench.engine.push(vec![(Arc::clone(q), large.clone(), Vec::new())]);
    push(&queue).expect("the first is taken");
    assert!(push(&queue).is_err(), "nothing reads this queue");
    assert_eq!(queue.last_ticket(), 1);
}
