//! SQL logic tests: every file of `tests/slt` with one worker, with three, and with one row an epoch.
//!
//! A statement is added to a script; a query runs the whole script to the end of its input and compares the rows.
//! `SLT=window cargo test -p thalweg --test slt` runs the files whose name contains `window`.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use thalweg::{EpochLimits, Pipeline, RunConfig};
use thalweg_formats::Cells;

/// A script that grows statement by statement.
struct Script {
    text: String,
    config: RunConfig,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ScriptError(String);

impl Script {
    fn compile(&self, sql: &str) -> Result<Pipeline, ScriptError> {
        Pipeline::compile(&format!("{}{sql};\n", self.text), Default::default())
            .map_err(|problems| ScriptError(problems.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")))
    }
}

impl DB for Script {
    type Error = ScriptError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, ScriptError> {
        let pipeline = self.compile(sql)?;
        let word = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        if !matches!(word.as_str(), "select" | "with" | "values") {
            self.text.push_str(sql);
            self.text.push_str(";\n");
            return Ok(DBOutput::StatementComplete(0));
        }
        let batches = pipeline.collect(self.config.clone()).map_err(|e| ScriptError(e.to_string()))?;
        let types = vec![DefaultColumnType::Any; batches.first().map_or(0, RecordBatch::num_columns)];
        Ok(DBOutput::Rows { types, rows: batches.iter().flat_map(rows).collect() })
    }
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cells: Vec<Cells> = batch.columns().iter().map(|c| Cells::new(c).expect("a printable type")).collect();
    let cell = |c: &Cells, row: usize| {
        if c.is_null(row) {
            return "NULL".to_owned();
        }
        let mut text = Vec::new();
        c.write_text(row, &mut text);
        if text.is_empty() { "(empty)".to_owned() } else { String::from_utf8_lossy(&text).into_owned() }
    };
    (0..batch.num_rows()).map(|row| cells.iter().map(|c| cell(c, row)).collect()).collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let wanted = std::env::var("SLT").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("tests/slt")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "slt") && p.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    files
}

fn run_file(file: &Path, config: &RunConfig) -> Result<(), String> {
    let mut runner = Runner::new(|| {
        let config = config.clone();
        async move { Ok(Script { text: String::new(), config }) }
    });
    runner.run_file(file).map_err(|error| format!("{}: {}", file.display(), error.display(false)))
}

fn run_all(config: &RunConfig) {
    let files = files("tests/slt");
    assert!(!files.is_empty(), "no file of tests/slt matches");
    let failures: Vec<String> = files.iter().filter_map(|file| run_file(file, config).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn with_one_worker() {
    run_all(&RunConfig { workers: 1, ..RunConfig::default() });
}

#[test]
fn with_three_workers() {
    run_all(&RunConfig { workers: 3, ..RunConfig::default() });
}

#[test]
fn with_one_row_an_epoch() {
    run_all(&RunConfig { workers: 1, epochs: EpochLimits::forced(1), ..RunConfig::default() });
}

/// The files of `tests/slt/pending` hold what differs from PostgreSQL so far: one that passes has been mended, and its
/// queries belong one folder up.
#[test]
fn what_is_pending_still_differs() {
    let config = RunConfig { workers: 1, ..RunConfig::default() };
    let mended: Vec<PathBuf> =
        files("tests/slt/pending").into_iter().filter(|file| run_file(file, &config).is_ok()).collect();
    assert!(mended.is_empty(), "move the queries of {mended:?} to tests/slt");
}
