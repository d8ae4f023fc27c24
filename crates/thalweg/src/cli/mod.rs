//! Commands and their flags. It must not know how a command does its work.

mod bench;
mod checkpoint;
mod demo;
mod http;
mod pg;
mod progress;
mod report;
mod run;
mod serve;
mod settings;
mod sql;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Continuous SQL over streams and files: streams in, correct answers out.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  thalweg demo                                  live dashboards, an alert and an anomaly, in your browser
  thalweg run pipeline.sql                      run until the input ends or Ctrl-C
  thalweg run q5.sql -e NEXMARK=data -e OUT=out.parquet --workers 2
  thalweg serve --data ./data                   a server for psql, drivers, curl and a browser
  thalweg sql                                   talk to it
  thalweg check pipeline.sql                    report every mistake, run nothing
  echo \"SELECT 1 + 1\" | thalweg run -         a script from standard input";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a script of streaming SQL until its sources end.
    Run(run::RunArgs),
    /// Plans a script without running it and reports every problem with line and column.
    Check(run::CheckArgs),
    /// Runs a server: PostgreSQL protocol and HTTP.
    Serve(settings::ServeArgs),
    /// Runs a server that shows itself: flights replayed, a market, sensors, with live dashboards and alerts.
    Demo(demo::DemoArgs),
    /// Talks SQL with a server.
    Sql(sql::SqlArgs),
    /// Shows what a server does, second by second.
    Top(top::TopArgs),
    /// Lists and verifies the checkpoints of a data directory.
    Checkpoint(checkpoint::CheckpointArgs),
    /// Generates the data of benchmarks, and loads a server.
    Bench(bench::BenchArgs),
}

/// Parses the command line and runs the command: 0 for success, 1 for failure, 2 for wrong usage.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => run::check(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Sql(args) => sql::sql(&args),
        Command::Top(args) => top::top(&args),
        Command::Checkpoint(args) => checkpoint::checkpoint(&args),
        Command::Bench(args) => bench::bench(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
