//! The table against the flags, the reference and the example: what is generated from it is as it was last written.
//! `UPDATE_GOLDEN=1 cargo test --workspace --bins` writes `docs/reference/configuration.md` (from "## Keys" on) and
//! `docs/reference/thalweg.toml` anew.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Effective, Kind, SETTINGS, Setting, file};
use crate::cli::Cli;

const KEYS: &str = "## Keys\n";

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn groups() -> Vec<(&'static str, Vec<&'static Setting>)> {
    let mut groups: Vec<(&str, Vec<&Setting>)> = Vec::new();
    for setting in SETTINGS {
        match groups.last_mut() {
            Some((group, settings)) if *group == setting.group => settings.push(setting),
            _ => groups.push((setting.group, vec![setting])),
        }
    }
    groups
}

/// The reference's tables.
fn tables() -> String {
    let mut out = KEYS.to_owned();
    for (group, settings) in groups() {
        out.push_str(&format!("\n### {group}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"));
        for s in settings {
            let default = match (s.unset, s.default_text().as_str()) {
                (Some(text), _) => text.to_owned(),
                (None, "") => "none".to_owned(),
                (None, value) => format!("`{value}`"),
            };
            out.push_str(&format!("| `{}` | {} | {default} | {} |\n", s.key, s.value, s.help));
        }
    }
    out
}

/// The example: every key with its default, those without one commented out.
fn example() -> String {
    let mut out =
        "# Settings of `thalweg serve`, each with its default. Every key is a flag (--key) and an environment\n\
                   # variable (THALWEG_KEY) as well; docs/reference/configuration.md tells more.\n"
            .to_owned();
    for (group, settings) in groups() {
        out.push_str(&format!("\n# {group}\n"));
        for s in settings {
            out.push_str(&format!("\n# {}.", s.help));
            match s.unset {
                Some(unset) => out.push_str(&format!(" Otherwise: {unset}.\n# {} = {}\n", s.key, s.toml(s.sample))),
                None => out.push_str(&format!("\n{} = {}\n", s.key, s.toml(&s.default_text()))),
            }
        }
    }
    out
}

fn as_written(name: &str, found: &str, expected: &str, whole: String) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(reference(name), whole).expect("docs/reference can be written");
        return;
    }
    assert!(found == expected, "docs/reference/{name} is not what the table says; UPDATE_GOLDEN=1 writes:\n{expected}");
}

#[test]
fn every_key_is_in_the_reference_and_in_the_example() {
    let text = std::fs::read_to_string(reference("configuration.md")).expect("the reference");
    let at = text.find(KEYS).expect("it has its keys");
    as_written("configuration.md", &text[at..], &tables(), format!("{}{}", &text[..at], tables()));
    let text = std::fs::read_to_string(reference("thalweg.toml")).unwrap_or_default();
    as_written("thalweg.toml", &text, &example(), example());
}

#[test]
fn every_key_is_a_flag_and_a_variable() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").expect("serve");
    for setting in SETTINGS {
        let arg = serve.get_arguments().find(|a| a.get_long() == Some(setting.key)).expect(setting.key);
        let variable = format!("THALWEG_{}", setting.key.to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env().and_then(|e| e.to_str()), Some(variable.as_str()));
        assert!(setting.key.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", setting.key);
    }
    // Nothing else takes a value from the environment, but which file to read.
    let others = serve.get_arguments().filter(|a| a.get_env().is_some()).filter_map(|a| a.get_long());
    let others: Vec<&str> = others.filter(|long| !SETTINGS.iter().any(|s| s.key == *long)).collect();
    assert_eq!(others, ["config"]);
}

fn values(text: &str) -> Vec<Option<String>> {
    let given = file::parse(Path::new("thalweg.toml"), text).expect("it is right");
    let effective = Effective::resolve(&given).map_err(|p| p.join("\n")).expect("it holds together");
    SETTINGS.iter().map(|s| (s.get)(&effective.settings)).collect()
}

#[test]
fn the_example_says_what_holds_without_it() {
    let text = example();
    assert_eq!(values(&text), values(""));
    // What is commented out is right as well, and then no key is left.
    let keys = SETTINGS.iter().map(|s| format!("# {} = ", s.key));
    let whole = keys.fold(text, |text, key| text.replace(&key, &key[2..]));
    let given = file::parse(Path::new("thalweg.toml"), &whole).expect("it is right");
    assert_eq!(given.len(), SETTINGS.len());
    Effective::resolve(&given).map_err(|p| p.join("\n")).expect("it holds together");
}

#[test]
fn every_sample_is_taken_shown_as_it_was_given_and_not_the_default() {
    let line = |s: &Setting| format!("{} = {}\n", s.key, s.toml(s.sample));
    let all: String = SETTINGS.iter().map(line).collect();
    for ((setting, value), default) in SETTINGS.iter().zip(values(&all)).zip(values("")) {
        assert_eq!(value.as_deref(), Some(setting.sample), "{}", setting.key);
        // What depends on the machine may be anything.
        assert!(setting.unset.is_some() || value != default, "{}", setting.key);
    }
}

#[test]
fn nothing_wrong_is_taken() {
    let wrong: &[(&str, &[&str])] = &[
        ("pg", &["localhost:4566", "127.0.0.1", ""]),
        ("data", &[""]),
        ("workers", &["0", "257", "-1", "two", ""]),
        ("memory-limit", &["0", "12 bananas", "100", "-1GiB"]),
        ("shutdown-grace", &["10", "soon", "-1s", "1.5s", "600000min", "18446744073709551615h"]),
        ("http-heartbeat", &["0", "0s"]),
        ("log", &["info,audit=loud", "=="]),
        ("log-json", &["maybe", ""]),
        ("http-allowed-origins", &["*", "console.example", "https://a.example/x", "https://u:p@a.example", "null"]),
        ("http-allowed-hosts", &["db.example:80", "https://db.example", "*.example"]),
    ];
    for (key, texts) in wrong {
        let setting = SETTINGS.iter().find(|s| s.key == *key).expect("a key");
        for text in *texts {
            let error = (setting.put)(&mut Default::default(), text).expect_err(text).to_string();
            assert!(error.contains("hint: "), "{key} = {text}: {error}");
        }
    }
    for setting in SETTINGS.iter().filter(|s| s.kind != Kind::Text) {
        let text = format!("{} = 1979-05-27", setting.key);
        let problems = file::parse(Path::new("thalweg.toml"), &text).expect_err("a date");
        assert!(problems[0].starts_with("thalweg.toml:1: "), "{problems:?}");
    }
}

#[test]
fn hostile_files_are_read_or_refused_with_their_lines() {
    let text = example().into_bytes();
    let pieces = b"\"'[]{}=#.,\n\\e_-0";
    for seed in 0..300 {
        let mut rng = thalweg_disk::Rng::new(seed);
        let mut bytes = text.clone();
        for _ in 0..=rng.below(8) {
            let at = rng.below(bytes.len());
            match rng.below(4) {
                0 => bytes[at] = pieces[rng.below(pieces.len())],
                1 => bytes[at] ^= 1 << rng.below(8),
                2 => drop(bytes.drain(at..(at + rng.below(60)).min(bytes.len() - 1).max(at))),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().count() + 1;
        if let Err(problems) = file::parse(Path::new("f.toml"), &text) {
            let place = |p: &String| p.strip_prefix("f.toml:")?.split(':').next()?.parse::<usize>().ok();
            assert!(!problems.is_empty(), "seed {seed}");
            assert!(
                problems.iter().filter_map(place).all(|line| (1..=lines).contains(&line)),
                "seed {seed}: {problems:?}"
            );
        }
    }
}
