//! `anomaly_adwin`: a window that holds as many rows as share one mean. It must not know keys.
//!
//! Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, 2007 (ADWIN2). For every cut of the
//! window into an older and a newer part, the difference of their means is compared with
//! ε = √(2/m × σ² × ln(2/δ′)) + 2R/(3m) × ln(2/δ′), with 1/m = 1/n₀ + 1/n₁, δ′ = δ / ln n and R the range of the values.
//! The score is the greatest difference in ε: from 1 on the older part is dropped. The paper has values in [0, 1]; here
//! they are cut to three sigmas of the window around its mean, so R = 6σ and one spike is no change.

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

/// Rows without their order.
#[derive(Clone, Copy, Default)]
struct Part {
    rows: u64,
    mean: f64,
    squares: f64,
}

impl Part {
    /// Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    fn join(self, other: Self) -> Self {
        let rows = self.rows + other.rows;
        let share = other.rows as f64 / rows as f64;
        let apart = other.mean - self.mean;
        let squares = self.squares + other.squares + apart * apart * self.rows as f64 * share;
        Self { rows, mean: self.mean + apart * share, squares }
    }
}

impl From<Bucket> for Part {
    fn from(bucket: Bucket) -> Self {
        Self { rows: bucket.rows(), mean: bucket.mean, squares: bucket.squares }
    }
}

fn whole(window: &VecDeque<Bucket>) -> Part {
    window.iter().fold(Part::default(), |sum, bucket| sum.join((*bucket).into()))
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
        let joined = Part::from(window[oldest]).join(window[oldest + 1].into());
        window[oldest + 1] = Bucket { level: level + 1, mean: joined.mean, squares: joined.squares };
        window.remove(oldest);
        end = oldest + 1;
        level += 1;
    }
    if whole(window).rows > MOST_ROWS {
        window.pop_front();
    }
}

impl Adwin {
    /// The greatest difference of the means of two parts of the window, in its bound, with its sign.
    fn difference(&self, window: &VecDeque<Bucket>, whole: Part) -> f64 {
        let variance = whole.squares / whole.rows as f64;
        let sigma = Scale { variance }.sigma(whole.mean);
        let log = (2.0 * (whole.rows as f64).ln() / self.delta).ln();
        let mut older = (0, 0.0);
        let total = whole.mean * whole.rows as f64;
        let mut greatest: f64 = 0.0;
        for bucket in window {
            older = (older.0 + bucket.rows(), older.1 + bucket.mean * bucket.rows() as f64);
            let newer = whole.rows - older.0;
            if newer < LEAST_PART {
                break;
            }
            if older.0 < LEAST_PART {
                continue;
            }
            let (n0, n1) = (older.0 as f64, newer as f64);
            let rises = (total - older.1) / n1 - older.1 / n0;
            let m = 1.0 / n0 + 1.0 / n1;
            let bound = sigma * ((2.0 * m * log).sqrt() + 2.0 * (2.0 * CUT_SIGMAS) / 3.0 * m * log);
            let difference = rises / bound;
            if difference.abs() > greatest.abs() {
                greatest = difference;
            }
        }
        greatest.clamp(-MAX_SCORE, MAX_SCORE)
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
        let before = whole(window);
        let sigma = Scale { variance: before.squares / before.rows as f64 }.sigma(before.mean);
        let (low, high) = (before.mean - CUT_SIGMAS * sigma, before.mean + CUT_SIGMAS * sigma);
        add(window, inputs[0].clamp(low, high));
        let mut all = whole(window);
        let score = self.difference(window, all);
        let mut now = score;
        while now.abs() >= 1.0 && window.len() > 1 {
            window.pop_front();
            all = whole(window);
            now = self.difference(window, all);
        }
        Some(score)
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
