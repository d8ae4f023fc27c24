//! Readings of machines that do not exist: temperatures wander, single readings are far off, and now and then a machine
//! runs hot. Pure: the same seed and moment give the same readings. It must not know clocks and tables.

use super::chance::Chance;

pub(super) const HALLS: usize = 6;
pub(super) const MACHINES: usize = 24;

/// Milliseconds between two readings of a machine. They come one machine after the other.
pub(super) const PERIOD: i64 = 500;
const APART: i64 = PERIOD / MACHINES as i64;

/// Milliseconds from one single reading that is far off to the next, the first after the origin, and how far.
const SPIKES: i64 = 7_000;
const FIRST_SPIKE: i64 = 800;
const SPIKE: f64 = 9.0;

/// Milliseconds from one machine that runs hot to the next, and what it takes; the first began before the origin.
const HEATS: i64 = 30_000;
const HEAT: i64 = 12_000;
const FIRST_HEAT: i64 = -3_000;
/// How much hotter it gets, within [`RISE`] milliseconds.
const HEAT_BY: f64 = 40.0;
const RISE: i64 = 1_500;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Milliseconds since 1970.
    pub ts: i64,
    /// From 0 to below [`MACHINES`].
    pub machine: usize,
    pub temp: f64,
    pub vibration: f64,
}

impl Reading {
    pub(super) fn device(&self) -> String {
        format!("machine-{:02}", self.machine + 1)
    }

    pub(super) fn hall(&self) -> String {
        format!("hall-{}", self.machine % HALLS + 1)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sensors {
    chance: Chance,
    /// When the demo began; what is planted is planted so long after it.
    origin: i64,
}

impl Sensors {
    pub(super) fn new(seed: u64, origin: i64) -> Self {
        Self { chance: Chance::new(seed, 2), origin }
    }

    /// The readings after `after`, up to `until`, by time.
    pub(super) fn between(&self, after: i64, until: i64) -> Vec<Reading> {
        let periods = after.div_euclid(PERIOD)..=until.div_euclid(PERIOD);
        let places = periods.flat_map(|period| (0..MACHINES).map(move |m| (m, period * PERIOD + m as i64 * APART)));
        places.filter(|(_, ts)| (after + 1..=until).contains(ts)).map(|(m, ts)| self.reading(m, ts)).collect()
    }

    fn reading(&self, machine: usize, ts: i64) -> Reading {
        let (hall, stream) = ((machine % HALLS) as f64, machine as u64 * 16);
        let normal =
            50.0 + 3.5 * hall + 2.0 * self.chance.unit(stream, 0) + 1.5 * self.chance.wave(stream + 1, ts, 600_000);
        let (heat, spike) = (self.heat(machine, ts), self.spike(machine, ts));
        let temp = normal + 0.3 * self.chance.bell(stream + 2, ts) + heat + spike;
        let shaken = 1.0 + heat / HEAT_BY * 2.0;
        let vibration = (2.0 + 0.2 * self.chance.bell(stream + 7, ts)) * shaken;
        Reading { ts, machine, temp: hundredths(temp), vibration: hundredths(vibration) }
    }

    /// What a machine that runs hot has beyond its normal.
    fn heat(&self, machine: usize, ts: i64) -> f64 {
        let since = ts - self.origin - FIRST_HEAT;
        let (number, phase) = (since.div_euclid(HEATS), since.rem_euclid(HEATS));
        if phase >= HEAT || self.hot(number) != machine {
            return 0.0;
        }
        (phase.min(HEAT - phase) as f64 / RISE as f64).min(1.0) * HEAT_BY
    }

    /// What a reading that is far off is off by.
    fn spike(&self, machine: usize, ts: i64) -> f64 {
        let since = ts - self.origin - FIRST_SPIKE;
        let (number, phase) = (since.div_euclid(SPIKES), since.rem_euclid(SPIKES));
        // A machine has one reading in this time.
        if phase >= PERIOD || self.chance.one_of(1_001, number, MACHINES) != machine {
            return 0.0;
        }
        if self.chance.bits(1_002, number).is_multiple_of(2) { SPIKE } else { -SPIKE }
    }

    /// The machine that runs hot: each in its turn, in an order of its own.
    fn hot(&self, number: i64) -> usize {
        let all = MACHINES as i64;
        // 7 and 24 have no divisor in common.
        let turn = (number * 7 + (self.chance.bits(1_000, 0) % 24).cast_signed()).rem_euclid(all);
        usize::try_from(turn).unwrap_or(0)
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: i64 = 1_800_000_000_123;

    #[test]
    fn the_same_seed_and_moment_give_the_same_readings() {
        let (one, other) = (Sensors::new(1, ORIGIN), Sensors::new(2, ORIGIN));
        let whole = one.between(ORIGIN - 10_000, ORIGIN);
        assert_eq!(whole, Sensors::new(1, ORIGIN).between(ORIGIN - 10_000, ORIGIN));
        assert_ne!(whole, other.between(ORIGIN - 10_000, ORIGIN));
        // However the time is cut.
        let cuts: Vec<i64> = (0..=1000).map(|i| ORIGIN - 10_000 + i * 10).collect();
        let parts: Vec<Reading> = cuts.windows(2).flat_map(|cut| one.between(cut[0], cut[1])).collect();
        assert_eq!(whole, parts);
    }

    #[test]
    fn every_machine_reads_twice_a_second_within_bounds() {
        let readings = Sensors::new(3, ORIGIN).between(ORIGIN - 60_000, ORIGIN + 60_000);
        assert_eq!(readings.len(), 240 * MACHINES);
        assert!(readings.is_sorted_by_key(|r| r.ts));
        for r in readings {
            assert!((35.0..125.0).contains(&r.temp) && (1.0..9.0).contains(&r.vibration), "{r:?}");
        }
    }

    #[test]
    fn something_odd_is_planted_within_three_seconds_and_once_each_time() {
        for seed in 0..20 {
            let sensors = Sensors::new(seed, ORIGIN);
            let odd = |after, until| {
                let readings = sensors.between(ORIGIN + after, ORIGIN + until);
                readings.iter().filter(|r| sensors.spike(r.machine, r.ts) != 0.0).count()
            };
            assert_eq!(odd(0, 3_000), 1);
            assert_eq!(odd(3_000, FIRST_SPIKE + 10 * SPIKES), 9);
        }
    }

    #[test]
    fn a_machine_is_hot_at_the_origin_then_cools_and_another_follows() {
        for seed in 0..20 {
            let sensors = Sensors::new(seed, ORIGIN);
            let hot = |at: i64| -> Vec<usize> {
                let readings = sensors.between(ORIGIN + at - PERIOD, ORIGIN + at);
                readings.iter().filter(|r| r.temp > 85.0).map(|r| r.machine).collect()
            };
            let (first, second) = (hot(0), hot(HEATS));
            assert_eq!((first.len(), second.len()), (1, 1));
            assert_ne!(first, second);
            assert_eq!(hot(HEAT), [] as [usize; 0]);
        }
    }
}
