//! `anomaly_cusum` and `anomaly_page_hinkley`: sums of deviations that small lasting shifts make grow. It must not know
//! keys.
//!
//! Both sum u − drift and −u − drift, never below 0, where u is a deviation in sigmas: Page, Continuous inspection
//! schemes, 1954. CUSUM measures it from a centre learnt from the rows before (as the self-starting charts of Hawkins,
//! 1987), Page-Hinkley from the mean of all rows including this one (Hinkley, Inference about the change-point from
//! cumulative sum tests, 1971). A deviation counts as at most four sigmas, so one spike is no shift; a sum that passes
//! the threshold is reported, then the chart learns the new normal from its start.

use super::bytes::{Fault, Reader, Writer};
use super::keyed::{Keyed, Method};
use super::reference::Reference;
use super::signature::{Given, Parameter, Range, Signature};

/// A deviation counts as at most so many sigmas.
const MOST_SIGMAS: f64 = 4.0;
/// Rows over which CUSUM's centre follows the series.
const CUSUM_MEMORY: u32 = 1000;

const WARM_UP: Parameter =
    Parameter::whole("warm_up", 50.0, Range::between(2.0, 10_000.0), "rows before the first score, and after an alarm");

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_cusum",
    summary: "Sums of deviations from the centre: finds a lasting shift of the level, soon and with its direction",
    columns: 1..=1,
    parameters: &[
        Parameter::real("drift", 0.5, Range::between(0.0, 3.0), "sigmas that are taken off every deviation"),
        Parameter::real("threshold", 10.0, Range::above(0.0, 1e6), "sum at which the chart begins anew"),
        WARM_UP,
    ],
    score: "sum of standard deviations; above 0 if the series rises, below if it falls",
    threshold: Some(10.0),
    make: |given| Ok(make(given, false)),
};

pub(super) const PAGE_HINKLEY: Signature = Signature {
    name: "anomaly_page_hinkley",
    summary: "Sums of deviations from the mean so far: finds slow and small lasting shifts, with their direction",
    columns: 1..=1,
    parameters: &[
        Parameter::real("delta", 0.1, Range::between(0.0, 3.0), "sigmas that are taken off every deviation"),
        Parameter::real("threshold", 40.0, Range::above(0.0, 1e6), "sum at which the test begins anew"),
        WARM_UP,
    ],
    score: "sum of standard deviations; above 0 if the series rises, below if it falls",
    threshold: Some(40.0),
    make: |given| Ok(make(given, true)),
};

fn make(given: &Given, page_hinkley: bool) -> Box<Keyed<Cusum>> {
    let (drift, threshold, warm_up) = (given.real(0), given.real(1), given.whole(2));
    let method = Cusum { drift, threshold, warm_up, page_hinkley };
    Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method))
}

struct Cusum {
    drift: f64,
    threshold: f64,
    warm_up: usize,
    /// The mean is of all rows, and this one is among them.
    page_hinkley: bool,
}

#[derive(Default)]
struct Sums {
    reference: Reference,
    up: f64,
    down: f64,
}

impl Method for Cusum {
    type State = Sums;

    fn fresh(&self) -> Sums {
        Sums::default()
    }

    fn score(&self, sums: &mut Sums, _time: i64, inputs: &[f64]) -> Option<f64> {
        let value = inputs[0];
        let known = sums.reference.known(value, self.warm_up)?;
        let sigma = known.sigma();
        if self.page_hinkley {
            known.learn(value, u32::MAX);
        }
        let deviation = ((value - known.centre) / sigma).clamp(-MOST_SIGMAS, MOST_SIGMAS);
        if !self.page_hinkley {
            known.learn(value, CUSUM_MEMORY);
        }
        sums.up = (sums.up + deviation - self.drift).max(0.0);
        sums.down = (sums.down - deviation - self.drift).max(0.0);
        let score = if sums.up >= sums.down { sums.up } else { -sums.down };
        if score.abs() >= self.threshold {
            *sums = Sums::default();
        }
        Some(score)
    }

    fn write(&self, sums: &Sums, to: &mut Writer) {
        sums.reference.write(to);
        to.f64(sums.up);
        to.f64(sums.down);
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<Sums, Fault> {
        let reference = Reference::read(from, self.warm_up)?;
        Ok(Sums { reference, up: from.square()?, down: from.square()? })
    }

    fn heap(sums: &Sums) -> usize {
        sums.reference.heap()
    }
}
