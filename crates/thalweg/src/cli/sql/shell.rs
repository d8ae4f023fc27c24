//! `Shell`: runs pieces of text and prints what comes of them. It must not know where the text comes from.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::command::{Command, HELP};
use super::complete::Names;
use super::describe;
use super::fault;
use super::layout::{Grid, width};
use super::link::{Link, ResultSet};
use super::split::{Piece, Splitter};
use super::tag::{self, Copy};

/// Files may include files this deep.
const MAX_DEPTH: usize = 16;

/// How things are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) expanded: bool,
    pub(super) timing: bool,
    pub(super) null: String,
    /// No lines as `CREATE TABLE`.
    pub(super) quiet: bool,
}

/// What happens after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    /// Something failed.
    Failed,
    /// Ctrl-C, or the connection is lost: nothing more of the text is run.
    Interrupted,
    Quit,
}

/// The shell.
pub(super) struct Shell {
    pub(super) link: Link,
    pub(super) settings: Settings,
    /// Somebody sits there: passwords may be asked for.
    pub(super) interactive: bool,
    /// Goes on after an error.
    pub(super) keep_going: bool,
    /// Names may have changed since they were read.
    pub(super) stale_names: bool,
    last: Option<String>,
    depth: usize,
}

impl Shell {
    pub(super) fn new(link: Link, settings: Settings, interactive: bool, keep_going: bool) -> Self {
        Self { link, settings, interactive, keep_going, stale_names: true, last: None, depth: 0 }
    }

    /// Runs all complete pieces.
    pub(super) fn feed(&mut self, splitter: &mut Splitter) -> Flow {
        let mut worst = Flow::On;
        while let Some(piece) = splitter.next() {
            let flow = match piece {
                Piece::Statement(sql) => self.statement(&sql),
                Piece::Command(line) => self.command(&line, splitter),
            };
            match flow {
                Flow::On => {}
                Flow::Failed if self.keep_going => worst = Flow::Failed,
                stop => return stop,
            }
        }
        worst
    }

    /// Runs a text to its end; the last statement needs no semicolon.
    pub(super) fn text(&mut self, text: &str) -> Flow {
        let mut splitter = Splitter::default();
        splitter.push(text);
        let flow = self.feed(&mut splitter);
        match (flow, splitter.take()) {
            (Flow::On, Some(rest)) => self.statement(&rest),
            (Flow::Failed, Some(rest)) if self.keep_going => {
                self.statement(&rest);
                Flow::Failed
            }
            _ => flow,
        }
    }

    pub(super) fn statement(&mut self, sql: &str) -> Flow {
        self.last = Some(sql.to_owned());
        self.stale_names |= tag::changes_catalog(sql);
        let begun = Instant::now();
        let outcome = match tag::copy(sql) {
            Some(Copy::FromStdin) => {
                eprintln!(
                    "ERROR:  COPY FROM STDIN is not available here\nHINT:  Use psql, or POST the rows to /v1/ingest."
                );
                return Flow::Failed;
            }
            Some(Copy::ToStdout) => {
                let mut out = io::stdout().lock();
                self.link.copy_out(sql, |bytes| gone_is_end(out.write_all(bytes))).map(|()| Vec::new())
            }
            None => self.link.query(sql),
        };
        let took = begun.elapsed();
        let flow = match outcome {
            Ok(sets) => {
                gone_is_end(self.print(sql, &sets));
                Flow::On
            }
            Err(error) => self.failed(&error, sql),
        };
        if self.settings.timing {
            gone_is_end(writeln!(io::stdout(), "Time: {:.3} ms", took.as_secs_f64() * 1000.0));
        }
        flow
    }

    fn print(&self, sql: &str, sets: &[ResultSet]) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        for set in sets {
            match &set.titles {
                Some(_) => self.grid(&mut out, set, true)?,
                None if self.settings.quiet => {}
                None => writeln!(out, "{}", tag::tag(sql, set.count))?,
            }
        }
        out.flush()
    }

    fn grid(&self, out: &mut dyn Write, set: &ResultSet, foot: bool) -> io::Result<()> {
        let titles = set.titles.as_deref().unwrap_or_default();
        let grid = Grid { titles, rows: &set.rows, null: &self.settings.null, foot };
        if self.settings.expanded { grid.expanded(out) } else { grid.aligned(out) }
    }

    fn failed(&mut self, error: &Error, sql: &str) -> Flow {
        eprint!("{}", fault::error(error, sql));
        if self.link.is_closed() {
            if !self.interactive {
                return Flow::Interrupted;
            }
            eprint!("The connection was lost. Connecting anew: ");
            match self.link.reopen(self.link.config.clone(), true) {
                Ok(()) => eprintln!("done."),
                Err(error) => eprintln!("{error:#}"),
            }
        }
        match error.code() {
            Some(code) if *code == SqlState::QUERY_CANCELED => Flow::Interrupted,
            _ => Flow::Failed,
        }
    }

    fn command(&mut self, line: &str, splitter: &mut Splitter) -> Flow {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(message) => {
                eprintln!("{message}");
                return Flow::Failed;
            }
        };
        match command {
            Command::List(what, pattern) => {
                let (title, sql) = describe::list(what, pattern.as_deref());
                self.listing(title, &sql, true)
            }
            Command::Describe(pattern, with_definition) => self.describe(&pattern, with_definition),
            Command::Watch(every) => match splitter.take_before_command().or_else(|| self.last.clone()) {
                Some(sql) => self.watch(&sql, every),
                None => {
                    eprintln!("\\watch: there is no statement yet");
                    Flow::Failed
                }
            },
            Command::Go(expanded) => match splitter.take_before_command().or_else(|| self.last.clone()) {
                Some(sql) => {
                    let before = self.settings.expanded;
                    self.settings.expanded |= expanded;
                    let flow = self.statement(&sql);
                    self.settings.expanded = before;
                    flow
                }
                None => Flow::On,
            },
            Command::Timing(on) => {
                self.settings.timing = on.unwrap_or(!self.settings.timing);
                self.say(&format!("Timing is {}.", on_off(self.settings.timing)))
            }
            Command::Expanded(on) => {
                self.settings.expanded = on.unwrap_or(!self.settings.expanded);
                self.say(&format!("Expanded display is {}.", on_off(self.settings.expanded)))
            }
            Command::Null(text) => {
                self.settings.null = text;
                self.say(&format!("Null display is \"{}\".", self.settings.null))
            }
            Command::Include(file) => self.include(&file),
            Command::Connect(database, user) => self.connect(database, user),
            Command::Echo(text) => self.say(&text),
            Command::Print => self.say(splitter.peek().unwrap_or("")),
            Command::Reset => {
                splitter.take_before_command();
                Flow::On
            }
            Command::Help => self.say(HELP.trim_end()),
            Command::Quit => Flow::Quit,
        }
    }

    fn say(&self, text: &str) -> Flow {
        gone_is_end(writeln!(io::stdout(), "{text}"));
        Flow::On
    }

    /// Runs a file.
    pub(super) fn include(&mut self, file: &str) -> Flow {
        if self.depth == MAX_DEPTH {
            eprintln!("\\i {file}: files include files too deeply");
            return Flow::Failed;
        }
        match std::fs::read_to_string(file) {
            Ok(text) => {
                self.depth += 1;
                let flow = self.text(&text);
                self.depth -= 1;
                // `\q` in a file ends the file.
                if flow == Flow::Quit && self.depth > 0 { Flow::On } else { flow }
            }
            Err(error) => {
                eprintln!("\\i {file}: {error}");
                Flow::Failed
            }
        }
    }

    fn connect(&mut self, database: Option<String>, user: Option<String>) -> Flow {
        let mut config = self.link.config.clone();
        if let Some(database) = database.filter(|d| d != "-") {
            config.dbname(database);
        }
        if let Some(user) = user {
            config.user(user);
        }
        match self.link.reopen(config, self.interactive) {
            Ok(()) => {
                self.stale_names = true;
                let config = &self.link.config;
                let (database, user) = (config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default());
                self.say(&format!("You are now connected to database \"{database}\" as user \"{user}\"."))
            }
            Err(error) => {
                eprintln!("{error:#}\nThe session before goes on.");
                Flow::Failed
            }
        }
    }

    /// Again and again until Ctrl-C or an error.
    fn watch(&mut self, sql: &str, every: Duration) -> Flow {
        loop {
            self.say(&format!("Every {}s\n", every.as_secs_f64()));
            match self.statement(sql) {
                Flow::On => {}
                Flow::Interrupted => return Flow::On,
                stop => return stop,
            }
            if !self.link.pause(every) {
                return Flow::On;
            }
        }
    }

    fn listing(&mut self, title: &str, sql: &str, foot: bool) -> Flow {
        let sets = match self.link.query(sql) {
            Ok(sets) => sets,
            Err(error) => return self.failed(&error, sql),
        };
        for set in &sets {
            let mut table = Vec::new();
            let shown = self.grid(&mut table, set, foot).and_then(|()| {
                let first = table.split(|b| *b == b'\n').next().map_or(0, |l| width(&String::from_utf8_lossy(l)));
                writeln!(io::stdout(), "{:1$}{title}", "", first.saturating_sub(width(title)) / 2)?;
                io::stdout().write_all(&table)
            });
            gone_is_end(shown);
        }
        Flow::On
    }

    fn describe(&mut self, pattern: &str, with_definition: bool) -> Flow {
        let sql = describe::relations(pattern);
        let found = match self.link.query(&sql) {
            Ok(sets) => sets.into_iter().flat_map(|s| s.rows).collect::<Vec<_>>(),
            Err(error) => return self.failed(&error, &sql),
        };
        if found.is_empty() {
            eprintln!("Did not find any relation named \"{pattern}\".");
            return Flow::Failed;
        }
        for row in found {
            let text = |column| row.try_get(column).ok().flatten().unwrap_or_default();
            let Ok(oid) = text(0).parse::<u32>() else { continue };
            let kind = match text(3) {
                "r" => "Table",
                "v" => "View",
                "m" => "Materialized view",
                "f" => "Source",
                "i" => "Index",
                _ => "Relation",
            };
            let flow = self.listing(&format!("{kind} \"{}.{}\"", text(1), text(2)), &describe::columns(oid), false);
            if flow != Flow::On {
                return flow;
            }
            gone_is_end(self.footers(oid, with_definition));
        }
        Flow::On
    }

    /// What stands below a relation's columns. What the server does not know is left out.
    fn footers(&self, oid: u32, with_definition: bool) -> io::Result<()> {
        let rows =
            |sql: &str| self.link.query(sql).map(|sets| sets.into_iter().flat_map(|s| s.rows).collect::<Vec<_>>());
        let indexes = rows(&describe::indexes(oid)).unwrap_or_default();
        let mut out = io::stdout().lock();
        if !indexes.is_empty() {
            writeln!(out, "Indexes:")?;
        }
        for row in indexes {
            let text = |column| row.try_get(column).ok().flatten().unwrap_or_default();
            let what = match (text(1), text(2)) {
                ("t", _) => "PRIMARY KEY, ",
                (_, "t") => "UNIQUE, ",
                _ => "",
            };
            let definition = text(3).split_once(" USING ").map_or(text(3), |(_, how)| how);
            writeln!(out, "    \"{}\" {what}{definition}", text(0))?;
        }
        if with_definition {
            for row in rows(&describe::definition(oid)).unwrap_or_default() {
                writeln!(out, "Definition:\n{}", row.try_get(0).ok().flatten().unwrap_or_default())?;
            }
        }
        writeln!(out)
    }

    /// Relations and columns, for completion.
    pub(super) fn names(&mut self) -> Names {
        let mut names = Names::default();
        self.stale_names = false;
        for row in self.link.query(describe::ALL_COLUMNS).unwrap_or_default().iter().flat_map(|s| &s.rows) {
            let text = |column| row.try_get(column).ok().flatten().unwrap_or_default();
            names.add(text(0), text(1), text(2));
        }
        names
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Who reads the output may have seen enough: that is the end, and no error.
fn gone_is_end(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("cannot write: {error}");
        }
        std::process::exit(i32::from(error.kind() != io::ErrorKind::BrokenPipe));
    }
}
