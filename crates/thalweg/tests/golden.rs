//! Data directories of former versions open and hold what they held; those of later ones are refused, untouched.
//!
//! `tests/golden/README.md` says how a directory is made.

#![allow(dead_code)]

#[path = "damage/directory.rs"]
mod directory;
#[path = "damage/golden.rs"]
mod golden;
#[path = "damage/model.rs"]
mod model;

use std::path::{Path, PathBuf};

use directory::{contents, copy};
use golden::{lake_lines, lines, make, open, runtime};
use thalweg_store::make_note;

/// What the sink of the directory delivers to, wherever the process is.
const LAKE: &str = "lake";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// One test, for it goes to another folder.
#[test]
fn former_directories_open_and_later_ones_are_refused() {
    let kept = kept();
    let place = tempfile::tempdir().expect("a folder");
    std::env::set_current_dir(place.path()).expect("it is there");
    if let Some(name) = std::env::var_os("THALWEG_GOLDEN_MAKE") {
        write(place.path(), &kept.join(name));
    }
    let versions: Vec<PathBuf> = std::fs::read_dir(&kept)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!versions.is_empty());
    for version in versions {
        opens(&version, place.path());
        is_refused_as_newer(&version, place.path());
    }
}

/// Makes the golden directory of this version.
fn write(place: &Path, to: &Path) {
    let (expected, _) = runtime().block_on(make(place, Path::new(LAKE)));
    copy(&place.join("killed"), &to.join("data"));
    // It is kept free, and made again.
    std::fs::remove_file(to.join("data/hub/reserve")).expect("it is there");
    copy(&place.join("lake-killed"), &to.join(LAKE));
    let text = expected
        .iter()
        .map(|(sql, lines)| format!("{sql}\n{}\n", lines.iter().map(|l| format!("  {l}\n")).collect::<String>()));
    std::fs::write(to.join("expected.txt"), text.collect::<String>()).expect("room");
}

fn opens(version: &Path, place: &Path) {
    let data = place.join("opened");
    copy(&version.join("data"), &data);
    copy(&version.join(LAKE), &place.join(LAKE));
    let expected = std::fs::read_to_string(version.join("expected.txt")).expect("it says what is to be there");
    let mut seen = 0;
    // Twice: what this version makes of it opens too.
    for _ in 0..2 {
        runtime().block_on(async {
            let db = open(&data).await.unwrap_or_else(|e| panic!("{}: {e}", version.display()));
            for answer in expected.split("\n\n").filter(|answer| !answer.trim().is_empty()) {
                let (sql, wanted) = answer.split_once('\n').unwrap_or((answer, ""));
                let wanted: Vec<&str> = wanted.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                let found = lines(&db, sql).await.unwrap_or_else(|e| panic!("{}: {sql}: {e}", version.display()));
                assert_eq!(found, wanted, "{}: {sql}", version.display());
                seen += 1;
            }
            db.close().await;
        });
    }
    assert!(seen > 30, "{seen} answers");
    let delivered = lake_lines(&place.join(LAKE));
    assert!(delivered.windows(2).all(|pair| pair[0] != pair[1]), "each once");
}

fn is_refused_as_newer(version: &Path, place: &Path) {
    let data = place.join("newer");
    copy(&version.join("data"), &data);
    std::fs::remove_file(data.join("FORMAT")).expect("it is there");
    let disk = thalweg_disk::LocalDisk::open(&data).expect("a folder");
    make_note(&disk, "FORMAT", "thalweg data directory, format 1000").expect("room");
    let all = || contents(&data).expect("readable");
    let before = all();
    let error = runtime().block_on(open(&data)).expect_err("it is newer").to_string();
    assert!(error.contains("format 1000") && error.contains("not known to this version"), "{error}");
    assert!(before == all(), "nothing was written");
}
