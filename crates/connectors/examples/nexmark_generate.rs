//! Writes the Nexmark benchmark's tables: `nexmark_generate DIR EVENTS [parquet,ndjson [RATE]]`.

use std::time::Instant;

use thalweg_connectors::nexmark::{GenerateSpec, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dir, events, formats, rate) = match arguments.as_slice() {
        [dir, events] => (dir, events, "parquet", "10000"),
        [dir, events, formats] => (dir, events, formats.as_str(), "10000"),
        [dir, events, formats, rate] => (dir, events, formats.as_str(), rate.as_str()),
        _ => return Err("usage: nexmark_generate DIR EVENTS [parquet,ndjson [RATE]]".into()),
    };
    let mut spec = GenerateSpec::new(dir, events.parse()?);
    spec.rate = rate.parse()?;
    spec.formats = formats.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let done = generate(&spec)?;
    let [person, auction, bid] = done.rows;
    let seconds = started.elapsed().as_secs_f64();
    println!("{dir}: {person} persons, {auction} auctions, {bid} bids in {} files, {seconds:.1} s", done.files);
    Ok(())
}
