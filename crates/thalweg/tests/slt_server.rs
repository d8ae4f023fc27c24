//! The SQL logic tests through a server: the same files, over the PostgreSQL protocol. What is written is flushed before
//! each query, so a query sees it.
//!
//! `SLT=window cargo test -p thalweg --test slt_server` runs the files whose name contains `window`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqllogictest::{DBOutput, DefaultColumnType, Runner};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut url = String::new();
        let stdout = child.stdout.as_mut().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut url).expect("it says where it is");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(tokio_postgres::Client);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = error.as_db_error().map_or_else(
            || error.to_string(),
            |e| {
                let hint = e.hint().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
                format!("{}{hint}", e.message())
            },
        );
        Self(text)
    }
}

#[async_trait::async_trait]
impl sqllogictest::AsyncDB for Client {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failed> {
        let word = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        let asks = matches!(word.as_str(), "select" | "with" | "values");
        if asks {
            self.0.simple_query("FLUSH").await?;
        }
        let messages = self.0.simple_query(sql).await?;
        if !asks {
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut rows = Vec::new();
        let mut width = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => width = columns.len(),
                SimpleQueryMessage::Row(row) => {
                    let cell = |i| match row.get(i) {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    };
                    rows.push((0..row.len()).map(cell).collect());
                }
                _ => {}
            }
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows })
    }

    async fn shutdown(&mut self) {}
}

/// What cannot be asked of a server, and why.
const ELSEWHERE: [(&str, &str); 1] =
    [("close.slt", "its tables end with the script, which closes their last windows; a server's tables do not end")];

fn files() -> Vec<PathBuf> {
    let wanted = std::env::var("SLT").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("tests/slt")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "slt") && p.to_string_lossy().contains(&wanted))
        .filter(|p| !ELSEWHERE.iter().any(|(name, _)| p.ends_with(name)))
        .collect();
    files.sort();
    files
}

async fn connect(url: &str) -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(Client(client))
}

#[tokio::test]
async fn every_file_over_the_wire() {
    let files = files();
    assert!(!files.is_empty(), "no file of tests/slt matches");
    let mut failures = Vec::new();
    for file in &files {
        let server = Server::start();
        let url = server.url.clone();
        let mut runner = Runner::new(move || {
            let url = url.clone();
            async move { connect(&url).await }
        });
        runner.add_label("server");
        if let Err(error) = runner.run_file_async(file).await {
            failures.push(format!("{}: {}", file.display(), error.display(false)));
        }
    }
    assert!(failures.is_empty(), "{} of {} files differ\n{}", failures.len(), files.len(), failures.join("\n\n"));
}
