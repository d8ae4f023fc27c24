//! Sources and sinks in memory and small plans over them. It must not know what a test is about.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use thalweg_core::{
    DeltaBatch, EpochHeader, Error, Offset, Options, Polled, Result, Sink, Source, SourceId, Split, SplitReader,
    Watermark,
};
use thalweg_plan::{
    AggregateCall, AggregateFunction, AggregatePhase, Bound, Distribution, NodeId, Operation, Plan, PlanBuilder,
    Properties, SinkSpec, SourceSpec, WatermarkSpec, WindowClose,
};
use thalweg_runtime::{Clock, RunConfig, RunStats};

/// `k`, `v` and the time `t` in microseconds.
pub type Row = (i64, i64, i64);

/// What a split yields, poll by poll.
#[derive(Clone)]
pub enum Step {
    /// These rows, as many a poll as are asked for.
    Rows(Vec<Row>),
    /// Rows without end: the `n`th is what the function says.
    Endless(fn(usize) -> Row),
    /// Nothing, for ever.
    Idle,
    /// The read fails.
    Fail,
    /// The read panics.
    Panic,
}

/// A split: its steps, and the lowest time in it if that is known.
#[derive(Clone)]
pub struct Part {
    pub steps: Vec<Step>,
    pub lower_bound: Option<i64>,
}

impl From<Vec<Step>> for Part {
    fn from(steps: Vec<Step>) -> Self {
        Self { steps, lower_bound: None }
    }
}

pub struct Script {
    pub parts: Vec<Part>,
    pub bounded: bool,
    /// Sets the switch when a split has yielded so many rows.
    pub stop_after: usize,
    pub stop: Arc<AtomicBool>,
}

pub fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = [("k", DataType::Int64), ("v", DataType::Int64), ("t", time)];
    Arc::new(Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
}

impl Source for Script {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |(i, part): (usize, &Part)| Split {
            id: i.to_string().into(),
            lower_bound: part.lower_bound.map(Watermark),
        };
        Ok(self.parts.iter().enumerate().map(split).collect())
    }

    fn open(&self, split: &Split, _from: Offset) -> Result<Box<dyn SplitReader>> {
        let part: usize = split.id.parse().expect("a number");
        let steps = self.parts[part].steps.clone();
        Ok(Box::new(Reader { steps, step: 0, at: 0, read: 0, stop_after: self.stop_after, stop: self.stop.clone() }))
    }

    fn bounded(&self) -> bool {
        self.bounded
    }
}

struct Reader {
    steps: Vec<Step>,
    step: usize,
    at: usize,
    read: usize,
    stop_after: usize,
    stop: Arc<AtomicBool>,
}

impl SplitReader for Reader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let rows: Vec<Row> = loop {
            match self.steps.get(self.step) {
                None => return Ok(Polled::End),
                Some(Step::Idle) => return Ok(Polled::Idle),
                Some(Step::Fail) => return Err(Error::Data("the reader failed".to_owned())),
                Some(Step::Panic) => panic!("the reader panicked"),
                Some(Step::Endless(row)) => break (self.at..self.at + max_rows.min(100)).map(row).collect(),
                Some(Step::Rows(rows)) if self.at < rows.len() => {
                    break rows[self.at..].iter().take(max_rows).copied().collect();
                }
                Some(Step::Rows(_)) => (self.step, self.at) = (self.step + 1, 0),
            }
        };
        self.at += rows.len();
        self.read += rows.len();
        if self.read >= self.stop_after {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(Polled::Rows { rows: batch(&rows), dead: Vec::new(), bytes: rows.len() * 24 })
    }

    fn offset(&self) -> Offset {
        Offset(self.read as u64)
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.2))),
    ];
    RecordBatch::try_new(schema(), columns).expect("three columns")
}

/// What sinks were given, by epoch: changes of rows as numbers, and the epoch's header.
#[derive(Clone, Default)]
pub struct Recorded(Arc<Mutex<BTreeMap<u64, Recording>>>);

#[derive(Clone, Default)]
pub struct Recording {
    pub changes: Vec<(Vec<i64>, i64)>,
    pub header: Option<EpochHeader>,
    /// Workers that committed it.
    pub commits: usize,
}

/// A relation as numbers, each row with how often it is there.
pub type Rows = BTreeMap<Vec<i64>, i64>;

impl Recorded {
    pub fn epochs(&self) -> BTreeMap<u64, Recording> {
        self.0.lock().expect("no test panics with it").clone()
    }

    /// The rows that stand after all epochs.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        self.epochs().values().for_each(|e| apply(&mut rows, &e.changes));
        rows
    }
}

pub fn apply(rows: &mut Rows, changes: &[(Vec<i64>, i64)]) {
    for (row, weight) in changes {
        *rows.entry(row.clone()).or_default() += weight;
    }
    rows.retain(|_, n| *n != 0);
}

struct End {
    all: Recorded,
    pending: Vec<(Vec<i64>, i64)>,
    fail: bool,
}

impl Sink for End {
    fn write(&mut self, delta: &DeltaBatch) -> Result<()> {
        if self.fail {
            return Err(Error::Data("the sink failed".to_owned()));
        }
        let columns: Vec<ArrayRef> =
            delta.rows.columns().iter().map(|c| cast(c, &DataType::Int64)).collect::<Result<_, _>>()?;
        for row in 0..delta.num_rows() {
            let cells = columns.iter().map(|c| c.as_primitive::<Int64Type>().value(row)).collect();
            self.pending.push((cells, delta.weight(row)));
        }
        Ok(())
    }

    fn commit(&mut self, header: &EpochHeader) -> Result<()> {
        let mut all = self.all.0.lock().expect("no test panics with it");
        let epoch = all.entry(header.epoch.0).or_default();
        epoch.changes.append(&mut self.pending);
        epoch.header = Some(header.clone());
        epoch.commits += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn call(function: AggregateFunction, args: Vec<usize>, name: &str) -> AggregateCall {
    let output = Arc::new(Field::new(name, DataType::Int64, true));
    AggregateCall { function, args, distinct: false, filter: None, order_by: Vec::new(), output }
}

fn properties(schema: &SchemaRef, append_only: bool) -> Properties {
    let bounds = vec![None; schema.fields().len()];
    Properties { schema: schema.clone(), append_only, key: None, distribution: Distribution::Any, bounds }
}

/// `SELECT k, [t,] count(*), sum(v) GROUP BY k [, t]`, with `t` emitted when the watermark has
/// passed it: rows at the watermark itself may still come.
pub fn sums(windowed: bool) -> Plan {
    let group = if windowed { vec![0, 2] } else { vec![0] };
    let mut fields: Vec<Field> = group.iter().map(|c| schema().field(*c).clone()).collect();
    fields.extend(["count", "sum"].map(|name| Field::new(name, DataType::Int64, true)));
    let output = Arc::new(Schema::new(fields));
    let close = windowed.then_some(WindowClose { key: 1, delay: 1, bound: Bound::Source(SourceId(0)) });
    let (mut builder, input) = over_the_source();
    let keyed = builder.add(Operation::Exchange { keys: vec![0] }, vec![input], properties(&schema(), true));
    let calls = vec![call(AggregateFunction::Count, vec![], "count"), call(AggregateFunction::Sum, vec![1], "sum")];
    let phase = AggregatePhase::Single;
    let aggregate = Operation::Aggregate { group, calls, phase, close, expire: None };
    let result = builder.add(aggregate, vec![keyed], properties(&output, windowed));
    to_sink(builder, result)
}

/// `SELECT * FROM s`.
pub fn rows() -> Plan {
    let (builder, input) = over_the_source();
    to_sink(builder, input)
}

fn over_the_source() -> (PlanBuilder, NodeId) {
    let mut builder = PlanBuilder::default();
    let source = builder.source(SourceSpec {
        name: "s".to_owned(),
        connector: "script".to_owned(),
        options: Options::default(),
        declared: schema(),
        projection: vec![0, 1, 2],
        generated: Vec::new(),
        watermark: Some(WatermarkSpec { column: 2, delay: 0 }),
        schema: schema(),
        dead_used: false,
        relation: None,
    });
    let scan = builder.add(Operation::Scan { source }, Vec::new(), properties(&schema(), true));
    (builder, scan)
}

fn to_sink(mut builder: PlanBuilder, input: NodeId) -> Plan {
    let (name, connector) = ("out".to_owned(), "recorded".to_owned());
    builder.sink(SinkSpec { name, connector, options: Options::default(), order: Vec::new() }, input);
    builder.finish()
}

/// A run that has ended.
pub struct Ended {
    pub result: Result<()>,
    pub stats: Arc<RunStats>,
    pub recorded: Recorded,
}

/// How a test runs a plan; everything not said is as in production, but the clock stands still.
pub struct Test {
    pub plan: Plan,
    pub parts: Vec<Part>,
    pub bounded: bool,
    pub stop_after: usize,
    pub failing_sink: bool,
    pub config: RunConfig,
}

impl Test {
    pub fn new(plan: Plan, parts: Vec<Part>) -> Self {
        let config = RunConfig { clock: Clock::Fixed(77), ..RunConfig::default() };
        Self { plan, parts, bounded: true, stop_after: usize::MAX, failing_sink: false, config }
    }

    /// Runs to the end; a run that has not ended after a minute hangs.
    pub fn run(self) -> Ended {
        let stop = Arc::new(AtomicBool::new(false));
        let source =
            Script { parts: self.parts, bounded: self.bounded, stop_after: self.stop_after, stop: stop.clone() };
        let stats = Arc::new(RunStats::new(1, 1));
        let (recorded, fail) = (Recorded::default(), self.failing_sink);
        let (all, of_run, plan, config) = (recorded.clone(), stats.clone(), self.plan, self.config);
        let sinks = move |_sink: usize, _worker: usize| -> Result<Box<dyn Sink>> {
            Ok(Box::new(End { all: all.clone(), pending: Vec::new(), fail }))
        };
        let (done, wait) = channel();
        std::thread::spawn(move || {
            let result = thalweg_runtime::run(plan, vec![Arc::new(source)], Box::new(sinks), config, of_run, stop);
            let _ = done.send(result);
        });
        let result = wait.recv_timeout(Duration::from_secs(60)).expect("the run ends");
        Ended { result, stats, recorded }
    }
}
