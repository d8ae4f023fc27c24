//! A child from its start to its death: commands and what it says, and what time it is there. It must not know what the
//! commands mean.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use crate::child::{BEGIN, FOLDER};

/// Micros that may pass in a child beside those of its commands and those of this clock.
const SLACK: i64 = 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Done,
    Failed(String),
}

pub struct Life {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What time it was there when it last said so.
    known: i64,
    asked: Instant,
    /// Micros that it was told to let pass since.
    asked_to_pass: i64,
}

impl Life {
    /// An engine over `folder`; it is `begin` there.
    pub fn begin(folder: &Path, begin: i64) -> Self {
        let program = std::env::current_exe().expect("a program knows itself");
        let mut child = Command::new(program)
            .args(["--exact", "child_of_the_other_tests", "--nocapture"])
            .env(FOLDER, folder)
            .env(BEGIN, begin.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut life = Self { child, to, from, known: begin, asked: Instant::now(), asked_to_pass: 0 };
        assert_eq!(life.answer(), Said::Done, "the engine does not open");
        life
    }

    /// Sends a command and waits for what it says.
    pub fn say(&mut self, command: &str) -> Said {
        self.send(command);
        self.answer()
    }

    /// Runs SQL that cannot fail.
    pub fn must(&mut self, sql: &str) {
        assert_eq!(self.say(&format!("sql {}", sql.replace('\n', " "))), Said::Done, "{sql}");
    }

    /// Sends a command.
    pub fn send(&mut self, command: &str) {
        if let Some(micros) = command.strip_prefix("pass ") {
            self.asked_to_pass += micros.parse::<i64>().expect("a number");
        }
        writeln!(self.to, "{command}").expect("it listens");
    }

    /// It is no later there than this.
    pub fn clock(&self) -> i64 {
        self.known
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it is ours");
        let since = i64::try_from(self.asked.elapsed().as_micros()).expect("not that long");
        self.known += since + self.asked_to_pass + SLACK;
    }

    /// `@ MICROS done` or `@ MICROS failed WHY`; other lines are the test harness's.
    fn answer(&mut self) -> Said {
        loop {
            let mut line = String::new();
            let read = self.from.read_line(&mut line).expect("it speaks UTF-8");
            assert!(read > 0, "the engine has ended by itself");
            let Some(said) = line.trim_end().split_once("@ ").map(|(_, said)| said) else { continue };
            let (clock, said) = said.split_once(' ').expect("a time and a word");
            self.known = clock.parse().expect("a time");
            (self.asked, self.asked_to_pass) = (Instant::now(), 0);
            return match said.strip_prefix("failed ") {
                Some(why) => Said::Failed(why.to_owned()),
                None => Said::Done,
            };
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
