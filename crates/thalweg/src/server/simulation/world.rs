//! `World`: a server's lives one after the other, its writers, readers and targets, and all that befalls them, as a seed
//! says. It must not know how the server does anything.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thalweg_disk::{Fault, Rng, SimDisk};
use thalweg_runtime::DrivenClock;
use tokio::runtime::Runtime;
use tokio::sync::oneshot::error::TryRecvError;

use super::super::intake::Settled;
use super::life::{Fall, Life, Setup};
use super::objects::{OUT, expected};
use super::oracle;
use super::target::Target;
use super::trace::Trace;
use super::weather::{End, Weathered};

/// Turns in which the world must come to rest once nothing happens any more.
const PATIENCE: u64 = 20_000;
/// The wall clock when a world begins.
const BEGIN_MICROS: i64 = 1_000_000;

/// What a run of a seed came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    pub wrong: Option<String>,
    pub trace: u64,
    pub turns: u64,
    pub lives: u64,
    pub rows: i64,
    pub checkpoints: u64,
    /// Checkpoints that could not be made durable.
    pub refused: u64,
    /// Microseconds that have passed in the world.
    pub micros: u64,
}

/// How likely things are in this world, each once in so many turns; 0 is never.
#[derive(Debug)]
struct Climate {
    turns: u64,
    push: usize,
    power_loss: usize,
    kill: usize,
    io_error: usize,
    full: usize,
    moody: bool,
    jumps: bool,
    /// A worker that gets one turn in so many.
    slow: usize,
}

#[derive(Debug, Default)]
struct Writer {
    sent: i64,
    /// What it was told is durable, or a reader has seen.
    promised: i64,
    /// Pushed and not acknowledged: the last row.
    waiting: Vec<(i64, Settled)>,
    /// Acknowledged and perhaps not visible: the ticket and the last row.
    settled: Vec<(u64, i64)>,
}

pub(super) struct World {
    rng: Rng,
    trace: Trace,
    climate: Climate,
    disk: SimDisk,
    weather: Weathered,
    is_full: bool,
    clock: Arc<DrivenClock>,
    targets: Vec<Target>,
    /// How many rows of each writer the targets held when they were last looked at.
    held: Vec<Vec<i64>>,
    writers: Vec<Writer>,
    life: Option<Life>,
    verdict: Verdict,
}

/// Runs the world of `seed`.
pub(super) fn run(seed: u64) -> Verdict {
    // Nothing runs on it: it is there for whoever could wait.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let _entered = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime")).enter();
    let mut world = World::new(seed);
    let outcome = world.chaos().and_then(|()| world.heal());
    let wrong = outcome.err().map(|wrong| format!("seed {seed}: {wrong}\n{}", world.trace.tail()));
    let (trace, micros) = (world.trace.hash(), world.clock.passed());
    let rows = world.writers.iter().map(|w| w.sent).sum();
    Verdict { wrong, trace, rows, micros, ..world.verdict.clone() }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let pick = |rng: &mut Rng, of: &[usize]| of[rng.below(of.len())];
        let climate = Climate {
            turns: 400 + rng.below(1_600) as u64,
            push: pick(&mut rng, &[1, 2, 8]),
            power_loss: pick(&mut rng, &[0, 150, 400]),
            kill: pick(&mut rng, &[0, 200, 500]),
            io_error: pick(&mut rng, &[0, 0, 400]),
            full: pick(&mut rng, &[0, 0, 120]),
            moody: rng.one_in(2),
            jumps: rng.one_in(3),
            slow: pick(&mut rng, &[1, 1, 12]),
        };
        let disk = SimDisk::new();
        let writers = 1 + rng.below(4);
        Self {
            weather: Weathered::new(disk.clone()),
            disk,
            is_full: false,
            clock: DrivenClock::new(BEGIN_MICROS),
            targets: (0..OUT.len()).map(|_| Target::new(rng.next_u64())).collect(),
            held: vec![vec![0; writers]; OUT.len()],
            writers: (0..writers).map(|_| Writer::default()).collect(),
            life: None,
            trace: Trace::default(),
            verdict: Verdict::default(),
            climate,
            rng,
        }
    }

    /// Once in `n` turns; never if that is 0.
    fn happens(&mut self, n: usize) -> bool {
        n > 0 && self.rng.one_in(n)
    }

    /// Everything that can happen does.
    fn chaos(&mut self) -> Result<(), String> {
        for target in &self.targets {
            target.set_mood(false, self.climate.moody);
        }
        for _ in 0..self.climate.turns {
            self.befall();
            self.turn(true)?;
        }
        Ok(())
    }

    /// Nothing happens any more and nobody writes: the world must come to rest, with everything everywhere.
    fn heal(&mut self) -> Result<(), String> {
        self.trace.note("heal", &[]);
        self.disk.set_capacity(None);
        self.is_full = false;
        self.targets.iter().for_each(|target| target.set_mood(false, false));
        // When only room was wanting, it goes on by itself.
        if self.life.is_none() || self.weather.has_broken() {
            self.end(End::Kill)?;
        }
        self.weather.calm();
        for _ in 0..PATIENCE {
            self.turn(false)?;
            let is_heard = self.writers.iter().all(|w| w.waiting.is_empty() && w.settled.is_empty());
            if is_heard && self.life.as_ref().is_some_and(Life::is_open) && self.has_arrived()? {
                self.read()?;
                self.count_checkpoints();
                self.life = None;
                return Ok(());
            }
        }
        Err(format!("it does not come to rest within {PATIENCE} turns: the targets hold {:?}", self.held))
    }

    /// The targets hold all that there is.
    fn has_arrived(&self) -> Result<bool, String> {
        let counts: Vec<i64> = self.writers.iter().map(|w| w.promised).collect();
        let mut all = true;
        for (name, target) in OUT.iter().zip(&self.targets) {
            all &= target.rows().map_err(|wrong| format!("{name}: {wrong}"))? == expected(&counts)[name];
        }
        Ok(all)
    }

    fn count_checkpoints(&mut self) {
        if let Some(life) = &self.life {
            let (made, refused) = life.checkpoints();
            self.verdict.checkpoints += made;
            self.verdict.refused += refused;
        }
    }

    /// What may happen to anyone at any time.
    fn befall(&mut self) {
        if self.happens(self.climate.power_loss) {
            // Also in the middle of something.
            let changes = self.rng.below(30) as u64;
            self.trace.note("the power will go", &[changes]);
            self.weather.end_after(changes, End::PowerLoss);
        }
        if self.happens(self.climate.kill) {
            let changes = self.rng.below(12) as u64;
            self.trace.note("it will be killed", &[changes]);
            self.weather.end_after(changes, End::Kill);
        }
        if self.happens(self.climate.io_error) {
            let (changes, kind) = (self.rng.below(20) as u64, self.rng.below(3));
            self.trace.note("a change will fail", &[changes, kind as u64]);
            self.weather.fail_after(changes, [Fault::Io, Fault::NoSpace, Fault::ShortWrite][kind]);
        }
        if self.happens(self.climate.full) {
            let room = if self.is_full { None } else { Some(self.disk.bytes() + self.rng.below(3_000) as u64) };
            self.is_full = room.is_some();
            self.trace.note("room", &[room.unwrap_or(0)]);
            self.disk.set_capacity(room);
            if self.is_full {
                self.weather.note_full();
            }
        }
        if self.climate.moody && self.happens(60) {
            let (sink, is_away) = (self.rng.below(self.targets.len()), self.rng.one_in(3));
            self.targets[sink].set_mood(is_away, true);
        }
        if self.climate.jumps && self.happens(100) {
            let seconds = self.rng.below(7_200) as i64 - 3_600;
            self.trace.note("the clock is set", &[seconds.cast_unsigned()]);
            self.clock.jump(seconds * 1_000_000);
        }
    }

    /// Someone does something.
    fn turn(&mut self, is_chaos: bool) -> Result<(), String> {
        self.verdict.turns += 1;
        let Some(life) = &self.life else { return self.begin() };
        let workers = life.setup.workers;
        let done = match self.rng.below(100) {
            0..=59 => self.work(workers),
            60..=69 if is_chaos && self.happens(self.climate.push) => self.push(),
            60..=69 => self.round(),
            70..=74 => self.keep(),
            75..=80 => self.deliver(),
            81..=85 => self.take_up(),
            86..=88 => return self.read(),
            89 if is_chaos && self.rng.one_in(4) => {
                self.trace.note("a checkpoint is wanted", &[]);
                self.life.iter().for_each(Life::want_checkpoint);
                Ok(())
            }
            90 => {
                let sink = self.rng.below(self.targets.len());
                let arrived = self.targets[sink].arrive();
                self.trace.note("late", &[sink as u64, arrived.into()]);
                Ok(())
            }
            _ => {
                let micros = self.rng.below(20_000) as u32;
                self.clock.advance(micros);
                Ok(())
            }
        };
        self.outcome(done)?;
        if is_chaos && self.life.is_some() && self.happens(self.climate.kill) {
            self.trace.note("killed", &[]);
            self.end(End::Kill)?;
        }
        self.weather.ended().map_or(Ok(()), |end| self.end(end))
    }

    /// Goes on after a step, or ends the life.
    fn outcome(&mut self, done: Result<(), Fall>) -> Result<(), String> {
        let progress = self.life.as_ref().map_or([0; 3], Life::progress);
        let [epoch, sealed, checkpoint] = progress;
        self.trace.note("", &[epoch, sealed, checkpoint, self.disk.calls(), self.disk.bytes(), done.is_ok().into()]);
        match done {
            Ok(()) => Ok(()),
            Err(Fall::Exit(_)) if self.weather.ended().is_some() => Ok(()),
            Err(Fall::Exit(why)) if self.weather.has_failed() => {
                self.trace.note("it ends by itself", &[why.len() as u64]);
                self.end(End::Kill)
            }
            Err(Fall::Exit(why)) => Err(format!("it has ended though nothing had failed: {why}")),
            Err(Fall::Wrong(wrong)) => Err(wrong),
        }
    }

    /// A life ends.
    fn end(&mut self, end: End) -> Result<(), String> {
        self.count_checkpoints();
        if let Some(life) = self.life.take() {
            // What was on its way to a target may get there when the next life has begun.
            for (sink, target) in self.targets.iter().enumerate().filter(|_| self.weather.ended().is_none()) {
                if self.rng.one_in(2) {
                    life.leave_behind(sink, target.progress());
                }
            }
        }
        let seed = self.rng.next_u64();
        self.trace.note("the end", &[end as u64, seed, self.disk.steps()]);
        self.disk = match end {
            End::PowerLoss => self.disk.crash(seed),
            End::Kill => self.disk.restart(),
        };
        self.disk.set_capacity(None);
        self.is_full = false;
        self.weather = Weathered::new(self.disk.clone());
        for writer in &mut self.writers {
            writer.acknowledge();
            // What it was told of is there after any crash; of the rest nobody will tell it any more.
            writer.promised = writer.settled.iter().map(|s| s.1).fold(writer.promised, i64::max);
            writer.waiting.clear();
            writer.settled.clear();
        }
        Ok(())
    }

    /// The server starts.
    fn begin(&mut self) -> Result<(), String> {
        let pick = |rng: &mut Rng, of: &[usize]| of[rng.below(of.len())];
        let rng = &mut self.rng;
        let setup = Setup {
            workers: 1 + rng.below(3),
            epoch_rows: pick(rng, &[1, 4, 1_000]),
            epoch_interval: Duration::from_millis(pick(rng, &[1, 20, 50]) as u64),
            batch_rows: pick(rng, &[1, 3, 1_000]),
            checkpoint_interval: Duration::from_millis(pick(rng, &[0, 50, 400]) as u64),
            max_pieces: pick(rng, &[1, 3, 32]),
        };
        self.verdict.lives += 1;
        self.trace.note("begin", &[setup.workers as u64, self.disk.bytes()]);
        let opened = Life::open(&self.weather, &self.clock, setup, &self.targets);
        let done = opened.map(|life| self.life = Some(life));
        self.outcome(done)?;
        self.weather.ended().map_or(Ok(()), |end| self.end(end))
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("it is asked for in a turn of a life")
    }

    fn work(&mut self, workers: usize) -> Result<(), Fall> {
        let mut worker = self.rng.below(workers);
        if worker == 0 && workers > 1 && !self.rng.one_in(self.climate.slow) {
            worker = 1 + self.rng.below(workers - 1);
        }
        let steps = 1 + self.rng.below(4);
        self.trace.note("work", &[worker as u64, steps as u64]);
        (0..steps).try_for_each(|_| self.life().work(worker))?;
        if self.life().try_to_open() {
            self.opened()?;
        }
        Ok(())
    }

    /// Everything is there again: writers go on from what they find.
    fn opened(&mut self) -> Result<(), Fall> {
        self.trace.note("open", &[]);
        let seen = self.life().read()?.ok_or_else(|| Fall::Wrong("it is open, and nothing can be read".to_owned()))?;
        let counts = oracle::check(&seen.rows, self.writers.len()).map_err(Fall::Wrong)?;
        self.compare(&counts).map_err(|wrong| Fall::Wrong(format!("after the start: {wrong}")))?;
        for (writer, n) in self.writers.iter_mut().zip(counts) {
            (writer.sent, writer.promised) = (n, n);
        }
        Ok(())
    }

    fn compare(&self, counts: &[i64]) -> Result<(), String> {
        let promised: Vec<i64> = self.writers.iter().map(|w| w.promised).collect();
        let sent: Vec<i64> = self.writers.iter().map(|w| w.sent).collect();
        oracle::not_less(counts, &promised, &sent)
    }

    fn push(&mut self) -> Result<(), Fall> {
        let at = self.rng.below(self.writers.len());
        let from = self.writers[at].sent + 1;
        let to = from + self.rng.below(3) as i64;
        if !self.life().is_open() {
            return Ok(());
        }
        let settled = self.life().push(at as i64, from, to)?;
        self.trace.note("push", &[at as u64, to.cast_unsigned(), settled.is_some().into()]);
        if let Some(settled) = settled {
            self.writers[at].sent = to;
            self.writers[at].waiting.push((to, settled));
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), Fall> {
        self.trace.note("round", &[]);
        self.life().round()
    }

    fn keep(&mut self) -> Result<(), Fall> {
        let now = self.clock.passed().cast_signed();
        let kept = self.life().keep(now)?;
        self.trace.note("keep", &[kept.into()]);
        Ok(())
    }

    fn take_up(&mut self) -> Result<(), Fall> {
        let moved = self.life().take_up()?;
        self.trace.note("hand in again", &[moved.into()]);
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Fall> {
        let sink = self.rng.below(self.targets.len());
        let moved = self.life().deliver(sink)?;
        self.trace.note("deliver", &[sink as u64, moved.into(), self.targets[sink].progress()]);
        self.look_at(sink).map_err(|wrong| Fall::Wrong(format!("{}: {wrong}", OUT[sink])))
    }

    /// What a target holds is what all writers had written at some time, and never less than before.
    fn look_at(&mut self, sink: usize) -> Result<(), String> {
        let rows = self.targets[sink].rows()?;
        let counts = match OUT[sink] {
            "rows_out" => oracle::written(&rows, self.writers.len())?,
            _ => {
                let mut counts = vec![0; self.writers.len()];
                rows.iter().for_each(|row| counts[usize::try_from(row[0]).expect("a writer")] = row[1]);
                counts
            }
        };
        if expected(&counts)[OUT[sink]] != rows {
            return Err(format!("it holds {rows:?}, which was at no time"));
        }
        let sent: Vec<i64> = self.writers.iter().map(|w| w.sent).collect();
        // While a life begins, writers do not know yet what they have sent.
        oracle::not_less(&counts, &self.held[sink], &sent)?;
        self.held[sink] = counts;
        Ok(())
    }

    /// Someone reads everything at one epoch.
    fn read(&mut self) -> Result<(), String> {
        for writer in &mut self.writers {
            writer.acknowledge();
        }
        let Some(life) = &self.life else { return Ok(()) };
        for writer in self.writers.iter_mut().filter(|_| life.is_open()) {
            let (visible, rest) = writer.settled.drain(..).partition(|(ticket, _)| life.is_visible(*ticket));
            writer.settled = rest;
            let visible: Vec<(u64, i64)> = visible;
            writer.promised = visible.iter().map(|v| v.1).fold(writer.promised, i64::max);
        }
        let seen = match life.read() {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(()),
            Err(fall) => return self.outcome(Err(fall)),
        };
        let is_open = life.is_open();
        let counts = oracle::check(&seen.rows, self.writers.len())
            .map_err(|wrong| format!("at epoch {}: {wrong}", seen.epoch))?;
        self.trace.note("read", &[seen.epoch, counts.iter().sum::<i64>().cast_unsigned()]);
        if is_open {
            self.compare(&counts).map_err(|wrong| format!("at epoch {}: {wrong}", seen.epoch))?;
            for (writer, n) in self.writers.iter_mut().zip(counts) {
                writer.promised = n;
            }
        }
        Ok(())
    }
}

impl Writer {
    /// Hears what has become of what it sent.
    fn acknowledge(&mut self) {
        let mut rest = Vec::new();
        for (last, mut settled) in self.waiting.drain(..) {
            match settled.try_recv() {
                Ok(Ok(tickets)) => self.settled.push((tickets[0], last)),
                Err(TryRecvError::Empty) => rest.push((last, settled)),
                // It is not known what has become of it: the life ends.
                Ok(Err(_)) | Err(TryRecvError::Closed) => {}
            }
        }
        self.waiting = rest;
    }
}
