//! `Broker`: a real Kafka server of its own, on free ports, in a temporary directory. It ends with the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A running broker.
pub struct Broker {
    directory: TempDir,
    bootstrap: String,
    proxied: Option<String>,
}

impl Broker {
    /// Starts one. With `advertise` it has a second listener that tells its clients to come to that port of loopback.
    pub fn start(advertise: Option<u16>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = script();
        // The server is stopped when this process is gone, however it goes.
        command.arg("start").arg(home(&directory)).arg("--with").arg(std::process::id().to_string());
        if let Some(port) = advertise {
            command.arg("--advertise").arg(port.to_string());
        }
        let output = run(command);
        let text = String::from_utf8(output.stdout).expect("text");
        let word = |name: &str| {
            let word = text.split_whitespace().find_map(|w| w.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let proxied = Some(word("proxied=")).filter(|p| !p.is_empty());
        Self { bootstrap: word("bootstrap="), directory, proxied }
    }

    /// Its address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The address of the second listener.
    pub fn proxied(&self) -> &str {
        self.proxied.as_deref().expect("started with a second listener")
    }

    /// Stops it with SIGSTOP.
    pub fn pause(&self) {
        self.tell("pause");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.tell("resume");
    }

    /// Stops it cleanly and starts it again on the same port.
    pub fn restart(&self) {
        self.tell("restart");
    }

    /// Runs one of the tools that come with the server; returns what it prints.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        String::from_utf8(run(self.tool_command(class, arguments)).stdout).expect("text")
    }

    /// One of the tools, to be started.
    pub fn tool_command(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = script();
        command.arg("run").arg(home(&self.directory)).arg(class);
        command.args(["--bootstrap-server", &self.bootstrap]).args(arguments);
        command
    }

    fn tell(&self, what: &str) {
        let mut command = script();
        command.arg(what).arg(home(&self.directory));
        run(command);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let mut command = script();
        command.arg("kill").arg(home(&self.directory));
        let _ = command.output();
    }
}

/// The server's files; the script removes them, the temporary directory around them goes with `Broker`.
fn home(directory: &TempDir) -> PathBuf {
    directory.path().join("kafka")
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka"))
}

fn run(mut command: Command) -> Output {
    let output = command.output().expect("scripts/kafka runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output
}
