//! `Command`: a backslash command, read. It must not run it.

use std::time::Duration;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Relations,
    Tables,
    Views,
    MaterializedViews,
    Sources,
    Indexes,
    Users,
    Schemas,
    Databases,
}

/// A backslash command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    List(List, Option<String>),
    /// A relation's columns; with its definition.
    Describe(String, bool),
    Watch(Duration),
    /// Runs what has been typed so far; expanded.
    Go(bool),
    Timing(Option<bool>),
    Expanded(Option<bool>),
    Null(String),
    Include(String),
    /// Database and user.
    Connect(Option<String>, Option<String>),
    Echo(String),
    Print,
    Reset,
    Help,
    Quit,
}

/// The text of `\?`.
pub(super) const HELP: &str = r"  \d                list relations
  \d NAME           columns and indexes of a relation; \d+ NAME with its definition
  \dt \dv \dm       list tables, views, materialized views
  \ds \di           list sources, indexes
  \du \dn \l        list users, schemas, databases
                    lists take a pattern, as \dt order* or \dt public.*
  \watch [SECONDS]  run the last statement, or the one before it on the line, again and again until Ctrl-C [2]
  \g  \gx           run what has been typed; \gx with one value a line
  \x [on|off]       one value a line
  \timing [on|off]  the time of each statement
  \pset null TEXT   what NULL looks like
  \i FILE           run a file
  \c [DB [USER]]    connect anew
  \p  \r            print, forget what has been typed
  \echo TEXT        print the text
  \q                quit, as Ctrl-D
  Ctrl-C cancels the statement that runs. A statement ends with a semicolon.
";

/// Names of all commands, for completion.
pub(super) const NAMES: [&str; 23] = [
    "\\?",
    "\\c",
    "\\d",
    "\\d+",
    "\\di",
    "\\dm",
    "\\dn",
    "\\ds",
    "\\dt",
    "\\du",
    "\\dv",
    "\\echo",
    "\\g",
    "\\gx",
    "\\i",
    "\\l",
    "\\p",
    "\\pset null",
    "\\q",
    "\\r",
    "\\timing",
    "\\watch",
    "\\x",
];

impl Command {
    /// Reads a line that begins with a backslash; an error is a message.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let mut arguments = arguments(rest).into_iter();
        let mut argument = || arguments.next();
        Ok(match name {
            "\\d" | "\\d+" => match argument() {
                Some(relation) => Self::Describe(relation, name.ends_with('+')),
                None => Self::List(List::Relations, None),
            },
            "\\dt" | "\\dt+" => Self::List(List::Tables, argument()),
            "\\dv" | "\\dv+" => Self::List(List::Views, argument()),
            "\\dm" | "\\dm+" => Self::List(List::MaterializedViews, argument()),
            "\\ds" | "\\ds+" => Self::List(List::Sources, argument()),
            "\\di" | "\\di+" => Self::List(List::Indexes, argument()),
            "\\du" | "\\dg" => Self::List(List::Users, argument()),
            "\\dn" => Self::List(List::Schemas, argument()),
            "\\l" => Self::List(List::Databases, argument()),
            "\\watch" => {
                let text = argument().unwrap_or_else(|| "2".to_owned());
                let seconds = text.strip_prefix("i=").unwrap_or(&text).parse::<f64>().ok();
                let seconds = seconds.filter(|s| (0.01..=86_400.0).contains(s));
                Self::Watch(Duration::from_secs_f64(seconds.ok_or("\\watch: give seconds from 0.01 to 86400")?))
            }
            "\\g" => Self::Go(false),
            "\\gx" => Self::Go(true),
            "\\timing" => Self::Timing(switch(name, argument())?),
            "\\x" => Self::Expanded(switch(name, argument())?),
            "\\pset" => match (argument().as_deref(), argument()) {
                (Some("null"), text) => Self::Null(text.unwrap_or_default()),
                (Some("expanded"), text) => Self::Expanded(switch("\\pset expanded", text)?),
                _ => return Err("\\pset: only \\pset null TEXT and \\pset expanded are known".to_owned()),
            },
            "\\i" | "\\include" => Self::Include(argument().ok_or("\\i: give a file")?),
            "\\c" | "\\connect" => Self::Connect(argument(), argument()),
            "\\echo" => Self::Echo(arguments.collect::<Vec<_>>().join(" ")),
            "\\p" | "\\print" => Self::Print,
            "\\r" | "\\reset" => Self::Reset,
            "\\?" | "\\h" | "\\help" => Self::Help,
            "\\q" | "\\quit" => Self::Quit,
            _ => return Err(format!("invalid command {name}; try \\? for help")),
        })
    }
}

fn switch(name: &str, argument: Option<String>) -> Result<Option<bool>, String> {
    match argument.as_deref() {
        None => Ok(None),
        Some("on" | "true" | "1") => Ok(Some(true)),
        Some("off" | "false" | "0") => Ok(Some(false)),
        Some(other) => Err(format!("{name} {other}: give on or off")),
    }
}

/// Words, single-quoted ones without their quotes. Double quotes belong to names and stay.
fn arguments(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => {
                quote = None;
                if c == '"' {
                    word.get_or_insert_default().push(c);
                }
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                let word = word.get_or_insert_default();
                if c == '"' {
                    word.push(c);
                }
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let read = |line: &str| Command::parse(line).expect("known");
        assert_eq!(read("\\d"), Command::List(List::Relations, None));
        assert_eq!(read("\\d \"A b\";"), Command::Describe("\"A b\"".to_owned(), false));
        assert_eq!(read("\\dt o*"), Command::List(List::Tables, Some("o*".to_owned())));
        assert_eq!(read("\\watch 0.5"), Command::Watch(Duration::from_millis(500)));
        assert_eq!(read("\\pset null '∅'"), Command::Null("∅".to_owned()));
        assert_eq!(read("\\pset null ''"), Command::Null(String::new()));
        assert_eq!(read("\\x on"), Command::Expanded(Some(true)));
        assert_eq!(read("\\c dev me"), Command::Connect(Some("dev".to_owned()), Some("me".to_owned())));
        for wrong in ["\\watch x", "\\watch -1", "\\x maybe", "\\i", "\\nope", "\\pset border 2"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_name_is_known() {
        for name in NAMES {
            let line = if name == "\\i" { "\\i file" } else { name };
            assert!(Command::parse(line).is_ok(), "{name}");
        }
    }
}
