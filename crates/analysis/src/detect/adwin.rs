//! `anomaly_adwin`: a window that holds as many rows as share one mean. It must not know keys.
//!
//! Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, 2007 (ADWIN2). For every cut of the
//! window into an older and a newer part, the difference of their means is compared with
//! ε = √(2/m × σ² × ln(2/δ′)) + 2R/(3m) × ln(2/δ′), with 1/m = 1/n₀ + 1/n₁, δ′ = δ / ln n and R the range of the values.
//! The score is the greatest difference in ε: from 1 on the older part of that cut is dropped (the paper drops bucket by
//! bucket, which reports one change many times). The paper has values in [0, 1]; here they are cut to three sigmas of the
//! window around its mean, so R = 6σ and one spike is no change.

use std::collections::VecDeque;

use super::bytes::{Fault, Reader, Writer};
use super::keyed::{Keyed, Method};
use super::robust::{MAX_SCORE, Scale, centre_and_spread};
use super::signature::{Parameter, Range, Signature};

/// Buckets of one size before the oldest two become one: `M` of the paper.
const OF_A_SIZE: usize = 5;
/// Rows that a part must have.
const LEAST_PART: u64 = 5;
/// Values are cut to so many sigmas around the mean.
const CUT_SIGMAS: f64 = 3.0;
/// Rows of a window at most; the oldest bucket leaves beyond that.
const MOST_ROWS: u64 = 1 << 24;

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_adwin",
    summary: "How certain it is that the mean has changed, over a window that grows until it has",
    columns: 1..=1,
    parameters: &[
        Parameter::real("delta", 0.0001, Range::above(0.0, 0.5), "chance of a false alarm that is allowed for"),
        Parameter::whole("warm_up", 50.0, Range::between(10.0, 10_000.0), "rows before the first score"),
    ],
    score: "difference of the means in its bound; above 0 if the series rises, below if it falls",
    threshold: Some(1.0),
    make: |given| {
        let method = Adwin { delta: given.real(0), warm_up: given.whole(1) };
        Ok(Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method)))
    },
};

struct Adwin {
    delta: f64,
    warm_up: usize,
}

enum State {
    WarmUp(Vec<f64>),
    /// From the oldest bucket to the newest; sizes do not grow.
    Window(VecDeque<Bucket>),
}

/// Rows that lie beside each other: 2^`level` of them.
#[derive(Clone, Copy)]
struct Bucket {
    level: u8,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

impl Bucket {
    fn rows(self) -> u64 {
        1 << self.level
    }
}

/// What a whole window comes to.
#[derive(Clone, Copy, Default)]
struct Whole {
    rows: u64,
    mean: f64,
    sigma: f64,
}

impl Whole {
    /// Always computed from the buckets, so that it is the same after a restart.
    fn of(window: &VecDeque<Bucket>) -> Self {
        let (mut rows, mut sum) = (0, 0.0);
        for bucket in window {
            rows += bucket.rows();
            sum += bucket.mean * bucket.rows() as f64;
        }
        let mean = sum / rows as f64;
        let squares = |b: &Bucket| b.squares + b.rows() as f64 * (b.mean - mean) * (b.mean - mean);
        let variance = window.iter().map(squares).sum::<f64>() / rows as f64;
        Self { rows, mean, sigma: Scale { variance }.sigma(mean) }
    }
}

/// Two buckets of one size as one (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
/// sample variances, 1979).
fn joined(older: Bucket, newer: Bucket) -> Bucket {
    let apart = newer.mean - older.mean;
    Bucket {
        level: older.level + 1,
        mean: older.mean + apart / 2.0,
        squares: older.squares + newer.squares + apart * apart * older.rows() as f64 / 2.0,
    }
}

/// Adds one row and keeps at most `OF_A_SIZE` buckets of each size.
fn add(window: &mut VecDeque<Bucket>, value: f64) {
    window.push_back(Bucket { level: 0, mean: value, squares: 0.0 });
    let mut end = window.len();
    let mut level = 0;
    loop {
        let of_level = window.range(..end).rev().take_while(|b| b.level == level).count();
        if of_level <= OF_A_SIZE {
            break;
        }
        let oldest = end - of_level;
        window[oldest + 1] = joined(window[oldest], window[oldest + 1]);
        window.remove(oldest);
        end = oldest + 1;
        level += 1;
    }
}

impl Adwin {
    /// The greatest difference of the means of two parts of the window, in its bound, with its sign; and how many buckets
    /// the older part has.
    fn difference(&self, window: &VecDeque<Bucket>, whole: Whole) -> (f64, usize) {
        let log = (2.0 * (whole.rows as f64).ln() / self.delta).ln();
        let total = whole.mean * whole.rows as f64;
        let (mut older, mut sum) = (0, 0.0);
        let mut greatest: (f64, usize) = (0.0, 0);
        for (i, bucket) in window.iter().enumerate() {
            older += bucket.rows();
            sum += bucket.mean * bucket.rows() as f64;
            let newer = whole.rows - older;
            if newer < LEAST_PART {
                break;
            }
            if older < LEAST_PART {
                continue;
            }
            let (n0, n1) = (older as f64, newer as f64);
            let rises = (total - sum) / n1 - sum / n0;
            let m = 1.0 / n0 + 1.0 / n1;
            let bound = whole.sigma * ((2.0 * m * log).sqrt() + 2.0 * (2.0 * CUT_SIGMAS) / 3.0 * m * log);
            let difference = rises / bound;
            if difference.abs() > greatest.0.abs() {
                greatest = (difference, i + 1);
            }
        }
        greatest
    }
}

impl Method for Adwin {
    type State = State;

    fn fresh(&self) -> State {
        State::WarmUp(Vec::new())
    }

    fn score(&self, state: &mut State, _time: i64, inputs: &[f64]) -> Option<f64> {
        let window = match state {
            State::WarmUp(values) => {
                values.push(inputs[0]);
                if values.len() >= self.warm_up {
                    let (centre, sigma) = centre_and_spread(&mut values.clone());
                    let mut window = VecDeque::new();
                    for value in values {
                        add(&mut window, value.clamp(centre - CUT_SIGMAS * sigma, centre + CUT_SIGMAS * sigma));
                    }
                    *state = State::Window(window);
                }
                return None;
            }
            State::Window(window) => window,
        };
        let before = Whole::of(window);
        let (low, high) = (before.mean - CUT_SIGMAS * before.sigma, before.mean + CUT_SIGMAS * before.sigma);
        add(window, inputs[0].clamp(low, high));
        if before.rows >= MOST_ROWS {
            window.pop_front();
        }
        let (score, mut older) = self.difference(window, Whole::of(window));
        let mut now = score;
        while now.abs() >= 1.0 {
            window.drain(..older);
            (now, older) = self.difference(window, Whole::of(window));
        }
        Some(score.clamp(-MAX_SCORE, MAX_SCORE))
    }

    fn write(&self, state: &State, to: &mut Writer) {
        match state {
            State::WarmUp(values) => {
                to.u8(0);
                to.f64s(values.iter().copied());
            }
            State::Window(window) => {
                to.u8(1);
                to.u16(window.len() as u16);
                for bucket in window {
                    to.u8(bucket.level);
                    to.f64(bucket.mean);
                    to.f64(bucket.squares);
                }
            }
        }
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<State, Fault> {
        match from.u8()? {
            0 => Ok(State::WarmUp(from.f64s(self.warm_up - 1)?)),
            1 => {
                let length = from.u16()?;
                let mut window = VecDeque::new();
                let mut level = MOST_ROWS.ilog2() as u8;
                for _ in 0..length {
                    let bucket = Bucket { level: from.u8()?, mean: from.f64()?, squares: from.square()? };
                    if bucket.level > level {
                        return Err("a bucket of its window is too large");
                    }
                    level = bucket.level;
                    window.push_back(bucket);
                }
                if window.is_empty() {
                    return Err("its window is empty");
                }
                Ok(State::Window(window))
            }
            _ => Err("it is neither in warm-up nor past it"),
        }
    }

    fn heap(state: &State) -> usize {
        match state {
            State::WarmUp(values) => values.capacity() * size_of::<f64>(),
            State::Window(window) => window.capacity() * size_of::<Bucket>(),
        }
    }
}
