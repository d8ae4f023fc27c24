//! `anomaly_zscore`: the robust z-score of a value against the window of values before it. It must not know keys.
//!
//! |x − median| / (1.4826 × MAD), after Iglewicz and Hoaglin, How to detect and handle outliers, 1993. Up to half of the
//! window may be anomalies before median and MAD follow them: that is what keeps an anomaly from hiding the next.

use super::bytes::{Fault, Reader, Writer};
use super::keyed::{Keyed, Method};
use super::robust::{median, score, spread};
use super::signature::{Parameter, Range, Signature};

const WINDOW: usize = 0;
const WARM_UP: usize = 1;

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_zscore",
    summary: "How many robust standard deviations a value is from the median of the rows before it",
    columns: 1..=1,
    parameters: &[
        Parameter::whole("window_rows", 100.0, Range::between(3.0, 10_000.0), "rows that a value is compared with"),
        Parameter::whole("warm_up", 20.0, Range::between(3.0, 10_000.0), "rows before the first score"),
    ],
    score: "standard deviations, 0 or more",
    threshold: Some(5.0),
    make: |given| {
        let (window, warm_up) = (given.whole(WINDOW), given.whole(WARM_UP));
        // The default warm-up gives way to a small window; one that was asked for does not.
        let default = SIGNATURE.parameters[WARM_UP].default == Some(given.real(WARM_UP));
        if warm_up > window && !default {
            return Err(given.refuse(WARM_UP, format!("at most window_rows, which is {window}")));
        }
        let method = ZScore { window, warm_up: warm_up.min(window) };
        Ok(Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method)))
    },
};

struct ZScore {
    window: usize,
    warm_up: usize,
}

/// The last values, by age and by size.
#[derive(Default)]
struct Window {
    ring: Vec<f64>,
    /// Where the oldest is, once the ring is full.
    oldest: usize,
    ascending: Vec<f64>,
}

impl Window {
    fn of(values: Vec<f64>) -> Self {
        let mut ascending = values.clone();
        ascending.sort_unstable_by(f64::total_cmp);
        Self { ring: values, oldest: 0, ascending }
    }

    /// Adds a value; if that is more than `most`, the oldest leaves.
    fn push(&mut self, value: f64, most: usize) {
        let place = |ascending: &[f64], v: f64| ascending.partition_point(|a| a.total_cmp(&v).is_lt());
        let to = place(&self.ascending, value);
        if self.ring.len() < most {
            self.ring.push(value);
            self.ascending.insert(to, value);
            return;
        }
        let gone = std::mem::replace(&mut self.ring[self.oldest], value);
        self.oldest = if self.oldest + 1 == most { 0 } else { self.oldest + 1 };
        let from = place(&self.ascending, gone);
        // Only what lies between the two places moves.
        if from < to {
            self.ascending.copy_within(from + 1..to, from);
            self.ascending[to - 1] = value;
        } else {
            self.ascending.copy_within(to..from, to + 1);
            self.ascending[to] = value;
        }
    }
}

impl Method for ZScore {
    type State = Window;

    fn fresh(&self) -> Window {
        Window::default()
    }

    fn score(&self, window: &mut Window, _time: i64, inputs: &[f64]) -> Option<f64> {
        let value = inputs[0];
        let scored = (window.ring.len() >= self.warm_up).then(|| {
            let centre = median(&window.ascending);
            score(value - centre, spread(&window.ascending, centre))
        });
        window.push(value, self.window);
        scored
    }

    fn write(&self, window: &Window, to: &mut Writer) {
        let (new, old) = window.ring.split_at(window.oldest);
        to.u32(window.ring.len() as u32);
        for value in old.iter().chain(new) {
            to.f64(*value);
        }
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<Window, Fault> {
        Ok(Window::of(from.f64s(self.window)?))
    }

    fn heap(window: &Window) -> usize {
        (window.ring.capacity() + window.ascending.capacity()) * size_of::<f64>()
    }
}
