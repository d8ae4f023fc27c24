//! `thalweg bench`: the data of benchmarks, and load on a server and on the hub. It must not know how either is made.

mod hub;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use thalweg_connectors::nexmark::{FileFormat, GenerateSpec, generate};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// The auction site of the Nexmark benchmark: person, auction and bid, deterministic.
    #[command(after_help = "Examples:
  thalweg bench nexmark --generate data --events 10000000
  thalweg bench nexmark --generate data --events 1000000 --format parquet,ndjson")]
    Nexmark(NexmarkArgs),
    /// Load on a running server: latencies of ingest, subscriptions and point queries.
    Serve(serve::ServeBenchArgs),
    /// Appends to the embedded log that wait until they are durable: rate and latency of group fsync.
    #[command(after_help = "Examples:
  thalweg bench hub --data /tmp/hub
  thalweg bench hub --data /tmp/hub --writers 1 --records 1")]
    Hub(hub::HubBenchArgs),
}

#[derive(Debug, Args)]
struct NexmarkArgs {
    /// Writes DIR/{person,auction,bid}/part-NN.{parquet,ndjson}.
    #[arg(long, value_name = "DIR")]
    generate: PathBuf,
    /// Events of all three tables together.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events a second of event time.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Files a table.
    #[arg(long, default_value_t = 20)]
    files: u64,
    /// File formats: parquet, ndjson.
    #[arg(long, value_delimiter = ',', default_value = "parquet")]
    format: Vec<FileFormat>,
}

pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    match &args.benchmark {
        Benchmark::Nexmark(args) => nexmark(args),
        Benchmark::Serve(args) => serve::bench(args),
        Benchmark::Hub(args) => hub::bench(args),
    }
}

fn nexmark(args: &NexmarkArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let mut spec = GenerateSpec::new(&args.generate, args.events);
    spec.rate = args.rate;
    spec.files = args.files;
    spec.formats.clone_from(&args.format);
    let generated = generate(&spec)?;
    let [person, auction, bid] = generated.rows;
    println!(
        "{}: {person} persons, {auction} auctions, {bid} bids in {} files, {:.1} s",
        args.generate.display(),
        generated.files,
        started.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}
