//! `anomaly_ewma`: the control chart of exponentially weighted moving averages. It must not know keys.
//!
//! z = λx + (1 − λ)z₋₁ against its limits σ√(λ/(2 − λ) × (1 − (1 − λ)²ᵗ)): Roberts, Control chart tests based on
//! geometric moving averages, 1959. A row counts in full for its own score. What is kept of it for the next is at most
//! four sigmas from the centre, and centre and sigma are robust (`Reference`): an anomaly fades within a few rows.

use super::bytes::{Fault, Reader, Writer};
use super::keyed::{Keyed, Method};
use super::reference::Reference;
use super::robust::score;
use super::signature::{Given, Parameter, Range, Signature};

/// What is kept of a value is at most so many sigmas from the centre.
const KEPT_SIGMAS: f64 = 4.0;

const PARAMETERS: &[Parameter] = &[
    Parameter::real("lambda", 0.2, Range::above(0.0, 1.0), "weight of the newest row; 1 makes it a Shewhart chart"),
    Parameter::whole("warm_up", 50.0, Range::between(2.0, 10_000.0), "rows before the first score"),
    Parameter::whole("memory", 500.0, Range::between(2.0, 1e9), "rows over which centre and sigma follow the series"),
];

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_ewma",
    summary: "How far the moving average of a series is from its centre, in sigmas of that average",
    columns: 1..=1,
    parameters: PARAMETERS,
    score: "standard deviations of the moving average, 0 or more",
    threshold: Some(4.0),
    make: |given| Ok(make(given, false)),
};

pub(super) const EXPECTED: Signature = Signature {
    name: "anomaly_ewma_expected",
    summary: "The centre that anomaly_ewma compares with",
    score: "the value that was normal before the row, in the unit of the column",
    threshold: None,
    make: |given| Ok(make(given, true)),
    ..SIGNATURE
};

fn make(given: &Given, expected: bool) -> Box<Keyed<Ewma>> {
    let method = Ewma { lambda: given.real(0), warm_up: given.whole(1), memory: given.whole(2) as u32, expected };
    Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method))
}

struct Ewma {
    lambda: f64,
    warm_up: usize,
    memory: u32,
    /// The centre is asked for, not the score.
    expected: bool,
}

#[derive(Default)]
struct Chart {
    reference: Reference,
    /// The moving average.
    average: f64,
    /// (1 − λ)²ᵗ after t rows.
    fade: f64,
}

impl Method for Ewma {
    type State = Chart;

    fn fresh(&self) -> Chart {
        Chart { fade: 1.0, ..Chart::default() }
    }

    fn score(&self, chart: &mut Chart, _time: i64, inputs: &[f64]) -> Option<f64> {
        let value = inputs[0];
        let Some(known) = chart.reference.known(value, self.warm_up) else {
            if let Reference::Known(known) = &chart.reference {
                chart.average = known.centre;
            }
            return None;
        };
        let (centre, sigma) = (known.centre, known.sigma());
        let rest = 1.0 - self.lambda;
        let now = self.lambda * value + rest * chart.average;
        chart.fade *= rest * rest;
        let limit = sigma * (self.lambda / (2.0 - self.lambda) * (1.0 - chart.fade)).sqrt();
        let kept = value.clamp(centre - KEPT_SIGMAS * sigma, centre + KEPT_SIGMAS * sigma);
        chart.average = self.lambda * kept + rest * chart.average;
        known.learn(value, self.memory);
        Some(if self.expected { centre } else { score(now - centre, limit) })
    }

    fn write(&self, chart: &Chart, to: &mut Writer) {
        chart.reference.write(to);
        to.f64(chart.average);
        to.f64(chart.fade);
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<Chart, Fault> {
        let reference = Reference::read(from, self.warm_up)?;
        let (average, fade) = (from.f64()?, from.square()?);
        if fade > 1.0 {
            return Err("its number of rows is below 0");
        }
        Ok(Chart { reference, average, fade })
    }

    fn heap(chart: &Chart) -> usize {
        chart.reference.heap()
    }
}
