//! Rows a second that threads read from files, column by column as a query would have them.
//! `cargo run --release -p thalweg-connectors --example read_rate -- PATH THREADS [COLUMN…]`

use std::sync::Mutex;
use std::time::Instant;

use thalweg_connectors::{SourceRequest, infer, source};
use thalweg_core::{Error, Offset, Options, Polled, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || Error::invalid("usage: read_rate PATH THREADS [COLUMN…]");
    let path = arguments.next().ok_or_else(usage)?;
    let threads: usize = arguments.next().and_then(|t| t.parse().ok()).ok_or_else(usage)?;
    let wanted: Vec<String> = arguments.collect();
    let options = Options::new([("path".to_owned(), path)]);
    let declared = infer("file", &options)?;
    let projection: Vec<usize> = match wanted.as_slice() {
        [] => (0..declared.fields().len()).collect(),
        names => names.iter().map(|n| declared.index_of(n)).collect::<std::result::Result<_, _>>()?,
    };
    for _ in 0..3 {
        let request = SourceRequest {
            name: "rate".to_owned(),
            connector: "file".to_owned(),
            options: options.clone(),
            declared: declared.clone(),
            projection: projection.clone(),
            event_time: None,
            workers: threads,
        };
        let start = Instant::now();
        let source = source(request)?;
        let splits = Mutex::new(source.splits()?.into_iter());
        let totals = Mutex::new((0usize, 0usize, 0usize));
        let read = || -> Result<()> {
            loop {
                let Some(split) = splits.lock().expect("no thread panics").next() else { return Ok(()) };
                let mut reader = source.open(&split, Offset(0))?;
                while let Polled::Rows { rows, dead, bytes } = reader.poll(8192)? {
                    let mut totals = totals.lock().expect("no thread panics");
                    totals.0 += rows.num_rows();
                    totals.1 += dead.len();
                    totals.2 += bytes;
                }
            }
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
            running.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let (rows, dead, bytes) = *totals.lock().expect("no thread panics");
        println!(
            "{rows} rows, {dead} dead, {seconds:.3} s: {:.1} M rows/s, {:.0} MB/s with {threads} threads",
            rows as f64 / seconds / 1e6,
            bytes as f64 / seconds / 1e6
        );
    }
    Ok(())
}
