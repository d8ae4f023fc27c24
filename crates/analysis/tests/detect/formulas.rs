//! Each method as its formula says it, over plain lists and without any state: what the incremental ones must equal.

use rand::Rng;

use crate::series::{Rows, detector, random, scores, wild};

const K: f64 = 2.0;
const SIGMAS_PER_MAD: f64 = 1.0 / 0.674_489_750_196_081_7;

pub fn assert_close(name: &str, ours: &[Option<f64>], plain: &[Option<f64>]) {
    assert_eq!(ours.len(), plain.len());
    let mut scored = 0;
    for (i, (a, b)) in ours.iter().zip(plain).enumerate() {
        match (a, b) {
            (None, None) => {}
            (Some(a), Some(b)) => {
                scored += 1;
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{name}, row {i}: {a} but by the formula {b}");
            }
            _ => panic!("{name}, row {i}: {a:?} but by the formula {b:?}"),
        }
    }
    assert!(scored * 6 > ours.len(), "{name}: {scored} of {} rows were scored", ours.len());
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 }
}

fn spread(values: &[f64]) -> f64 {
    let centre = median(values);
    let distances: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    let mad = median(&distances);
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    if mad > 0.0 { SIGMAS_PER_MAD * mad } else { (std::f64::consts::PI / 2.0).sqrt() * mean }
}

fn ratio(deviation: f64, sigma: f64) -> f64 {
    if deviation == 0.0 { 0.0 } else { (deviation.abs() / sigma).min(1e9) }
}

fn floor(sigma: f64, near: f64) -> f64 {
    sigma.max(1e-9 * near.abs()).max(f64::MIN_POSITIVE)
}

fn psi(ratio: f64) -> f64 {
    ratio.clamp(-K, K)
}

fn rho(ratio: f64) -> f64 {
    let c = 2.515_322_660;
    if ratio.abs() <= K { c * (1.0 - (1.0 - (ratio / K).powi(2)).powi(3)) } else { c }
}

/// The squared scale after an error: Gelper, Fried and Croux, except where there was none.
fn next_variance(variance: f64, error: f64, sigma: f64, gain: f64) -> f64 {
    if variance.sqrt() < sigma && (error / sigma).abs() > K {
        return gain * error * error;
    }
    (1.0 - gain) * variance + gain * rho(error / sigma) * sigma * sigma
}

/// One step of the M-estimates from median and spread: the mean of the clipped errors, the mean of their biweights.
fn start(warm: &[f64]) -> (f64, f64) {
    let (first, sigma) = (median(warm), floor(spread(warm), median(warm)));
    let errors = || warm.iter().map(|v| (v - first) / sigma);
    let biweight = mean(&errors().map(rho).collect::<Vec<_>>());
    let variance = if spread(warm) < sigma { spread(warm).powi(2) } else { biweight * sigma * sigma };
    (first + sigma * mean(&errors().map(psi).collect::<Vec<_>>()), variance)
}

/// Centre and sigma before each row of `series`, of which the first `warm_up` give the first.
fn references(series: &[f64], warm_up: usize, memory: f64) -> Vec<Option<(f64, f64)>> {
    let mut all = vec![None; warm_up.min(series.len())];
    if series.len() <= warm_up {
        return all;
    }
    let (mut centre, mut variance) = start(&series[..warm_up]);
    for (i, value) in series.iter().enumerate().skip(warm_up) {
        let sigma = floor(variance.sqrt(), centre);
        all.push(Some((centre, sigma)));
        let gain = 1.0 / ((i + 1) as f64).min(memory);
        let error = value - centre;
        variance = next_variance(variance, error, sigma, gain);
        centre += gain * sigma * psi(error / sigma);
    }
    all
}

#[test]
fn zscore() {
    for seed in 0..20 {
        let rng = &mut random("zscore", seed);
        let (window, warm_up) = (rng.random_range(3..80), rng.random_range(3..80));
        let warm_up = usize::min(window, warm_up);
        let series = wild(rng, 700);
        let plain = |i: usize| {
            let before = &series[i.saturating_sub(window)..i];
            (before.len() >= warm_up).then(|| ratio(series[i] - median(before), spread(before)))
        };
        let plain: Vec<_> = (0..series.len()).map(plain).collect();
        let ours = scores("anomaly_zscore", &[Some(window as f64), Some(warm_up as f64)], &series);
        assert_close("zscore", &ours, &plain);
    }
}

#[test]
fn ewma() {
    for seed in 0..20 {
        let rng = &mut random("ewma", seed);
        let (lambda, warm_up, memory): (f64, usize, f64) =
            (rng.random_range(0.01..=1.0), rng.random_range(2..60), 80.0);
        let series = wild(rng, 600);
        let known = references(&series, warm_up, memory);
        let kept = |i: usize| {
            let (centre, sigma) = known[i].expect("after warm-up");
            series[i].clamp(centre - 4.0 * sigma, centre + 4.0 * sigma)
        };
        let (start, _) = start(&series[..warm_up]);
        let plain = |i: usize| {
            let (centre, sigma) = known[i]?;
            let t = (i - warm_up + 1) as i32;
            // The weights of all rows since warm-up, the newest in full, and of where they started from.
            let older = (warm_up..i).map(|j| lambda * (1.0 - lambda).powi((i - j) as i32) * kept(j)).sum::<f64>();
            let z = lambda * series[i] + older + (1.0 - lambda).powi(t) * start;
            let limit = sigma * (lambda / (2.0 - lambda) * (1.0 - (1.0 - lambda).powi(2 * t))).sqrt();
            Some(ratio(z - centre, limit))
        };
        let plain: Vec<_> = (0..series.len()).map(plain).collect();
        let parameters = [Some(lambda), Some(warm_up as f64), Some(memory)];
        assert_close("ewma", &scores("anomaly_ewma", &parameters, &series), &plain);
        let centres: Vec<_> = known.iter().map(|k| k.map(|(centre, _)| centre)).collect();
        assert_close("ewma expected", &scores("anomaly_ewma_expected", &parameters, &series), &centres);
    }
}

/// Page's sums as what they are the greatest of: the sum since any row. The chart begins anew after an alarm.
fn plain_sums(series: &[f64], warm_up: usize, drift: f64, threshold: f64, hinkley: bool) -> Vec<Option<f64>> {
    let mut all = Vec::new();
    let mut from = 0;
    while from < series.len() {
        let part = &series[from..];
        let known = references(part, warm_up, if hinkley { f64::INFINITY } else { 1000.0 });
        let centre_with = |i: usize| {
            let (centre, sigma) = known[i]?;
            let error = part[i] - centre;
            let mean = centre + sigma * psi(error / sigma) / (i + 1) as f64;
            Some((if hinkley { mean } else { centre }, sigma))
        };
        let deviation = |i: usize| centre_with(i).map(|(c, s)| ((part[i] - c) / s).clamp(-4.0, 4.0));
        let greatest = |i: usize, sign: f64| {
            let since = |j: usize| (j..=i).map(|k| sign * deviation(k).expect("after warm-up") - drift).sum::<f64>();
            (warm_up..=i).map(since).fold(0.0, f64::max)
        };
        let mut taken = 0;
        for (i, known) in known.iter().enumerate() {
            taken += 1;
            let score = known.map(|_| {
                let (up, down) = (greatest(i, 1.0), greatest(i, -1.0));
                if up >= down { up } else { -down }
            });
            all.push(score);
            if score.is_some_and(|s| s.abs() >= threshold) {
                break;
            }
        }
        from += taken;
    }
    all
}

#[test]
fn cusum_and_page_hinkley() {
    for seed in 0..8 {
        let rng = &mut random("cusum", seed);
        let (drift, threshold) = (rng.random_range(0.0..1.0), rng.random_range(3.0..30.0));
        let warm_up = rng.random_range(2..40);
        let series = wild(rng, 250);
        for (name, hinkley) in [("anomaly_cusum", false), ("anomaly_page_hinkley", true)] {
            let plain = plain_sums(&series, warm_up, drift, threshold, hinkley);
            let ours = scores(name, &[Some(drift), Some(threshold), Some(warm_up as f64)], &series);
            assert_close(name, &ours, &plain);
        }
    }
}

/// Holt-Winters in the form of the textbooks, of values cut to two sigmas around the forecast.
fn plain_seasonal(series: &[Option<f64>], m: usize, [alpha, beta, gamma]: [f64; 3], s: usize) -> Vec<[Option<f64>; 2]> {
    let warm: Vec<Option<f64>> = series[..m * s].to_vec();
    let pair = |i: usize| Some(warm[i + m]? - warm[i]?);
    let changes: Vec<f64> = (0..m * (s - 1)).filter_map(pair).collect();
    let mut trend = median(&changes) / m as f64;
    let rest = |j: usize| {
        let rests: Vec<f64> =
            (0..s).filter_map(|season| Some(warm[season * m + j]? - trend * (season * m + j) as f64)).collect();
        median(&rests)
    };
    let rests: Vec<f64> = (0..m).map(rest).collect();
    let base = median(&rests);
    let mut offsets: Vec<f64> = rests.iter().map(|r| r - base).collect();
    let mut level = base + trend * (m * s - 1) as f64;
    let mut variance = (spread(&changes) / 2f64.sqrt()).powi(2) * (1.0 + 1.0 / s as f64);
    let mut all = vec![[None; 2]; m * s];
    let mut last = m * s - 1;
    for (i, value) in series.iter().enumerate().skip(m * s) {
        let Some(value) = value else {
            all.push([None; 2]);
            continue;
        };
        let ahead = (i - last).min(m) as f64;
        last = i;
        let forecast = level + ahead * trend + offsets[i % m];
        let sigma = floor(variance.sqrt(), forecast);
        let error = value - forecast;
        all.push([Some(ratio(error, sigma)), Some(forecast)]);
        let cut = forecast + sigma * psi(error / sigma);
        let before = level;
        level = alpha * (cut - offsets[i % m]) + (1.0 - alpha) * (level + ahead * trend);
        // Holt's trend is over one row; over a gap it is shared out.
        let rise = level - before;
        trend = (beta * rise + (1.0 - beta) * ahead * trend) / ahead;
        offsets[i % m] = gamma * (cut - level) + (1.0 - gamma) * offsets[i % m];
        variance = next_variance(variance, error, sigma, 0.02);
    }
    all
}

#[test]
fn seasonal() {
    for seed in 0..20 {
        let rng = &mut random("seasonal", seed);
        let (m, s) = (rng.random_range(2..20), rng.random_range(2..5));
        let gains = [rng.random_range(0.0..0.5), rng.random_range(0.0..0.2), rng.random_range(0.0..0.5)];
        let gaps = seed % 2 == 1;
        let series: Vec<Option<f64>> = wild(rng, 600).into_iter().map(Some).collect();
        // The first row must be there, for it is where the season begins, and enough of each place of the season.
        let series: Vec<Option<f64>> =
            (0..600).map(|i| if gaps && i >= m && rng.random_ratio(1, 6) { None } else { series[i] }).collect();
        let plain = plain_seasonal(&series, m, gains, s);
        let step = if gaps { 0.5 } else { 0.0 };
        let parameters = [m as f64, gains[0], gains[1], gains[2], step, s as f64].map(Some);
        let rows = Rows {
            keys: vec![0; 600],
            times: (0..600).map(|i| 7_000_000 + i * 500_000 + rng.random_range(0..400_000)).collect(),
            columns: vec![series],
        };
        for (i, name) in ["anomaly_seasonal", "anomaly_seasonal_expected"].into_iter().enumerate() {
            let plain: Vec<_> = plain.iter().map(|p| p[i]).collect();
            assert_close(name, &rows.score(&mut *detector(name, 1, &parameters)), &plain);
        }
    }
}

fn mean(rows: &[f64]) -> f64 {
    rows.iter().sum::<f64>() / rows.len() as f64
}

fn sigma(rows: &[f64]) -> f64 {
    let centre = mean(rows);
    let variance = rows.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / rows.len() as f64;
    floor(variance.sqrt(), centre)
}

/// The greatest difference between the two sides of a cut, over the cuts between buckets.
fn plain_difference(buckets: &[Vec<f64>], delta: f64) -> (f64, usize) {
    let all: Vec<f64> = buckets.concat();
    let log = (2.0 * (all.len() as f64).ln() / delta).ln();
    let mut greatest: (f64, usize) = (0.0, 0);
    for cut in 1..buckets.len() {
        let (old, new) = (buckets[..cut].concat(), buckets[cut..].concat());
        if old.len() < 5 || new.len() < 5 {
            continue;
        }
        let m = 1.0 / old.len() as f64 + 1.0 / new.len() as f64;
        let bound = sigma(&all) * ((2.0 * m * log).sqrt() + 2.0 * 6.0 / 3.0 * m * log);
        let difference = (mean(&new) - mean(&old)) / bound;
        if difference.abs() > greatest.0.abs() {
            greatest = (difference, cut);
        }
    }
    greatest
}

/// Buckets as lists of their rows; sizes 1, 2, 4, …, at most five of each, joined from the oldest.
fn plain_bucket(buckets: &mut Vec<Vec<f64>>, value: f64) {
    buckets.push(vec![value]);
    let mut size = 1;
    while let Some(first) = buckets.iter().position(|b| b.len() == size) {
        if buckets.iter().filter(|b| b.len() == size).count() <= 5 {
            break;
        }
        let next = buckets.remove(first + 1);
        buckets[first].extend(next);
        size *= 2;
    }
}

#[test]
fn adwin() {
    for seed in 0..12 {
        let rng = &mut random("adwin", seed);
        let (delta, warm_up) = (rng.random_range(0.0001..0.3), rng.random_range(10..50));
        // Where all rows are equal the score is rounding alone.
        let series: Vec<f64> = wild(rng, 500).into_iter().map(|v| v + rng.random_range(0.0..0.01)).collect();
        let (centre, width) = (median(&series[..warm_up]), 3.0 * spread(&series[..warm_up]));
        let mut buckets = Vec::new();
        for value in &series[..warm_up] {
            plain_bucket(&mut buckets, value.clamp(centre - width, centre + width));
        }
        let mut plain = vec![None; warm_up];
        for value in &series[warm_up..] {
            let all: Vec<f64> = buckets.concat();
            let (centre, width) = (mean(&all), 3.0 * sigma(&all));
            plain_bucket(&mut buckets, value.clamp(centre - width, centre + width));
            let (score, mut older) = plain_difference(&buckets, delta);
            plain.push(Some(score));
            let mut now = score;
            while now.abs() >= 1.0 {
                buckets.drain(..older);
                (now, older) = plain_difference(&buckets, delta);
            }
        }
        assert_close("adwin", &scores("anomaly_adwin", &[Some(delta), Some(warm_up as f64)], &series), &plain);
    }
}
