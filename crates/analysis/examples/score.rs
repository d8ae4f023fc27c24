//! Scores a CSV file (columns: key, time in µs since 1970, then inputs) with one anomaly function, as the engine does it:
//! in batches. Writes a column of scores; says on stderr how long the scoring took.
//!
//! usage: score --function anomaly_ewma [--lambda 0.2 …] < rows.csv > scores.csv; without --function it lists all

use std::collections::HashMap;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};
use std::time::{Duration, Instant};

use arrow::array::{Float64Array, Float64Builder};
use thalweg_analysis::detect::{Signature, build, signatures};

type Fault = Box<dyn std::error::Error>;

const BATCH: usize = 8192;

/// The rows of a file by columns.
#[derive(Default)]
struct Rows {
    keys: Vec<u32>,
    times: Vec<i64>,
    inputs: Vec<Vec<Option<f64>>>,
}

fn read(lines: impl BufRead) -> Result<Rows, Fault> {
    let mut rows = Rows::default();
    let mut numbers = HashMap::new();
    let mut lines = lines.lines();
    let header = lines.next().ok_or("the input has no header")??;
    rows.inputs.resize(header.split(',').count().saturating_sub(2), Vec::new());
    for line in lines {
        let line = line?;
        let mut fields = line.split(',');
        let key = fields.next().unwrap_or_default();
        let next = numbers.len() as u32;
        rows.keys.push(*numbers.entry(key.to_owned()).or_insert(next));
        rows.times.push(fields.next().ok_or("a row has no time")?.parse()?);
        for column in &mut rows.inputs {
            let text = fields.next().unwrap_or_default();
            column.push(if text.is_empty() { None } else { Some(text.parse()?) });
        }
    }
    Ok(rows)
}

/// CPU time of this thread, where the system tells it: other programs do not count.
fn spent_so_far() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

fn list() {
    for Signature { name, summary, columns, parameters, score, threshold, .. } in signatures() {
        println!("{name} ({columns:?} columns): {summary}\n  result: {score}; threshold {threshold:?}");
        for p in *parameters {
            println!("  {} = {:?}: {}", p.name, p.default, p.doc);
        }
    }
}

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> =
        arguments.chunks_exact(2).map(|pair| (pair[0].trim_start_matches("--"), pair[1].as_str())).collect();
    let Some(function) = given.get("function") else {
        list();
        return Ok(());
    };
    let signature = signatures().iter().find(|s| s.name == *function).ok_or("no such function")?;
    let parameter = |name: &str| given.get(name).map(|text| text.parse()).transpose();
    let parameters = signature.parameters.iter().map(|p| parameter(p.name)).collect::<Result<Vec<_>, _>>()?;
    let rows = read(stdin().lock())?;
    let mut detector = build(function, rows.inputs.len(), &parameters)?;
    let part = |start: usize| {
        let range = start..rows.keys.len().min(start + BATCH);
        let inputs: Vec<Float64Array> =
            rows.inputs.iter().map(|c| c[range.clone()].iter().copied().collect()).collect();
        (range, inputs)
    };
    let parts: Vec<_> = (0..rows.keys.len()).step_by(BATCH).map(part).collect();
    let mut scores = Float64Builder::with_capacity(rows.keys.len());
    let (cpu, started) = (spent_so_far(), Instant::now());
    for (range, inputs) in parts {
        detector.score(&rows.keys[range.clone()], &rows.times[range], &inputs, &mut scores);
    }
    let wall = started.elapsed();
    let spent = cpu.zip(spent_so_far()).map_or(wall, |(before, after)| after - before);
    let mut out = BufWriter::new(stdout().lock());
    writeln!(out, "score")?;
    for score in scores.finish().iter() {
        writeln!(out, "{}", score.map_or(String::new(), |s| s.to_string()))?;
    }
    out.flush()?;
    eprintln!(
        "{{\"rows\": {}, \"seconds\": {}, \"bytes\": {}}}",
        rows.keys.len(),
        spent.as_secs_f64(),
        detector.bytes()
    );
    Ok(())
}
