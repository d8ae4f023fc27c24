//! Hostile bytes, wherever some are read: the seeds of the fuzz targets and thousands of mutations of them, for a moment.
//! `fuzz/run.sh` goes on from there.
//!
//! `THALWEG_HOSTILE_CASES` says how many mutations of each target's seeds, `THALWEG_HOSTILE_SEED` where they begin.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use thalweg_disk::Rng;

/// What stands in messages, statements and files here and there.
const PIECES: [&[u8]; 20] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff",
    b"\xc3",
    b"'",
    b"\"",
    b"(",
    b")",
    b";",
    b",",
    b"\n",
    b"--",
    b"/*",
    b"$1",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"null",
    b"\\",
];

fn mutated(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=rng.below(6) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(7) {
            0 if at < bytes.len() => bytes[at] = rng.below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 => {
                let end = (at + rng.below(12)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let from = rng.below(bytes.len() + 1);
                let copy = bytes[from..(from + rng.below(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => drop(bytes.splice(at..at, PIECES[rng.below(PIECES.len())].iter().copied())),
            5 if rng.one_in(3) => bytes.truncate(at),
            _ => {
                let piece = PIECES[rng.below(PIECES.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
    bytes
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Replays the seeds of `target` and `cases` mutations of each.
fn replay(target: &str, cases: u64, read: impl Fn(&[u8])) {
    let cases = number("THALWEG_HOSTILE_CASES", cases);
    let first = number("THALWEG_HOSTILE_SEED", 0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{target} has seeds");
    for seed in seeds {
        let bytes = std::fs::read(&seed).expect("readable");
        read(&bytes);
        for case in first..first + cases {
            let input = mutated(&bytes, &mut Rng::new(case));
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| read(&input))) {
                let name = seed.file_name().expect("a name").display();
                println!("{target}/{name}, THALWEG_HOSTILE_SEED={case}: {:?}", String::from_utf8_lossy(&input));
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn logs() {
    replay("log", 2_000, thalweg_store::smoke::log);
}

#[test]
fn manifests_of_checkpoints() {
    replay("manifest", 4_000, thalweg_store::smoke::manifest);
}

#[test]
fn notes() {
    replay("note", 500, thalweg_store::smoke::note);
}

#[test]
fn record_batches() {
    replay("batch", 4_000, thalweg_hub::smoke::batch);
}

#[test]
fn manifests_of_the_hub() {
    replay("hub_manifest", 1_000, thalweg_hub::smoke::manifest);
}

#[test]
fn segments_and_marks() {
    replay("segment", 1_000, thalweg_hub::smoke::segment_and_marks);
}

#[test]
fn first_messages() {
    replay("startup", 2_000, thalweg_serve::smoke::startup);
}

#[test]
fn messages_of_a_client() {
    replay("messages", 2_000, thalweg_serve::smoke::messages);
}

#[test]
fn bodies_of_rows() {
    replay("ingest", 1_000, thalweg_serve::smoke::ingest);
}

#[test]
fn statements() {
    replay("sql", 60, thalweg_sql::smoke::sql);
}
