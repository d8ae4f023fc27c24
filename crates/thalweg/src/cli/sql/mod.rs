//! `thalweg sql`: a shell for a server. It must not know how statements are answered.

mod command;
mod complete;
mod describe;
pub(crate) mod fault;
mod layout;
mod link;
mod password;
mod repl;
mod shell;
mod split;
mod tag;

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio_postgres::Config;

use self::link::Link;
use self::shell::{Flow, Settings, Shell};
use self::split::Splitter;

/// Flags of `sql`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  thalweg sql                                       a dialogue with the server on this machine; \\? for help
  thalweg sql postgres://root@127.0.0.1:4566/dev
  thalweg sql -c 'SELECT count(*) FROM orders' -c '\\d orders'
  thalweg sql -f schema.sql
  echo 'SELECT 1;' | thalweg sql --keep-going       statements from standard input")]
pub(crate) struct SqlArgs {
    /// postgres://user@host:port/database; flags go before its parts
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Host of the server [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port of the server's PostgreSQL protocol [default: 4566]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// User [default: root]; the password is read from PGPASSWORD or asked for
    #[arg(short = 'U', long, value_name = "USER")]
    user: Option<String>,
    /// Database [default: dev]
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
    /// Runs this and exits; may be repeated
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Vec<String>,
    /// Runs this file and exits
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Goes on after an error in a script; the exit code is 1 all the same
    #[arg(long)]
    keep_going: bool,
    /// One value a line
    #[arg(short = 'x', long)]
    expanded: bool,
    /// What NULL looks like
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    null: String,
    /// No lines as CREATE TABLE
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn sql(args: &SqlArgs) -> Result<ExitCode> {
    let stdin_is_terminal = std::io::stdin().is_terminal();
    let is_script = !args.command.is_empty() || args.file.is_some() || !stdin_is_terminal;
    let link = Link::open(config(args)?, stdin_is_terminal)?;
    let settings =
        Settings { expanded: args.expanded, null: args.null.clone(), quiet: args.quiet, ..Settings::default() };
    let mut shell = Shell::new(link, settings, !is_script, args.keep_going && is_script);
    if !is_script {
        println!("thalweg {}; \\? for help, \\q to quit.", env!("CARGO_PKG_VERSION"));
        repl::run(&mut shell)?;
        return Ok(ExitCode::SUCCESS);
    }
    let flow = if let Some(file) = args.file.as_deref().filter(|f| *f != "-") {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        shell.text(&text)
    } else if args.command.is_empty() {
        stream(&mut shell, std::io::stdin().lock())?
    } else {
        commands(&mut shell, &args.command)
    };
    Ok(match flow {
        Flow::On | Flow::Quit => ExitCode::SUCCESS,
        Flow::Failed | Flow::Interrupted => ExitCode::FAILURE,
    })
}

fn commands(shell: &mut Shell, commands: &[String]) -> Flow {
    let mut worst = Flow::On;
    for command in commands {
        match shell.text(command) {
            Flow::On => {}
            Flow::Failed if shell.keep_going => worst = Flow::Failed,
            stop => return stop,
        }
    }
    worst
}

/// Runs statements as they come.
fn stream(shell: &mut Shell, mut input: impl BufRead) -> Result<Flow> {
    let mut splitter = Splitter::default();
    let mut line = String::new();
    let mut worst = Flow::On;
    loop {
        line.clear();
        if input.read_line(&mut line).context("cannot read standard input")? == 0 {
            break;
        }
        splitter.push(&line);
        match shell.feed(&mut splitter) {
            Flow::On => {}
            Flow::Failed if shell.keep_going => worst = Flow::Failed,
            Flow::Quit if worst == Flow::Failed => return Ok(worst),
            stop => return Ok(stop),
        }
    }
    match splitter.take().map(|rest| shell.statement(&rest)) {
        None | Some(Flow::On) => Ok(worst),
        Some(flow) => Ok(flow),
    }
}

/// The URL with our port where it has none.
fn with_port(url: &str) -> String {
    let Some(start) = url.find("://").map(|at| at + 3) else { return url.to_owned() };
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    let host = url[start..end].rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if host.is_empty() || has_port || host.contains(',') {
        return url.to_owned();
    }
    format!("{}:4566{}", &url[..end], &url[end..])
}

fn config(args: &SqlArgs) -> Result<Config> {
    let mut config = match &args.url {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") || url.contains('=') => {
            with_port(url).parse::<Config>().with_context(|| "write the URL as postgres://root@127.0.0.1:4566/dev")?
        }
        Some(url) => bail!("{url}: write the URL as postgres://root@127.0.0.1:4566/dev"),
        None => Config::new(),
    };
    // What a URL says cannot be replaced, only added to; so hosts and ports of flags go into a new one.
    if args.host.is_some() || args.port.is_some() {
        if !config.get_hosts().is_empty() {
            bail!("give the host and port either in the URL or as flags");
        }
        config.host(args.host.as_deref().unwrap_or("127.0.0.1"));
    } else if config.get_hosts().is_empty() {
        config.host("127.0.0.1");
    }
    if config.get_ports().is_empty() {
        config.port(args.port.unwrap_or(4566));
    }
    if args.user.is_some() || config.get_user().is_none() {
        config.user(args.user.as_deref().unwrap_or("root"));
    }
    if args.database.is_some() || config.get_dbname().is_none() {
        config.dbname(args.database.as_deref().unwrap_or("dev"));
    }
    if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
        config.password(password);
    }
    config.application_name("thalweg sql");
    Ok(config)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SqlArgs,
    }

    fn read(line: &[&str]) -> Result<Config> {
        config(&Line::parse_from(["sql"].iter().chain(line)).args)
    }

    #[test]
    fn flags_and_urls_fill_each_other_in() {
        let plain = read(&[]).expect("fine");
        assert_eq!((plain.get_ports(), plain.get_user(), plain.get_dbname()), (&[4566][..], Some("root"), Some("dev")));
        let url = read(&["postgres://me@there/x", "-U", "you"]).expect("fine");
        assert_eq!((url.get_ports(), url.get_user(), url.get_dbname()), (&[4566][..], Some("you"), Some("x")));
        assert_eq!(with_port("postgres://u:p@h/x?a=b"), "postgres://u:p@h:4566/x?a=b");
        for whole in ["postgres://u:p@h:1/x", "postgres:///x", "postgres://[::1]:1", "host=h"] {
            assert_eq!(with_port(whole), whole);
        }
        assert_eq!(with_port("postgres://[::1]"), "postgres://[::1]:4566");
        assert!(read(&["there:4566"]).is_err());
        assert!(read(&["postgres://there/x", "--port", "1"]).is_err());
    }
}
