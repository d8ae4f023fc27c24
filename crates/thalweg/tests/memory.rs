//! The memory limit as a user meets it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Every row has a key of its own: the state of `GROUP BY id` grows with the input.
const GROWING: &str = "CREATE SOURCE s (id BIGINT, v BIGINT)
      WITH (connector = 'datagen', rows = '${ROWS}', 'fields.id.kind' = 'sequence');
    CREATE SINK out AS SELECT id, count(*) AS n FROM s GROUP BY id
      WITH (connector = 'stdout', format = 'changelog');";

/// No two rows meet: both sides of the join are kept for ever.
const JOIN: &str = "CREATE SOURCE l (a BIGINT) WITH (connector = 'datagen', 'fields.a.kind' = 'sequence',
      'rows-per-second' = '10000000');
    CREATE SOURCE r (b BIGINT) WITH (connector = 'datagen', 'fields.b.kind' = 'sequence',
      'fields.b.start' = '-9000000000', 'rows-per-second' = '10000000');
    CREATE SINK out AS SELECT a, b FROM l JOIN r ON a = b WITH (connector = 'blackhole');";

fn run(text: &str, args: &[&str], limit: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.arg("run").arg("-").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(limit) = limit {
        command.env("THALWEG_MEMORY_LIMIT", limit);
    }
    let mut child = command.spawn().expect("the binary starts");
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes()).expect("the script is read");
    child.wait_with_output().expect("it ends")
}

fn error_of(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    errors
}

#[test]
fn state_above_the_limit_stops_the_run_and_says_what_holds_it() {
    for workers in ["1", "2"] {
        let args = ["-e", "ROWS=50000000", "--quiet", "--workers", workers, "--memory-limit", "32MiB"];
        let output = run(GROWING, &args, None);
        let errors = error_of(&output);
        for part in ["32.0 MiB", "GROUP BY id", "of state", "--memory-limit", "THALWEG_MEMORY_LIMIT", "watermark"] {
            assert!(errors.contains(part), "{part} is not in: {errors}");
        }
        // Whole lines of whole epochs: each key once.
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(printed.ends_with('\n'), "what was delivered stays");
        let rows = printed.lines().filter(|l| l.starts_with('+')).count();
        assert!((10_000..50_000_000).contains(&rows), "{rows} rows");
    }
}

#[test]
fn an_unbounded_join_without_end_stops_at_the_limit() {
    let errors = error_of(&run(JOIN, &["--quiet"], Some("48MiB")));
    for part in ["48.0 MiB", "JOIN ON a = b"] {
        assert!(errors.contains(part), "{part} is not in: {errors}");
    }
}

#[test]
fn a_run_below_the_limit_says_how_much_it_held() {
    let output = run(GROWING, &["-e", "ROWS=100000", "--quiet", "--memory-limit", "1GiB", "--stats", "json"], None);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let stats: serde_json::Value = serde_json::from_str(&errors).expect("JSON on standard error");
    let peak = stats["peak_state_bytes"].as_u64().expect("a number");
    assert!((800_000..100 << 20).contains(&peak), "100,000 keys of 8 bytes took {peak}");
}

#[test]
fn one_epoch_of_everything_is_watched_too() {
    let args = ["-e", "ROWS=50000000", "--quiet", "--epoch-rows", "0", "--memory-limit", "32MiB"];
    let output = run(GROWING, &args, None);
    assert!(error_of(&output).contains("GROUP BY id"));
}

#[test]
fn a_limit_that_is_no_size_is_refused() {
    let output = run("SELECT 1;", &["--memory-limit", "much"], None);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("4GiB"), "{errors}");
}
