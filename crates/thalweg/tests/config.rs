//! `thalweg.toml`, the environment and the flags as an operator meets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The binary in `folder`, with nothing in its environment.
fn serve(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).env_clear().arg("serve");
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !config.is_empty() {
        std::fs::write(folder.path().join("thalweg.toml"), config).expect("it can be written");
    }
    folder
}

fn checked(folder: &TempDir, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    output(serve(folder.path()).arg("--check-config").args(args).envs(variables.iter().copied()))
}

/// Key, value in TOML and origin of each line of `--check-config`.
fn listed(text: &str) -> Vec<(String, Option<String>, String)> {
    text.lines()
        .map(|line| {
            let (setting, origin) = line.rsplit_once(" # ").expect("an origin");
            let setting = setting.trim();
            match setting.split_once(" = ") {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned()), origin.to_owned()),
                None => {
                    let key = setting.strip_prefix("# ").and_then(|s| s.strip_suffix(" is not set"));
                    (key.expect("a key").to_owned(), None, origin.to_owned())
                }
            }
        })
        .collect()
}

fn origin(text: &str, key: &str) -> String {
    listed(text).into_iter().find(|l| l.0 == key).map(|l| l.2).expect("the key is listed")
}

/// A value in TOML as a flag or a variable has it.
fn plain(value: &str) -> String {
    let items = value.trim_matches(['[', ']']).split(", ").map(|item| item.trim_matches('"'));
    items.collect::<Vec<_>>().join(",")
}

#[test]
fn every_key_is_taken_from_file_environment_and_flag_in_that_order() {
    let (code, defaults, problems) = checked(&folder(""), &[], &[]);
    assert_eq!(code, Some(0), "{problems}");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/thalweg.toml");
    let example = std::fs::read_to_string(example).expect("the example");
    let keys = listed(&defaults);
    assert!(keys.len() > 25, "{defaults}");
    for (key, value, from) in keys {
        assert!(from.starts_with("default"), "{key}: {from}");
        let shown = |line: &str| line.strip_prefix(&format!("# {key} = ")).map(str::to_owned);
        let value = value.or_else(|| example.lines().find_map(shown)).expect("the example has a value for each key");
        let (flag, variable) = (format!("--{key}"), format!("THALWEG_{}", key.replace('-', "_").to_uppercase()));
        let with_file = folder(&format!("# a line before it\n{key} = {value}\n"));
        let (_, text, problems) = checked(&with_file, &[], &[]);
        // What one key alone cannot be, such as a certificate without a key, is told together with its origin.
        let told = |origin: &str, text: &str, problems: &str| {
            let line = listed(text).into_iter().find(|l| l.0 == key);
            line.is_some_and(|l| l.2 == origin && l.1.as_deref() == Some(&value))
                || problems.contains(&format!("{origin}: {key}"))
        };
        assert!(told("thalweg.toml:2", &text, &problems), "{key}: {text}{problems}");
        let variables = [(variable.as_str(), plain(&value))];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        if !plain(&value).is_empty() {
            let (_, text, problems) = checked(&with_file, &[], &variables);
            assert!(told(&variable, &text, &problems), "{key}: {text}{problems}");
        }
        let (_, text, problems) = checked(&with_file, &[&format!("{flag}={}", plain(&value))], &variables);
        assert!(told(&flag, &text, &problems), "{key}: {text}{problems}");
    }
}

#[test]
fn a_flag_takes_back_what_the_file_says_and_an_empty_variable_nothing() {
    let folder = folder("log-json = true\nhttp-allowed-hosts = [\"a.example\"]\nworkers = 3\n");
    let args = ["--log-json=false", "--http-allowed-hosts", "b.example", "--http-allowed-hosts", "c.example"];
    let (code, text, _) = checked(&folder, &args, &[("THALWEG_WORKERS", "")]);
    assert_eq!(code, Some(0));
    for line in ["log-json = false", "http-allowed-hosts = [\"b.example\", \"c.example\"]", "workers = 3"] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert_eq!(origin(&text, "workers"), "thalweg.toml:3");
}

#[test]
fn every_mistake_of_a_file_is_named_with_its_line_and_the_mend() {
    let folder = folder("worker = 2\npg = 4566\n\nlog-json = \"yes\"\n[http]\nbody-limit = \"1MiB\"\n[extra]\n");
    let (code, out, problems) = checked(&folder, &[], &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    for part in [
        "error: thalweg.toml:1: unknown key worker\n  hint: Did you mean workers?",
        "error: thalweg.toml:4: log-json takes true or false\n  hint: Write it as in log-json = true.",
        "error: thalweg.toml:5: http takes a string",
        "error: thalweg.toml:7: unknown key extra\n  hint: There are no tables",
    ] {
        assert!(problems.contains(part), "{part} is not in:\n{problems}");
    }

    // Of values that are right by their kind, each place is named as well.
    let folder = self::folder("workers = 0\npg = \"somewhere\"\nmemory-limit = \"4 bananas\"\n");
    let (code, _, problems) = checked(&folder, &["--log", "=="], &[("THALWEG_SHUTDOWN_GRACE", "soon")]);
    assert_eq!(code, Some(2));
    for part in [
        "error: thalweg.toml:1: workers: '0' is not a number that it takes\n  hint: Give 1 to 256.",
        "error: thalweg.toml:2: pg: 'somewhere' is not an address\n  hint: Write an IP address and a port",
        "error: thalweg.toml:3: memory-limit: '4 bananas' is not a size",
        "error: THALWEG_SHUTDOWN_GRACE: shutdown-grace: 'soon' is not a time",
        "error: --log: log: '==' is not a filter",
    ] {
        assert!(problems.contains(part), "{part} is not in:\n{problems}");
    }

    let (code, _, problems) = checked(&self::folder("pg = \"127.0.0.1:1\"\npg = \"127.0.0.1:2\"\n"), &[], &[]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("error: thalweg.toml:2: duplicate key"), "{problems}");
    let (_, _, problems) = checked(&self::folder("\n\nworkers = = 2\n"), &[], &[]);
    assert!(problems.contains("error: thalweg.toml:3: "), "{problems}");
}

#[test]
fn what_does_not_go_together_is_refused_with_its_origin() {
    let folder = folder("tls-certificate = \"c.pem\"\n");
    let (code, _, problems) = checked(&folder, &[], &[("THALWEG_HTTP_BODIES_LIMIT", "1MiB")]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("thalweg.toml:1: tls-certificate needs tls-key"), "{problems}");
    assert!(problems.contains("THALWEG_HTTP_BODIES_LIMIT: http-bodies-limit is less"), "{problems}");
    let (code, _, problems) = checked(&self::folder(""), &["--pg", "0.0.0.0:4566"], &[]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("--pg: pg: an address that is not loopback needs TLS"), "{problems}");
    // Both keys, but no such files: what holds is shown, and then the reason against it.
    let (code, text, problems) = checked(&folder, &["--tls-key", "k.pem"], &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("tls-key = \"k.pem\"") && problems.contains("c.pem"), "{problems}");
}

#[test]
fn the_file_is_the_one_that_is_named_or_the_one_that_is_there() {
    let here = folder("workers = 3\n");
    std::fs::write(here.path().join("other.toml"), "workers = 5\n").expect("it can be written");
    assert_eq!(origin(&checked(&here, &[], &[]).1, "workers"), "thalweg.toml:1");
    assert_eq!(origin(&checked(&here, &[], &[("THALWEG_CONFIG", "other.toml")]).1, "workers"), "other.toml:1");
    let named = checked(&here, &["--config", "other.toml"], &[("THALWEG_CONFIG", "missing.toml")]);
    assert_eq!(origin(&named.1, "workers"), "other.toml:1");
    let (code, _, problems) = checked(&here, &["--config", "missing.toml"], &[]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("cannot read missing.toml: "), "{problems}");
    // Not silently: a slip in a variable's name.
    let (code, _, problems) = checked(&here, &[], &[("THALWEG_DTA", "/data"), ("THALWEG_QUIET", "1")]);
    assert_eq!(code, Some(0));
    assert_eq!(problems, "warning: THALWEG_DTA is not a setting; did you mean THALWEG_DATA?\n");
}

#[test]
fn no_password_is_shown() {
    let origins = "https://user:canary@console.example";
    let (code, text, problems) = checked(&folder(""), &["--http-allowed-origins", origins], &[]);
    assert_eq!(code, Some(2));
    assert!(problems.contains("***@console.example") && !(text + &problems).contains("canary"), "masked");
    let (code, text, _) = checked(&folder(""), &["--data", "s3://id:canary@bucket/x"], &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("s3://***@bucket/x") && !text.contains("canary"), "{text}");
    let (_, help, _) = output(serve(folder("").path()).arg("--help").env("THALWEG_DATA", "canary"));
    assert!(help.contains("THALWEG_DATA") && !help.contains("canary"), "{help}");
}

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
    http: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = serve(folder).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.as_mut().expect("stdout is piped")).lines();
        let mut line = || lines.next().expect("it says where it is").expect("UTF-8");
        let (url, http) = (line(), line());
        Self { child, url, http: http.trim_start_matches("http://").to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_does_what_its_file_says() {
    let folder = folder(
        "data = \"kept\"\npg = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nlog = \"warn\"\nstatement-timeout = \"200ms\"\n\
         http-allowed-origins = [\"https://console.example\"]\nhttp-body-limit = \"1KiB\"\nmax-connections = 2\n",
    );
    let server = Server::start(folder.path());
    assert!(folder.path().join("kept/catalog.log").exists());
    let (client, connection) = tokio_postgres::connect(&server.url, tokio_postgres::NoTls).await.expect("it answers");
    tokio::spawn(connection);
    let error = client.simple_query("SELECT pg_sleep(3600)").await.expect_err("too long");
    assert_eq!(error.code().map(|c| c.code()), Some("57014"), "{error}");
    client.simple_query("SET statement_timeout = 0; SELECT pg_sleep(0.3)").await.expect("the session says otherwise");

    let status = |request: String| {
        let mut stream = TcpStream::connect(&server.http).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let ask = |origin: &str, body: &str| {
        let length = body.len();
        status(format!(
            "POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Origin: {origin}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    assert!(ask("https://console.example", "SELECT 1").contains("200"));
    assert!(ask("https://other.example", "SELECT 1").contains("403"));
    assert!(ask("https://console.example", &format!("SELECT 1 -- {}", "x".repeat(2000))).contains("413"));
}
