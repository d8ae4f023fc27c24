//! Alerts through crashes, by a clock of the test's own, told to a real HTTP receiver: nothing that happened is missed, and
//! nothing is told under two keys.
//!
//! The test is a parent and its children. A child is this very program with [`child::FOLDER`] set: an engine over a data
//! directory whose clock the parent drives, one command a line. The parent kills it with SIGKILL at random moments, knows what
//! must happen from a model of its own, and compares with what its receiver was told. A seed is run again with `ALERTS_SEED=…`.

#![expect(clippy::disallowed_methods, reason = "a parent waits for its children, and lets them live for a while")]

#[path = "alerts/child.rs"]
mod child;
#[path = "alerts/life.rs"]
mod life;
#[path = "alerts/model.rs"]
mod model;
#[path = "alerts/receiver.rs"]
mod receiver;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use life::{Life, Said};
use model::{HOLD_MICROS, Model};
use receiver::Receiver;

/// Seeds of one run, and steps of each.
const SEEDS: u64 = 3;
const STEPS: usize = 40;
const DEVICES: i64 = 4;
const SECOND: i64 = 1_000_000;

/// What a child does when it is one; otherwise there is nothing to do.
#[test]
fn child_of_the_other_tests() {
    child::live_if_asked();
}

#[test]
fn each_transition_is_told_once_whatever_crashes() {
    let given = std::env::var("ALERTS_SEED").ok().map(|seed| seed.parse().expect("ALERTS_SEED is a number"));
    let seeds = given.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        println!("ALERTS_SEED={seed}");
        let told = Run::of(seed).run();
        println!("seed {seed}: {told}");
    }
}

/// One seed.
struct Run {
    chance: StdRng,
    folder: tempfile::TempDir,
    receiver: Receiver,
    model: Model,
    life: Life,
    kills: usize,
}

impl Run {
    fn of(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let life = Life::begin(folder.path(), 1_700_000_000 * SECOND);
        let receiver = Receiver::start(seed);
        Self { chance: StdRng::seed_from_u64(seed), folder, receiver, model: Model::default(), life, kills: 0 }
    }

    fn run(mut self) -> String {
        let alert = format!(
            "CREATE TABLE readings (device BIGINT PRIMARY KEY, t DOUBLE PRECISION);
             CREATE MATERIALIZED VIEW hot_now AS SELECT device, t FROM readings WHERE t > 90;
             CREATE ALERT hot ON hot_now FOR '2 minutes' SEVERITY critical NOTIFY webhook WITH (url = '{}');
             CREATE TABLE beats (n BIGINT);
             INSERT INTO readings SELECT n, 20 FROM generate_series(1, {DEVICES}) AS g (n)",
            self.receiver.url()
        );
        alert.split(';').for_each(|one| self.life.must(one.trim()));
        for _ in 0..STEPS {
            match self.chance.random_range(0..10) {
                0..4 => self.change(),
                4..8 => self.let_time_pass(),
                _ => self.kill_at_rest(),
            }
            self.hear_all();
        }
        let (told, repeated) = self.receiver.counts();
        assert!(self.kills >= 5 && told >= 12, "too little has happened: {} kills, {told} told", self.kills);
        format!("{told} transitions told, {repeated} told again under the same key, {} kills", self.kills)
    }

    /// A device becomes hot or cools down; now and then the server dies meanwhile.
    fn change(&mut self) {
        let device = self.chance.random_range(1..=DEVICES);
        // Whether it has stood long enough must be beyond doubt before its row goes.
        while self.model.is_in_doubt(device, self.life.clock()) {
            self.pass(30 * SECOND);
        }
        let hot = !self.model.is_hot(device);
        let t = if hot { 91.0 + f64::from(self.chance.random_range(0..9)) } else { 20.0 };
        let from = self.life.clock();
        let sql = format!("UPDATE readings SET t = {t} WHERE device = {device}");
        let dies = self.chance.random_bool(0.3);
        let said = if dies {
            let after = Duration::from_micros(self.chance.random_range(0..8000));
            self.life.send(&format!("sql {sql}"));
            self.die(after);
            self.life.must(&sql);
            Said::Done
        } else {
            self.life.say(&format!("sql {sql}"))
        };
        assert_eq!(said, Said::Done, "{sql}");
        self.model.change(device, hot.then_some(t), from, self.life.clock());
    }

    fn let_time_pass(&mut self) {
        let micros = self.chance.random_range(5..200) * SECOND;
        if self.chance.random_bool(0.3) {
            self.life.send(&format!("pass {micros}"));
            let after = Duration::from_micros(self.chance.random_range(0..20_000));
            self.die(after);
        } else {
            self.pass(micros);
        }
    }

    fn pass(&mut self, micros: i64) {
        assert_eq!(self.life.say(&format!("pass {micros}")), Said::Done);
        self.wake();
    }

    fn kill_at_rest(&mut self) {
        let after = Duration::from_millis(self.chance.random_range(0..300));
        self.die(after);
    }

    /// The server is killed and comes back, at once or minutes later.
    fn die(&mut self, after: Duration) {
        std::thread::sleep(after);
        self.kills += 1;
        let away = if self.chance.random_bool(0.3) { self.chance.random_range(0..300) * SECOND } else { 0 };
        self.life.kill();
        let clock = self.life.clock() + away;
        self.life = Life::begin(self.folder.path(), clock);
        self.wake();
    }

    /// An engine with nothing to do sleeps by the machine's clock, and does not see this one's hands move.
    fn wake(&mut self) {
        self.life.must("INSERT INTO beats VALUES (1)");
        self.model.pass(self.life.clock());
    }

    /// Waits until the receiver was told all that must have happened by now, and nothing else.
    fn hear_all(&mut self) {
        let clock = self.life.clock();
        if self.model.anyone_in_doubt(clock) {
            self.pass(HOLD_MICROS / 4);
            return self.hear_all();
        }
        let expected = self.model.events();
        self.receiver.wait_for(expected);
    }
}
