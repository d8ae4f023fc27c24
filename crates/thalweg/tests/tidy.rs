//! The house rules that no compiler checks: dependency directions, file headers, file sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which rooms a room may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("thalweg-core", &[]),
    ("thalweg-plan", &["thalweg-core"]),
    ("thalweg-sql", &["thalweg-core", "thalweg-plan", "thalweg-analysis"]),
    ("thalweg-operators", &["thalweg-core", "thalweg-plan", "thalweg-analysis"]),
    ("thalweg-runtime", &["thalweg-core", "thalweg-plan", "thalweg-operators"]),
    ("thalweg-formats", &["thalweg-core"]),
    ("thalweg-connectors", &["thalweg-core", "thalweg-formats", "thalweg-disk", "thalweg-bucket"]),
    ("thalweg-analysis", &["thalweg-core"]),
    ("thalweg-bucket", &["thalweg-core"]),
    ("thalweg-disk", &["thalweg-core"]),
    ("thalweg-hub", &["thalweg-core", "thalweg-disk"]),
    ("thalweg-store", &["thalweg-core", "thalweg-disk", "thalweg-bucket"]),
    ("thalweg-serve", &["thalweg-core", "thalweg-formats"]),
];

/// Heavy dependencies and the only rooms that may name them.
const HEAVY: &[(&str, &[&str])] = &[
    ("timely", &["thalweg-runtime"]),
    ("datafusion", &["thalweg-plan", "thalweg-sql", "thalweg-operators"]),
    ("parquet", &["thalweg-connectors"]),
    ("clap", &["thalweg"]),
    ("pgwire", &["thalweg-serve"]),
    ("axum", &["thalweg-serve"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |v: &serde_json::Value| v.as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|p| {
            let normal = p["dependencies"].as_array().expect("dependencies").iter().filter(|d| d["kind"].is_null());
            (text(&p["name"]), normal.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn arrows_point_only_toward_core() {
    let all = dependencies();
    for (room, allowed) in ALLOWED {
        let rooms = all[*room].iter().filter(|d| d.starts_with("thalweg"));
        for dependency in rooms {
            assert!(allowed.contains(&dependency.as_str()), "{room} must not depend on {dependency}");
        }
    }
}

#[test]
fn heavy_dependencies_stay_in_their_rooms() {
    for (room, dependencies) in dependencies() {
        for (heavy, rooms) in HEAVY {
            assert!(
                !dependencies.contains(*heavy) || rooms.contains(&room.as_str()),
                "{heavy} belongs to {rooms:?}, not to {room}"
            );
        }
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of ours").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_stays_readable() {
    let mut files = Vec::new();
    for room in std::fs::read_dir(root().join("crates")).expect("crates").flatten() {
        sources(&room.path(), &mut files);
    }
    assert!(files.len() > 50, "the walk found the sources");
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        if !text.starts_with("//!") {
            faults.push(format!("{}: opens without //!", file.display()));
        }
        let lines = text.lines().count();
        if lines > 600 {
            faults.push(format!("{}: {lines} lines; cut it", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
