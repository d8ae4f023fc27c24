//! `Forecast` and the `WarmUp` that gives the first: level, trend, and an offset per slot of the season. It must not know
//! how a forecast is learnt from once it stands.

use super::bytes::{Fault, Reader, Writer};
use super::robust::{Scale, centre_and_spread, median};

/// What Holt-Winters expects.
pub(super) struct Forecast {
    /// The level at the last slot.
    pub(super) level: f64,
    /// Its change from a slot to the next.
    pub(super) trend: f64,
    /// Of the forecast's errors.
    pub(super) scale: Scale,
    /// What each slot of a season adds to the level.
    pub(super) offsets: Box<[f64]>,
}

impl Forecast {
    pub(super) fn write(&self, to: &mut Writer) {
        to.f64(self.level);
        to.f64(self.trend);
        to.f64(self.scale.variance);
        to.f64s(self.offsets.iter().copied());
    }

    pub(super) fn read(from: &mut Reader<'_>, period: usize) -> Result<Self, Fault> {
        let (level, trend, scale) = (from.f64()?, from.f64()?, Scale { variance: from.square()? });
        let offsets = from.f64s(period)?.into_boxed_slice();
        if offsets.len() < period {
            return Err("its season is too short");
        }
        Ok(Self { level, trend, scale, offsets })
    }
}

/// The rows of the first seasons: the mean of each slot, and how many rows it is of.
#[derive(Default)]
pub(super) struct WarmUp {
    slots: Vec<(f64, u32)>,
}

impl WarmUp {
    /// Adds a row to a slot, counted from the first row.
    pub(super) fn add(&mut self, slot: usize, value: f64) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, (0.0, 0));
        }
        let (mean, rows) = &mut self.slots[slot];
        *rows = rows.saturating_add(1);
        *mean += (value - *mean) / f64::from(*rows);
    }

    /// The forecast after `seasons` seasons of `period` slots, robust: medians of what a slot changes by from season to
    /// season (the trend: Hirsch, Slack and Smith, Techniques of trend analysis for monthly water quality data, 1982),
    /// and of what is left of each slot without the trend. None if most slots are empty.
    pub(super) fn fit(&self, period: usize, seasons: usize) -> Option<Forecast> {
        let filled = self.slots.iter().filter(|(_, rows)| *rows > 0).count();
        if filled * 2 < period * seasons {
            return None;
        }
        let value = |slot: usize| self.slots.get(slot).filter(|(_, rows)| *rows > 0).map(|(mean, _)| *mean);
        let change = |slot: usize| Some(value(slot + period)? - value(slot)?);
        let mut changes: Vec<f64> = (0..period * (seasons - 1)).filter_map(change).collect();
        let (change, spread) = if changes.is_empty() { (0.0, 0.0) } else { centre_and_spread(&mut changes) };
        let trend = change / period as f64;
        let mut rests = Vec::with_capacity(seasons);
        let mut offset = |place: usize| {
            rests.clear();
            let slots = (0..seasons).map(|season| season * period + place);
            rests.extend(slots.filter_map(|slot| Some(value(slot)? - trend * slot as f64)));
            rests.sort_unstable_by(f64::total_cmp);
            (!rests.is_empty()).then(|| median(&rests))
        };
        let found: Vec<Option<f64>> = (0..period).map(&mut offset).collect();
        // A slot that was always empty takes after the one before it; the first after the last.
        let mut before = found.iter().rev().flatten().next().copied()?;
        let mut offsets: Vec<f64> = found
            .into_iter()
            .map(|offset| {
                before = offset.unwrap_or(before);
                before
            })
            .collect();
        let (level, _) = centre_and_spread(&mut offsets.clone());
        offsets.iter_mut().for_each(|offset| *offset -= level);
        // A change has the noise of two rows, a forecast that of a row and of the `seasons` rows that it was made of.
        let sigma = spread * ((1.0 + 1.0 / seasons as f64) / 2.0).sqrt();
        Some(Forecast {
            level: level + trend * (period * seasons - 1) as f64,
            trend,
            scale: Scale::of(sigma),
            offsets: offsets.into_boxed_slice(),
        })
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.u32(self.slots.len() as u32);
        for (mean, rows) in &self.slots {
            to.u32(*rows);
            if *rows > 0 {
                to.f64(*mean);
            }
        }
    }

    pub(super) fn read(from: &mut Reader<'_>, most: usize) -> Result<Self, Fault> {
        let length = from.u32()? as usize;
        if length > most {
            return Err("its warm-up is too long");
        }
        // Not with capacity: the length is not to be believed yet.
        let mut slots = Vec::new();
        for _ in 0..length {
            let rows = from.u32()?;
            slots.push((if rows > 0 { from.f64()? } else { 0.0 }, rows));
        }
        Ok(Self { slots })
    }

    pub(super) fn heap(&self) -> usize {
        self.slots.capacity() * size_of::<(f64, u32)>()
    }
}
