//! `thalweg run` and `thalweg check`. It must not know how queries run.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use thalweg::{Clock, EpochLimits, Pipeline, RunConfig};

use super::progress::Progress;
use super::report;

/// Which file, and what its `${KEY}`s stand for.
#[derive(Debug, Args)]
pub(crate) struct ScriptArgs {
    /// The script; `-` reads standard input.
    #[arg(value_name = "FILE.sql")]
    file: String,
    /// Gives `${KEY}` in the script a value; may be repeated.
    #[arg(short = 'e', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thalweg run pipeline.sql
  thalweg run q1.sql -e NEXMARK=data -e SINK=blackhole --stats json
  thalweg run pipeline.sql --explain")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Worker threads [default: one a core].
    #[arg(long, env = "THALWEG_WORKERS", value_name = "N")]
    workers: Option<usize>,
    /// Seals an epoch after this many rows, whatever the time; 0 puts everything into one epoch.
    #[arg(long, env = "THALWEG_EPOCH_ROWS", value_name = "ROWS")]
    epoch_rows: Option<usize>,
    /// Memory for the state of queries and for input in work, as 512MiB or 4GiB; a run that needs more stops with an
    /// error [default: 80 % of the memory of the machine or of its control group].
    #[arg(long, env = "THALWEG_MEMORY_LIMIT", value_name = "SIZE", value_parser = thalweg::parse_bytes)]
    memory_limit: Option<usize>,
    /// A fixed time for now() and proctime(), for runs that must repeat exactly: microseconds since 1970-01-01 UTC.
    #[arg(long, env = "THALWEG_WALL_CLOCK", value_name = "MICROS")]
    wall_clock: Option<i64>,
    /// Prints the plan and runs nothing.
    #[arg(long)]
    explain: bool,
    /// Prints figures of the run to standard error when it has ended.
    #[arg(long, value_name = "FORMAT")]
    stats: Option<StatsFormat>,
    /// No progress, no notes.
    #[arg(short, long, env = "THALWEG_QUIET")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatsFormat {
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thalweg check pipeline.sql
  thalweg check q5.sql -e NEXMARK=data -e OUT=out.parquet")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    script: ScriptArgs,
}

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let Some(pipeline) = compile(&args.script)? else { return Ok(ExitCode::FAILURE) };
    if args.explain {
        print!("{}", pipeline.explain());
        pipeline.notices().iter().for_each(|n| println!("note: {n}"));
        return Ok(ExitCode::SUCCESS);
    }
    let config = config(args)?;
    let running = pipeline.running();
    let stop = Arc::clone(&running.stop);
    ctrlc::set_handler(move || {
        // The second Ctrl-C does not wait.
        if stop.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("cannot handle Ctrl-C")?;
    let (sources, sinks) = (pipeline.sources(), pipeline.sinks());
    let progress = (!args.quiet).then(|| Progress::start(Arc::clone(&running.stats)));
    let outcome = pipeline.run(config, &running);
    if let Some(progress) = progress {
        progress.finish();
    }
    outcome?;
    if !args.quiet {
        report::warn(&running.stats, &sources);
    }
    if let Some(StatsFormat::Json) = args.stats {
        eprintln!("{}", report::json(&running.stats, &sources, &sinks, started.elapsed()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let Some(pipeline) = compile(&args.script)? else { return Ok(ExitCode::FAILURE) };
    pipeline.notices().iter().for_each(|n| println!("note: {n}"));
    println!("{}: no problems", args.script.file);
    Ok(ExitCode::SUCCESS)
}

/// The planned script, or `None` when its problems have been printed.
fn compile(args: &ScriptArgs) -> Result<Option<Pipeline>> {
    let text = read(&args.file)?;
    let mut values = BTreeMap::new();
    for pair in &args.set {
        let Some((key, value)) = pair.split_once('=') else { bail!("-e {pair}: write KEY=VALUE") };
        values.insert(key.to_owned(), value.to_owned());
    }
    match Pipeline::compile(&text, values) {
        Ok(pipeline) => Ok(Some(pipeline)),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}:{problem}", args.file);
            }
            eprintln!("{} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
            Ok(None)
        }
    }
}

fn read(file: &str) -> Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(Path::new(file)).with_context(|| format!("cannot read {file}"))
}

fn config(args: &RunArgs) -> Result<RunConfig> {
    let mut config = RunConfig::default();
    if let Some(workers) = args.workers {
        if !(1..=256).contains(&workers) {
            bail!("--workers {workers}: give 1 to 256");
        }
        config.workers = workers;
    }
    if let Some(rows) = args.epoch_rows {
        config.epochs = EpochLimits::forced(rows);
    }
    if let Some(bytes) = args.memory_limit {
        config.memory_limit_bytes = bytes;
    }
    if let Some(micros) = args.wall_clock {
        config.clock = Clock::Fixed(micros);
    }
    Ok(config)
}
