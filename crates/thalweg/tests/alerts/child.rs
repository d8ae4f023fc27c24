//! The child: an engine whose clock is driven. It must not know what it is asked to do, or that it will be killed.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use thalweg::{Clock, Config, Thalweg};
use thalweg_runtime::DrivenClock;

/// The variable with the data directory; whoever has it is a child.
pub const FOLDER: &str = "ALERTS_CHILD_FOLDER";
/// The variable with the time at which the clock begins, microseconds since 1970-01-01 UTC.
pub const BEGIN: &str = "ALERTS_CHILD_BEGIN";

/// The clock goes on by itself at the pace of real time, so that epochs and checkpoints end.
const TICK: Duration = Duration::from_millis(1);
/// How much of a time that is to pass passes at once (micros).
const STRIDE: i64 = 500_000;

/// Runs the commands of standard input, if this process is a child.
pub fn live_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let begin = std::env::var(BEGIN).expect("the parent sets it").parse().expect("a number");
    let clock = DrivenClock::new(begin);
    let ticking = Arc::clone(&clock);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(TICK);
            ticking.advance(1000);
        }
    });
    let mut config = Config { data: Some(folder.into()), ..Config::default() };
    config.run.workers = 2;
    config.run.clock = Clock::Driven(Arc::clone(&clock));
    config.checkpoint_interval = Duration::from_millis(100);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let db = runtime.block_on(Thalweg::open(config));
    let show = Clock::Driven(Arc::clone(&clock));
    let say = |said: Result<(), String>| {
        let said = said.map_or_else(|why| format!("failed {}", why.replace('\n', " ")), |()| "done".to_owned());
        println!("@ {} {said}", show.now());
        std::io::stdout().flush().expect("the parent listens");
    };
    let db = match db {
        Ok(db) => db,
        Err(error) => return say(Err(error.to_string())),
    };
    say(Ok(()));
    for line in std::io::stdin().lines() {
        let line = line.expect("the parent speaks UTF-8");
        match line.split_once(' ') {
            Some(("sql", sql)) => say(runtime.block_on(db.execute(sql)).map(drop).map_err(|e| e.to_string())),
            Some(("pass", micros)) => {
                pass(&clock, micros.parse().expect("a number"));
                say(Ok(()));
            }
            _ => say(Err(format!("no command: {line}"))),
        }
    }
}

fn pass(clock: &DrivenClock, micros: i64) {
    let mut left = micros;
    while left > 0 {
        let now = left.min(STRIDE);
        clock.advance(u32::try_from(now).expect("a stride"));
        left -= now;
        std::thread::sleep(Duration::from_micros(200));
    }
}
