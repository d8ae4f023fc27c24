//! `Server`: a real PostgreSQL server of its own, on a free port, in a temporary directory; and `psql` to look into it.
//! It ends with the process.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use thalweg_connectors::{EpochSinkRequest, epoch_sink};
use thalweg_core::EpochSink;

use super::drive::{options, schema};

/// A running server.
pub struct Server {
    directory: TempDir,
    pub port: String,
    pub user: String,
    pub password: String,
}

impl Server {
    /// Starts one, with a certificate of its own if `ssl`.
    pub fn start(ssl: bool) -> Self {
        // The server may run as another user, who must get there.
        let public = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(public).tempdir().expect("a temporary directory");
        let mut command = script();
        // The server is stopped when this process is gone, however it goes.
        command.arg("start").arg(home(&directory)).arg("--with").arg(std::process::id().to_string());
        if ssl {
            command.arg("--ssl");
        }
        let text = String::from_utf8(run(command).stdout).expect("text");
        let word = |name: &str| {
            let word = text.split_whitespace().find_map(|w| w.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        Self { port: word("port="), user: word("user="), password: word("password="), directory }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate, as PEM text.
    pub fn certificate(&self) -> String {
        std::fs::read_to_string(home(&self.directory).join("data/server.crt")).expect("started with TLS")
    }

    /// A line of `restart`, `crash`, `pause` or `resume`.
    pub fn tell(&self, what: &str) {
        let mut command = script();
        command.arg(what).arg(home(&self.directory));
        run(command);
    }

    /// What psql prints for `sql`: rows as lines, columns divided by `|`.
    pub fn psql(&self, sql: &str) -> String {
        let mut command = Command::new("psql");
        command
            .args(["-h", "127.0.0.1", "-p", &self.port, "-U", &self.user, "-d", "postgres"])
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .env("PGPASSWORD", &self.password)
            .env("PGTZ", "UTC")
            .env("PGCONNECT_TIMEOUT", "30");
        String::from_utf8(run(command).stdout).expect("text").trim_end().to_owned()
    }

    /// A request for a sink into `table`, reached at `port`.
    pub fn request(&self, id: &str, port: &str, table: &str, pairs: &[(&str, &str)]) -> EpochSinkRequest {
        let mut all = vec![("host", "127.0.0.1"), ("port", port), ("user", self.user.as_str()), ("table", table)];
        all.extend([("password", self.password.as_str()), ("database", "postgres")]);
        all.extend_from_slice(pairs);
        EpochSinkRequest {
            name: format!("to_{table}"),
            id: id.to_owned(),
            cluster: "test".to_owned(),
            connector: "postgres".to_owned(),
            options: options(&all),
            schema: schema(),
            key: Some(vec![0]),
            append_only: false,
            disk: None,
        }
    }

    /// A sink into `table`, keyed by `id`.
    pub fn sink(&self, id: &str, table: &str, pairs: &[(&str, &str)]) -> Box<dyn EpochSink> {
        epoch_sink(self.request(id, &self.port, table, pairs)).expect("valid")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut command = script();
        command.arg("kill").arg(home(&self.directory));
        let _ = command.output();
    }
}

fn home(directory: &TempDir) -> PathBuf {
    directory.path().join("postgres")
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres"))
}

fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", command.get_program());
    output
}
