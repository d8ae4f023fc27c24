//! Appends to a log on real files and says how fast: `cargo run --release -p thalweg-hub --example append -- [FOLDER]
//! [SECONDS] [RECORDS] [BYTES] [TOPICS]`. Every append waits for its fsync before the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_disk::LocalDisk;
use thalweg_hub::{Append, Hub, Record, TopicOptions};

/// Writers at a time.
const WRITERS: [usize; 3] = [1, 8, 64];

/// What is measured.
struct Load {
    seconds: u64,
    /// Records of an append.
    records: usize,
    /// Bytes of a record's value.
    bytes: usize,
    topics: usize,
}

/// One writer: how long each of its appends took, in microseconds.
fn write(hub: &Hub, topic: &str, load: &Load) -> Vec<u64> {
    let value: Vec<u8> = (0..load.bytes).map(|i| b'a' + (i * 7 % 26) as u8).collect();
    let record = Record { timestamp_ms: 1_700_000_000_000, value: Some(value.into()), ..Record::default() };
    let records = vec![record; load.records];
    let end = Instant::now() + Duration::from_secs(load.seconds);
    let mut micros = Vec::new();
    while Instant::now() < end {
        let begin = Instant::now();
        let appended = hub.append(&[Append { topic, records: &records }]).expect("it is taken");
        hub.wait(appended.ticket).expect("it is durable");
        micros.push(begin.elapsed().as_micros() as u64);
    }
    micros
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "hub-append".to_owned());
    let mut number = |default: usize| arguments.next().map_or(default, |a| a.parse().expect("a number"));
    let load = Load { seconds: number(5) as u64, records: number(100), bytes: number(100), topics: number(1).max(1) };
    println!(
        "{} records of {} bytes an append, {} topic(s), {} s each, in {folder}",
        load.records, load.bytes, load.topics, load.seconds
    );
    println!("writers  appends/s  records/s    MB/s  p50 ms  p99 ms  fsyncs/s  records/fsync");
    for writers in WRITERS {
        let disk = LocalDisk::open(&folder).expect("a folder to write to");
        let (hub, _) = Hub::open(Arc::new(disk)).expect("the log opens");
        let topics: Vec<String> = (0..load.topics).map(|n| format!("append-{writers}-{n}")).collect();
        for topic in &topics {
            hub.create_topic(topic, TopicOptions::default()).expect("a folder without such topics");
        }
        let before = hub.statistics();
        let begin = Instant::now();
        let mut micros: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|n| {
                    let (hub, topic, load) = (&hub, &topics[n % load.topics], &load);
                    scope.spawn(move || write(hub, topic, load))
                })
                .collect();
            threads.into_iter().flat_map(|t| t.join().expect("a writer does not panic")).collect()
        });
        let seconds = begin.elapsed().as_secs_f64();
        micros.sort_unstable();
        let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
        let statistics = hub.statistics();
        println!(
            "{writers:7}  {:9.0}  {:9.0}  {:6.1}  {:6.2}  {:6.2}  {:8.0}  {:13.1}",
            micros.len() as f64 / seconds,
            (micros.len() * load.records) as f64 / seconds,
            (statistics.appended_bytes - before.appended_bytes) as f64 / seconds / 1e6,
            at(0.5),
            at(0.99),
            (statistics.fsyncs - before.fsyncs) as f64 / seconds,
            statistics.records_per_fsync(),
        );
        for topic in &topics {
            hub.delete_topic(topic).expect("it is there");
        }
        hub.close().expect("all is durable");
    }
}
