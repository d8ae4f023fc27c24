//! Series of the tests and the short way to score them. It must not know what is expected of them.

use arrow::array::{Float64Array, Float64Builder};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thalweg_analysis::detect::{Detector, Signature, build, signatures};

/// A generator whose seed is printed, so that a failure can be repeated.
pub fn random(test: &str, seed: u64) -> SmallRng {
    println!("{test}: seed {seed}");
    SmallRng::seed_from_u64(seed)
}

/// A standard normal number (Box and Muller 1958).
pub fn normal(rng: &mut SmallRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// Normal noise around `level`.
pub fn noise(rng: &mut SmallRng, rows: usize, level: f64, sigma: f64) -> Vec<f64> {
    (0..rows).map(|_| level + sigma * normal(rng)).collect()
}

/// Everything at once: noise, runs of equal values, spikes, steps, a season.
pub fn wild(rng: &mut SmallRng, rows: usize) -> Vec<f64> {
    let (mut level, mut flat) = (20.0, 0);
    let mut series = Vec::with_capacity(rows);
    for i in 0..rows {
        if rng.random_ratio(1, 120) {
            level += 6.0 * normal(rng);
        }
        if rng.random_ratio(1, 150) {
            flat = rng.random_range(1..90);
        }
        flat = usize::saturating_sub(flat, 1);
        let spike = if rng.random_ratio(1, 60) { 50.0 * normal(rng) } else { 0.0 };
        let season = (i as f64 * std::f64::consts::TAU / 7.0).sin();
        series.push(if flat > 0 { level } else { level + season + normal(rng) + spike });
    }
    series
}

/// Parameters small enough that warm-up, windows and restarts all happen within a few hundred rows.
pub fn small(signature: &Signature) -> Vec<Option<f64>> {
    let value = |name: &str| match name {
        "window_rows" => Some(25.0),
        "warm_up" => Some(12.0),
        "memory" => Some(60.0),
        "period" => Some(7.0),
        "threshold" => Some(9.0),
        "trees" => Some(5.0),
        "depth" => Some(5.0),
        "window" => Some(40.0),
        "beta" => Some(0.05),
        _ => None,
    };
    signature.parameters.iter().map(|p| value(p.name)).collect()
}

/// Every function, with a number of columns and small parameters.
pub fn each() -> impl Iterator<Item = (&'static str, usize, Vec<Option<f64>>)> {
    signatures().iter().map(|s| (s.name, (*s.columns.end()).min(3), small(s)))
}

/// A detector with parameters.
pub fn detector(name: &str, columns: usize, parameters: &[Option<f64>]) -> Box<dyn Detector> {
    build(name, columns, parameters).expect("parameters in range")
}

/// Rows of several keys.
#[derive(Clone, Default)]
pub struct Rows {
    pub keys: Vec<u32>,
    pub times: Vec<i64>,
    pub columns: Vec<Vec<Option<f64>>>,
}

impl Rows {
    /// `rows` rows of `keys` keys in turns at random, some without a value.
    pub fn wild(rng: &mut SmallRng, rows: usize, columns: usize, keys: u32) -> Self {
        let mut all = Self { columns: vec![Vec::new(); columns], ..Self::default() };
        let mut series: Vec<Vec<std::vec::IntoIter<f64>>> =
            (0..keys).map(|_| (0..columns).map(|_| wild(rng, rows).into_iter()).collect()).collect();
        for i in 0..rows as i64 {
            let key = rng.random_range(0..keys);
            all.keys.push(key);
            all.times.push(i * 1_000_000);
            for (column, from) in all.columns.iter_mut().zip(&mut series[key as usize]) {
                let value = from.next();
                column.push(if rng.random_ratio(1, 40) { None } else { value });
            }
        }
        all
    }

    /// One key, one column, a second apart.
    pub fn of(series: &[f64]) -> Self {
        Self {
            keys: vec![0; series.len()],
            times: (0..series.len() as i64).map(|i| i * 1_000_000).collect(),
            columns: vec![series.iter().map(|v| Some(*v)).collect()],
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            keys: self.keys[range.clone()].to_vec(),
            times: self.times[range.clone()].to_vec(),
            columns: self.columns.iter().map(|c| c[range.clone()].to_vec()).collect(),
        }
    }

    /// Only the rows of a key.
    pub fn of_key(&self, key: u32) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|i| self.keys[*i] == key).collect();
        Self {
            keys: kept.iter().map(|i| self.keys[*i]).collect(),
            times: kept.iter().map(|i| self.times[*i]).collect(),
            columns: self.columns.iter().map(|c| kept.iter().map(|i| c[*i]).collect()).collect(),
        }
    }

    pub fn score(&self, detector: &mut dyn Detector) -> Vec<Option<f64>> {
        let inputs: Vec<Float64Array> = self.columns.iter().map(|c| c.iter().copied().collect()).collect();
        let mut out = Float64Builder::new();
        detector.score(&self.keys, &self.times, &inputs, &mut out);
        let scores = out.finish();
        assert_eq!(scores.len(), self.len());
        scores.iter().collect()
    }
}

/// The scores of one series.
pub fn scores(name: &str, parameters: &[Option<f64>], series: &[f64]) -> Vec<Option<f64>> {
    Rows::of(series).score(&mut *detector(name, 1, parameters))
}

/// Equal to the bit.
pub fn bits(scores: &[Option<f64>]) -> Vec<Option<u64>> {
    scores.iter().map(|s| s.map(f64::to_bits)).collect()
}
