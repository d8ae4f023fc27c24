//! Measures sketches beside an exact set: rows a second in processor time of one thread, bytes a group in memory and
//! stored, for groups of 1, 100 and a million different values:
//! `cargo run --release -p thalweg-analysis --example sketch_speed -- [rows]`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use thalweg_analysis::sketch::{build, call};

const BATCH: usize = 8192;
const CALLS: [(&str, &[f64]); 4] =
    [("hll_sketch", &[]), ("quantile_sketch", &[]), ("top_k_sketch", &[10.0]), ("bloom_sketch", &[100_000.0, 0.01])];

fn random(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Rows in batches: groups in random order, each with so many different values.
fn batches(rows: usize, groups: usize, distinct: usize, text: bool) -> Vec<(Vec<u32>, ArrayRef)> {
    let row = |i: usize| {
        let r = random(i as u64);
        ((r % groups as u64) as u32, random((r >> 20) % distinct as u64) as i64)
    };
    let starts = (0..rows).step_by(BATCH);
    let batch = |start: usize| {
        let rows: Vec<(u32, i64)> = (start..(start + BATCH).min(rows)).map(row).collect();
        let values = rows.iter().map(|r| r.1);
        let column: ArrayRef = match text {
            true => Arc::new(StringArray::from_iter_values(values.map(|v| format!("user-{v:020}")))),
            false => Arc::new(Int64Array::from_iter_values(values)),
        };
        (rows.iter().map(|r| r.0).collect(), column)
    };
    starts.map(batch).collect()
}

fn rate(rows: usize, taken: Duration) -> String {
    format!("{:.1} M rows/s", rows as f64 / taken.as_secs_f64() / 1e6)
}

fn sketches(rows: usize, groups: usize, distinct: usize, text: bool) {
    let batches = batches(rows, groups, distinct, text);
    let kind = if text { "text" } else { "bigint" };
    for (function, parameters) in CALLS {
        let argument = batches[0].1.data_type();
        let Ok(mut state) = build(function, argument, parameters) else { continue };
        let begun = Instant::now();
        for (groups, values) in &batches {
            state.update(groups, values).expect("update");
        }
        let updated = begun.elapsed();
        let all: Vec<u32> = (0..groups as u32).collect();
        let begun = Instant::now();
        let stored: usize = all.chunks(10_000).map(|some| state.save(some).expect("save").value_data().len()).sum();
        let saved = begun.elapsed();
        let (memory, stored) = (state.bytes() / groups, stored / groups);
        println!(
            "| {function} | {kind} | {groups} | {distinct} | {} | {memory} | {stored} | {:.2} us |",
            rate(rows, updated),
            saved.as_secs_f64() * 1e6 / groups as f64
        );
    }
    let mut sets: Vec<HashSet<i64>> = vec![HashSet::new(); groups];
    let mut texts: Vec<HashSet<String>> = vec![HashSet::new(); groups];
    let begun = Instant::now();
    for (groups, values) in &batches {
        match values.as_any().downcast_ref::<Int64Array>() {
            Some(values) => groups.iter().zip(values.values()).for_each(|(g, v)| {
                sets[*g as usize].insert(*v);
            }),
            None => {
                let values = values.as_any().downcast_ref::<StringArray>().expect("text");
                for (group, value) in groups.iter().zip(values.iter().flatten()) {
                    let set = &mut texts[*group as usize];
                    if !set.contains(value) {
                        set.insert(value.to_owned());
                    }
                }
            }
        }
    }
    let taken = begun.elapsed();
    let slots: usize = sets.iter().map(|s| s.capacity() * 9 * 8 / 7).sum();
    let texts: usize = texts.iter().map(|s| s.capacity() * 25 * 8 / 7 + s.iter().map(String::len).sum::<usize>()).sum();
    let memory = (slots + texts) / groups + size_of::<HashSet<i64>>();
    println!("| exact HashSet | {kind} | {groups} | {distinct} | {} | {memory} | – | – |", rate(rows, taken));
}

fn merges() {
    println!("\n| function | merge of a stored state of 100000 values | a question |\n| --- | --- | --- |");
    for (function, parameters) in CALLS {
        let mut state = build(function, &DataType::Int64, parameters).expect("an aggregate");
        for (_, values) in batches(400_000, 1, 100_000, false) {
            state.update(&vec![0; values.len()], &values).expect("update");
        }
        let saved = state.save(&[0]).expect("save");
        let begun = Instant::now();
        (0..200).for_each(|_| state.merge(&[0], &saved).expect("merge"));
        let merged = begun.elapsed() / 200;
        let sketch: ArrayRef = Arc::new(saved);
        let begun = Instant::now();
        for _ in 0..200 {
            match function {
                "quantile_sketch" => {
                    let fraction: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
                    call("sketch_percentile", &[Arc::clone(&sketch), fraction], &[]).expect("a percentile")
                }
                _ => call("sketch_estimate", &[Arc::clone(&sketch)], &[]).expect("an estimate"),
            };
        }
        println!("| {function} | {merged:.1?} | {:.1?} |", begun.elapsed() / 200);
    }
    let mut state = build("bloom_sketch", &DataType::Int64, &[1_000_000.0, 0.01]).expect("an aggregate");
    for (_, values) in batches(1_000_000, 1, 1_000_000, false) {
        state.update(&vec![0; values.len()], &values).expect("update");
    }
    let filter: ArrayRef = Arc::new(state.save(&[0]).expect("save"));
    let probes = batches(1_000_000, 1, 2_000_000, false);
    let begun = Instant::now();
    for (_, values) in &probes {
        call("sketch_contains", &[Arc::clone(&filter), Arc::clone(values)], &[]).expect("answers");
    }
    println!("\nsketch_contains, a filter of 1.2 MB read a batch of {BATCH}: {}", rate(1_000_000, begun.elapsed()));
}

fn main() {
    let rows: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(4_000_000);
    println!("| function | type | groups | values a group | update | bytes a group | stored | save a group |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for text in [false, true] {
        sketches(rows, 1, 1_000_000, text);
        sketches(rows, 10_000, 100, text);
        sketches(rows, 500_000, 1, text);
    }
    merges();
}
