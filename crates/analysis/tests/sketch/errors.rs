//! The errors measured against exact answers over a hundred seeds, as a table:
//! `cargo test --release -p thalweg-analysis --test sketch errors -- --nocapture --test-threads=1`.
//!
//! Each line's share of seeds within the bound must reach the stated confidence, less what chance explains in a hundred
//! seeds (three standard deviations of a binomial); all lines of a kind together must reach it without allowance.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thalweg_analysis::sketch::{build, call};

use crate::support::{ints, number, percentiles, stored};

const SEEDS: u64 = 100;

/// What the seeds of one line gave.
#[derive(Default)]
struct Line {
    within: usize,
    trials: usize,
    sum: f64,
    worst: f64,
}

impl Line {
    fn add(&mut self, error: f64, within: bool) {
        self.within += usize::from(within);
        self.trials += 1;
        self.sum += error;
        self.worst = self.worst.max(error);
    }

    fn check(&self, what: &str, bound: f64, confidence: f64, total: &mut Line) {
        let share = self.within as f64 / self.trials as f64;
        let mean = self.sum / self.trials as f64;
        println!(
            "| {what} | {:.3} % | {:.3} % | {:.3} % | {:.1} % |",
            bound * 100.0,
            mean * 100.0,
            self.worst * 100.0,
            share * 100.0
        );
        let chance = 3.0 * (confidence * (1.0 - confidence) / SEEDS as f64).sqrt();
        assert!(share >= confidence - chance, "{what}: {share} within the bound");
        total.within += self.within;
        total.trials += self.trials;
    }

    fn all(&self, confidence: f64) {
        let share = self.within as f64 / self.trials as f64;
        println!(
            "all together: {:.2} % of {} within the bound, stated {:.2} %",
            share * 100.0,
            self.trials,
            confidence * 100.0
        );
        assert!(share >= confidence, "{share}");
    }
}

fn head(error: &str) {
    println!("\n| what | bound | mean {error} | worst | within |\n| --- | --- | --- | --- | --- |");
}

#[test]
fn distinct_counts() {
    head("error");
    let mut total = Line::default();
    for precision in [8, 12, 14] {
        for values in [10, 1_000, 10_000, 100_000] {
            let mut line = Line::default();
            for seed in 0..SEEDS {
                let mut random = SmallRng::seed_from_u64(seed * 1000 + values);
                let mut sketches = build("hll_sketch", &DataType::Int64, &[f64::from(precision)]).expect("a sketch");
                let column = ints((0..values).map(|_| random.random::<i64>()));
                sketches.update(&vec![0; values as usize], &column).expect("update");
                let sketch: ArrayRef = Arc::new(stored(sketches.as_ref(), 0));
                let truth = values as f64;
                let (low, high) = (number("sketch_lower", &sketch, &[]), number("sketch_upper", &sketch, &[]));
                let error = (number("sketch_estimate", &sketch, &[]) / truth - 1.0).abs();
                line.add(error, low <= truth && truth <= high);
            }
            let bound = 2.08 / f64::from(1 << precision).sqrt();
            line.check(&format!("hll, precision {precision}, {values} values"), bound, 0.95, &mut total);
        }
    }
    total.all(0.95);
}

/// Rows of a distribution.
fn drawn(name: &str, rows: usize, random: &mut SmallRng) -> Vec<f64> {
    let mut uniform = || random.random::<f64>();
    let mut values: Vec<f64> = match name {
        "exponential" => (0..rows).map(|_| -(1.0 - uniform()).ln()).collect(),
        "heavy ties" => (0..rows).map(|_| (uniform().powi(3) * 50.0).floor()).collect(),
        _ => (0..rows).map(|_| uniform()).collect(),
    };
    match name {
        "sorted" => values.sort_by(f64::total_cmp),
        "reversed" => values.sort_by(|a, b| b.total_cmp(a)),
        _ => {}
    }
    values
}

/// How far the fraction is from the ranks that the value has.
fn rank_error(sorted: &[f64], value: f64, fraction: f64) -> f64 {
    let rows = sorted.len() as f64;
    let (below, up_to) = (sorted.partition_point(|v| *v < value), sorted.partition_point(|v| *v <= value));
    (below as f64 / rows - fraction).max(fraction - up_to as f64 / rows).max(0.0)
}

fn percentile_line(name: &str, rows: usize, k: f64, parts: usize) -> Line {
    const FRACTIONS: [f64; 7] = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99];
    let mut line = Line::default();
    let bound = 2.296 / k.powf(0.9723);
    for seed in 0..SEEDS {
        let mut random = SmallRng::seed_from_u64(seed * 77 + rows as u64);
        let mut values = drawn(name, rows, &mut random);
        let mut whole = build("quantile_sketch", &DataType::Float64, &[k]).expect("a sketch");
        for part in values.chunks(rows.div_ceil(parts)) {
            let mut sketches = build("quantile_sketch", &DataType::Float64, &[k]).expect("a sketch");
            let column: ArrayRef = Arc::new(Float64Array::from(part.to_vec()));
            sketches.update(&vec![0; part.len()], &column).expect("update");
            whole.merge(&[0], &stored(sketches.as_ref(), 0)).expect("merge");
        }
        values.sort_by(f64::total_cmp);
        let got = percentiles(&(Arc::new(stored(whole.as_ref(), 0)) as ArrayRef), &FRACTIONS);
        for (fraction, value) in FRACTIONS.iter().zip(got) {
            let error = rank_error(&values, value, *fraction);
            line.add(error, error <= bound);
        }
    }
    line
}

#[test]
fn quantiles() {
    head("rank error");
    let mut total = Line::default();
    for (name, rows, k, parts) in [
        ("uniform", 1_000, 200.0, 1),
        ("uniform", 100_000, 200.0, 1),
        ("uniform", 100_000, 50.0, 1),
        ("uniform", 100_000, 800.0, 1),
        ("exponential", 100_000, 200.0, 1),
        ("heavy ties", 100_000, 200.0, 1),
        ("sorted", 100_000, 200.0, 1),
        ("reversed", 100_000, 200.0, 1),
        ("uniform", 100_000, 200.0, 24),
        ("sorted", 100_000, 200.0, 24),
        ("heavy ties", 100_000, 200.0, 1000),
    ] {
        let what = format!("quantiles, k {k}, {rows} rows {name}, merged from {parts}");
        percentile_line(name, rows, k, parts).check(&what, 2.296 / k.powf(0.9723), 0.99, &mut total);
    }
    total.all(0.99);
}

#[test]
fn frequent_values() {
    head("count error (share of rows)");
    let mut total = Line::default();
    for (skew, parts) in [(1.0, 1), (1.5, 1), (3.0, 1), (1.5, 24)] {
        let mut line = Line::default();
        let bound = 1.0 / 257.0;
        for seed in 0..SEEDS {
            let mut random = SmallRng::seed_from_u64(seed);
            let rows = 50_000;
            // Pareto: the larger the skew, the more rows the first values have.
            let values: Vec<i64> =
                (0..rows).map(|_| (random.random::<f64>().max(1e-9).powf(-1.0 / skew) * 3.0) as i64).collect();
            let mut whole = build("top_k_sketch", &DataType::Int64, &[10.0]).expect("a sketch");
            for part in values.chunks(values.len().div_ceil(parts)) {
                let mut sketches = build("top_k_sketch", &DataType::Int64, &[10.0]).expect("a sketch");
                sketches.update(&vec![0; part.len()], &ints(part.iter().copied())).expect("update");
                whole.merge(&[0], &stored(sketches.as_ref(), 0)).expect("merge");
            }
            let sketch: ArrayRef = Arc::new(stored(whole.as_ref(), 0));
            let top = call("sketch_top", &[sketch], &[]).expect("top");
            let (error, sound) = compare(&values, top.as_string::<i32>().value(0));
            line.add(error, sound && error <= bound);
        }
        line.check(&format!("top 10 of Pareto {skew}, merged from {parts}"), bound, 1.0, &mut total);
    }
    total.all(1.0);
}

/// The largest gap between a listed value's bounds, as a share of the rows; and whether all bounds hold, listed or not.
fn compare(values: &[i64], json: &str) -> (f64, bool) {
    let mut exact: HashMap<i64, u64> = HashMap::new();
    values.iter().for_each(|v| *exact.entry(*v).or_default() += 1);
    let field = |item: &str, name: &str| -> i64 {
        let rest = item.split(name).nth(1).expect("a field");
        rest.trim_start_matches("\": ").split([',', '}']).next().expect("a value").parse().expect("a number")
    };
    let (mut sound, mut widest, mut last) = (true, 0, u64::MAX);
    for item in json.split("}, ") {
        let (value, lower, upper) = (field(item, "value"), field(item, "lower") as u64, field(item, "upper") as u64);
        let truth = exact.remove(&value).unwrap_or(0);
        sound &= lower <= truth && truth <= upper && lower <= last;
        widest = widest.max(upper - lower);
        last = lower;
    }
    sound &= exact.values().all(|count| *count <= last + widest);
    (widest as f64 / values.len() as f64, sound)
}

#[test]
fn membership() {
    head("claims of others");
    let mut total = Line::default();
    for (items, rate) in [(1_000_u32, 0.01), (20_000, 0.01), (5_000, 0.001), (5_000, 0.1)] {
        let (mut line, probes) = (Line::default(), 10_000);
        // What chance adds in so many probes: two standard deviations.
        let bound = rate + 2.0 * (rate * (1.0 - rate) / f64::from(probes)).sqrt();
        for seed in 0..SEEDS {
            let mut random = SmallRng::seed_from_u64(seed + u64::from(items));
            let mut sketches = build("bloom_sketch", &DataType::Int64, &[f64::from(items), rate]).expect("a sketch");
            let column = ints((0..items).map(|_| random.random::<i64>()));
            sketches.update(&vec![0; items as usize], &column).expect("update");
            let filter: ArrayRef = Arc::new(stored(sketches.as_ref(), 0));
            let kept = call("sketch_contains", &[Arc::clone(&filter), column], &[]).expect("a filter");
            let others: ArrayRef = Arc::new(Int64Array::from_iter_values((0..probes).map(|_| random.random::<i64>())));
            let claimed = call("sketch_contains", &[Arc::clone(&filter), others], &[]).expect("a filter");
            let share = claimed.as_boolean().true_count() as f64 / f64::from(probes);
            let (low, high) = (number("sketch_lower", &filter, &[0.9973]), number("sketch_upper", &filter, &[0.9973]));
            let counted = low <= f64::from(items) && f64::from(items) <= high;
            line.add(share, share <= bound && kept.as_boolean().true_count() == items as usize && counted);
        }
        line.check(&format!("bloom, {items} items at {rate}"), rate, 0.95, &mut total);
    }
    total.all(0.95);
}
