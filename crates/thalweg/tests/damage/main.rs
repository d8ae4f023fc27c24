//! Data directories that are not as they were written: every damage is refused with its file and place, or does no harm.
//! Never a wrong or missing row, a panic or a hang.
//!
//! `THALWEG_DAMAGE_CASES` and `THALWEG_DAMAGE_SEED` say how many damages and which is the first.

mod attempt;
mod directory;
mod golden;
mod harm;
mod model;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use attempt::Outcome;
use golden::Golden;

/// Damages of the default run.
const CASES: u64 = 150;
/// Golden directories, each with a thread of its own: a sink's target has one path.
const LANES: usize = 2;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Panics anywhere, also on threads that survive them.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
}

#[test]
fn damage_is_refused_with_file_and_place_or_does_no_harm() {
    let (cases, first) = (number("THALWEG_DAMAGE_CASES", CASES), number("THALWEG_DAMAGE_SEED", 0));
    let next = AtomicU64::new(first);
    let counts: Mutex<BTreeMap<(String, Outcome), usize>> = Mutex::default();
    let wrong: Mutex<Vec<String>> = Mutex::default();
    count_panics();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let golden = Golden::make();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + cases {
                        return;
                    }
                    let before = PANICS.load(Ordering::SeqCst);
                    let (harm, outcome) = attempt::attempt(&golden, seed);
                    let kind = harm.kind();
                    match outcome {
                        _ if PANICS.load(Ordering::SeqCst) > before => {
                            wrong
                                .lock()
                                .expect("no panic")
                                .push(format!("seed {seed}: {harm}: something has panicked"));
                        }
                        Ok(outcome) => *counts.lock().expect("no panic").entry((kind, outcome)).or_default() += 1,
                        Err(what) => {
                            println!("seed {seed}: {harm}: {what}");
                            wrong.lock().expect("no panic").push(format!("seed {seed}: {harm}: {what}"));
                        }
                    }
                }
            });
        }
    });
    let counts = counts.into_inner().expect("no panic");
    println!("{cases} damages from seed {first}:");
    for ((kind, outcome), count) in &counts {
        println!("{count:>6}  {kind:<20} {outcome:?}");
    }
    let wrong = wrong.into_inner().expect("no panic");
    assert!(
        wrong.is_empty(),
        "{} of {cases}; one again: THALWEG_DAMAGE_CASES=1 THALWEG_DAMAGE_SEED=… cargo test -p thalweg --test damage\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let of = |wanted: Outcome| counts.iter().filter(|((_, o), _)| *o == wanted).map(|(_, n)| n).sum::<usize>();
    if cases >= 100 {
        assert!(of(Outcome::Refused) > 0 && of(Outcome::FellBack) > 0 && of(Outcome::Harmless) > 0, "{counts:?}");
    }
}
