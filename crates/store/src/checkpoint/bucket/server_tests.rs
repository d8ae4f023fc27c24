//! The shelf on a real S3-compatible server of its own (`scripts/seaweedfs`), which ends with the process.

use std::path::{Path as FilePath, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use thalweg_core::Secret;

use super::super::Checkpoints;
use super::super::tests::{History, compaction_on, restored, stopped_on};
use super::*;

struct Server {
    directory: TempDir,
    endpoint: String,
    bucket: String,
    access: String,
    secret: String,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = script();
        command.arg("start").arg(home(&directory)).arg("--with").arg(std::process::id().to_string());
        let text = String::from_utf8(run(command).stdout).expect("text");
        let word = |name: &str| {
            let word = text.split_whitespace().find_map(|w| w.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let (endpoint, bucket) = (word("endpoint="), word("bucket="));
        Self { endpoint, bucket, access: word("access="), secret: word("secret="), directory }
    }

    fn options(&self) -> BucketOptions {
        BucketOptions {
            endpoint: Some(self.endpoint.clone()),
            access_key: Some(Secret::new(&self.access)),
            secret_key: Some(Secret::new(&self.secret)),
            allow_http: true,
            ..BucketOptions::default()
        }
    }

    fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    fn shelf(&self, prefix: &str) -> Arc<dyn Shelf> {
        Arc::new(
            BucketShelf::open(&self.url(prefix), &self.options(), "me").unwrap_or_else(|e| panic!("{prefix}: {e}")),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut command = script();
        command.arg("stop").arg(home(&self.directory));
        let _ = command.output();
    }
}

fn home(directory: &TempDir) -> PathBuf {
    directory.path().join("seaweedfs")
}

fn script() -> Command {
    Command::new(FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/seaweedfs"))
}

fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", command.get_program());
    output
}

// One test: one server for all.
#[test]
fn checkpoints_on_a_real_server() {
    let server = Server::start();
    compaction_on(&|| server.shelf("compaction/a"));
    stopped_on(&|| server.shelf("stopped"));

    let mut history = History::new(3, server.shelf("history"), Box::new(|| 0));
    (0..20).for_each(|_| history.step());
    let change = history.change();
    history.checkpoints.write(change).expect("written");
    let (_, found) = Checkpoints::open(server.shelf("history")).expect("whole");
    assert_eq!(restored(&found), history.model);
    let change = history.change();
    let error = history.checkpoints.write(change).expect_err("another has taken over").to_string();
    assert!(error.contains("another server has taken over"), "{error}");

    let shelf = server.shelf("files");
    let bytes: Vec<u8> = (0..PIECE_BYTES + 70_000).map(|at| (at % 253) as u8).collect();
    shelf.publish(&[("big".to_owned(), bytes.clone())], ("m", b"manifest")).expect("published");
    let taken = shelf.publish(&[("big".to_owned(), b"other".to_vec())], ("n", b"x")).expect_err("taken");
    assert!(taken.to_string().contains("the name is taken"), "{taken}");
    assert!(shelf.read("big").expect("read") == bytes);
    let range = shelf.read_range("big", PIECE_BYTES as u64 - 9, 20).expect("read");
    assert_eq!(range, bytes[PIECE_BYTES - 9..PIECE_BYTES + 11]);
    assert_eq!(shelf.read_range("m", 8, 10).expect("nothing is there"), b"");
    assert_eq!(shelf.list().expect("listed"), ["big", "m"]);
    ["big", "m", "m"].iter().for_each(|name| shelf.remove(name).expect("removed"));
    assert_eq!(shelf.list().expect("listed"), [""; 0]);

    let wrong = BucketOptions { secret_key: Some(Secret::new("canary-secret")), ..server.options() };
    let cases = [
        (server.url("p"), wrong, "access is denied"),
        ("s3://there-is-none/p".to_owned(), server.options(), "the bucket does not exist"),
    ];
    for (url, options, expected) in cases {
        let error = BucketShelf::open(&url, &options, "me").expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains(&url), "{error}");
        assert!(!error.contains("canary") && !error.contains(&server.access), "{error}");
        println!("{error}");
    }
}
