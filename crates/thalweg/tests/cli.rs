//! The binary as a user meets it: answers, errors, rejected rows, following a file, stopping.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn thalweg() -> Command {
    Command::new(env!("CARGO_BIN_EXE_thalweg"))
}

fn script(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("script.sql");
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path.to_string_lossy().into_owned()
}

fn run(dir: &TempDir, text: &str, args: &[&str]) -> Output {
    thalweg().arg("run").arg(script(dir, text)).args(args).output().expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_query_prints_its_final_rows_in_order() {
    let text = "CREATE TABLE t (k VARCHAR, v BIGINT);
        INSERT INTO t VALUES ('b', 2), ('a', 1), ('b', 5);
        SELECT k, sum(v) AS total FROM t GROUP BY k ORDER BY total DESC;";
    let printed = stdout(&run(&temp(), text, &["--quiet"]));
    let rows: Vec<Vec<&str>> = printed.lines().map(|l| l.split('|').map(str::trim).collect()).collect();
    let b = rows.iter().position(|r| r == &["b", "7"]).expect("b has 7");
    let a = rows.iter().position(|r| r == &["a", "1"]).expect("a has 1");
    assert!(b < a, "{printed}");
}

#[test]
fn check_reports_every_mistake_with_its_place() {
    let dir = temp();
    let file = script(
        &dir,
        "CREATE TABLE t (k VARCHAR);\nSELECT nope FROM t;\nSELECT k FROM tt;\nCREATE SINK s FROM t WITH (connector = 'stdot');\n",
    );
    let output = thalweg().arg("check").arg(&file).output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for part in [":2:8: ", "nope", ":3:", "tt does not exist", "Did you mean t?", ":4:1: ", "stdout", "3 problems"] {
        assert!(errors.contains(part), "{part} is not in:\n{errors}");
    }
}

#[test]
fn a_missing_value_and_a_missing_file_are_named() {
    let dir = temp();
    let output = run(&dir, "CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = '${DIR}/x.csv');", &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("${DIR} has no value"));
    let text = "CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = '${DIR}/x.csv'); SELECT * FROM s;";
    let output = run(&dir, text, &["-e", "DIR=/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/does/not/exist/x.csv"));
}

#[test]
fn an_overflow_stops_the_query_with_its_reason() {
    let text = "CREATE TABLE t (v BIGINT); INSERT INTO t VALUES (9223372036854775807), (1); SELECT sum(v) FROM t;";
    let output = run(&temp(), text, &["--quiet"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("out of range"));
}

#[test]
fn bad_rows_are_set_aside_and_good_ones_counted() {
    let dir = temp();
    let data = dir.path().join("in.ndjson");
    let mut lines = Vec::new();
    for i in 0..1000 {
        lines.extend_from_slice(format!("{{\"id\": {i}, \"t\": \"2026-01-01 00:00:00\"}}\n").as_bytes());
    }
    let bad: [&[u8]; 7] = [
        b"{\"id\": 1, \"t\": \n",
        b"{\"id\": \"x\"}\n",
        b"{\"id\": 99999999999999999999}\n",
        b"{\"t\": \"2026-01-01 00:00:00\"}\n",
        b"{\"id\": 1, \"t\": \"999999-01-01 00:00:00\"}\n",
        b"\xff\xfe\n",
        b"{\"id\": NaN}\n",
    ];
    bad.iter().for_each(|b| lines.extend_from_slice(b));
    lines.extend_from_slice(format!("{}\n", "[".repeat(100_000)).as_bytes());
    std::fs::write(&data, &lines).expect("a temporary folder can be written");
    let source = "CREATE SOURCE s (id BIGINT NOT NULL, t TIMESTAMP) WITH (connector = 'file', path = '${IN}');";
    let set = format!("IN={}", data.display());
    for workers in ["1", "3"] {
        let good = format!("{source} SELECT count(*) AS good FROM s;");
        let printed = stdout(&run(&dir, &good, &["-e", &set, "--quiet", "--workers", workers]));
        assert!(printed.lines().any(|l| l.trim() == "1000"), "{printed}");
        let dead = format!("{source} SELECT count(*) AS dead FROM s$dead;");
        let printed = stdout(&run(&dir, &dead, &["-e", &set, "--quiet", "--workers", workers]));
        assert!(printed.lines().any(|l| l.trim() == "8"), "{printed}");
    }
}

fn wait_for(child: &mut Child, needle: &str) -> String {
    let mut seen = Vec::new();
    let mut out = child.stdout.take().expect("stdout is piped");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut chunk = [0u8; 4096];
    while Instant::now() < deadline {
        let n = out.read(&mut chunk).expect("the pipe can be read");
        seen.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&seen);
        if text.contains(needle) || n == 0 {
            child.stdout = Some(out);
            return text.into_owned();
        }
    }
    panic!("{needle} did not come: {}", String::from_utf8_lossy(&seen));
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("a temporary file");
    file.write_all(text.as_bytes()).expect("a temporary file can be written");
}

#[test]
fn a_followed_file_is_read_as_it_grows_and_ctrl_c_ends_in_order() {
    let dir = temp();
    let log = dir.path().join("app.ndjson");
    append(&log, "{\"n\": 1}\n");
    let text = "CREATE SOURCE s (n BIGINT) WITH (connector = 'file', path = '${LOG}', mode = 'follow');
        CREATE SINK out AS SELECT n * 10 AS ten FROM s WITH (connector = 'stdout', format = 'json');";
    let mut child = thalweg()
        .arg("run")
        .arg(script(&dir, text))
        .args(["--quiet", "-e", &format!("LOG={}", log.display())])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    wait_for(&mut child, "10");
    append(&log, "{\"n\": 2}\n{\"n\": 3}\n");
    wait_for(&mut child, "30");
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: the process is our own child and has not been waited for.
    unsafe { libc::kill(pid, libc::SIGINT) };
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn figures_of_a_run_are_json() {
    let text = "CREATE SOURCE s WITH (connector = 'nexmark', table = 'bid', events = '5000');
        CREATE SINK out FROM s WITH (connector = 'blackhole');";
    let output = run(&temp(), text, &["--quiet", "--stats", "json"]);
    let stats: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON on standard error");
    assert_eq!(stats["rows_in"], 4600);
    assert_eq!(stats["queries"][0]["rows"], 4600);
    for key in ["wall_seconds", "cpu_seconds", "peak_rss_bytes", "epochs"] {
        assert!(stats[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {stats}");
    }
}

#[test]
fn a_plan_shows_what_bounds_it_and_what_does_not() {
    let text = "CREATE SOURCE b (a BIGINT, p BIGINT, t TIMESTAMP, WATERMARK FOR t AS t - INTERVAL '5 seconds')
          WITH (connector = 'file', path = 'x.parquet');
        CREATE SINK w AS SELECT a, count(*) AS n, window_start FROM TUMBLE(b, t, INTERVAL '10 seconds')
          GROUP BY a, window_start, window_end EMIT ON WINDOW CLOSE WITH (connector = 'blackhole');
        CREATE SINK f AS SELECT a, count(*) AS n FROM b GROUP BY a WITH (connector = 'blackhole');";
    let printed = stdout(&run(&temp(), text, &["--explain"]));
    for part in ["emit when", "append-only", "Aggregate Partial", "Exchange hash", "for ever"] {
        assert!(printed.contains(part), "{part} is not in:\n{printed}");
    }
}

#[tokio::test]
async fn checkpoints_are_listed_and_damage_is_found() {
    let dir = temp();
    let run = |command: &str, args: &[&str]| {
        let output = thalweg().args(["checkpoint", command, "--data"]).arg(dir.path()).args(args).output();
        let output = output.expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = run("list", &[]);
    assert!(code == Some(1) && error.contains("has no checkpoints"), "{error}");

    let db = thalweg::Thalweg::open_directory(dir.path()).await.expect("it opens");
    db.execute("CREATE TABLE t (k INT PRIMARY KEY)").await.expect("it is made");
    db.execute("INSERT INTO t SELECT * FROM generate_series(1, 1000)").await.expect("they fit");
    // Also while the directory is in use.
    assert_eq!(run("verify", &[]).0, Some(0));
    db.close().await;

    let (code, listed, _) = run("list", &["--json"]);
    let newest: serde_json::Value = serde_json::from_str(listed.lines().next().expect("one")).expect("JSON");
    assert!(code == Some(0) && newest["jobs"] == 1 && newest["state_bytes"].as_u64() > Some(1000), "{listed}");
    let (code, table, _) = run("verify", &[]);
    assert!(code == Some(0) && table.contains("whole") && table.starts_with("       EPOCH"), "{table}");

    let state = newest["files"][0].as_str().expect("a file");
    let path = dir.path().join("checkpoints").join(state);
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let (code, table, _) = run("verify", &[]);
    for part in ["DAMAGED", state, "expected checksum"] {
        assert!(code == Some(1) && table.contains(part), "{part} is not in:\n{table}");
    }
}
