//! `thalweg bench hub`: writers that append to a hub and wait until that is durable. It must not know what is in records.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use ring::rand::{SecureRandom, SystemRandom};
use thalweg_disk::LocalDisk;
use thalweg_hub::{Append, Hub, Record, TopicOptions};

/// The topic of all writers.
const TOPIC: &str = "bench";

#[derive(Args, Debug)]
pub(crate) struct HubBenchArgs {
    /// A folder that is made for it, and stays
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Writers at one time; each waits for its append before the next
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    writers: u64,
    /// Records of an append
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    records: u64,
    /// Bytes of a record's value, which do not compress
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    bytes: u64,
}

pub(crate) fn bench(args: &HubBenchArgs) -> Result<ExitCode> {
    if args.data.exists() {
        bail!("{} is there already: name a folder that is to be made", args.data.display());
    }
    let (hub, _) = Hub::open(Arc::new(LocalDisk::open(&args.data)?))?;
    hub.create_topic(TOPIC, TopicOptions::default())?;
    let began = Instant::now();
    let until = began + Duration::from_secs(args.seconds);
    let of_writers: Vec<Result<Histogram<u64>>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..args.writers).map(|_| scope.spawn(|| write(&hub, args, until))).collect();
        writers.into_iter().map(|w| w.join().unwrap_or_else(|_| bail!("a writer panicked"))).collect()
    });
    let took = began.elapsed().as_secs_f64();
    let mut all = Histogram::<u64>::new(3).context("a histogram")?;
    for of_writer in of_writers {
        all.add(of_writer?).context("two histograms")?;
    }
    let fsyncs = hub.statistics().fsyncs as f64;
    hub.close()?;
    let (appends, at) = (all.len() as f64, |q| all.value_at_quantile(q) as f64 / 1e3);
    let records = appends * args.records as f64;
    println!(
        "{:.0} records/s, {:.1} MB/s, {:.0} appends/s, {:.0} fsyncs/s; append to durable p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        records / took,
        records * args.bytes as f64 / took / 1e6,
        appends / took,
        fsyncs / took,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(ExitCode::SUCCESS)
}

/// Microseconds from an append to when it was durable.
fn write(hub: &Hub, args: &HubBenchArgs, until: Instant) -> Result<Histogram<u64>> {
    let mut taken = Histogram::new(3).context("a histogram")?;
    let (random, length) = (SystemRandom::new(), usize::try_from(args.bytes)?);
    let record = |_| {
        let mut bytes = vec![0; length];
        random.fill(&mut bytes).map_err(|_| anyhow!("no random bytes"))?;
        Ok(Record { value: Some(Bytes::from(bytes)), ..Record::default() })
    };
    let records = (0..args.records).map(record).collect::<Result<Vec<_>>>()?;
    while Instant::now() < until {
        let began = Instant::now();
        let appended = hub.append(&[Append { topic: TOPIC, records: &records }])?;
        hub.wait(appended.ticket)?;
        taken.record(u64::try_from(began.elapsed().as_micros())?).context("a time")?;
    }
    Ok(taken)
}
