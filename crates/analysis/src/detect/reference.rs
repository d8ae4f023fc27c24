//! `Reference`: what is normal for a series, as a centre and a sigma. It must not know what is compared with it.
//!
//! The first rows give a median and a spread, sharpened by one step. From then on each row moves the centre by its error, of which at most two
//! sigmas count, and the sigma by a bounded biweight (Gelper, Fried and Croux 2010): one row of any size moves the centre
//! by at most 2 × gain sigmas.

use super::bytes::{Fault, Reader, Writer};
use super::robust::{Scale, bounded_square, centre_and_spread, clipped};

#[derive(Debug)]
pub(super) enum Reference {
    /// The rows so far.
    WarmUp(Vec<f64>),
    /// What they and the rows since gave.
    Known(Known),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) centre: f64,
    scale: Scale,
    /// Rows it was learnt from.
    pub(super) rows: u32,
}

impl Default for Reference {
    fn default() -> Self {
        Self::WarmUp(Vec::new())
    }
}

impl Reference {
    /// What is known once `warm_up` rows have been learnt; until then `value` is learnt.
    pub(super) fn known(&mut self, value: f64, warm_up: usize) -> Option<&mut Known> {
        match self {
            Self::Known(known) => Some(known),
            Self::WarmUp(values) => {
                values.push(value);
                if values.len() >= warm_up {
                    *self = Self::Known(Known::of(values));
                }
                None
            }
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        match self {
            Self::WarmUp(values) => {
                to.u8(0);
                to.f64s(values.iter().copied());
            }
            Self::Known(known) => {
                to.u8(1);
                to.f64(known.centre);
                to.f64(known.scale.variance);
                to.u32(known.rows);
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>, warm_up: usize) -> Result<Self, Fault> {
        match from.u8()? {
            0 => Ok(Self::WarmUp(from.f64s(warm_up - 1)?)),
            1 => {
                let (centre, scale) = (from.f64()?, Scale { variance: from.square()? });
                Ok(Self::Known(Known { centre, scale, rows: from.u32()? }))
            }
            _ => Err("it is neither in warm-up nor past it"),
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Self::WarmUp(values) => values.capacity() * size_of::<f64>(),
            Self::Known(_) => 0,
        }
    }
}

impl Known {
    /// Median and spread are robust but noisy: one step from there, with the weights of `learn`, makes them nearly as
    /// sharp as mean and standard deviation are where there are no anomalies.
    fn of(values: &mut [f64]) -> Self {
        let rows = values.len() as u32;
        let (median, spread) = centre_and_spread(values);
        let first = Scale::of(spread);
        let sigma = first.sigma(median);
        let mean = |weight: fn(f64, f64) -> f64| {
            values.iter().map(|v| weight(v - median, sigma)).sum::<f64>() / values.len() as f64
        };
        let centre = median + mean(clipped);
        let scale = if first.variance.sqrt() < sigma { first } else { Scale { variance: mean(bounded_square) } };
        Self { centre, scale, rows }
    }

    #[inline]
    pub(super) fn sigma(&self) -> f64 {
        self.scale.sigma(self.centre)
    }

    /// Learns a row: as one of all so far, or of the last `memory` if they are more.
    #[inline]
    pub(super) fn learn(&mut self, value: f64, memory: u32) {
        self.rows = self.rows.saturating_add(1).min(memory);
        let gain = 1.0 / f64::from(self.rows.max(1));
        let error = value - self.centre;
        let sigma = self.sigma();
        self.scale.learn(error, self.centre, gain);
        self.centre += gain * clipped(error, sigma);
    }
}
