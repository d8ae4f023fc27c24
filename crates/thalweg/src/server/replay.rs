//! `Replay`: hands in again, after a start, what the hub holds behind the last checkpoint. What was appended together goes
//! in together, whatever topics it is in. It must not know jobs' state or statements.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Error, SqlError};
use thalweg_hub::{Batch, Hub, Visibility};
use thalweg_runtime::live::{Engine, Job, JobState, PushQueue, Pushed};
use thalweg_sql::server::Oid;

use super::intake::{put_back, refused, topic};

/// Bytes of a topic that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// A relation whose rows are to be handed in again.
pub(crate) struct Wanted {
    pub oid: Oid,
    pub job: Arc<Job>,
    pub queue: Arc<PushQueue>,
    /// The offset that its checkpoint says; `None` when no checkpoint holds it.
    pub from: Option<u64>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An append is in its queues.
    HandedIn,
    /// A queue is full: there is room when the engine has read.
    Full,
    /// All of it is there.
    Done,
}

/// See the module.
pub(crate) struct Replay {
    hub: Arc<Hub>,
    engine: Arc<Engine>,
    topics: Vec<Topic>,
    /// The topic to look at first.
    turn: usize,
}

struct Topic {
    name: String,
    job: Arc<Job>,
    queue: Arc<PushQueue>,
    /// Read up to here.
    at: u64,
    /// To be read up to here.
    end: u64,
    /// Read and not handed in.
    batches: VecDeque<Batch>,
}

/// Batches that belong together: of each topic, so many first ones.
type Together = Vec<(usize, usize)>;

impl Replay {
    /// # Errors
    /// The hub does not hold what is needed.
    pub fn begin(hub: Arc<Hub>, engine: Arc<Engine>, wanted: Vec<Wanted>) -> Result<Self, SqlError> {
        let topics = wanted.into_iter().map(|wanted| {
            let name = topic(wanted.oid);
            let (start, end) = (hub.start_offset(&name).map_err(refused)?, hub.end_offset(&name).map_err(refused)?);
            // What no checkpoint holds is in the hub from its beginning, or it is lost.
            let at = match wanted.from.unwrap_or(0) {
                at if is_planted(Defect::ReplayLate) => (at + 1).min(end),
                at if is_planted(Defect::ReplayEarly) => at.saturating_sub(1).max(start),
                at => at,
            };
            if at < start || at > end {
                let message = format!("{name}: the hub holds offsets {start} to {end}, the checkpoint needs {at}");
                let hint = "Put the data directory back as it was: hub and checkpoints belong together.";
                return Err(SqlError::from(Error::invalid_with_hint(message, hint)));
            }
            Ok(Topic { name, job: wanted.job, queue: wanted.queue, at, end, batches: VecDeque::new() })
        });
        let topics = topics.collect::<Result<_, _>>()?;
        Ok(Self { hub, engine, topics, turn: 0 })
    }

    /// Hands in the next append.
    ///
    /// # Errors
    /// The hub cannot be read, or holds something else.
    pub fn step(&mut self) -> Result<Step, SqlError> {
        let Some(together) = self.next()? else { return Ok(Step::Done) };
        if together.iter().any(|(at, _)| self.topics[*at].is_full()) {
            return Ok(Step::Full);
        }
        let mut pushes = Vec::new();
        for (at, count) in &together {
            pushes.extend(self.topics[*at].take(*count)?);
        }
        thalweg_core::failpoint!("intake.read_back");
        self.engine.put(pushes);
        thalweg_core::failpoint!("intake.put_back");
        self.turn = together.first().map_or(0, |(at, _)| at + 1);
        Ok(Step::HandedIn)
    }

    /// The append to hand in next: one of which every batch is at the head of its topic. As all topics have their appends
    /// in one order there is one, but for those to topics that have been deleted since.
    fn next(&mut self) -> Result<Option<Together>, SqlError> {
        let mut heads: BTreeMap<i64, (usize, Together)> = BTreeMap::new();
        let (turn, count) = (self.turn, self.topics.len());
        for at in (0..count).map(|i| (turn + i) % count) {
            let Some(head) = self.head(at)? else { continue };
            let header = *head.header();
            if !header.is_transactional() || is_planted(Defect::ReplayApart) {
                return Ok(Some(vec![(at, 1)]));
            }
            let here = self.leading(at, header.producer.id)?;
            let (found, together) = heads.entry(header.producer.id).or_default();
            *found += here;
            together.push((at, here));
            if *found == header.producer.epoch.unsigned_abs() as usize {
                return Ok(Some(std::mem::take(together)));
            }
        }
        // The other batches of the oldest went with their topics.
        Ok(heads.pop_first().map(|(_, (_, together))| together))
    }

    /// The first batch of topic `at` that is not handed in.
    fn head(&mut self, at: usize) -> Result<Option<&Batch>, SqlError> {
        if self.topics[at].batches.is_empty() {
            self.read(at)?;
        }
        Ok(self.topics[at].batches.front())
    }

    /// How many first batches of topic `at` are of `transaction`.
    fn leading(&mut self, at: usize, transaction: i64) -> Result<usize, SqlError> {
        loop {
            let batches = &self.topics[at].batches;
            let of = |b: &&Batch| b.header().is_transactional() && b.header().producer.id == transaction;
            let leading = batches.iter().take_while(of).count();
            if leading < batches.len() || !self.read(at)? {
                return Ok(leading);
            }
        }
    }

    /// Reads more of topic `at`; `false` at its end.
    fn read(&mut self, at: usize) -> Result<bool, SqlError> {
        let topic = &mut self.topics[at];
        if topic.at >= topic.end || topic.is_over() {
            return Ok(false);
        }
        let batches = self.hub.read(&topic.name, topic.at, READ_BYTES, Visibility::Durable).map_err(refused)?;
        topic.at = batches.last().map_or(topic.end, Batch::end_offset);
        topic.batches.extend(batches);
        Ok(true)
    }
}

impl Topic {
    /// Its job has failed: nobody takes rows out of the queue.
    fn is_over(&self) -> bool {
        matches!(self.job.state(), JobState::Failed | JobState::Dropped)
    }

    fn is_full(&self) -> bool {
        !self.queue.has_room() && !self.is_over()
    }

    /// The first `count` batches as pushes.
    fn take(&mut self, count: usize) -> Result<Vec<Pushed>, SqlError> {
        let taken: Vec<Batch> = self.batches.drain(..count).collect();
        if self.is_over() {
            return Ok(Vec::new());
        }
        taken.iter().map(|batch| put_back(&self.queue, batch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use thalweg_core::Options;
    use thalweg_disk::SimDisk;
    use thalweg_plan::{Distribution, Operation, PlanBuilder, Properties, SinkSpec, SourceSpec};
    use thalweg_runtime::RunConfig;
    use thalweg_runtime::live::{JobInput, JobOutput, JobSpec};

    use super::super::intake::{Handed, Intake};
    use super::*;

    /// A job that passes on what is handed in.
    fn start(engine: &Engine, oid: Oid) -> Wanted {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let mut builder = PlanBuilder::default();
        let (name, connector, options) = (format!("{}", oid.0), String::new(), Options::default());
        let source = builder.source(SourceSpec {
            name: name.clone(),
            connector: connector.clone(),
            options: options.clone(),
            declared: Arc::clone(&schema),
            projection: vec![0],
            generated: Vec::new(),
            watermark: None,
            schema: Arc::clone(&schema),
            dead_used: false,
            relation: None,
        });
        let properties = Properties {
            schema: Arc::clone(&schema),
            append_only: true,
            key: None,
            distribution: Distribution::Any,
            bounds: vec![None],
        };
        let scan = builder.add(Operation::Scan { source }, Vec::new(), properties);
        builder.sink(SinkSpec { name: name.clone(), connector, options, order: Vec::new() }, scan);
        let (queue, source) = engine.queue(Arc::clone(&schema));
        let outputs = vec![JobOutput::Relation(engine.stream(schema))];
        let inputs = vec![JobInput::Source(source)];
        let spec = JobSpec { name, plan: builder.finish(), inputs, outputs, durable: None };
        let job = engine.add(spec).expect("it is added");
        Wanted { oid, job, queue, from: None }
    }

    fn handed(to: &Wanted, rows: i64) -> Handed {
        let column = Arc::new(Int64Array::from_iter_values(0..rows));
        let rows = RecordBatch::try_new(to.queue.schema(), vec![column]).expect("one column");
        Handed { oid: to.oid, queue: Arc::clone(&to.queue), rows, dead: Vec::new() }
    }

    #[test]
    fn what_was_appended_together_is_handed_in_together() {
        let disk = SimDisk::new();
        let engine = || {
            let run = RunConfig { workers: 1, ..RunConfig::default() };
            // It never begins: what is handed in stays in the queues.
            Arc::new(Engine::held(run, Box::new(|_| {}), Box::new(|_| {})).expect("it starts"))
        };
        let open = |disk: &SimDisk| Hub::open(Arc::new(disk.clone())).expect("it opens").0;
        let oids = [Oid(1), Oid(2), Oid(3)];

        let before = engine();
        let relations: Vec<Wanted> = oids.iter().map(|oid| start(&before, *oid)).collect();
        let intake = Intake::new(Some(Arc::new(open(&disk))), Arc::clone(&before));
        oids.iter().for_each(|oid| intake.create(*oid).expect("there is room"));
        let appends: [&[usize]; 9] = [&[0], &[0, 1], &[1], &[2, 0], &[1, 2], &[0], &[0, 1, 2], &[2], &[1, 0]];
        for append in appends {
            let rows = append.iter().map(|at| handed(&relations[*at], 2)).collect();
            intake.take(rows).expect("there is room").expect("there is room in the queues");
        }
        intake.close();

        // The third relation is gone: what was appended with rows for it goes in without them.
        for (count, appends) in
            [(3, appends.as_slice()), (2, &[&[0], &[0, 1], &[1], &[0], &[1], &[0], &[0, 1], &[1, 0]])]
        {
            let after = engine();
            let relations: Vec<Wanted> = oids[..count].iter().map(|oid| start(&after, *oid)).collect();
            let queues: Vec<_> = relations.iter().map(|r| Arc::clone(&r.queue)).collect();
            let intake = Intake::new(Some(Arc::new(open(&disk))), Arc::clone(&after));
            let mut replay = intake.replay(relations).expect("the hub has it").expect("there is a hub");
            let tickets = || queues.iter().map(|queue| queue.last_ticket()).collect::<Vec<_>>();
            let (mut held, mut steps) = (tickets(), Vec::new());
            while replay.step().expect("it can be read") == Step::HandedIn {
                let now = tickets();
                steps.push((0..count).filter(|at| now[*at] > held[*at]).collect::<Vec<_>>());
                held = now;
            }
            let sorted = |append: &&[usize]| {
                let mut append = append.to_vec();
                append.sort_unstable();
                append
            };
            let mut expected: Vec<Vec<usize>> = appends.iter().map(sorted).collect();
            expected.sort();
            steps.sort();
            assert_eq!(steps, expected, "{count} relations");
        }
    }
}
