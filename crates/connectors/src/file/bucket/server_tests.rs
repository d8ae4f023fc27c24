//! Objects as files on a real S3-compatible server of its own (`scripts/seaweedfs`), which ends with the process.

use std::path::Path as FilePath;
use std::process::Command;

use arrow::datatypes::{DataType, Field, Schema};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;
use thalweg_bucket::{BucketOptions, Place};
use thalweg_core::{Options, Secret, Source};

use super::super::watch_tests::{Engine, Life, csv, gzip, lines, parquet};
use super::super::{infer, source};
use super::*;
use crate::registry::SourceRequest;

struct Server {
    directory: TempDir,
    store: Arc<dyn ObjectStore>,
    /// `path`, then how it is reached.
    options: Vec<(String, String)>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = script();
        command.arg("start").arg(directory.path().join("seaweedfs")).arg("--with").arg(std::process::id().to_string());
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let word = |name: &str| {
            let word = text.split_whitespace().find_map(|w| w.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let (endpoint, access, secret) = (word("endpoint="), word("access="), word("secret="));
        let reach = BucketOptions {
            endpoint: Some(endpoint.clone()),
            access_key: Some(Secret::new(&access)),
            secret_key: Some(Secret::new(&secret)),
            allow_http: true,
            ..BucketOptions::default()
        };
        let url = format!("s3://{}", word("bucket="));
        let (store, _) = reach.connect(&Place::parse(&url).expect("valid")).expect("valid");
        let options = [("path", url), ("endpoint", endpoint), ("access_key", access), ("secret_key", secret)];
        let allowed = [("allow_http", "true".to_owned()), ("list.seconds", "1".to_owned())];
        let options = options.into_iter().chain(allowed).map(|(k, v)| (k.to_owned(), v)).collect();
        Self { directory, store, options }
    }

    fn put(&self, key: &str, bytes: Vec<u8>) {
        let (store, key) = (Arc::clone(&self.store), Key::from(key));
        block_on(async move { store.put(&key, bytes.into()).await }).expect("answered").expect("put");
    }

    fn options(&self, below: &str, more: &[(&str, &str)]) -> Options {
        let mut pairs = self.options.clone();
        pairs[0].1 = format!("{}/{below}", pairs[0].1);
        for (key, value) in more {
            pairs.retain(|(k, _)| k != key);
            pairs.push(((*key).to_owned(), (*value).to_owned()));
        }
        Options::new(pairs)
    }

    fn source(&self, below: &str, more: &[(&str, &str)]) -> Result<Arc<dyn Source>> {
        source(SourceRequest {
            name: "events".to_owned(),
            connector: "file".to_owned(),
            options: self.options(below, more),
            declared: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
            projection: vec![0],
            event_time: None,
            workers: 2,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = script().arg("stop").arg(self.directory.path().join("seaweedfs")).output();
    }
}

fn script() -> Command {
    Command::new(FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/seaweedfs"))
}

/// Reads until `rows` more are there, and says which.
fn read(life: &mut Life, rows: usize) -> Vec<i64> {
    let before = life.engine.seen.len();
    for _ in 0..1_000 {
        life.step(8_192).expect("read");
        if life.engine.seen.len() >= before + rows {
            break;
        }
        block_on(async { tokio::time::sleep(Duration::from_millis(20)).await }).expect("answered");
    }
    let mut rows = life.engine.seen[before..].to_vec();
    rows.sort_unstable();
    rows
}

// One test: one server for all.
#[test]
fn objects_of_a_real_server() {
    let server = Server::start();
    // More than one request each.
    let many = 2_500_000;
    let bytes = lines(0..many);
    assert!(bytes.len() > 32 << 20);
    server.put("in/a.ndjson", bytes);
    server.put("in/b.ndjson.gz", gzip(&lines(many..many + 3)));
    let mut life = Life::begin(server.source("in", &[]).expect("valid"), &Engine::default()).expect("begins");
    assert!(read(&mut life, many as usize + 3).into_iter().eq(0..many + 3));

    server.put("csv/x.csv", csv(0..4));
    let schema = infer(server.options("csv", &[])).expect("found");
    assert_eq!(schema.field(1).data_type(), &DataType::Int64);

    let watch = &[("mode", "watch"), ("format", "parquet")];
    server.put("live/1.parquet", parquet(0..20));
    let mut life = Life::begin(server.source("live", watch).expect("valid"), &Engine::default()).expect("begins");
    assert!(read(&mut life, 20).into_iter().eq(0..20));
    server.put("live/2.parquet", parquet(20..50));
    assert!(read(&mut life, 30).into_iter().eq(20..50));
    let mut life = Life::begin(server.source("live", watch).expect("valid"), &life.engine).expect("begins");
    server.put("live/3.parquet", parquet(50..60));
    assert!(read(&mut life, 10).into_iter().eq(50..60), "after a restart only what is new");

    for (below, more, expected) in [
        ("in", &[("secret_key", "canary-secret")][..], "access is denied"),
        ("none/*.csv", &[], "names no object"),
        ("in", &[("allow_http", "false")], "not encrypted"),
    ] {
        let error = server.source(below, more).err().expect(expected).to_string();
        assert!(error.contains(expected) && !error.contains("canary"), "{error}");
    }
}
