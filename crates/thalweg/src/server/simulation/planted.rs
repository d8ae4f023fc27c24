//! Defects that are planted to see that the simulation finds them: without that nobody knows what its silence means.

use std::sync::Mutex;

use thalweg_core::planted::{Defect, plant};

use super::tests::number;
use super::world::run;

/// Seeds in which a defect must be found.
const SEEDS: u64 = 300;

const DEFECTS: [Defect; 21] = [
    Defect::EarlyAcknowledgement,
    Defect::EarlyMark,
    Defect::HalfAppends,
    Defect::UnsyncedFile,
    Defect::UnsyncedFolder,
    Defect::EarlyHandIn,
    Defect::ReplayLate,
    Defect::ReplayEarly,
    Defect::ReplayApart,
    Defect::EarlyCheckpoint,
    Defect::EpochAgain,
    Defect::RaggedEpoch,
    Defect::EarlyEpoch,
    Defect::WorkerLeftOut,
    Defect::OwedForgotten,
    Defect::OwedWaits,
    Defect::IncarnationAgain,
    Defect::OutboxDropped,
    Defect::EarlyDelivery,
    Defect::BlindDelivery,
    Defect::ProgressApart,
];

/// The first seed in which `defect` is found, and what is said of it.
fn find(defect: Defect, seeds: u64) -> Option<(u64, String)> {
    plant(Some(defect));
    let found = (0..seeds).find_map(|seed| Some((seed, run(seed).wrong?)));
    plant(None);
    found
}

#[test]
fn every_planted_defect_is_found() {
    let seeds = number("THALWEG_SIM_SEEDS").unwrap_or(SEEDS);
    let left = Mutex::new(DEFECTS.iter().rev().copied().collect::<Vec<_>>());
    let missed = Mutex::new(Vec::new());
    let look = || {
        loop {
            let Some(defect) = left.lock().expect("not poisoned").pop() else { return };
            match find(defect, seeds) {
                Some((seed, what)) => {
                    println!("{defect:?}: found with seed {seed}: {:.160}", what.lines().next().unwrap_or_default());
                }
                None => missed.lock().expect("not poisoned").push(defect),
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(look))));
    let missed = missed.into_inner().expect("not poisoned");
    assert!(missed.is_empty(), "not found in {seeds} seeds: {missed:?}");
}
