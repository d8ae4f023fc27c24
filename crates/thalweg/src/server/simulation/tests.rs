//! Seeds without a defect: nothing is wrong in any, and each repeats exactly.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::world::{Verdict, run};

/// Seeds of the default run.
const SEEDS: u64 = 60;
/// Seeds that are run twice.
const TWICE: u64 = 12;
/// Threads that run seeds.
const THREADS: usize = 2;

pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs seeds on some threads, in order as far as that goes.
fn run_all(seeds: Range<u64>) -> Vec<(u64, Verdict)> {
    let next = AtomicU64::new(seeds.start);
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let verdict = run(seed);
                    verdicts.lock().expect("not poisoned").push((seed, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("not poisoned");
    verdicts.sort_by_key(|(seed, _)| *seed);
    verdicts
}

#[test]
fn nothing_is_lost_torn_or_twice_in_any_world() {
    let only = number("THALWEG_SIM_SEED");
    let seeds = only.map_or(0..number("THALWEG_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let begin = Instant::now();
    let verdicts = run_all(seeds.clone());
    let took = begin.elapsed();
    let sum = |of: &dyn Fn(&Verdict) -> u64| verdicts.iter().map(|(_, v)| of(v)).sum::<u64>();
    let hours = took.as_secs_f64() / 3600.0;
    let simulated = sum(&|v| v.micros) as f64 / 1e6;
    println!(
        "{} seeds from {}: {:.0} seeds an hour on {THREADS} threads, {:.1} s simulated a second; {} turns, {} lives, {} \
         checkpoints, {} refused, {} rows",
        verdicts.len(),
        seeds.start,
        verdicts.len() as f64 / hours,
        simulated / took.as_secs_f64(),
        sum(&|v| v.turns),
        sum(&|v| v.lives),
        sum(&|v| v.checkpoints),
        sum(&|v| v.refused),
        sum(&|v| v.rows.unsigned_abs()),
    );
    let wrong: Vec<&(u64, Verdict)> = verdicts.iter().filter(|(_, v)| v.wrong.is_some()).collect();
    if let Some((seed, verdict)) = wrong.first() {
        let all: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
        let what = verdict.wrong.as_deref().unwrap_or_default();
        panic!("{what}\nagain: THALWEG_SIM_SEED={seed} cargo test -p thalweg simulation (wrong are {all:?})");
    }
}

#[test]
fn a_seed_makes_the_same_world_again() {
    let seeds = 1_000..1_000 + number("THALWEG_SIM_TWICE").unwrap_or(TWICE);
    let (once, twice) = (run_all(seeds.clone()), run_all(seeds));
    for ((seed, first), (_, second)) in once.iter().zip(&twice) {
        assert_eq!(first.trace, second.trace, "seed {seed}: {} and {} turns", first.turns, second.turns);
    }
}
