//! Power lost at every step of random histories: what was acknowledged is there, whole, in order and once.
//!
//! `THALWEG_HUB_SEED=17 cargo test -p thalweg-hub crash` runs one history alone, `THALWEG_HUB_HISTORIES=1000` more of
//! them.

use std::sync::Arc;

use thalweg_core::planted::{Defect, plant};
use thalweg_disk::{Operation, Rng, SimDisk};

use super::history::History;
use super::model::Model;
use crate::Hub;

/// Histories of the default run.
const HISTORIES: u64 = 8;
/// Times in a history that the power is lost and it goes on from there.
const PHASES: usize = 2;
/// What is asked of the hub between two of them.
const ACTS: usize = 45;
/// States looked at after each step.
const PER_STEP: usize = 5;

/// The first thing found wrong, and how many states were looked at.
struct Verdict {
    states: usize,
    wrong: Option<String>,
}

/// What is wrong with what a crash left.
fn wrong_with(disk: &SimDisk, model: &Model, steps: u64, goes_on: bool) -> Option<String> {
    match Hub::open_stepped(Arc::new(disk.clone())) {
        Err(e) => Some(format!("it does not open: {e}")),
        Ok((hub, _)) => {
            let wrong = model.check(&hub, steps).err();
            if goes_on && wrong.is_none() {
                Model::goes_on(&hub);
            }
            wrong
        }
    }
}

/// Runs a history and loses power everywhere in it. `prepare` makes a disk ready before each phase.
fn run(seed: u64, prepare: impl Fn(&SimDisk)) -> Verdict {
    let mut rng = Rng::new(seed);
    let (mut disk, mut model, mut states) = (SimDisk::new(), Model::default(), 0);
    for phase in 0..PHASES {
        disk.record();
        let mut history = History::new(disk.clone(), model, Rng::new(rng.next_u64()));
        prepare(&disk);
        for _ in 0..ACTS {
            history.act().expect("the disk is well");
        }
        let end = disk.steps();
        for state in disk.crash_states(PER_STEP, seed) {
            states += 1;
            let at = format!("seed {seed}, phase {phase}, {state}");
            // Now and then power is lost again, at every step of the recovery.
            let again = rng.one_in(60);
            if again {
                state.disk.record();
            }
            if let Some(wrong) = wrong_with(&state.disk, &history.model, state.steps, rng.one_in(10) && !again) {
                return Verdict { states, wrong: Some(format!("{at}: {wrong}")) };
            }
            if again {
                for second in state.disk.crash_states(4, seed) {
                    states += 1;
                    if let Some(wrong) = wrong_with(&second.disk, &history.model, state.steps, false) {
                        return Verdict { states, wrong: Some(format!("{at}, and again at {second}: {wrong}")) };
                    }
                }
            }
        }
        disk = disk.crash(rng.next_u64());
        let (hub, _) = match Hub::open_stepped(Arc::new(disk.clone())) {
            Ok(opened) => opened,
            Err(e) => return Verdict { states, wrong: Some(format!("seed {seed}, end of phase {phase}: {e}")) },
        };
        if let Err(wrong) = history.model.check(&hub, end) {
            return Verdict { states, wrong: Some(format!("seed {seed}, end of phase {phase}: {wrong}")) };
        }
        model = history.model;
        model.settle(&hub, end);
        // A fresh disk of the same content, so that steps count from 0.
        disk = disk.crash(0);
    }
    Verdict { states, wrong: None }
}

#[test]
fn a_crash_at_any_step_loses_nothing_acknowledged_and_tears_nothing() {
    let number = |name| std::env::var(name).ok().map(|s| s.parse::<u64>().expect("a number"));
    let only = number("THALWEG_HUB_SEED");
    let seeds = only.map_or(0..number("THALWEG_HUB_HISTORIES").unwrap_or(HISTORIES), |seed| seed..seed + 1);
    let count = seeds.clone().count();
    let mut states = 0;
    for seed in seeds {
        let verdict = run(seed, |_| {});
        states += verdict.states;
        if let Some(wrong) = verdict.wrong {
            panic!("{wrong}\nagain: THALWEG_HUB_SEED={seed} cargo test -p thalweg-hub crash");
        }
    }
    println!("{states} crash states of {count} histories, seeds from {}: nothing lost or torn", only.unwrap_or(0));
    assert!(only.is_some() || states >= 10_000, "{states} states");
}

/// Looks for a defect until it is found.
fn find(name: &str, planted: Option<Defect>, prepare: impl Fn(&SimDisk)) {
    plant(planted);
    let mut states = 0;
    for seed in 0..HISTORIES {
        let verdict = run(seed, &prepare);
        states += verdict.states;
        if let Some(wrong) = verdict.wrong {
            println!("{name}: found after {states} crash states: {wrong:.200}");
            return;
        }
    }
    panic!("{name} was not found in {states} crash states");
}

#[test]
fn a_skipped_fsync_of_a_file_is_found() {
    let forgets = |disk: &SimDisk| disk.forget_syncs(|what, path| what == Operation::Sync && path.ends_with(".log"));
    find("skipped fsync", None, forgets);
}

#[test]
fn an_acknowledgement_before_the_fsync_is_found() {
    find("acknowledged before fsync", Some(Defect::EarlyAcknowledgement), |_| {});
}

#[test]
fn a_mark_before_the_fsync_is_found() {
    find("mark before fsync", Some(Defect::EarlyMark), |_| {});
}

#[test]
fn half_of_an_append_to_several_topics_is_found() {
    find("half appends", Some(Defect::HalfAppends), |_| {});
}

#[test]
fn a_forgotten_fsync_of_a_segments_folder_is_found() {
    let forgets =
        |disk: &SimDisk| disk.forget_syncs(|what, path| what == Operation::SyncFolder && path.ends_with("/0"));
    find("forgotten folder fsync of segments", None, forgets);
}

#[test]
fn a_forgotten_fsync_of_the_manifests_folder_is_found() {
    let forgets = |disk: &SimDisk| disk.forget_syncs(|what, path| what == Operation::SyncFolder && path.is_empty());
    find("forgotten folder fsync of manifests", None, forgets);
}
