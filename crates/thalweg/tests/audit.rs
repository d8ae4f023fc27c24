//! The audit log: every kind of event is in it, no password ever is, and nothing takes a line away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use thalweg::{Config, SqlState, Thalweg};
use tokio_postgres::NoTls;

/// In every password, and nowhere else.
const CANARY: &str = "canary";
/// `ann:canary-2` and `ann:canary-wrong`, as RFC 7617 has them.
const ANN: &str = "Basic YW5uOmNhbmFyeS0y";
const NOT_ANN: &str = "Basic YW5uOmNhbmFyeS13cm9uZw==";

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the audit log");
    assert!(text.ends_with('\n'), "whole lines");
    text.lines().map(|l| serde_json::from_str(l).expect("each line is JSON")).collect()
}

fn is(line: &Value, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(key, value)| line[*key].as_str() == Some(value))
}

fn found<'a>(lines: &'a [Value], wanted: &[(&str, &str)]) -> &'a Value {
    let line = lines.iter().find(|l| is(l, wanted));
    line.unwrap_or_else(|| panic!("no line is {wanted:?}:\n{}", texts(lines)))
}

fn texts(lines: &[Value]) -> String {
    lines.iter().map(|l| format!("{l}\n")).collect()
}

/// A server on a data directory.
struct Server {
    child: Child,
    address: String,
    http: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "debug", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.as_mut().expect("stdout is piped")).lines();
        let mut line = || lines.next().expect("it says where it is").expect("UTF-8");
        let (pg, http) = (line(), line());
        let address = pg.rsplit('@').next().expect("an address").trim_end_matches("/dev").to_owned();
        Self { child, address, http: http.trim_start_matches("http://").to_owned() }
    }

    async fn connect(&self, user: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) =
            tokio_postgres::connect(&format!("postgres://{user}@{}/dev", self.address), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The status of a request.
    fn post(&self, path: &str, authorization: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.http).expect("it listens");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
             Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let request =
            if path.contains("/ingest/") { request.replace("text/plain", "application/x-ndjson") } else { request };
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
    }

    /// Ends it in order; what it has logged.
    fn stop(mut self) -> String {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: the process is our own child and has not been waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let mut said = String::new();
        self.child.stderr.take().expect("stderr is piped").read_to_string(&mut said).expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success());
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn refused(client: &tokio_postgres::Client, sql: &str) -> String {
    let error = client.simple_query(sql).await.expect_err(sql);
    error.code().map(|c| c.code().to_owned()).expect("the server's answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_event_is_there_and_no_password_is() {
    let folder = temp();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let root = server.connect("root").await.expect("no password on loopback");
    for sql in [
        "CREATE TABLE t (k INT PRIMARY KEY)",
        "CREATE USER ann PASSWORD 'canary-1'",
        "alter  user ann /* canary */ with password 'canary-2' -- canary",
        "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t",
        "GRANT SELECT ON v TO ann",
        "REVOKE SELECT ON v FROM ann",
        "PREPARE p AS CREATE SCHEMA sales",
        "EXECUTE p",
        "ALTER TABLE t RENAME TO renamed",
        "INSERT INTO renamed VALUES (1)",
        "CREATE ROLE gone; DROP ROLE gone",
    ] {
        root.simple_query(sql).await.expect(sql);
    }
    assert_eq!(refused(&root, "CREATE TABLE renamed (k INT)").await, "42P07");
    let source = "CREATE SOURCE s (k INT) WITH (connector = 'nowhere', sasl.password = 'canary-3')";
    assert_eq!(refused(&root, source).await, "42P10");
    // What does not parse never was a statement.
    assert_eq!(refused(&root, "CREATE USER bob PASSWORD canary").await, "42601");
    drop(root);

    let error = server.connect("ann:canary-wrong").await.map(drop).expect_err("a wrong password");
    assert_eq!(error.code().map(|c| c.code()), Some("28P01"));
    let nobody = server.connect("nobody:canary-4").await.map(drop).expect_err("no such user");
    assert_eq!(nobody.code().map(|c| c.code()), Some("28P01"));
    let ann = server.connect("ann:canary-2").await.expect("her password");
    assert_eq!(refused(&ann, "SELECT * FROM renamed WHERE k = 7").await, "42501");
    assert_eq!(refused(&ann, "DROP TABLE renamed").await, "42501");
    let error = ann.prepare("UPDATE renamed SET k = $1").await.map(drop).expect_err("described, not run");
    assert_eq!(error.code().map(|c| c.code()), Some("42501"));
    assert_eq!(refused(&ann, "COPY renamed FROM STDIN").await, "42501");
    drop(ann);

    assert_eq!(server.post("/v1/sql", NOT_ANN, "SELECT 1"), 401);
    assert_eq!(server.post("/v1/ingest/renamed", ANN, "{\"k\": 1}"), 403);
    assert_eq!(server.post("/v1/sql", ANN, "CREATE SCHEMA hers"), 403);
    assert_eq!(server.post("/v1/sql", ANN, "ALTER USER ann PASSWORD 'canary-2'"), 200);
    assert_eq!(server.post("/v1/token", ANN, ""), 200);
    let said = server.stop();

    let path = data.join("audit.log");
    assert_eq!(std::fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    let all = lines(&path);
    let ok = ("outcome", "ok");
    let (root, ann) = (("user", "root"), ("user", "ann"));
    let denied = [("event", "privilege_refused"), ("sqlstate", "42501"), ("outcome", "error")];
    let expected: &[&[(&str, &str)]] = &[
        &[("event", "server_start"), ok],
        &[("event", "login"), root, ("surface", "postgres"), ok],
        &[("event", "ddl"), root, ("object", "t"), ("statement", "CREATE TABLE t (k INT PRIMARY KEY)"), ok],
        &[("event", "role"), root, ("object", "ann"), ("statement", "CREATE ROLE ann WITH LOGIN PASSWORD '***'"), ok],
        &[("event", "role"), root, ("object", "ann"), ("statement", "ALTER ROLE ann WITH PASSWORD '***'"), ok],
        &[("event", "ddl"), ("object", "v"), ok],
        &[("event", "grant"), ("object", "v"), ("statement", "GRANT SELECT ON v TO ann"), ok],
        &[("event", "grant"), ("statement", "REVOKE SELECT ON v FROM ann"), ok],
        &[("event", "ddl"), ("object", "sales"), ("statement", "CREATE SCHEMA sales"), ok],
        &[("event", "ddl"), ("object", "t"), ("statement", "ALTER TABLE t RENAME TO renamed"), ok],
        &[("event", "role"), ("object", "gone"), ("statement", "DROP ROLE gone"), ok],
        &[("event", "ddl"), ("object", "renamed"), ("outcome", "error"), ("sqlstate", "42P07")],
        &[("event", "ddl"), ("object", "s"), ("statement", &source.replace("canary-3", "***")), ("sqlstate", "42P10")],
        &[("event", "logout"), root],
        &[("event", "login_refused"), ann, ("surface", "postgres"), ("sqlstate", "28P01")],
        &[("event", "login_refused"), ("user", "nobody"), ("sqlstate", "28P01")],
        &[("event", "login"), ann, ("surface", "postgres")],
        &[denied[0], denied[1], denied[2], ann, ("statement", "SELECT * FROM renamed WHERE k = 7")],
        &[denied[0], ann, ("object", "renamed"), ("statement", "DROP TABLE renamed")],
        &[denied[0], ann, ("statement", "UPDATE renamed SET k = $1")],
        &[denied[0], ann, ("statement", "COPY renamed FROM STDIN")],
        &[("event", "logout"), ann],
        &[("event", "login_refused"), ann, ("surface", "http"), ("sqlstate", "28P01")],
        &[("event", "login"), ann, ("surface", "http")],
        &[("event", "ingest_denied"), ann, ("surface", "http"), ("object", "renamed"), ("sqlstate", "42501")],
        &[denied[0], ann, ("surface", "http"), ("object", "hers")],
        &[("event", "role"), ann, ("surface", "http"), ("statement", "ALTER ROLE ann WITH PASSWORD '***'")],
        &[("event", "token_issued"), ann, ("surface", "http")],
        &[("event", "server_stop"), ok],
    ];
    for wanted in expected {
        let line = found(&all, wanted);
        let time = line["time"].as_str().expect("a time");
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        let own = wanted[0].1.starts_with("server");
        assert!(own || line["peer"].as_str().is_some_and(|p| p.starts_with("127.0.0.1:")), "{line}");
    }
    // Each event once: no statement is told twice, none that is no event is told.
    let told = |text: &str| all.iter().filter(|l| l["statement"].as_str().is_some_and(|s| s.contains(text))).count();
    assert_eq!((told("CREATE SCHEMA sales"), told("UPDATE renamed"), told("INSERT"), told("bob")), (1, 1, 0, 0));
    for (name, text) in [("audit log", &texts(&all)), ("server's log", &said)] {
        assert!(!text.contains(CANARY), "a password is in the {name}:\n{text}");
    }
    assert!(said.contains("audit: event=\"login\""), "the server's log tells the events as well:\n{said}");

    // A restart appends.
    let before = std::fs::read(&path).expect("readable");
    let server = Server::start(&data);
    server.connect("root").await.expect("as before");
    server.stop();
    let after = std::fs::read(&path).expect("readable");
    assert!(after.starts_with(&before));
    let (events, last) = (lines(&path), all.len());
    let events: Vec<&str> = events[last..].iter().filter_map(|l| l["event"].as_str()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("server_start", "server_stop"), "{events:?}");
}

fn at(path: &Path) -> Config {
    Config { audit_log: Some(path.to_owned()), ..Config::default() }
}

#[tokio::test]
async fn a_program_has_its_log_where_it_says() {
    let folder = temp();
    let path = folder.path().join("own.log");
    let db = Thalweg::open(at(&path)).await.expect("it opens");
    db.execute("CREATE TABLE t (k INT PRIMARY KEY); CREATE USER ann PASSWORD 'canary'").await.expect("they run");
    let mut ann = db.connect_as("ann").expect("she may");
    ann.query("SELECT * FROM t").await.expect_err("she may not");
    ann.subscribe("t").await.expect_err("she may not");
    drop(ann);
    db.connect_as("eve").expect_err("unknown");
    db.close().await;
    db.execute("CREATE TABLE late (k INT)").await.expect_err("closed");
    let all = lines(&path);
    let events: Vec<&str> = all.iter().filter_map(|l| l["event"].as_str()).collect();
    let expected = [
        "server_start",
        "ddl",
        "role",
        "login",
        "privilege_refused",
        "privilege_refused",
        "logout",
        "login_refused",
        "server_stop",
    ];
    assert_eq!(events, expected, "{}", texts(&all));
    assert!(all[1..8].iter().all(|l| l["surface"] == "embedded" && l["peer"].is_null()), "{}", texts(&all));
    assert!(!texts(&all).contains(CANARY));

    // In memory and without a path there is none; with a data directory it is there; dropping writes the last line.
    let data = folder.path().join("data");
    let db = Thalweg::open_directory(&data).await.expect("it opens");
    drop(db);
    let all = lines(&data.join("audit.log"));
    assert!(is(&all[1], &[("event", "server_stop"), ("detail", "dropped")]), "{}", texts(&all));
}

#[tokio::test]
async fn without_its_log_nothing_starts() {
    let folder = temp();
    for path in [Path::new("/dev/full"), &folder.path().join("no/such/folder/audit.log")] {
        let error = Thalweg::open(at(path)).await.expect_err("it cannot be written");
        assert_eq!(error.state, SqlState::IO_ERROR);
        assert!(error.message.contains("audit log") && error.hint.is_some(), "{error}");
    }
}

/// The end of a pipe that the log is read from.
fn reader(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).expect("a pipe")
}

#[tokio::test]
async fn changes_are_refused_while_the_log_cannot_be_written() {
    let folder = temp();
    let path = folder.path().join("pipe");
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the name is a C string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let first = reader(&path);
    let db = Thalweg::open(at(&path)).await.expect("it opens");
    db.execute("CREATE TABLE a (k INT PRIMARY KEY)").await.expect("it is written");
    drop(first);

    // Nobody reads the pipe: writes fail. The first statement learns it when it has taken effect, and says so.
    let error = db.execute("CREATE TABLE b (k INT PRIMARY KEY)").await.expect_err("not written");
    assert_eq!((error.state, error.detail.as_deref()), (SqlState::IO_ERROR, Some("The statement has taken effect.")));
    for sql in ["CREATE TABLE c (k INT)", "CREATE USER ann", "GRANT SELECT ON a TO PUBLIC", "DROP TABLE a"] {
        let error = db.execute(sql).await.expect_err(sql);
        assert_eq!((error.state, error.detail), (SqlState::IO_ERROR, None), "{sql}");
    }
    // The rest goes on.
    db.execute("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); FLUSH").await.expect("they run");
    db.query("SELECT * FROM a, b").await.expect("it runs");
    assert_eq!(db.query("SELECT * FROM c").await.expect_err("it was refused").state, SqlState::UNDEFINED_TABLE);

    let mut second = reader(&path);
    db.execute("CREATE TABLE c (k INT)").await.expect("it can be written again");
    db.close().await;
    let mut text = String::new();
    second.read_to_string(&mut text).expect("UTF-8");
    let all: Vec<Value> =
        text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).expect("JSON")).collect();
    // The pipe still holds what was written before. Then: the statement that took effect, and four times the log was tried.
    let at = all.iter().position(|l| l["event"] == "lost").expect("what is missing is told");
    let all = &all[at..];
    assert!(is(&all[0], &[("event", "lost"), ("detail", "5 events could not be written")]), "{text}");
    assert!(is(&all[1], &[("event", "ddl"), ("object", "c"), ("outcome", "ok")]), "{text}");
}
