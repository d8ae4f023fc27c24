//! `anomaly_seasonal`: additive Holt-Winters forecasts and how far off they are. It must not know keys.
//!
//! Level, trend and one offset per slot of the season, each smoothed exponentially (Holt, Forecasting seasonals and
//! trends by exponentially weighted moving averages, 1957; Winters, Forecasting sales by exponentially weighted moving
//! averages, 1960). The score is the error of the forecast in sigmas of the errors before. What is learnt of an error is
//! at most two sigmas, and sigma follows a bounded biweight (Gelper, Fried and Croux, Robust forecasting with
//! exponential and Holt-Winters smoothing, 2010).

use super::bytes::{Fault, MAX_NUMBER, Reader, Writer};
use super::forecast::{Forecast, WarmUp};
use super::keyed::{Keyed, Method};
use super::robust::{clipped, score};
use super::signature::{Given, Parameter, Range, Signature};

/// Gain of the scale of errors.
const SCALE_GAIN: f64 = 0.02;

const PARAMETERS: &[Parameter] = &[
    Parameter {
        default: None,
        ..Parameter::whole("period", 0.0, Range::between(2.0, 100_000.0), "rows of one season (or steps, with step)")
    },
    Parameter::real("alpha", 0.1, Range::between(0.0, 1.0), "how fast the level follows"),
    Parameter::real("beta", 0.0, Range::between(0.0, 1.0), "how fast the trend follows; 0 keeps that of the warm-up"),
    Parameter::real("gamma", 0.1, Range::between(0.0, 1.0), "how fast the shape of the season follows"),
    Parameter::real(
        "step",
        0.0,
        Range::between(0.0, 1e9),
        "seconds between rows, to see gaps; 0 takes rows as they come",
    ),
    Parameter::whole("seasons", 3.0, Range::between(2.0, 20.0), "seasons before the first score"),
];

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_seasonal",
    summary: "How far a value is from a Holt-Winters forecast, in sigmas of the forecast's errors",
    columns: 1..=1,
    parameters: PARAMETERS,
    score: "standard deviations of the forecast's error, 0 or more",
    threshold: Some(5.0),
    make: |given| Ok(make(given, false)),
};

pub(super) const EXPECTED: Signature = Signature {
    name: "anomaly_seasonal_expected",
    summary: "The Holt-Winters forecast that anomaly_seasonal compares with",
    score: "the value that was expected, in the unit of the column",
    threshold: None,
    make: |given| Ok(make(given, true)),
    ..SIGNATURE
};

fn make(given: &Given, expected: bool) -> Box<Keyed<Seasonal>> {
    let method = Seasonal {
        period: given.whole(0),
        alpha: given.real(1),
        beta: given.real(2),
        gamma: given.real(3),
        step: given.real(4) * 1e6,
        seasons: given.whole(5),
        expected,
    };
    Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method))
}

struct Seasonal {
    period: usize,
    alpha: f64,
    beta: f64,
    gamma: f64,
    /// µs from one slot to the next; 0 if every row is one.
    step: f64,
    seasons: usize,
    /// The forecast is asked for, not the score.
    expected: bool,
}

/// Where a key is.
struct State {
    /// The slot of the first row, counted from 1970 in steps; 0 without a step.
    origin: i64,
    /// The slot of the last row, counted from the first.
    slot: i64,
    phase: Phase,
}

enum Phase {
    WarmUp(WarmUp),
    Forecasting(Forecast),
}

impl Seasonal {
    /// The slot of a row at `time`, from the first row; `last` is that of the row before.
    fn slot(&self, origin: i64, last: i64, time: i64) -> i64 {
        if self.step == 0.0 {
            return last.saturating_add(1);
        }
        // Times do not run backwards within a key.
        self.steps(time).saturating_sub(origin).max(last)
    }

    fn steps(&self, time: i64) -> i64 {
        if self.step == 0.0 { 0 } else { (time as f64 / self.step).floor() as i64 }
    }

    fn begin(&self, state: &mut State, time: i64, value: f64) {
        *state = State { origin: self.steps(time), slot: 0, phase: Phase::WarmUp(WarmUp::default()) };
        if let Phase::WarmUp(warm_up) = &mut state.phase {
            warm_up.add(0, value);
        }
    }

    /// The expected value of a row `ahead` slots after the last, and its score; learns the row.
    fn forecast(&self, forecast: &mut Forecast, place: usize, ahead: i64, value: f64) -> f64 {
        let Forecast { level, trend, scale, offsets } = forecast;
        // A trend is not believed in for longer than a season.
        let ahead = ahead.min(self.period as i64) as f64;
        let base = *level + ahead * *trend;
        let expected = base + offsets[place];
        let error = value - expected;
        let sigma = scale.sigma(expected);
        let kept = clipped(error, sigma);
        *level = bounded(base + self.alpha * kept);
        if ahead > 0.0 {
            *trend = bounded(*trend + self.beta * self.alpha * kept / ahead);
        }
        offsets[place] = bounded(offsets[place] + self.gamma * (1.0 - self.alpha) * kept);
        scale.learn(error, expected, SCALE_GAIN);
        if self.expected { expected } else { score(error, sigma) }
    }
}

/// Some choices of the three gains are not stable.
fn bounded(value: f64) -> f64 {
    value.clamp(-MAX_NUMBER, MAX_NUMBER)
}

impl Method for Seasonal {
    type State = State;

    fn fresh(&self) -> State {
        State { origin: 0, slot: -1, phase: Phase::WarmUp(WarmUp::default()) }
    }

    fn score(&self, state: &mut State, time: i64, inputs: &[f64]) -> Option<f64> {
        let value = inputs[0];
        if state.slot < 0 {
            self.begin(state, time, value);
            return None;
        }
        let last = state.slot;
        state.slot = self.slot(state.origin, last, time);
        let slots = (self.period * self.seasons) as i64;
        let ahead = match &mut state.phase {
            Phase::Forecasting(_) => state.slot - last,
            Phase::WarmUp(warm_up) if state.slot < slots => {
                warm_up.add(state.slot as usize, value);
                return None;
            }
            Phase::WarmUp(warm_up) => {
                let Some(fit) = warm_up.fit(self.period, self.seasons) else {
                    self.begin(state, time, value);
                    return None;
                };
                state.phase = Phase::Forecasting(fit);
                state.slot - (slots - 1)
            }
        };
        let place = (state.slot % self.period as i64) as usize;
        match &mut state.phase {
            Phase::Forecasting(forecast) => Some(self.forecast(forecast, place, ahead, value)),
            Phase::WarmUp(_) => None,
        }
    }

    fn write(&self, state: &State, to: &mut Writer) {
        to.i64(state.origin);
        to.i64(state.slot);
        match &state.phase {
            Phase::WarmUp(warm_up) => {
                to.u8(0);
                warm_up.write(to);
            }
            Phase::Forecasting(forecast) => {
                to.u8(1);
                forecast.write(to);
            }
        }
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<State, Fault> {
        let (origin, slot) = (from.i64()?, from.i64()?);
        let phase = match from.u8()? {
            0 => Phase::WarmUp(WarmUp::read(from, self.period * self.seasons)?),
            1 => Phase::Forecasting(Forecast::read(from, self.period)?),
            _ => return Err("it is neither in warm-up nor past it"),
        };
        if slot < 0 {
            return Err("its last slot is before its first");
        }
        Ok(State { origin, slot, phase })
    }

    fn heap(state: &State) -> usize {
        match &state.phase {
            Phase::WarmUp(warm_up) => warm_up.heap(),
            Phase::Forecasting(forecast) => forecast.offsets.len() * size_of::<f64>(),
        }
    }
}
