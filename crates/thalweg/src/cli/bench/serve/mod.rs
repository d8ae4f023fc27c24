//! `thalweg bench serve`: load on a running server, and what it makes of it. It must not know wire formats.

mod follow;
mod ingest;
mod objects;
mod pacer;
mod payload;
mod points;
mod report;
mod schedule;
mod tally;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio_postgres::Config;

use self::follow::Follower;
use self::ingest::IngestLoad;
use self::objects::Objects;
use self::points::PointLoad;
use self::report::Report;
use self::schedule::Schedule;
use self::tally::Tally;
use crate::cli::http::HttpAddress;

/// Flags of `bench serve`.
#[derive(Args, Debug)]
#[command(after_help = "Latencies count from the moment an event or a query was due, whether or not the load could be
given then: a server that stalls is charged for all that waited.

Examples:
  thalweg bench serve                                        all parts against a server on the default ports
  thalweg bench serve --only ingest --rate 100000 --seconds 60
  thalweg bench serve --only ingest,queries --together       both at the same time
  thalweg bench serve --only ingest --stalled 1              what one that does not read costs the others
  thalweg bench serve --only idle --idle-events 200 --json")]
pub(crate) struct ServeBenchArgs {
    /// PostgreSQL address of the server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4566")]
    pg: String,
    /// HTTP address of the server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4567")]
    http: String,
    /// Who connects; the password is read from PGPASSWORD
    #[arg(long, default_value = "root")]
    user: String,
    /// Database
    #[arg(long, default_value = "dev")]
    database: String,
    /// Parts to run [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Runs ingest and queries at the same time
    #[arg(long)]
    together: bool,
    /// Events a second
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// A batch of events is due this often, in milliseconds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch_ms: u64,
    /// HTTP connections of the ingest
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
    /// Other subscribers of the ingest part, which read their snapshot and then nothing more
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    stalled: u64,
    /// Point queries a second
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    queries: u64,
    /// PostgreSQL connections of the point queries
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256))]
    query_connections: u64,
    /// Single events, one every 100 ms, of the idle part
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    idle_events: u64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seconds before them, not measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Events at a fixed rate, to a subscriber
    Ingest,
    /// Point queries at a fixed rate
    Queries,
    /// Single events while nothing else happens
    Idle,
}

/// The idle part: one event in this time.
const IDLE_STEP: Duration = Duration::from_millis(100);

/// Events of the idle part that are not measured.
const IDLE_WARM_UP: u64 = 10;

pub(crate) fn bench(args: &ServeBenchArgs) -> Result<ExitCode> {
    // One thread: the machine is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(run(args))
}

async fn run(args: &ServeBenchArgs) -> Result<ExitCode> {
    let Some((host, port)) = args.pg.rsplit_once(':') else { bail!("--pg {}: write HOST:PORT", args.pg) };
    let mut config = Config::new();
    let port: u16 = port.parse().with_context(|| format!("--pg {}: write HOST:PORT", args.pg))?;
    config.host(host).port(port).user(&args.user).dbname(&args.database).application_name("thalweg bench");
    let password = std::env::var("PGPASSWORD").ok();
    if let Some(password) = &password {
        config.password(password);
    }
    let http = HttpAddress::parse(&args.http, password.is_some().then_some(args.user.as_str()))?;
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let objects =
        Objects::create(&config, &http, wants(Part::Ingest) || wants(Part::Idle), wants(Part::Queries)).await?;
    let outcome = tokio::select! {
        outcome = measure(args, &config, &http, &objects) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let cleaned = objects.drop_all().await;
    let report = outcome?;
    cleaned?;
    print!("{}", if args.json { report.json() } else { report.table() });
    Ok(if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(args: &ServeBenchArgs, config: &Config, http: &HttpAddress, objects: &Objects) -> Result<Report> {
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let (warm_up, seconds) = (Duration::from_secs(args.warm_up), Duration::from_secs(args.seconds));
    let mut report = Report::default();
    let step = Duration::from_millis(args.batch_ms);
    let rows = args.rate * args.batch_ms / 1000;
    if wants(Part::Ingest) && rows == 0 {
        bail!("--rate {} --batch-ms {}: less than one event a batch; raise --batch-ms", args.rate, args.batch_ms);
    }
    let load =
        |schedule, rows, name| IngestLoad { http: http.clone(), schedule, rows, connections: args.connections, name };
    let events = || load(Schedule::lasting(step, warm_up, seconds), rows, "ingest");
    let points = || PointLoad {
        config: config.clone(),
        schedule: Schedule::lasting(
            Duration::from_secs(1) / u32::try_from(args.queries).unwrap_or(1),
            warm_up,
            seconds,
        ),
        connections: args.query_connections,
    };
    let tell = |what: &str| eprintln!("{what} …");
    if wants(Part::Ingest) && wants(Part::Queries) && args.together {
        tell("ingest and point queries");
        let (ingest, queries) = tokio::join!(ingest(events(), objects, args.stalled), points().run());
        report.add_all(ingest?);
        report.add(queries?);
    } else {
        if wants(Part::Ingest) {
            tell("ingest");
            report.add_all(ingest(events(), objects, args.stalled).await?);
        }
        if wants(Part::Queries) {
            tell("point queries");
            report.add(points().run().await?);
        }
    }
    if wants(Part::Idle) {
        tell("single events");
        let schedule = Schedule::counting(IDLE_STEP, IDLE_WARM_UP, args.idle_events);
        let single = IngestLoad { connections: 1, ..load(schedule, 1, "idle") };
        report.add_all(ingest(single, objects, 0).await?);
    }
    Ok(report)
}

/// Answers and changes of one ingest load, and whether the view counts every row that was accepted.
async fn ingest(load: IngestLoad, objects: &Objects, stalled: u64) -> Result<[Tally; 2]> {
    let before = objects.counted().await?;
    let name = load.name;
    let mut beside = Vec::new();
    for _ in 0..stalled {
        beside.push(Follower::connect(&load.http).await?);
    }
    let (accepted, [answers, mut changes]) = load.run().await?;
    drop(beside);
    let counted = objects.counted().await? - before;
    if counted != accepted {
        changes.fail(1, || format!("{name}: {accepted} events were accepted, but the view counts {counted}"));
    }
    Ok([answers, changes])
}
