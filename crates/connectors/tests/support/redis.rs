//! `Server`: a real Redis or Valkey of its own, on a free port, in a temporary directory; and a client to look into it.
//! It ends with the process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use redis::{Commands, Connection, FromRedisValue};
use tempfile::TempDir;
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::EpochSink;

use super::drive::{options, schema};

/// A running server.
pub struct Server {
    directory: TempDir,
    words: BTreeMap<String, String>,
    looking: Mutex<Option<Connection>>,
}

impl Server {
    /// Starts one; `flags` are those of `scripts/redis start`.
    pub fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // The server is stopped when this process is gone, however it goes.
        let pid = std::process::id().to_string();
        let home = home(&directory);
        let arguments = [&["start", home.to_str().expect("text"), "--with", &pid], flags].concat();
        let words = run(&arguments)
            .split_whitespace()
            .filter_map(|word| {
                let (name, value) = word.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        Self { directory, words, looking: Mutex::new(None) }
    }

    /// What the script says of it: `port`, `password`, ….
    pub fn word(&self, name: &str) -> &str {
        self.words.get(name).map(String::as_str).unwrap_or_else(|| panic!("no {name} in {:?}", self.words))
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.word("port"))
    }

    /// A file beside its data.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(home(&self.directory).join(name)).expect("a file")
    }

    /// A line of `restart`, `crash`, `kill`, `pause` or `resume`.
    pub fn tell(&self, what: &str) {
        run(&[what, home(&self.directory).to_str().expect("text")]);
    }

    /// The answer to a command, by another client than the sink's.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.look(|connection| command.query(connection))
    }

    /// Looks into database 0, with a new connection if the last one is broken.
    fn look<T>(&self, question: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> T {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(answer)) = looking.as_mut().map(&question) {
            return answer;
        }
        let url = format!("redis://:{}@{}", self.word("password"), self.address());
        let mut connection = redis::Client::open(url).and_then(|c| c.get_connection()).expect("it runs");
        let answer = question(&mut connection).unwrap_or_else(|e| panic!("{e}"));
        *looking = Some(connection);
        answer
    }

    /// A hash.
    pub fn hash(&self, key: &str) -> BTreeMap<String, String> {
        self.look(|c| c.hgetall(key))
    }

    /// A string.
    pub fn string(&self, key: &str) -> Option<String> {
        self.look(|c| c.get(key))
    }

    /// The names of keys like `pattern`, sorted.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.look(|c| c.keys(pattern));
        keys.sort();
        keys
    }

    /// The entries of a stream: their numbers and fields.
    pub fn entries(&self, key: &str) -> Vec<(String, BTreeMap<String, String>)> {
        self.ask(&["XRANGE", key, "-", "+"])
    }

    /// The progress of the sink with this id.
    pub fn progress(&self, id: &str) -> BTreeMap<String, String> {
        self.hash(&progress_key(id))
    }

    /// A request for a sink that is reached at `address`.
    pub fn request(&self, id: &str, address: &str, pairs: &[(&str, &str)]) -> EpochSinkRequest {
        let url = format!("redis://{address}");
        let prefix = format!("{id}:");
        let mut all = vec![("redis.url", url.as_str()), ("password", self.word("password"))];
        all.extend_from_slice(pairs);
        let named = |name: &str| pairs.iter().any(|(key, _)| *key == name);
        if !named("stream") && !named("key_format") {
            all.insert(0, ("key_prefix", &prefix));
        }
        EpochSinkRequest {
            name: format!("to_{id}"),
            id: id.to_owned(),
            cluster: "test".to_owned(),
            connector: "redis".to_owned(),
            options: options(&all),
            schema: schema(),
            key: Some(vec![0]),
            append_only: false,
            disk: None,
        }
    }

    /// A sink keyed by `id`.
    pub fn sink(&self, id: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
        epoch_sink(self.request(id, &self.address(), pairs)).expect("valid")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = script(&["kill", home(&self.directory).to_str().unwrap_or_default()]).output();
    }
}

/// Where a sink keeps its progress.
pub fn progress_key(id: &str) -> String {
    format!("thalweg:progress:test:{id}")
}

fn home(directory: &TempDir) -> PathBuf {
    directory.path().join("redis")
}

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/redis"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> String {
    let output = script(arguments).output().expect("the script is there");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
